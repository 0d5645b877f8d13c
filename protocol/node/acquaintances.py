"""Peers this one has met, and where: kept on disk, so that a start finds somebody who still is there."""

from protocol.membership.membership import Join
from protocol.membership.presence import Known
from protocol.terms.effects import Effect, Persist, Row, Untidied
from protocol.terms.ids import PeerId

TABLE = "peer"


class Acquaintances:
    """Addresses by peer, as they are on disk."""

    def __init__(self, rows: dict[str, bytes]) -> None:
        self._saved = {PeerId(peer): address.decode() for peer, address in sorted(rows.items())}

    def joins(self) -> tuple[Join, ...]:
        """Whom to try at a start."""
        return tuple(Join(peer, address) for peer, address in self._saved.items())

    def met(self, known: Known) -> list[Effect]:
        """That peer is alive."""
        if self._saved.get(known.peer) == known.address:
            return []
        self._saved[known.peer] = known.address
        return [Persist((Row(TABLE, known.peer, known.address.encode()),), Untidied())]

    def forget(self, peer: PeerId) -> list[Effect]:
        """That peer is no member any more."""
        if self._saved.pop(peer, None) is None:
            return []
        return [Persist((Row(TABLE, peer, None),), Untidied())]
