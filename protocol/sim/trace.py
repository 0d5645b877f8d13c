"""The trace: a digest over every step of every peer, counts of messages, and a file if one is wanted.

In a small world the digest covers every event and effect in full. In a large one that would cost more than
the steps themselves. There it covers of every step its time, its peer, the kind of event and its sender, and
the kinds of effects. Two runs that part ways anywhere part ways in that too, one step later.
"""

from array import array
from collections import Counter
from hashlib import sha256
from typing import TextIO

import msgspec

from protocol.node.events import Arrived, Event
from protocol.node.messages import Message
from protocol.sim.peer import SimPeer
from protocol.terms.effects import Effect, Send
from protocol.terms.sealed import Secret
from protocol.wire.envelope import pack, unpack

_ALL, _EVERY = 12, 256
"""So many messages of a kind all go through the codec, and then one in so many. Their mean size stands for the
rest."""
FULL_PEERS = 64
"""Up to how many peers the digest is over events and effects in full."""
_BATCH = 8192
"""How many numbers of a large world's steps are hashed at once."""


class _Kind:
    """The messages of one kind."""

    __slots__ = ("bytes", "count", "measured")

    def __init__(self) -> None:
        self.count = 0
        self.measured, self.bytes = 0, 0


class Trace:
    """What happened, as a digest and as counts."""

    def __init__(self, file: TextIO | None = None, peers: int = 0) -> None:
        """`peers` is how many the world has."""
        self._digest = sha256()
        self._file = file
        self._full = file is not None or peers <= FULL_PEERS
        self._encoder = msgspec.msgpack.Encoder(enc_hook=_unsaid)
        self._lines = msgspec.json.Encoder(enc_hook=_unsaid)
        self._types: dict[type, float] = {}
        self._batch = array("d")
        self._kinds: dict[type, _Kind] = {}

    def step(self, at_s: float, peer: SimPeer, event: Event, effects: list[Effect]) -> None:
        """Takes in one event that was handled."""
        if self._full:
            told = [(type(effect).__name__, effect) for effect in effects]
            step = (round(at_s, 6), peer.name, type(event).__name__, event, told)
            self._digest.update(self._encoder.encode(step))
            if self._file is not None:
                self._file.write(self._lines.encode(step).decode() + "\n")
            return
        batch, types = self._batch, self._types
        batch.extend((at_s, peer.number, len(effects)))
        of: object = event
        if isinstance(event, Arrived):
            batch.append(float(int(event.peer[:12], 16)))
            of = event.message
        batch.append(types.get(type(of)) or self._number(type(of)))
        for effect in effects:
            of = effect.message if isinstance(effect, Send) else effect
            batch.append(types.get(type(of)) or self._number(type(of)))
        if len(batch) > _BATCH:
            self._flush()

    def message(self, peer: SimPeer, send: Send) -> None:
        """Takes in one message to another peer. Some of each kind must survive the codec unchanged."""
        of = type(send.message)
        kind = self._kinds.get(of)
        if kind is None:
            kind = self._kinds[of] = _Kind()
        kind.count += 1
        peer.sent[of] = peer.sent.get(of, 0) + 1
        if kind.count <= _ALL or kind.count % _EVERY == 0:
            frame = pack(send.message, send.cause, send.version)
            cause, message = unpack(frame, Message)
            assert (cause, message) == (send.cause, send.message), send
            kind.measured += 1
            kind.bytes += len(frame)

    @property
    def messages(self) -> Counter[str]:
        """How many messages of each kind were sent."""
        return Counter({of.__name__: kind.count for of, kind in self._kinds.items()})

    def bytes_of(self, of: type, count: int | None = None) -> float:
        """About how many bytes all messages of a kind took together, or `count` of them took."""
        kind = self._kinds[of]
        return (kind.count if count is None else count) * kind.bytes / kind.measured

    @property
    def kinds(self) -> list[type]:
        """The kinds of messages, those that took the most bytes first."""
        return sorted(self._kinds, key=lambda of: (-self.bytes_of(of), of.__name__))

    @property
    def digest(self) -> str:
        """The SHA-256 over all steps so far."""
        self._flush()
        return self._digest.hexdigest()

    def _number(self, of: type) -> float:
        return self._types.setdefault(of, float(len(self._types) + 1))

    def _flush(self) -> None:
        self._digest.update(self._batch.tobytes())
        del self._batch[:]


def _unsaid(value: object) -> str:
    """What stands for a secret."""
    if isinstance(value, Secret):
        return repr(value)
    raise TypeError(f"a trace cannot have {type(value).__name__}")
