"""The host's side of waiting: room is kept for older orders, within bounds that nobody can stretch."""

from collections.abc import Sequence
from random import Random

import msgspec
import pytest
from negotiating import (
    ADMIN,
    AT_ONCE,
    AUTHORITY,
    FEDERATION,
    MIB,
    NOW,
    RIVAL,
    A,
    B,
    C,
    HostKey,
    claims,
    offer,
    shop,
)

from protocol.capacity.ledger import Ledger
from protocol.capacity.quantum import Quantum
from protocol.contract.messages import HoldAsk, HoldReply, RoomClaim, RoomKept, RoomRenew
from protocol.contract.outcomes import Outcome, RoomChanged
from protocol.grid.model import DeviceCount, GridSpec, LeaseTerms, OnExpiry, PlacementSpec
from protocol.grid.record import grid_id, vni_of
from protocol.hosting.hold_replies import Granting
from protocol.hosting.holds import Holds
from protocol.hosting.taken import Taken
from protocol.sim.people import Admin
from protocol.terms.effects import Effect, Note, Send
from protocol.terms.ids import KeyId, PeerId
from protocol.terms.limits import CLAIM_AGE_S, CLAIM_MOST_S, CLAIM_S, CLAIMS_PER_HOST, HOLD_S
from protocol.terms.refusal import Constraint
from protocol.trust.order import Action, SignedOrder
from protocol.wire.codec import encode

EIGHT = Quantum(4000, 8 * 128 * MIB, 1 << 40)
"""Room for eight workspaces of 500 thousandths of a cpu and 128 MiB."""
ONE = Quantum(500, 128 * MIB, 0)
WAITS = LeaseTerms(best_effort=True)


def up(
    at_s: float, by: Admin = ADMIN, name: str = "shop", lease: LeaseTerms = AT_ONCE
) -> SignedOrder:
    spec = msgspec.structs.replace(shop(9, lease=lease), name=name)
    valid_s = 30 * 86400.0 if lease.best_effort else 600.0
    return by.order(Action.UP, name, at_s, body=encode(spec), valid_s=valid_s)


def part(order: SignedOrder) -> str:
    return AUTHORITY.deployment(order, NOW, fresh=False).order


def names(count: int) -> tuple[str, ...]:
    return tuple(f"web-{n}" for n in range(1, count + 1))


class Host:
    """One host's claims, holds and clock."""

    def __init__(self, room: Quantum = EIGHT) -> None:
        self.ledger = Ledger(room, NOW)
        self.claims = claims(self.ledger)
        self.holds = Holds(
            "alpha", self.ledger, AUTHORITY, self.claims, {}, NOW, Granting(HostKey(A))
        )

    def claim(self, order: SignedOrder, count: int, now: float = NOW, by: PeerId = B) -> None:
        self.claims.ask(by, RoomClaim(order, names(count)), now)
        self.claims.check()

    def changes(self, order: SignedOrder, count: int) -> list[Outcome]:
        """What others are told when it claims that."""
        _, outcomes = self.claims.ask(B, RoomClaim(order, names(count)), NOW)
        return outcomes

    def has(self, order: SignedOrder, by: PeerId = B) -> bool:
        """Whether that order has a claim here, by that peer."""
        effects, _ = self.claims.renew(by, RoomRenew(part(order), 0), NOW)
        return effects == []

    def kept(self) -> Quantum:
        """What is kept from plans."""
        return self.claims.kept("", 0.0, self.ledger.free, NOW)

    def renew(self, order: SignedOrder, kept: int, now: float, by: PeerId = B) -> list[RoomKept]:
        """Renews a claim. Answers what the host says to that."""
        effects, _ = self.claims.renew(by, RoomRenew(part(order), kept), now)
        return self.told(now, effects)

    def told(self, now: float = NOW, effects: Sequence[Effect] = ()) -> list[RoomKept]:
        """What claimants are told, all of them at B."""
        said = [e for e in (*effects, *self.claims.tell(now)) if isinstance(e, Send)]
        return [e.message for e in said if isinstance(e.message, RoomKept)]

    def free(self, order: SignedOrder | None, now: float = NOW) -> int:
        """How many places that order is offered; None stands for a plan."""
        free = self.ledger.free
        if order is None:
            return ONE.times_in(free - self.claims.kept("", 0.0, free, now))
        deployment = AUTHORITY.deployment(order, now, fresh=False)
        return ONE.times_in(free - self.claims.kept_from(deployment, free, now))

    def hold(self, order: SignedOrder, *names: str, start_s: float = 0.0) -> HoldReply:
        grid = grid_id(order)
        vnis = (("lan", vni_of(grid, "lan")),)
        ask = HoldAsk(grid, order, names, vnis, HOLD_S, start_s)
        effects, _ = self.holds.ask(B, ask, Taken({}, {}), offer(A), NOW)
        (reply,) = [e.message for e in effects if isinstance(e, Send)]
        assert isinstance(reply, HoldReply)
        return reply


def test_what_is_free_is_kept_from_the_younger_and_from_plans() -> None:
    host, old, young = Host(), up(NOW - 9), up(NOW - 1, RIVAL)
    host.claim(old, 3)
    assert (host.free(old), host.free(young), host.free(None)) == (8, 5, 5)


def test_who_is_older_does_not_see_it() -> None:
    host, old, young = Host(), up(NOW - 9), up(NOW - 1, RIVAL)
    host.claim(young, 3)
    assert host.free(old) == 8


def test_a_hold_is_refused_for_it_with_its_reason_and_granted_to_whom_it_is_kept_for() -> None:
    host = Host(ONE + ONE)
    old, young = up(NOW - 9), up(NOW - 1, RIVAL, "other")
    host.claim(old, 1)
    assert host.hold(young, "web-1").held == ("web-1",)
    reply = host.hold(young, "web-2")
    ((_, why),) = reply.refused
    assert (why.constraint, why.detail) == (
        Constraint.OLDER,
        "it keeps what is free for an older request",
    )
    assert host.hold(old, "web-7").held == ("web-7",)


def test_what_gets_free_is_kept_too() -> None:
    host, old, young = Host(), up(NOW - 9), up(NOW - 1, RIVAL, "other")
    host.hold(young, *(f"web-{n}" for n in range(1, 9)))
    host.claim(old, 2)
    assert host.free(old) == 0
    for name in ("web-1", "web-2", "web-3"):
        host.ledger.strike((grid_id(young), name))
    assert (host.free(old), host.free(young)) == (3, 1)


def test_the_oldest_has_it_first_whoever_claimed_first() -> None:
    host, old, young = Host(), up(NOW - 9), up(NOW - 1, RIVAL)
    host.claim(young, 4)
    host.claim(old, 3)
    assert (host.free(old), host.free(young), host.free(None)) == (8, 5, 4)


@pytest.mark.parametrize("count", [1, 5, 9])
def test_all_together_keep_half_of_a_host_at_most(count: int) -> None:
    host = Host()
    host.claim(up(NOW - 9), count)
    assert host.free(None) == 8 - min(count, 4)


def test_one_workspace_may_be_more_than_half() -> None:
    host = Host(ONE)
    host.claim(up(NOW - 9), 2)
    assert host.free(None) == 0


def test_it_ends_by_itself_unless_it_is_said_again() -> None:
    host, old = Host(), up(NOW - 9)
    host.claim(old, 2)
    host.claim(old, 3, NOW + CLAIM_S - 1)
    assert host.free(None, NOW + 2 * CLAIM_S - 1.001) == 5
    assert host.free(None, NOW + 2 * CLAIM_S - 1) == 8
    due = host.claims.next_deadline()
    assert due is not None
    assert due.at_s == NOW + 2 * CLAIM_S - 1
    assert host.claims.tick(due.at_s)
    assert host.free(None, due.at_s) == 8
    assert not len(host.claims)


def test_it_ends_when_its_order_lets_go_or_is_held_here() -> None:
    host, old = Host(), up(NOW - 9)
    host.claim(old, 2)
    host.claim(old, 0)
    assert not len(host.claims)
    host.claim(old, 2)
    host.hold(old, "web-1")
    assert not len(host.claims)


def test_an_owner_has_one_at_a_host_the_oldest() -> None:
    host, old, young = Host(), up(NOW - 9), up(NOW - 1, name="other")
    host.claim(young, 2)
    host.claim(old, 3)
    assert host.free(None) == 5
    host.claim(young, 4)
    assert host.free(None) == 5


def test_nobody_keeps_room_for_ever() -> None:
    host, waits = Host(), up(NOW, lease=WAITS)
    free = {}
    for step in range(round(2 * CLAIM_MOST_S / 5) + 3):
        now = NOW + 5.0 * step
        host.claim(waits, 2, now)
        free[5.0 * step] = host.free(None, now)
    assert all(free[s] == 6 for s in free if s < CLAIM_MOST_S)
    assert all(free[s] == 8 for s in free if CLAIM_MOST_S <= s < 2 * CLAIM_MOST_S)
    assert free[max(free)] == 6


def test_a_date_in_the_past_counts_for_so_much() -> None:
    host, first_s = Host(), NOW + 86400.0
    ancient, honest = up(NOW, RIVAL, lease=WAITS), up(first_s - CLAIM_AGE_S - 4, lease=WAITS)
    host.claim(honest, 2, first_s - 5)
    host.claim(ancient, 2, first_s)
    assert (host.free(honest, first_s), host.free(ancient, first_s)) == (8, 6)


def test_a_host_keeps_so_many_claims_the_oldest() -> None:
    host = Host(ONE)
    for number in range(CLAIMS_PER_HOST + 3):
        site = Admin(FEDERATION, f"site-{number}", Random(number), lambda: (A, B, C))
        host.claim(up(NOW - number, site), 1, by=PeerId(f"peer-{number}"))
    assert len(host.claims) == CLAIMS_PER_HOST


@pytest.mark.parametrize(
    "spec",
    [
        shop(2, memory_mib=4096),
        shop(2, lease=LeaseTerms(start_s=NOW + 3600)),
        msgspec.structs.replace(shop(2), placement=PlacementSpec(sites=("s9",))),
    ],
)
def test_room_is_kept_only_for_what_could_begin_here_now(spec: GridSpec) -> None:
    host = Host()
    host.claim(ADMIN.up(spec, NOW - 9), 2)
    assert not len(host.claims)


def test_a_reservation_does_not_see_it() -> None:
    host = Host(ONE)
    host.claim(up(NOW - 9), 1)
    later = up(NOW - 1, RIVAL, "other", lease=LeaseTerms(start_s=NOW + 3600))
    assert host.hold(later, "web-1", start_s=NOW + 3600).held == ("web-1",)
    assert host.hold(up(NOW - 1, RIVAL, "third"), "web-1").held == ()


def test_an_order_that_is_not_believed_keeps_nothing() -> None:
    host = Host()
    host.claim(up(NOW - 5000), 2)
    assert not len(host.claims)


def test_whoever_claims_is_told_for_how_much_there_is_room_and_when_that_changes() -> None:
    host, old, other = Host(), up(NOW - 9), up(NOW - 20, RIVAL, "other")
    host.hold(other, *names(8))
    host.claim(old, 3)
    assert host.told() == []
    for name in ("web-1", "web-2"):
        host.ledger.strike((grid_id(other), name))
    assert host.told() == [RoomKept(part(old), names(2))]
    assert host.told() == []
    host.hold(other, "web-1")
    assert host.told() == [RoomKept(part(old), names(1))]


def test_room_that_is_kept_for_an_older_one_is_not_told_of() -> None:
    host, old, young = Host(ONE + ONE), up(NOW - 9), up(NOW - 1, RIVAL)
    host.claim(old, 1)
    host.claim(young, 2)
    assert host.told() == [RoomKept(part(old), names(1)), RoomKept(part(young), names(1))]


def test_a_renewal_is_as_good_as_the_claim_and_is_not_answered() -> None:
    host, old = Host(), up(NOW - 9)
    host.claim(old, 3)
    assert host.told() == [RoomKept(part(old), names(3))]
    assert host.renew(old, 3, NOW + CLAIM_S - 1) == []
    assert host.free(None, NOW + CLAIM_S + 1) == 5
    assert host.free(None, NOW + 2 * CLAIM_S) == 8


@pytest.mark.parametrize("heard", [0, 2])
def test_who_heard_something_else_is_told_again(heard: int) -> None:
    host, old = Host(), up(NOW - 9)
    host.claim(old, 3)
    host.told()
    assert host.renew(old, heard, NOW + 4) == [RoomKept(part(old), names(3))]


def test_a_claim_that_is_not_here_or_not_whoever_renews_it_is_not_renewed() -> None:
    host, old = Host(), up(NOW - 9)
    gone = [RoomKept(part(old), (), claimed=False)]
    assert host.renew(old, 0, NOW) == gone
    host.claim(old, 3)
    host.told()
    assert host.renew(old, 3, NOW + 4, by=C) == gone
    assert host.free(None, NOW + CLAIM_S + 1) == 8


def test_renewals_do_not_keep_room_for_ever() -> None:
    host, waits = Host(), up(NOW, lease=WAITS)
    host.claim(waits, 2)
    for step in range(1, round(CLAIM_MOST_S / 5)):
        host.renew(waits, 2, NOW + 5.0 * step)
        assert host.free(None, NOW + 5.0 * step) == 6
    host.renew(waits, 2, NOW + CLAIM_MOST_S)
    assert host.free(None, NOW + CLAIM_MOST_S) == 8
    assert host.renew(waits, 2, NOW + CLAIM_MOST_S + 5) == [RoomKept(part(waits), (), False)]


def test_a_renewal_of_an_order_that_is_not_valid_any_more_keeps_nothing() -> None:
    host, old = Host(), up(NOW - 595)
    host.claim(old, 2)
    host.renew(old, 2, NOW + 8)
    assert host.free(None, NOW + 9) == 6
    assert host.free(None, NOW + CLAIM_S + 1) == 8


# -- what follows from it for others


def test_only_what_changes_the_room_is_told_of() -> None:
    host, old = Host(), up(NOW - 9)
    assert host.changes(old, 0) == [], "it had none"
    assert host.changes(old, 2) == [RoomChanged()]
    assert host.changes(old, 2) == [], "asking again is asking once"
    assert host.changes(old, 3) == [RoomChanged()]
    assert host.changes(old, 0) == [RoomChanged()]
    assert host.changes(old, 0) == []


def test_what_is_said_of_a_claim_when_it_is_new() -> None:
    host, old = Host(), up(NOW - 9)
    effects, _ = host.claims.ask(B, RoomClaim(old, names(2)), NOW)
    assert effects == [Note("room.claimed", "shop", "2 workspaces, before what was ordered later")]
    effects, _ = host.claims.ask(B, RoomClaim(old, names(3)), NOW)
    assert effects == []


def test_time_that_ends_no_claim_changes_nothing() -> None:
    host = Host()
    assert host.claims.tick(NOW) == []
    host.claim(up(NOW - 9), 2)
    assert host.claims.tick(NOW + CLAIM_S - 0.001) == []
    assert host.claims.tick(NOW + CLAIM_S) == [RoomChanged()]
    assert host.claims.tick(NOW + CLAIM_S) == []


# -- bounds


def test_an_order_that_had_its_time_has_another_after_as_long() -> None:
    host, waits = Host(), up(NOW, lease=WAITS)
    host.claim(waits, 2)
    for step in range(1, round(CLAIM_MOST_S / 5)):
        host.claim(waits, 2, NOW + 5.0 * step)
    host.claim(waits, 2, NOW + CLAIM_MOST_S)
    assert len(host.claims) == 0
    host.claim(waits, 2, NOW + 2 * CLAIM_MOST_S - 0.001)
    assert len(host.claims) == 0
    host.claim(waits, 2, NOW + 2 * CLAIM_MOST_S)
    assert len(host.claims) == 1


def test_where_there_are_too_many_the_youngest_makes_way() -> None:
    host = Host()
    orders = [
        up(
            NOW - 100 - number,
            Admin(FEDERATION, f"site-{number}", Random(number), lambda: (A, B, C)),
        )
        for number in range(CLAIMS_PER_HOST)
    ]
    peers = [PeerId(f"peer-{number}") for number in range(CLAIMS_PER_HOST)]
    for order, peer in zip(orders, peers, strict=True):
        host.claim(order, 1, by=peer)
    assert len(host.claims) == CLAIMS_PER_HOST

    def left() -> list[bool]:
        return [host.has(order, peer) for order, peer in zip(orders, peers, strict=True)]

    host.claim(up(NOW - 50, RIVAL), 1)
    assert left() == [True] * CLAIMS_PER_HOST, "it is younger"
    older = up(NOW - 400, RIVAL)
    host.claim(older, 1)
    assert host.has(older)
    assert left() == [False] + [True] * (CLAIMS_PER_HOST - 1)
    assert len(host.claims) == CLAIMS_PER_HOST


def test_half_of_a_host_is_half_of_each_that_it_has() -> None:
    """Of disks and of devices too; of a single device nothing, but for one workspace."""
    saves = LeaseTerms(on_expiry=OnExpiry.SUSPEND)
    disk_bytes = 144 * MIB
    host = Host(msgspec.structs.replace(EIGHT, disk_bytes=8 * disk_bytes))
    host.claim(ADMIN.up(shop(9, lease=saves), NOW - 9), 9)
    assert host.kept().disk_bytes == 4 * disk_bytes
    for gpus, each, kept in ((9, 1, 4), (5, 2, 2), (3, 1, 1), (2, 1, 1), (1, 1, 1)):
        (web,) = shop(9).clusters
        web = msgspec.structs.replace(web, devices=(DeviceCount("gpu", each),))
        host = Host(msgspec.structs.replace(EIGHT, devices=(("fpga", 1), ("gpu", gpus))))
        host.claim(ADMIN.up(msgspec.structs.replace(shop(9), clusters=(web,)), NOW - 9), 9)
        assert host.kept().devices_of("gpu") == kept, (gpus, each)
        assert host.kept().devices_of("fpga") == 0


@pytest.mark.parametrize(("gpus", "kept"), [(4, 2), (3, 1), (2, 1), (1, 0)])
def test_behind_the_first_none_is_more_than_half(gpus: int, kept: int) -> None:
    (web,) = shop(1).clusters
    other = msgspec.structs.replace(web, name="sim", count=3, devices=(DeviceCount("gpu", 1),))
    host = Host(msgspec.structs.replace(EIGHT, devices=(("gpu", gpus),)))
    order = ADMIN.up(msgspec.structs.replace(shop(1), clusters=(web, other)), NOW - 9)
    host.claims.ask(B, RoomClaim(order, ("web-1", "sim-1", "sim-2", "sim-3")), NOW)
    assert host.kept().devices_of("gpu") == kept


def test_who_had_less_of_its_share_comes_first_however_young() -> None:
    host, old, young = Host(), up(NOW - 9), up(NOW - 1, RIVAL)
    used = {KeyId(ADMIN.signer.key): 3, KeyId(RIVAL.signer.key): 2}
    host.claims = claims(host.ledger, lambda owner: (used[owner], 0))
    host.claim(old, 3)
    assert (host.free(old), host.free(young)) == (8, 8)
    host.claim(young, 5)
    assert (host.free(old), host.free(young)) == (4, 8), (
        "of these it keeps half of the host at most"
    )
    used[KeyId(RIVAL.signer.key)] = 3
    assert (host.free(old), host.free(young)) == (8, 5), "as it stands at the moment; then by age"
