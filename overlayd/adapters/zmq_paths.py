"""Paths by peer: when a peer is up, and which path a frame takes.

Two peers that dial each other have two paths, and one of them is enough. A greeting carries the
*instance*, eight random bytes chosen when a transport opens. A path of another instance means that the peer
is another process, so what was said to the old one is void.
"""

from collections.abc import Callable
from typing import Protocol

from overlayd.ports.transport import Down, TransportEvent, Up
from protocol.terms.ids import PeerId

GREETING_BYTES = 49
_MAGIC = b"overlayd\x01"
"""The number is the transport's version."""


class Path(Protocol):
    """One greeted connection."""

    peer: PeerId
    instance: bytes
    dialled: bool
    heard_s: float
    """When the last frame came, by the loop's clock."""
    said_s: float
    """When the last frame was sent."""
    beat_s: float
    """When the last heartbeat was sent."""

    def send(self, frame: bytes) -> bool:
        """Queues a frame; False if the queue is full or the connection gone."""

    def cut(self, why: str = ...) -> None:
        """Closes this connection. A dialled one is dialled again."""

    def part(self) -> None:
        """Closes this connection for good once what was sent had a moment to go out."""


class PathTable:
    """Merges paths into Up and Down."""

    def __init__(self, emit: Callable[[TransportEvent], None]) -> None:
        self._emit = emit
        self._paths: dict[PeerId, list[Path]] = {}

    def add(self, path: Path) -> None:
        """A path was greeted. It replaces paths of another instance, and an accepted one replaces another."""
        paths = self._paths.get(path.peer, [])
        old = [
            other
            for other in paths
            if other.instance != path.instance or not (other.dialled or path.dialled)
        ]
        if paths and len(old) == len(paths):
            restarted = old[0].instance != path.instance
            why = "it was restarted" if restarted else "it connected anew"
            self._emit(Down(path.peer, why))
        kept = [other for other in paths if other not in old]
        self._paths[path.peer] = [*kept, path]
        if not kept:
            self._emit(Up(path.peer, accepted=not path.dialled))
        for other in old:
            other.cut()

    def remove(self, path: Path, why: str) -> None:
        """A path is gone. It is no error if it was not there."""
        paths = self._paths.get(path.peer, [])
        if path not in paths:
            return
        paths.remove(path)
        if not paths:
            del self._paths[path.peer]
            self._emit(Down(path.peer, why))

    def holds(self, path: Path) -> bool:
        """Whether frames of this path count."""
        return path in self._paths.get(path.peer, ())

    def best(self, peer: PeerId) -> Path | None:
        """The path a frame takes: the one we dialled if there is one, and always the same, to keep order."""
        paths = self._paths.get(peer)
        if not paths:
            return None
        return next((path for path in paths if path.dialled), paths[-1])

    def of(self, peer: PeerId) -> tuple[Path, ...]:
        """All paths of a peer."""
        return tuple(self._paths.get(peer, ()))

    def all(self) -> list[Path]:
        """All paths of all peers."""
        return [path for paths in self._paths.values() for path in paths]

    def peers(self) -> tuple[PeerId, ...]:
        """The peers that are up."""
        return tuple(self._paths)


def greeting(peer: PeerId, instance: bytes) -> bytes:
    """The first frame of a path, each way: which peer speaks, and which process of it."""
    return _MAGIC + bytes.fromhex(peer) + instance


def read_greeting(frame: bytes) -> tuple[PeerId, bytes] | None:
    """Peer and instance; None if it is no greeting of this version."""
    if len(frame) != GREETING_BYTES or not frame.startswith(_MAGIC):
        return None
    return PeerId(frame[9:41].hex()), frame[41:]
