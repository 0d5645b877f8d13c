"""`overlayctl attach`: what it says, and how it ends."""

import subprocess
import sys
from typing import NamedTuple

import pytest
from asked_daemon import Daemon
from one_host import OneHost, PlayedView

from overlayd.api.views import AttachView
from overlayd.cli import attach as command
from overlayd.cli.attach import _line
from protocol.grid.attached import AttachBody
from protocol.node.events import Event
from protocol.requesting.events import AttachDropped, AttachGiven
from protocol.requesting.visiting import VisitRow
from protocol.trust.order import Action, read_order
from protocol.wire.codec import decode

WITHIN_S = 20
VIEW = AttachView(False, "", "10.42.0.0/24", 1, 3, "", over=False)


class Played(NamedTuple):
    """A daemon that is attached to what its view says, and the events that its node would hear."""

    daemon: Daemon
    view: PlayedView
    heard: list[Event]

    @property
    def host(self) -> OneHost:
        return self.daemon.host


@pytest.fixture
def played(daemon: Daemon) -> Played:
    """A daemon whose host is let in by everybody."""
    daemon.up()
    (row,) = daemon.host.view.grids(daemon.host.now())
    visit = VisitRow(row.grid, "lan", "10.42.0.200", "10.42.0.0/24", 3, 3, "", over=False)
    view, heard = daemon.host.play()
    view.rows = [visit]
    daemon.host.cards[row.grid, "lan"] = ""
    return Played(daemon, view, heard)


def test_it_says_where_it_is_and_ends_with_ctrl_c(played: Played) -> None:
    socket, heard = str(played.daemon.socket), played.heard
    words = [sys.executable, "-u", "-m", "overlayd.cli.entry", "--peer", socket]
    words += ["--identity", str(played.host.site_dir), "attach", "demo/lan"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        try:
            assert running.stdout.readline() == (
                "attached to demo/lan as 10.42.0.200, a route leads to 10.42.0.0/24; Ctrl-C ends it\n"
            )
        finally:
            running.send_signal(2)
            assert running.wait(WITHIN_S) == 130
    given = heard[0]
    assert isinstance(given, AttachGiven)
    order = read_order(given.order)
    assert (order.action, order.via) == (Action.ATTACH, played.host.node.me)
    assert decode(order.body, AttachBody) == AttachBody("lan")
    (row,) = played.host.view.grids(played.host.now())
    for _ in range(WITHIN_S * 100):
        if AttachDropped(row.grid, "lan") in heard:
            return
        played.daemon.ask("ps")
    raise AssertionError("the host is still attached")


def test_an_order_is_renewed_before_it_is_old(
    played: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[Event] = []

    def hear(event: Event) -> None:
        heard.append(event)
        if len(heard) == 3:
            played.view.rows = [over]

    (visit,) = played.view.rows
    over = VisitRow(visit.grid, "lan", "", visit.cidr, 0, 3, "no", over=True)
    monkeypatch.setattr(command, "RENEW_S", 0.05)
    played.host.submit = hear  # type: ignore[method-assign]  # heard
    result = played.daemon.ask("attach", "demo/lan", code=1)
    assert "error: demo/lan: no" in result.stderr
    orders = [event.order for event in heard if isinstance(event, AttachGiven)]
    assert len(orders) >= 3
    assert len(dict.fromkeys(order.payload for order in orders)) == len(orders)


def test_what_hosts_refuse_is_told(daemon: Daemon) -> None:
    daemon.up()
    result = daemon.ask("attach", "demo/lan", code=1)
    assert result.stderr.startswith("error: demo/lan: ")
    assert "is not sealed" in result.stderr
    assert result.stdout == "", "it is said once"


def test_a_network_that_is_not_there_is_told_with_those_that_are(daemon: Daemon) -> None:
    daemon.up()
    said = daemon.ask("attach", "demo/wan", code=1).stderr
    assert said == "error: demo/wan: demo has no network wan\n  would work: demo/lan\n"


def test_what_is_no_network_is_a_mistake(daemon: Daemon) -> None:
    daemon.up()
    for named in ("demo", "demo/", "/demo"):
        said = daemon.ask("attach", named, code=2).stderr
        assert f"{named} is not a network; write GRID/NETWORK\n" in said
        assert "would work: `overlayctl show demo --network` lists a grid's networks" in said
    assert 'there is no grid "dem"' in daemon.ask("attach", "dem/lan", code=1).stderr


@pytest.mark.parametrize(
    ("view", "was_up", "said"),
    [
        (VIEW, False, "not attached yet, 1 of 3 hosts with members let this one in"),
        (VIEW, True, "not attached any more, 1 of 3 hosts with members let this one in"),
    ],
)
def test_how_it_stands(view: AttachView, was_up: bool, said: str) -> None:
    assert _line(view, "demo/lan", was_up) == said
