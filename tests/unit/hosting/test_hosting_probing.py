"""What is told of a host that was probed again."""

import msgspec
from hosting_world import FACTS

from protocol.capacity.advert import UNPROBED
from protocol.hosting.probing import LEAVES, probed_notes, told
from protocol.terms.effects import Note


def test_the_first_probe_and_one_that_finds_nothing_new_are_no_news() -> None:
    assert probed_notes(UNPROBED, FACTS, "alpha") == []
    assert probed_notes(FACTS, FACTS, "alpha") == []


def test_a_host_that_leaves_is_fit_for_nothing_new_and_says_first_what_is_wrong_with_it() -> None:
    assert told(FACTS, leaving=False) == FACTS
    assert told(FACTS, leaving=True).unfit == LEAVES
    unfit = msgspec.structs.replace(FACTS, unfit="no disk")
    assert told(unfit, leaving=True) == unfit


def test_a_host_that_is_unfit_says_so_and_says_when_it_is_fit_again() -> None:
    unfit = msgspec.structs.replace(FACTS, unfit="no disk")
    assert probed_notes(FACTS, unfit, "alpha") == [Note("host.unfit", "alpha", "no disk")]
    (fit,) = probed_notes(unfit, FACTS, "alpha")
    assert fit == Note("host.fit", "alpha", "no more: no disk")


def test_another_address_of_its_own_is_told_and_a_lost_one_as_lost() -> None:
    moved = msgspec.structs.replace(FACTS, underlay="192.0.2.9")
    (note,) = probed_notes(FACTS, moved, "alpha")
    assert isinstance(note, Note)
    assert (note.kind, note.subject) == ("underlay.changed", "192.0.2.9")
    lost = msgspec.structs.replace(FACTS, underlay_fault="no address")
    assert probed_notes(FACTS, lost, "alpha") == [
        Note("underlay.lost", FACTS.underlay, "no address")
    ]
