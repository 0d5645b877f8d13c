"""Statements: what a steward signed of a register, as it signed it.

Only those count that name the store whose seat it is. So each is what one memory is bound to: it promised that,
accepted it, and has it on its disk.
"""

from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from protocol.grid.decision import ACCEPTANCE, PROMISE, Acceptance, Ballot, Promised, Signature
from protocol.grid.seal import Seats
from protocol.terms.ids import Digest, StoreId, is_store
from protocol.trust.signing import Reason, Untrusted
from protocol.wire.codec import Malformed, decode

STATEMENT_BYTES = 1024
"""An acceptance that names seven heirs and their stores has 800."""


class Word(StrEnum):
    """What a statement is, which is the domain of its signature."""

    ACCEPTANCE = ACCEPTANCE
    PROMISE = PROMISE


class Statement(msgspec.Struct, frozen=True, array_like=True):
    """What a steward signed of a register."""

    word: Word
    payload: Annotated[bytes, Meta(max_length=STATEMENT_BYTES)]
    signature: Signature


class Said(msgspec.Struct, frozen=True):
    """A statement, read."""

    register: str
    """Its key."""
    term: int
    store: StoreId
    accepted: Ballot | None
    """At which ballot it says that something was accepted in that term; None if it says that nothing was."""
    digest: Digest
    """Of that."""
    promised: Ballot | None = None
    """Of a promise: below this nothing is accepted after what it names. None of an acceptance."""
    heirs: Seats | None = None
    """Of an acceptance: who is to follow; nobody, if it closes nothing. None of a promise."""


def read_statement(statement: Statement) -> Said:
    """What a statement says, its signature unchecked. Raises Untrusted if it names no store."""
    payload, limit = statement.payload, STATEMENT_BYTES
    try:
        if statement.word is Word.ACCEPTANCE:
            said = _accepted(decode(payload, Acceptance, limit_bytes=limit))
        else:
            said = _promised(decode(payload, Promised, limit_bytes=limit))
    except Malformed as error:
        raise Untrusted(Reason.MALFORMED, f"a steward's {statement.word}: {error}") from None
    if not is_store(said.store):
        raise Untrusted(Reason.MALFORMED, f"a steward's {statement.word} that names no store")
    return said


def _accepted(made: Acceptance) -> Said:
    key, term = _register(made.register)
    heirs = Seats(made.heirs, made.stores)
    return Said(key, term, made.store, made.ballot, made.digest, heirs=heirs)


def _promised(made: Promised) -> Said:
    key, term = _register(made.register)
    return Said(key, term, made.store, made.accepted, made.digest, made.ballot)


def _register(place: str) -> tuple[str, int]:
    """The key and the term. Raises Untrusted if a place is not written as stewards write it."""
    key, dot, term = place.partition(".")
    plain = term.isascii() and term.isdigit() and not term.startswith("0")
    if dot and not plain:
        raise Untrusted(Reason.MALFORMED, "a steward's statement of no register")
    return key, int(term) if dot else 0
