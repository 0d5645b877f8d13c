"""Lines about what strangers say are bounded and printable, and a peer's are not too many."""

from overlayd.telemetry.lines import (
    LINE_CHARACTERS,
    LINES,
    NAME_CHARACTERS,
    PEERS,
    LineBudget,
    shown,
    shown_note,
)
from protocol.terms.effects import Note
from protocol.terms.ids import PeerId

A, B = PeerId("a" * 64), PeerId("b" * 64)


def test_a_text_is_cut_and_what_cannot_be_printed_is_escaped() -> None:
    assert shown("shop is down") == "shop is down"
    assert shown("caf\u00e9") == "caf\u00e9"
    assert shown("\x1b[2J\nroot\u202e") == "\\x1b[2J\\nroot\\u202e"
    assert len(shown("x" * 65536)) == LINE_CHARACTERS
    note = shown_note(Note("k", "s" * 999, "\n" * 9999, "c" * 999))
    assert (len(note.subject), len(note.cause)) == (NAME_CHARACTERS, NAME_CHARACTERS)
    assert len(note.detail) <= 2 * LINE_CHARACTERS


def test_one_peers_lines_are_bounded_and_others_are_not_less_for_it() -> None:
    budget = LineBudget()
    told = sum(budget.allows(A, 0.0) for _ in range(5000))
    assert told == LINES
    assert budget.allows(B, 0.0)
    assert budget.allows(A, 1.0), "it comes back with time"
    assert sum(budget.allows(A, 1e6) for _ in range(5000)) == LINES


def test_what_is_remembered_is_bounded() -> None:
    budget = LineBudget()
    for number in range(2 * PEERS):
        budget.allows(PeerId(f"{number:064x}"), 0.0)
    assert len(budget._left) == PEERS
