"""For whom overlayctl signs: what places a grid or changes a lease is for the peer that is asked alone."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from overlayd.cli import session as cli_session
from overlayd.cli.session import Output, Session
from protocol.sim.keys import SimFederation
from protocol.trust.order import Action, read_order

FEDERATION = SimFederation("fed", from_s=0.0, until_s=9e9)
ME = FEDERATION.host("ams", "h1").key


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Session:
    made = Session(Path("socket"), Output.TABLE, Path("identity"))
    who = SimpleNamespace(
        identity=FEDERATION.site("ams"),
        chain=FEDERATION.site_chain("ams"),
        principal=SimpleNamespace(site="ams"),
    )
    vars(made).update(credentials=who, peer=ME, client=None)
    monkeypatch.setattr(cli_session, "stewards", lambda client, site: ((ME,), ()))
    return made


@pytest.mark.parametrize("action", [Action.UP, Action.HOLD, Action.LEASE])
def test_an_order_that_is_carried_out_by_one_peer_names_it(
    session: Session, action: Action
) -> None:
    order = read_order(session.sign(action, "shop"))
    assert order.via == ME
    assert order.stewards == ((ME,) if action is Action.UP else ())


def test_one_that_any_peer_may_pass_on_names_none(session: Session) -> None:
    assert read_order(session.sign(Action.DOWN, "shop")).via == ""
    assert read_order(session.sign(Action.CONSOLE, "shop", via=ME)).via == ME
