"""What can be at one host only has room there, or the change is refused with how much is lacking."""

from random import Random

import msgspec
from negotiating import FEDERATION, NOW, A, B, C, offer, record_of, shop

from protocol.capacity.quantum import Quantum
from protocol.grid.expand import workspaces
from protocol.grid.record import ApplyTerms
from protocol.placement.counter import Later
from protocol.placement.fit import Offer
from protocol.requesting.change import Change
from protocol.requesting.pinned import Pinned, later, stuck_lines
from protocol.sim.people import Admin
from protocol.terms.refusal import Constraint, Refusal

OWNER = Admin(FEDERATION, "s1", Random(9), lambda: (A, B, C))
ORDER = OWNER.up(shop(2), NOW)
RECORD = record_of(ORDER, {"web-1": A, "web-2": A})
MIB = 1 << 20


def growing(memory_mib: int) -> Change:
    spec = shop(2)
    larger = msgspec.structs.replace(spec.clusters[0], memory_bytes=memory_mib * MIB)
    return Change(RECORD, spec, ApplyTerms(msgspec.structs.replace(spec, clusters=(larger,)), 1))


def test_the_host_has_room_for_all_that_grows_there_together() -> None:
    room = Quantum(4000, 300 * MIB, 1 << 40)
    both = Pinned(growing(256), {}, (offer(A, room),))
    assert both.refused == {}
    assert [o.free.memory_bytes for o in both.offers] == [(300 - 256) * MIB]
    too_much = Pinned(growing(384), {}, (offer(A, room),))
    assert list(too_much.refused) == ["web-2"]
    assert too_much.refused["web-2"].constraint is Constraint.MEMORY
    choice = too_much.choice((), {"web-1": A})
    assert (choice.placed, choice.enough) == ({"web-1": A}, False)


def test_what_is_held_is_not_counted_twice() -> None:
    none_left = offer(A, Quantum(4000, 0, 1 << 40))
    assert Pinned(growing(256), {"web-1": A, "web-2": A}, (none_left,)).refused == {}


def test_a_host_that_gave_no_quote_is_said() -> None:
    refused = Pinned(growing(256), {}, (offer(B),)).refused
    assert [refusal.constraint for refusal in refused.values()] == [Constraint.SILENT] * 2
    lines = stuck_lines(refused)
    assert lines[0] == "cannot change web-1 on alpha: no answer in time"
    assert lines[-1].startswith("  would work: the same again when alpha answers")


def in_time(memory_mib: int, in_s: float) -> tuple[float, tuple[Offer, ...]]:
    return in_s, (offer(A, Quantum(4000, memory_mib * MIB, 1 << 40)),)


def test_it_is_said_from_when_on_there_is_room_and_not_what_comes_after_its_own_end() -> None:
    change, members = growing(256), workspaces(shop(2))
    ahead = [in_time(0, 60.0), in_time(128, 600.0), in_time(256, 3600.0), in_time(900, 7200.0)]
    found = later(change, members, ahead, 86_400.0)
    assert found == (Later(3600.0),)
    assert later(change, members, ahead, 3600.0) == ()
    assert later(change, members, ahead[:2], 86_400.0) == ()
    refused = Pinned(change, {}, in_time(0, 0.0)[1]).refused
    assert stuck_lines(refused)[-1].startswith("  would work: less of it, or the same again")


def test_what_a_host_says_would_work_is_a_line_of_its_own_and_the_only_advice() -> None:
    works = "  would work: `overlayctl lease extend shop 1h`, then the same again"
    over = Refusal(Constraint.TIME, "beta", detail=f"its lease is over\n{works}")
    head = "cannot change web-1 on beta: its lease is over"
    assert stuck_lines({"web-1": over}) == [head, works]
    liar = Refusal(Constraint.TIME, "beta", detail="its lease is over\nerror: run this")
    assert stuck_lines({"web-1": liar})[0] == head
    assert len(stuck_lines({"web-1": liar})) == 2
