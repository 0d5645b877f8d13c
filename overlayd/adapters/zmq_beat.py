"""Heartbeats: an empty frame from the side that dialled, an empty frame back. Silence ends a path.

ZeroMQ has heartbeats of its own. We do not use them: they run both ways on each connection at twice the bytes;
the acceptor's half of one-way ones (HEARTBEAT_TTL) is forgotten with the next message; and ZeroMQ's thread goes
on answering for a process whose loop hangs. One exchange of ours tells both sides that the other lives, and is
left out while both speak anyway.

From Lifeguard (Dadgar 2017): a process that is late itself is slower to judge. The beat's own timer measures
how late it is. So a host without a free core, or a process that was stopped, does not take its own sleep for
everybody's silence.
"""

import asyncio
from collections.abc import Callable, Iterable

from overlayd.adapters.zmq_paths import Path

BEAT = b""
"""The one frame a transport keeps for itself."""

BEAT_S = 2.5
"""Between beats. An idle neighbour costs 270 bytes each time, with all headers and acknowledgements."""
SILENCE_S = 4.5
"""A path without a frame for so long ends. It leaves two seconds to answer a beat. A peer that freezes at the
worst moment is noticed within 5 s, and one more second to confirm keeps everything within 6."""
PULSE_S = 0.5
"""How often paths are looked at."""
_LATENESS_WEIGHS = 6.0
"""A beat and its answer pass six threads, ours among them. Each may have to wait as long for a core."""
_LATENESS_MOST_S = 10.0
_LATENESS_FADES = 0.9
"""What is left of the lateness after a pulse: half of it is forgotten in 3 s."""


class Heart:
    """Beats on every path that this side dialled, and ends those that are silent."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        paths: Callable[[], Iterable[Path]],
        on_slept: Callable[[float], None],
    ) -> None:
        """`on_slept` is called with the seconds for which this process did nothing, if they were many."""
        self._loop, self._paths, self._on_slept = loop, paths, on_slept
        self.lateness_s = 0.0
        """How late this process has been lately, in seconds."""
        self._due_s = self._loop.time() + PULSE_S
        self._timer = self._loop.call_at(self._due_s, self._pulse)

    def stop(self) -> None:
        """No more beats."""
        self._timer.cancel()

    def _pulse(self) -> None:
        now = self._loop.time()
        late_s = now - self._due_s
        self.lateness_s = min(max(late_s, self.lateness_s * _LATENESS_FADES), _LATENESS_MOST_S)
        limit_s = SILENCE_S + _LATENESS_WEIGHS * self.lateness_s
        slept = late_s > SILENCE_S / 2
        if slept:
            self._on_slept(late_s)
        for path in tuple(self._paths()):
            if slept:
                path.heard_s = now
            if now - path.heard_s >= limit_s:
                path.cut(f"silent for {now - path.heard_s:.1f} s")
            elif path.dialled and _is_due(path, now):
                path.beat_s = now
                path.send(BEAT)
        self._due_s = now + PULSE_S
        self._timer = self._loop.call_at(self._due_s, self._pulse)


def _is_due(path: Path, now: float) -> bool:
    """Whether a path needs a beat: not if both ends spoke lately.

    Lately is a pulse less than a beat ago, or the answer would be too late.
    """
    quiet_s = now - min(path.heard_s, path.said_s)
    return now - path.beat_s >= BEAT_S and quiet_s >= BEAT_S - PULSE_S
