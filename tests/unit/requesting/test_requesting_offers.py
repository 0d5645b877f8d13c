"""What is believed of hosts: their quotes, what they refused since, and their room at other times."""

import msgspec
import pytest
from negotiating import MIB, NOW, ROOM, SITES, A, B, quote, shop

from protocol.capacity.quantum import Quantum
from protocol.capacity.room import Step
from protocol.grid.model import GridSpec, LeaseTerms
from protocol.requesting.offers import Offers
from protocol.requesting.shortlist import Candidate
from protocol.terms.ids import PeerId
from protocol.terms.limits import STARTS_TRIED
from protocol.terms.refusal import Constraint, Refusal

SOME = Quantum(500, 64 * MIB, 0)
SPEC = msgspec.structs.replace(shop(2), lease_s=3600.0)


def offers(spec: GridSpec = SPEC, *more: Step) -> Offers:
    """Of A, with all its room, and less or more of it later."""
    found = Offers(spec)
    steps = (Step(0.0, ROOM), *more) if more else ()
    found.quoted(Candidate(A, "alpha", SITES[A]), quote(A, later=steps), NOW)
    return found


def before(deadline_s: float) -> GridSpec:
    return msgspec.structs.replace(SPEC, lease=LeaseTerms(before_s=deadline_s))


def test_what_is_held_is_not_free_until_it_is_given_back() -> None:
    found = offers()
    found.taken(A, SOME)
    assert found[A].free == ROOM - SOME
    found.given_back(A, SOME)
    assert found[A].free == ROOM


def test_a_host_that_lacks_room_is_believed_how_much_it_has() -> None:
    found = offers()
    found.refused(A, Refusal(Constraint.MEMORY, "alpha", asked=ROOM.memory_bytes, available=MIB))
    assert found[A].free == msgspec.structs.replace(ROOM, memory_bytes=MIB)
    assert found[A].refused is None, "it is asked again for less"


def test_a_refusal_never_makes_room() -> None:
    found = offers()
    more = Refusal(Constraint.CPUS, "alpha", asked=1, available=ROOM.cpus_milli + 1)
    found.refused(A, more)
    assert found[A].free == ROOM


def test_a_host_that_refuses_for_another_reason_is_not_asked_again() -> None:
    found, no = offers(), Refusal(Constraint.CLOCK, "alpha", detail="it is off")
    found.refused(A, no)
    assert (found[A].refused, found[A].free) == (no, ROOM)


def test_no_host_is_ahead_where_nothing_is_held_or_kept() -> None:
    assert offers().uncontended() == ()


@pytest.mark.parametrize("field", ["held", "kept"])
def test_what_is_held_for_others_or_kept_for_older_orders_may_come_free(field: str) -> None:
    found = Offers(SPEC)
    word = msgspec.structs.replace(quote(A), **{field: SOME})
    found.quoted(Candidate(A, "alpha", SITES[A]), word, NOW)
    (offer,) = found.uncontended()
    assert offer.free == ROOM + SOME
    assert found[A].free == ROOM, "it is not free yet"
    assert ("alpha" in found.ahead) is (field == "kept")


def test_starts_are_now_and_whenever_a_host_has_more_room_in_time_for_the_deadline() -> None:
    steps = [Step(at_s, ROOM) for at_s in (60.0, 120.0, 121.0)]
    found = offers(before(NOW + 3600.0 + 120.0), *steps)
    assert found.starts(NOW) == [NOW, NOW + 60.0, NOW + 120.0]


def test_a_bounded_number_of_starts_is_tried() -> None:
    steps = [Step(float(at_s), ROOM) for at_s in range(1, 2 * STARTS_TRIED)]
    assert len(offers(before(NOW + 86400.0), *steps).starts(NOW)) == STARTS_TRIED


def test_offers_for_a_later_lease_have_the_room_of_that_time() -> None:
    found = offers(SPEC, Step(60.0, ROOM + SOME))
    (later,) = found.at(NOW + 60.0)
    assert (later.free, found[A].free) == (ROOM + SOME, ROOM)
    found.begin_at(NOW + 60.0)
    assert found[A].free == ROOM + SOME


def test_a_later_start_is_told_in_seconds_from_now_and_not_where_there_is_a_deadline() -> None:
    step = Step(60.0, ROOM + SOME)
    assert [in_s for in_s, _ in offers(SPEC, step).later((), NOW)] == [60.0]
    assert list(offers(before(NOW + 9999.0), step).later((), NOW)) == []


def test_room_that_makes_no_sense_is_taken_for_what_is_free() -> None:
    found = Offers(SPEC)
    word = msgspec.structs.replace(quote(A), later=(Step(5.0, ROOM), Step(1.0, ROOM)))
    found.quoted(Candidate(A, "alpha", SITES[A]), word, NOW)
    assert found.at(NOW + 99.0)[0].free == ROOM


def test_a_host_that_gave_no_quote_offers_nothing() -> None:
    found = offers()
    assert (found.get(B), B in found, len(found)) == (None, False, 1)
    assert found.get(PeerId("")) is None
