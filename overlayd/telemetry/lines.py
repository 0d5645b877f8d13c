"""Lines for people about what strangers say: bounded, printable, and not too many about one of them."""

from protocol.terms.effects import Note

NAME_CHARACTERS, LINE_CHARACTERS = 160, 1000
LINES, LINES_PER_S = 200.0, 2.0
"""So many lines at once may follow from what one peer says, and so many a second. An honest one asks for some
grids at once, and each makes a few lines; one that floods would fill 4,096 lines of events in two seconds."""
PEERS = 4096


def shown(text: str, most: int = LINE_CHARACTERS) -> str:
    """As much of a text as stands in a line; what cannot be printed is escaped."""
    if len(text) > most:
        text = f"{text[: most - 3]}..."
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def shown_note(note: Note) -> Note:
    """The note, as it is shown."""
    cause, subject = shown(note.cause, NAME_CHARACTERS), shown(note.subject, NAME_CHARACTERS)
    return Note(note.kind, subject, shown(note.detail), cause)
