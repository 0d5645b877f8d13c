"""The trace: a digest over every step of every peer, counts of messages, and, if wanted, a file."""

from collections import Counter
from hashlib import sha256
from typing import TextIO

import msgspec

from protocol.node.events import Event
from protocol.node.messages import Message
from protocol.terms.effects import Effect, Send
from protocol.wire.envelope import pack, unpack

_SAMPLES = 12
"""Messages of a kind that really go through the codec; their mean size stands for the rest."""


class Trace:
    """What happened, as a digest and as counts."""

    def __init__(self, file: TextIO | None = None) -> None:
        self._digest = sha256()
        self._file = file
        self._encoder = msgspec.json.Encoder()
        self.messages: Counter[str] = Counter()
        self._samples: dict[str, tuple[int, int]] = {}

    def step(self, at_s: float, peer: str, event: Event, effects: list[Effect]) -> None:
        """One handled event."""
        told = [(type(effect).__name__, effect) for effect in effects]
        line = self._encoder.encode((round(at_s, 6), peer, type(event).__name__, event, told))
        self._digest.update(line)
        if self._file is not None:
            self._file.write(line.decode() + "\n")

    def message(self, send: Send) -> None:
        """One message to another peer. The first of each kind must survive the codec unchanged."""
        kind = type(send.message).__name__
        self.messages[kind] += 1
        count, size = self._samples.get(kind, (0, 0))
        if count < _SAMPLES:
            frame = pack(send.message, send.cause)
            cause, message = unpack(frame, Message)
            assert (cause, message) == (send.cause, send.message), send
            self._samples[kind] = (count + 1, size + len(frame))

    def bytes_of(self, kind: str) -> int:
        """About how many bytes messages of a kind took together."""
        count, size = self._samples[kind]
        return self.messages[kind] * size // count

    @property
    def digest(self) -> str:
        """SHA-256 over all lines so far."""
        return self._digest.hexdigest()
