"""The paths from this host's forwarder to those of its partners: when each is probed, and what came back."""

from collections.abc import Mapping

from protocol.terms.dice import Dice
from protocol.terms.effects import Deadline, Effect, Probing, Sealed
from protocol.terms.ids import PeerId
from protocol.terms.sealed import TunnelAnswer, TunnelPlace, TunnelProbe
from protocol.tunnel_paths.limits import (
    BEGIN_S,
    EVERY_S,
    HURRY_S,
    MORE_BYTES,
    PROBES_PER_S,
    SILENT_S,
    SIZED_AT_ONCE,
    SPREAD,
    TOGETHER_S,
)
from protocol.tunnel_paths.path import Path

_NEVER = float("inf")


class TunnelPaths:
    """All of them. Times are Unix seconds."""

    def __init__(self, dice: Dice) -> None:
        self._dice = dice
        self._instance = ""
        self._paths: dict[PeerId, Path] = {}
        self._number = 0
        self._due_s = _NEVER
        """When to tick."""

    # -- what happened

    def told(self, table: Sealed, mosts: Mapping[PeerId, int], now: float) -> None:
        """The forwarder knows these. Those that there are keys with are probed, and nobody else.

        `mosts`: the largest packet that guests of both hosts may send, as far as that is known.
        """
        self._instance = table.instance
        before, self._paths = self._paths, {}
        for row in table.peers:
            if row.sessions:
                place = TunnelPlace(row.address, row.port)
                path = before.get(row.peer) or Path(place, now, now + BEGIN_S)
                path.told = place
                path.ask_for(mosts.get(row.peer, 0), now)
                self._paths[row.peer] = path
        self._look()

    def answered(self, instance: str, answers: tuple[TunnelAnswer, ...], now: float) -> None:
        """The forwarder of that instance had these answers."""
        if instance != self._instance:
            return
        for answer in answers:
            path = self._paths.get(answer.peer)
            if path is None:
                continue
            if path.answer(answer, now):
                path.due_s = now + self._spread_s(self._every_s)
            elif path.size is not None:
                path.size.answer(answer.number, now)
        self._look()

    def tick(self, now: float) -> list[Effect]:
        """Probes whoever it is time for."""
        if now < self._due_s:
            return []
        probes = []
        for peer, path in self._paths.items():
            if path.due_s <= now + TOGETHER_S:
                self._number += 1
                path.probe(self._number)
                path.due_s = now + self._spread_s(HURRY_S if path.hurries else self._every_s)
                probes.append(TunnelProbe(peer, self._number))
                if path.size is not None and path.size.is_settled:
                    path.size.due_s = now  # it goes along: a host that is idle wakes up once
        probes += self._sizing(now)
        self._look()
        return [Probing(self._instance, tuple(probes))] if probes else []

    def next_deadline(self) -> Deadline | None:
        """When to tick."""
        return Deadline(self._due_s, "tunnel paths") if self._due_s != _NEVER else None

    def _sizing(self, now: float) -> list[TunnelProbe]:
        """Probes of those whose search is due, of so many that it is no burst."""
        due = [
            (peer, path.size)
            for peer, path in self._paths.items()
            if path.size is not None and path.works and path.size.due_s <= now + TOGETHER_S
        ]
        probes = []
        for peer, size in due[:SIZED_AT_ONCE]:
            for number, large in size.probes(self._number + 1, now).items():
                probes.append(TunnelProbe(peer, number, large and large + MORE_BYTES))
                self._number = number
        for _, size in due[SIZED_AT_ONCE:]:
            size.due_s = now + 2 * TOGETHER_S
        return probes

    # -- what is known

    def takes(self, peer: PeerId) -> int:
        """What gets to a partner now, if that is less than is asked for; else 0."""
        path = self._paths.get(peer)
        return path.size.takes if path is not None and path.size is not None else 0

    def settled(self) -> dict[PeerId, int]:
        """What searches ended with, of the partners to whom less than is asked for gets."""
        sizes = ((peer, path.size) for peer, path in self._paths.items())
        return {p: size.settled for p, size in sizes if size is not None and size.settled}

    def path(self, peer: PeerId) -> Path | None:
        """What is known of the way to a partner; None if there are no keys with it."""
        return self._paths.get(peer)

    def silent(self, now: float) -> list[tuple[PeerId, Path]]:
        """Partners with keys from whom no probe comes back, and the paths to them."""
        return [
            (peer, path)
            for peer, path in self._paths.items()
            if not path.works and now >= max(path.since_s, path.answered_s or 0.0) + SILENT_S
        ]

    def check(self) -> None:
        """The kept deadline is not later than a fresh one."""
        kept_s = self._due_s
        self._look()
        assert kept_s <= self._due_s, (kept_s, self._due_s)

    # -- parts

    @property
    def _every_s(self) -> float:
        return max(EVERY_S, len(self._paths) / PROBES_PER_S)

    def _spread_s(self, pause_s: float) -> float:
        return pause_s * self._dice.uniform(1.0 - SPREAD, 1.0 + SPREAD)

    def _look(self) -> None:
        dues_s = [path.due_s for path in self._paths.values()]
        dues_s += [p.size.due_s for p in self._paths.values() if p.size is not None and p.works]
        self._due_s = min(dues_s, default=_NEVER)
