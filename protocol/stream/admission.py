"""How many streams a host carries, and for whom. What is asked beyond that is refused, and costs who asked."""

from collections import Counter

import msgspec

from protocol.stream.limits import (
    STREAM_OPENS_BURST,
    STREAM_OPENS_PER_S,
    STREAMS,
    STREAMS_OF_OWNER,
    STREAMS_OF_PEER,
    STREAMS_OF_WORKSPACE,
)
from protocol.terms.allowance import Allowance
from protocol.terms.ids import GridId, KeyId, PeerId

_PEERS = 1024


class Carried(msgspec.Struct, frozen=True):
    """Whom a stream counts for."""

    peer: PeerId
    owner: KeyId
    grid: GridId
    workspace: str


class Admission:
    """Counts streams, and how often peers ask for some."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, ...]] = Counter()
        self._asked = Allowance(STREAM_OPENS_BURST, STREAM_OPENS_PER_S, _PEERS)

    def may_ask(self, peer: PeerId, now: float) -> bool:
        """Whether one more order of that peer is looked at. Those beyond its rate are not."""
        return self._asked.take(peer, now)

    def take(self, stream: Carried) -> str:
        """Counts one more. Answers why not, if a limit is reached; then nothing was counted."""
        for key, most, what in _limits(stream):
            if self._counts[key] >= most:
                return f"{most} streams {what} are open already, and no more are carried"
        self._counts.update(key for key, _, _ in _limits(stream))
        return ""

    def give_back(self, stream: Carried) -> None:
        """One that was counted is over."""
        for key, _, _ in _limits(stream):
            self._counts[key] -= 1
            if not self._counts[key]:
                del self._counts[key]

    def __len__(self) -> int:
        """How many are carried."""
        return self._counts["all",]

    def check(self) -> None:
        """Asserts the bounds."""
        assert all(0 < count <= STREAMS for count in self._counts.values())
        assert len(self._asked) <= _PEERS


def _limits(stream: Carried) -> list[tuple[tuple[str, ...], int, str]]:
    """What a stream counts for: its key, how many there may be, and how to say it."""
    return [
        (("peer", stream.peer), STREAMS_OF_PEER, "between these two hosts"),
        (
            ("workspace", stream.grid, stream.workspace),
            STREAMS_OF_WORKSPACE,
            f"to {stream.workspace}",
        ),
        (("owner", stream.owner), STREAMS_OF_OWNER, "of this owner at that host"),
        (("all",), STREAMS, "at that host"),
    ]
