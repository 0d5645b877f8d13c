"""What is watched of changes is seen when it is broken."""

from random import Random

import msgspec
from negotiating import FEDERATION, NOW, A, B, C, record_of, shop

from protocol.grid.model import GridSpec
from protocol.grid.next_epoch import Added, applied_to
from protocol.grid.record import Assignment, GridRecord, apply_terms
from protocol.sim.people import Admin
from protocol.sim.untouched import Untouched
from protocol.terms.ids import GridId
from protocol.trust.order import Action, read_order

OWNER = Admin(FEDERATION, "s1", Random(11), lambda: (A, B, C))
RECORD = record_of(OWNER.up(shop(2), NOW), {"web-1": A, "web-2": B})


def became(spec: GridSpec) -> GridRecord:
    order = OWNER.apply(spec, 1, NOW)
    placed = {f"web-{i}": C for i in range(3, spec.clusters[0].count + 1)}
    added = Added(GridId("attempt"), placed)
    return applied_to(RECORD, shop(2), order, apply_terms(read_order(order)), added)


def test_a_change_as_it_should_be_is_fine() -> None:
    watch = Untouched()
    assert watch.decided(None, RECORD) == ""
    assert watch.decided(RECORD, became(shop(3))) == ""
    assert watch.changes == 1
    assert [watch.booted(RECORD.id, f"web-{i}") for i in (1, 2, 3)] == ["", "", ""]


def test_what_stays_and_moves_is_seen() -> None:
    record = became(shop(3))
    moved = (Assignment("web-1", C), *record.assignments[1:])
    wrong = Untouched().decided(RECORD, msgspec.structs.replace(record, assignments=moved))
    assert wrong == "web-1 of shop moved"


def test_a_change_that_is_half_made_is_seen() -> None:
    record = became(shop(3))
    half = msgspec.structs.replace(record, assignments=record.assignments[:2])
    assert "became ['web-1', 'web-2'], not" in Untouched().decided(RECORD, half)


def test_another_address_is_seen() -> None:
    record = became(shop(3))
    assert record.applied is not None
    places = tuple(msgspec.structs.replace(s, positions=(4, 1, 2)) for s in record.applied.places)
    other = msgspec.structs.replace(record.applied, places=places)
    wrong = Untouched().decided(RECORD, msgspec.structs.replace(record, became=other))
    assert wrong == "web-1 of shop has another address on lan"


def test_a_start_that_nobody_ordered_is_seen() -> None:
    watch = Untouched()
    watch.decided(None, RECORD)
    assert watch.booted(RECORD.id, "web-1") == ""
    assert watch.booted(RECORD.id, "web-1").endswith("nothing that was decided says so")
    watch.ordered(OWNER.order(Action.RESTART, RECORD.id, NOW, workspace="web-2"))
    assert [watch.booted(RECORD.id, "web-2") for _ in range(2)] == ["", ""]
