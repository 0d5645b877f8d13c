"""Memory that guests are to give back: it is booked until their machines are seen to have less."""

from changing_host import Changing, sized
from hosting_world import EACH, GRID, ROOM
from negotiating import MIB, NOW, shop
from test_hosting_taking_up import in_part

from protocol.capacity.quantum import Quantum
from protocol.contract.outcomes import RoomChanged
from protocol.grid.lifecycle import Wanted
from protocol.hosting.events import MemorySeen

SMALL, SMALLER = 64 * MIB, 32 * MIB


def shrunk(**more: object) -> Changing:
    """A host on which `web-1` is to have half of its memory."""
    one = Changing()
    one.changes(one.up(), sized(shop(1), memory_bytes=SMALL, **more), "web-1")
    return one


def sees(one: Changing, memory_bytes: int, epoch: int = 2) -> None:
    effects, outcomes = one.host.handle(MemorySeen(GRID, "web-1", epoch, memory_bytes), NOW)
    one.keep((effects, outcomes))
    assert bool(effects) == (RoomChanged() in outcomes)
    one.host.check()


def test_what_its_guest_has_yet_to_give_back_is_promised_to_nobody() -> None:
    one = shrunk()
    assert one.host.ledger.free == ROOM - EACH
    assert in_part(one, "web-1").gives_back
    sees(one, 128 * MIB)
    assert one.host.ledger.free == ROOM - EACH
    sees(one, 100 * MIB)
    assert one.host.ledger.free == ROOM - Quantum(500, 100 * MIB)
    assert in_part(one, "web-1").gives_back
    sees(one, SMALL)
    assert one.host.ledger.free == ROOM - Quantum(500, SMALL)
    assert not in_part(one, "web-1").gives_back


def test_a_restart_of_the_daemon_forgets_nothing_of_it() -> None:
    one = shrunk()
    one.start()
    assert one.host.ledger.free == ROOM - EACH
    assert in_part(one, "web-1").gives_back
    sees(one, SMALL)
    one.start()
    assert one.host.ledger.free == ROOM - Quantum(500, SMALL)


def test_what_was_seen_before_it_was_to_shrink_says_nothing() -> None:
    one = shrunk()
    sees(one, SMALL, epoch=1)
    assert one.host.ledger.free == ROOM - EACH


def test_what_is_started_anew_has_its_old_memory_until_the_new_start_is_seen() -> None:
    one = shrunk(scratch_bytes=8 * MIB)
    assert one.wanted("web-1") == Wanted("web-1", boot=2)
    assert one.host.ledger.free.memory_bytes == (ROOM - EACH).memory_bytes
    sees(one, SMALL)
    assert one.host.ledger.free.memory_bytes == ROOM.memory_bytes - SMALL


def test_it_grows_again_into_what_it_still_has() -> None:
    one = shrunk()
    one.other(Quantum(0, (ROOM - EACH).memory_bytes))
    one.changes(one.row().record, shop(1), "web-1")
    assert one.row().lacks == one.row().giving_back == ()
    assert one.host.ledger.free.memory_bytes == 0


def test_it_shrinks_twice() -> None:
    one = shrunk()
    one.changes(one.row().record, sized(shop(1), memory_bytes=SMALLER), "web-1")
    assert one.host.ledger.free == ROOM - EACH
    sees(one, SMALL, epoch=3)
    assert one.host.ledger.free == ROOM - Quantum(500, SMALL)
    sees(one, SMALLER, epoch=3)
    assert one.host.ledger.free == ROOM - Quantum(500, SMALLER)
