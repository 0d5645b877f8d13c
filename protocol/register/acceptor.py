"""The acceptor's half of CASPaxos (Rystsov 2018, arXiv 1802.07000).

Rules: promise only ballots newer than any promised. Accept only ballots not older than the promise. A
promise and an acceptance are on disk before they are said. Registers are never deleted: a name that was
used keeps its (small) tombstone. A deletion would have to reach every acceptor and proposer before the
name may be forgotten, and nobody can know that it did.
"""

import msgspec

from protocol.register.messages import (
    Accept,
    Accepted,
    Ballot,
    Conflict,
    Prepare,
    Promise,
)
from protocol.terms.effects import Effect, Persist, Row, Send
from protocol.terms.ids import PeerId
from protocol.wire.codec import decode, encode

TABLE = "register"


class Slot(msgspec.Struct, frozen=True):
    """What one acceptor remembers of one register."""

    promised: Ballot
    accepted: Ballot | None = None
    value: bytes = b""


class Acceptor:
    """All registers of which this peer is a steward."""

    def __init__(self, rows: dict[str, bytes]) -> None:
        self._slots = {key: decode(rows[key], Slot) for key in sorted(rows)}

    def handle(self, sender: PeerId, message: Prepare | Accept, cause: str) -> list[Effect]:
        """Answers the sender. A Persist of what is answered comes before the answer."""
        key, ballot = message.key, message.ballot
        slot = self._slots.get(key)
        if slot is not None and slot.promised > ballot:
            conflict = Conflict(key=key, ballot=ballot, promised=slot.promised)
            return [Send(sender, conflict, cause)]
        match message:
            case Prepare():
                kept = (
                    Slot(ballot) if slot is None else msgspec.structs.replace(slot, promised=ballot)
                )
                reply: Promise | Accepted = Promise(
                    key=key, ballot=ballot, accepted=kept.accepted, value=kept.value
                )
            case Accept(value=value):
                kept = Slot(ballot, ballot, value)
                reply = Accepted(key=key, ballot=ballot)
        self._slots[key] = kept
        return [Persist((Row(TABLE, key, encode(kept)),)), Send(sender, reply, cause)]

    def holds(self, key: str) -> bytes | None:
        """The value this acceptor took last; None if none. It is a hint: only a round tells the truth."""
        slot = self._slots.get(key)
        return slot.value if slot is not None else None

    def disown(self, key: str) -> None:
        """Forgets a value that is none. What was promised stays; the next row that is written is without it."""
        self._slots[key] = Slot(self._slots[key].promised)

    def values(self) -> list[tuple[str, bytes]]:
        """(key, value) of every register; hints, too."""
        return [(key, slot.value) for key, slot in self._slots.items()]

    def check(self) -> None:
        """Asserts that nothing is accepted beyond the promise."""
        for key, slot in self._slots.items():
            assert slot.accepted is None or slot.accepted <= slot.promised, key
