"""What is said of a host's clock: once that it is apart, once that it agrees again."""

from protocol.hosting.clock_words import ClockWords
from protocol.membership.clocks import SURE, ClockView
from protocol.terms.effects import Note

APART = ClockView(doubt="its clock is ahead", apart=True)
DOUBTFUL = ClockView(doubt="nobody was heard yet", apart=False)


def said(words: ClockWords, clock: ClockView) -> tuple[list[str], bool]:
    notes, offers = words.changed(clock)
    return [note.kind for note in notes if isinstance(note, Note)], offers


def test_it_is_told_when_it_is_apart_and_when_it_agrees_again() -> None:
    words = ClockWords("alpha")
    assert said(words, SURE) == ([], False)
    assert said(words, APART) == (["clock.apart"], True)
    assert said(words, DOUBTFUL) == ([], True), "nothing is known, so nothing is told"
    assert said(words, SURE) == (["clock.agrees"], True)
    assert said(words, SURE) == ([], False)
    assert said(words, DOUBTFUL) == ([], False)
