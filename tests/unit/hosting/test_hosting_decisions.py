"""A host's answers to orders say in its audit log who asked for what, and what forbade it."""

import msgspec
import pytest
from deciding import decided
from hosting_world import GRID, ORDER, REQUEST, One
from negotiating import ADMIN, NOW, RIVAL, B, shop

from protocol.contract.messages import Act, Decided, HoldAsk, LeaseAsk, QuoteAsk
from protocol.grid.lease import LeaseTime
from protocol.grid.record import LeaseChange, grid_id, vni_of
from protocol.terms.effects import Audit, Effect, Persist, Send
from protocol.terms.limits import HOLD_S
from protocol.trust.order import Action, SignedOrder, order_id
from protocol.wire.codec import encode


def lines(effects: list[Effect]) -> list[Audit]:
    return [effect for effect in effects if isinstance(effect, Audit)]


def hold(order: SignedOrder) -> HoldAsk:
    grid = grid_id(order)
    return HoldAsk(grid, order, ("web-1",), (("lan", vni_of(grid, "lan")),), HOLD_S)


def test_a_hold_is_written_then_in_the_log_then_said() -> None:
    effects = One().hears(hold(ORDER))
    (line,) = lines(effects)
    assert (line.what, line.allowed, line.why, line.action) == ("hold", True, "", "up")
    assert (line.order, line.owner, line.whose) == (order_id(ORDER), ADMIN.signer.key, "s1")
    assert (line.via, line.via_site) == (B, "s2")
    kinds = [type(effect) for effect in effects]
    assert kinds.index(Persist) < kinds.index(Audit) < kinds.index(Send)


def test_a_hold_that_is_refused_names_what_forbade_it() -> None:
    (line,) = lines(One().hears(hold(ADMIN.up(shop(1, memory_mib=4096), NOW))))
    assert not line.allowed
    assert line.why == "alpha lacks memory: asked 4 GiB, free 1 GiB"
    expired = hold(ADMIN.order(Action.UP, "shop", NOW - 700, body=encode(shop(1)), valid_s=600))
    (line,) = lines(One().hears(expired))
    assert (line.allowed, line.believed) == (False, True)
    assert "expired: issued 700 s ago" in line.why


def test_an_order_that_was_altered_on_the_way_is_named() -> None:
    forged = msgspec.structs.replace(ORDER, signature=b"x" * 32)
    (line,) = lines(One().hears(hold(forged)))
    assert (line.allowed, line.believed, line.owner) == (False, False, ADMIN.signer.key)
    assert "bad-signature" in line.why


def test_a_quote_binds_nobody_and_has_no_line() -> None:
    assert lines(One().hears(QuoteAsk(REQUEST, "s1", LeaseTime(0.0, 1000.0, 1000.0)))) == []


def test_a_record_that_is_taken_up_names_the_order_that_made_it_so() -> None:
    one = One()
    one.hears(hold(ORDER))
    (line,) = lines(one.hears(Decided(decided(one.record()).certificate)))
    assert (line.what, line.allowed, line.order) == ("record", True, order_id(ORDER))


@pytest.mark.parametrize(
    ("admin", "allowed", "why"),
    [
        (ADMIN, True, ""),
        (RIVAL, False, "wrong-role: shop belongs to site s1's admin, not to site s2's admin"),
    ],
)
def test_an_action_and_an_extension_of_the_owner_and_of_another(
    admin: object, allowed: bool, why: str
) -> None:
    one = One()
    one.leases()
    assert admin in (ADMIN, RIVAL)
    signer = ADMIN if allowed else RIVAL
    pause = signer.order(Action.PAUSE, GRID, NOW)
    (line,) = lines(one.hears(Act(REQUEST, GRID, pause)))
    assert (line.what, line.action, line.allowed, line.why) == ("act", "pause", allowed, why)
    longer = signer.order(Action.LEASE, GRID, NOW, body=encode(LeaseChange(60)))
    (line,) = lines(one.hears(LeaseAsk(REQUEST, GRID, longer)))
    assert (line.what, line.action, line.allowed, line.why) == ("lease", "lease", allowed, why)
    assert (line.owner, line.whose) == (signer.signer.key, "s1" if allowed else "s2")
