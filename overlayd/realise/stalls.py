"""Guests that are paused though they are to run: when each is let go on, and what is said meanwhile.

QEMU pauses a guest that writes where its host has no room (`werror=enospc`): it loses nothing, and repeats the
write when it goes on. So it waits until there is room again. Let go on before, it would be paused at once, and
so on without end. Anything else that pauses a guest (a failing disk, `virsh suspend`) is undone, each time
after a longer pause.
"""

import asyncio
import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from overlayd.ports.compute import Cause, MachineSeen
from overlayd.realise.changes import News
from overlayd.telemetry.supervisor import Supervisor
from protocol.grid.lifecycle import Phase
from protocol.terms.ids import GridId
from protocol.terms.quantities import format_size

ROOM_BYTES = 64 << 20
"""So much must be free before a guest that lacked room goes on; less where the whole file system is small."""
ROOM_SHARE = 20
"""At most this part of the file system: a twentieth."""
LOOK_EVERY_S = 3.0
PAUSES_S = (0.0, 5.0, 15.0, 30.0, 60.0)
"""The pauses before a guest is let go on the first time, the second, and so on."""
CALM_S = 120.0
"""A guest that has gone on for so long has recovered: the pauses begin anew."""


class Room(msgspec.Struct, frozen=True):
    """What is free where a disk's file is, and what must be before its guest goes on."""

    free_bytes: int
    needed_bytes: int


class Held(msgspec.Struct, frozen=True):
    """Why a guest is not let go on now."""

    phase: Phase
    detail: str


@dataclass
class _Stall:
    cause: Cause
    paths: tuple[str, ...]
    detail: str
    tries: int
    until_s: float
    gone_on_s: float | None = None


def room_at(path: str) -> Room:
    """The room of the file system of a file. What cannot be asked has room, and is tried."""
    try:
        disk = os.statvfs(Path(path).parent)
    except OSError:
        return Room(0, 0)
    whole = disk.f_blocks * disk.f_frsize
    return Room(disk.f_bavail * disk.f_frsize, min(ROOM_BYTES, whole // ROOM_SHARE))


class Stalls:
    """What is remembered of the paused guests of one host."""

    def __init__(
        self,
        supervisor: Supervisor,
        kick: Callable[[GridId], None],
        room: Callable[[str], Room] = room_at,
    ) -> None:
        """`kick` is called when a guest may go on."""
        self._supervisor, self._kick, self._room = supervisor, kick, room
        self._stalls: dict[str, _Stall] = {}
        self._asked: set[str] = set()
        self._looks: dict[str, asyncio.Task[None]] = {}

    def asked(self, machine: str) -> None:
        """It is paused because it is wanted to be."""
        self.forget(machine)
        self._asked.add(machine)

    def forget(self, machine: str) -> None:
        """It is not to run any more, or begins anew."""
        self._asked.discard(machine)
        self._stalls.pop(machine, None)
        look = self._looks.pop(machine, None)
        if look is not None:
            look.cancel()

    def look(self, grid: GridId, seen: MachineSeen) -> tuple[Held | None, list[News]]:
        """A guest is paused and is to run: (why it is held, what is new). None means: let it go on now."""
        now_s = time.monotonic()
        if seen.cause is Cause.ASKED and seen.name in self._asked:
            self.forget(seen.name)
            return None, []
        stall, news = self._stalls.get(seen.name), []
        if stall is None or stall.cause is not seen.cause or stall.gone_on_s is not None:
            stall = self._stalls[seen.name] = self._begin(stall, seen, now_s)
            news.append((_kind(seen.cause), stall.detail))
        if not self._may(stall, now_s):
            self._keep_looking(grid, seen.name)
            return Held(_phase(stall.cause), stall.detail), news
        stall.gone_on_s, stall.tries = now_s, stall.tries + 1
        return None, [*news, ("machine.resumed", self._after(stall))]

    def _begin(self, last: _Stall | None, seen: MachineSeen, now_s: float) -> _Stall:
        tries = 0
        if last is not None and last.gone_on_s is not None and now_s < last.gone_on_s + CALM_S:
            tries = last.tries
        pause_s = PAUSES_S[min(tries, len(PAUSES_S) - 1)]
        stall = _Stall(seen.cause, seen.stuck_on, "", tries, now_s + pause_s)
        stall.detail = self._words(stall, seen.why, pause_s)
        return stall

    def _may(self, stall: _Stall, now_s: float) -> bool:
        rooms = [self._room(path) for path in stall.paths] if stall.cause is Cause.NO_ROOM else []
        return now_s >= stall.until_s and all(r.free_bytes >= r.needed_bytes for r in rooms)

    def _words(self, stall: _Stall, why: str, pause_s: float) -> str:
        again = f"; let go on again after {pause_s:.0f} s" if pause_s else ""
        if stall.cause is not Cause.NO_ROOM or not stall.paths:
            return f"{why}{again}"
        path = stall.paths[0]
        room = self._room(path)
        if room.free_bytes >= room.needed_bytes:
            free = format_size(room.free_bytes)
            return f"{path} cannot grow, though {free} are free there (a quota?){again}"
        return (
            f"no room for {path}: {format_size(room.free_bytes)} free there; it loses nothing, and "
            f"goes on when {format_size(room.needed_bytes)} are"
        )

    def _after(self, stall: _Stall) -> str:
        if stall.cause is not Cause.NO_ROOM or not stall.paths:
            return f"it was paused: {stall.detail}"
        path = stall.paths[0]
        return f"{format_size(self._room(path).free_bytes)} free for {path}"

    def _keep_looking(self, grid: GridId, machine: str) -> None:
        """Looks now and then, which costs one system call, and kicks when the guest may go on."""
        running = self._looks.get(machine)
        if running is None or running.done():
            work = self._until_it_may(grid, machine)
            self._looks[machine] = self._supervisor.spawn(f"stalled {machine}", work)

    async def _until_it_may(self, grid: GridId, machine: str) -> None:
        while (stall := self._stalls.get(machine)) is not None:
            if self._may(stall, time.monotonic()):
                break
            await asyncio.sleep(LOOK_EVERY_S)
        with contextlib.suppress(KeyError):
            del self._looks[machine]
        self._kick(grid)


def _kind(cause: Cause) -> str:
    return "machine.no-room" if cause is Cause.NO_ROOM else "machine.paused"


def _phase(cause: Cause) -> Phase:
    return Phase.NO_ROOM if cause is Cause.NO_ROOM else Phase.STALLED
