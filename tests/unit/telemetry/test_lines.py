"""Lines about what strangers say are bounded and printable, and a peer's are not too many."""

from overlayd.telemetry.lines import (
    LINE_CHARACTERS,
    NAME_CHARACTERS,
    shown,
    shown_note,
)
from protocol.terms.effects import Note


def test_a_text_is_cut_and_what_cannot_be_printed_is_escaped() -> None:
    assert shown("shop is down") == "shop is down"
    assert shown("caf\u00e9") == "caf\u00e9"
    assert shown("\x1b[2J\nroot\u202e") == "\\x1b[2J\\nroot\\u202e"
    assert len(shown("x" * 65536)) == LINE_CHARACTERS
    note = shown_note(Note("k", "s" * 999, "\n" * 9999, "c" * 999))
    assert (len(note.subject), len(note.cause)) == (NAME_CHARACTERS, NAME_CHARACTERS)
    assert len(note.detail) <= 2 * LINE_CHARACTERS
