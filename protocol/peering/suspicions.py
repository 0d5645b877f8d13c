"""Suspicions as the directory has them, read: one is about the peer that its record is named after."""

from collections.abc import Iterable, Iterator

from protocol.membership.messages import Suspicion
from protocol.terms.ids import PeerId
from protocol.trust.record import Record
from protocol.wire.codec import Malformed, MalformedReason, decode

KIND = "suspicion"
TAKEN_BACK = -1
"""Stands for an incarnation in what is said of nobody any more."""


def read_suspicion(record: Record) -> Suspicion:
    """The suspicion in a record, which is taken back if it has no body. Raises Malformed."""
    accused = PeerId(record.name)
    if not record.body:
        return Suspicion(accused, TAKEN_BACK)
    suspicion = decode(record.body, Suspicion)
    if suspicion.accused != accused:
        raise Malformed(MalformedReason.BAD_SHAPE, "a suspicion of another than its record names")
    return suspicion


def readable(records: Iterable[Record]) -> Iterator[tuple[PeerId, Suspicion]]:
    """Those of the suspicions that can be read, with their observers."""
    for record in records:
        try:
            yield PeerId(record.owner), read_suspicion(record)
        except Malformed:
            continue
