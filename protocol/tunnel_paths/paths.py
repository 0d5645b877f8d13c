"""The paths from this host's forwarder to those of its partners: when each is probed, and which one is taken.

What is sealed for a partner goes directly, unless that does not work, or is unlikely to since neither end is
public: then a relay is asked, and all goes by it as soon as it has said its number. The direct way is probed
meanwhile, and taken as soon as a probe comes back on it.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from msgspec.structs import replace

from protocol.terms.dice import Dice
from protocol.terms.effects import Deadline, Effect, Probing, Sealed, Send
from protocol.terms.ids import PeerId
from protocol.terms.sealed import SealedPeer, TunnelAnswer, TunnelPlace, TunnelProbe
from protocol.tunnel_paths.detour import Detour
from protocol.tunnel_paths.limits import (
    BEGIN_S,
    EVERY_S,
    HURRY_S,
    MORE_BYTES,
    PROBES_PER_S,
    PUNCH_AGAIN_S,
    PUNCH_EVERY_S,
    PUNCH_S,
    SILENT_S,
    SIZED_AT_ONCE,
    SPREAD,
    TOGETHER_S,
    VAIN,
)
from protocol.tunnel_paths.messages import TunnelRelayTold, TunnelSeen, TunnelVia
from protocol.tunnel_paths.path import Direct, Path
from protocol.tunnel_paths.size import Size

_NEVER = float("inf")


class Around(Protocol):
    """What a host knows of others."""

    def are_hidden(self, peer: PeerId) -> bool:
        """Whether neither that host nor this one can be dialled by everybody."""

    def relays(self, peer: PeerId) -> Sequence[PeerId]:
        """Who may be asked to pass on between that host and this one, the best first. Both find the same."""

    def place(self, peer: PeerId) -> TunnelPlace | None:
        """Where that host's forwarder is, as it says; None if it does not, or cannot mean it."""

    def may_be_at(self, place: TunnelPlace) -> bool:
        """Whether another host can be there: a unicast address, and none of this one."""

    def life(self, peer: PeerId) -> int:
        """Its incarnation."""


class TunnelPaths:
    """All of them. Times are Unix seconds."""

    def __init__(self, me: PeerId, dice: Dice, around: Around) -> None:
        self._me, self._dice, self._around = me, dice, around
        self._instance = ""
        self._paths: dict[PeerId, Direct] = {}
        self._detours: dict[PeerId, Detour] = {}
        """Of every partner that shares networks with this host."""
        self._told_s: dict[PeerId, float] = {}
        """When each was told last where this host is seen from outside."""
        self._mosts: Mapping[PeerId, int] = {}
        self._number = 0
        self._changed = False
        self._due_s = _NEVER
        """When to tick."""

    # -- what happened

    def among(self, partners: Iterable[PeerId], now: float) -> None:
        """These share networks with this host. To others no relay is wanted."""
        before = self._detours
        self._detours = {peer: before.get(peer) or Detour(self._me, peer) for peer in partners}
        self._told_s = {peer: s for peer, s in self._told_s.items() if peer in self._detours}
        if before.keys() != self._detours.keys():
            self._changed = True
            self._due_s = now

    def told(self, table: Sealed, mosts: Mapping[PeerId, int], now: float) -> None:
        """There are keys with these. They are probed, and nobody else.

        `mosts`: the largest packet that guests of both hosts may send, as far as that is known.
        """
        self._instance, self._mosts = table.instance, mosts
        before, self._paths = self._paths, {}
        for row in table.peers:
            if row.sessions:
                place = TunnelPlace(row.address, row.port)
                path = before.get(row.peer) or Direct(place, now, now + BEGIN_S)
                if path.told != place:
                    path.told, path.aim = place, None
                self._paths[row.peer] = path
                for way in self._ways(row.peer):
                    way.ask_for(mosts.get(row.peer, 0), now)
        self._look()
        if any(peer in self._detours for peer in self._paths if peer not in before):
            self._due_s = min(self._due_s, now)

    def answered(
        self, instance: str, answers: tuple[TunnelAnswer, ...], now: float
    ) -> list[Effect]:
        """The forwarder of that instance had these answers."""
        effects: list[Effect] = []
        for answer in answers if instance == self._instance else ():
            path, detour = self._paths.get(answer.peer), self._detours.get(answer.peer)
            if path is None:
                continue
            by_relay = self._by_relay(answer.peer)
            if by_relay is not None and by_relay.answer(answer, now):
                by_relay.due_s = now + self._spread_s(self._every_s)
            elif path.answer(answer, now):
                path.due_s = now + self._spread_s(self._every_s)
                if detour is not None and detour.relay is not None:
                    effects += self._direct_again(answer.peer, path, detour, now)
            elif (way := self.path(answer.peer)) is not None and way.size is not None:
                way.size.answer(answer.number, now)
        self._look()
        return effects

    def handle(
        self, sender: PeerId, message: TunnelVia | TunnelRelayTold | TunnelSeen, now: float
    ) -> list[Effect]:
        """A partner or a relay says something. From whom it is nobody's business it is left aside."""
        effects: list[Effect] = []
        match message:
            case TunnelVia(relay=relay):
                detour = self._detours.get(sender)
                path = self._paths.get(sender)
                if detour is None or path is None or relay not in self._around.relays(sender):
                    return []
                if detour.via(relay, now):
                    path.doubt(now)
                    effects += detour.tick(self._around.life(relay), now)
            case TunnelRelayTold(partner=partner, pair=pair):
                detour, place = self._detours.get(partner), self._around.place(sender)
                if detour is not None and place is not None:
                    self._changed |= detour.told(sender, pair, place, now)
                    if detour.path is not None:
                        detour.path.ask_for(self._mosts.get(partner, 0), now)
            case TunnelSeen(address=address, port=port):
                path, place = self._paths.get(sender), TunnelPlace(address, port)
                if sender not in self._detours or not self._around.may_be_at(place):
                    return []
                if path is not None and not path.works:
                    path.punch(place, now)
                    effects += self._tell_seen(sender, now, PUNCH_S)
        self._due_s = min(self._due_s, now)
        return effects

    def tick(self, now: float) -> list[Effect]:
        """Probes whoever it is time for, and sees to relays."""
        if now < self._due_s:
            return []
        probes: list[TunnelProbe] = []
        soon_s = TOGETHER_S if any(path.due_s <= now for path in self._paths.values()) else 0.0
        for peer, path in self._paths.items():
            if path.due_s <= now + (0.0 if path.punches(now) else soon_s):
                probes += self._probe(peer, path, now)
        effects: list[Effect] = []
        for peer, detour in self._detours.items():
            effects += self._mind(peer, detour, now)
            if detour.path is not None and detour.path.due_s <= now + TOGETHER_S:
                probes += self._probe_by_relay(peer, detour, detour.path, now)
        probes += self._sizing(now)
        self._look()
        return [*effects, Probing(self._instance, tuple(probes))] if probes else effects

    def next_deadline(self) -> Deadline | None:
        """When to tick."""
        return Deadline(self._due_s, "tunnel paths") if self._due_s != _NEVER else None

    def pop_changed(self) -> bool:
        """Whether something goes another way than when this was asked last."""
        changed, self._changed = self._changed, False
        return changed

    # -- what is known

    def takes(self, peer: PeerId) -> int:
        """What gets to a partner now, if that is less than is asked for; else 0."""
        way = self.path(peer)
        return way.size.takes if way is not None and way.size is not None else 0

    def settled(self) -> dict[PeerId, int]:
        """What searches ended with, of the partners to whom less than is asked for gets."""
        sizes = {peer: way.size for peer in self._paths if (way := self.path(peer)) is not None}
        return {p: size.settled for p, size in sizes.items() if size is not None and size.settled}

    def path(self, peer: PeerId) -> Path | None:
        """What is known of the way that is taken to a partner; None if there are no keys with it."""
        by_relay = self._by_relay(peer) if self.relay(peer) is not None else None
        return by_relay or self._paths.get(peer)

    def relay(self, peer: PeerId) -> PeerId | None:
        """Who passes on what is sealed for that partner; None if it goes directly."""
        detour = self._detours.get(peer)
        return detour.relay if detour is not None and detour.pair else None

    def relays(self) -> tuple[PeerId, ...]:
        """Who is asked to pass on: keys are needed with these, to show them where this host is."""
        asked = (detour.relay for detour in self._detours.values())
        return tuple(dict.fromkeys(relay for relay in asked if relay is not None))

    def routed(self, peers: Sequence[SealedPeer]) -> tuple[SealedPeer, ...]:
        """The same rows, each with the way that is to be taken."""
        return tuple(map(self._routed, peers))

    def silent(self, now: float) -> list[tuple[PeerId, Path]]:
        """Partners with keys from whom no probe comes back in any way, and the direct paths to them."""
        return [
            (peer, path)
            for peer, path in self._paths.items()
            if not path.works
            and not (peer in self._detours and self._detours[peer].works)
            and now >= max(path.since_s, path.answered_s or 0.0) + SILENT_S
        ]

    def check(self) -> None:
        """The kept deadline is not later than a fresh one."""
        kept_s = self._due_s
        self._look()
        assert kept_s <= self._due_s, (kept_s, self._due_s)

    # -- parts

    def _mind(self, peer: PeerId, detour: Detour, now: float) -> list[Effect]:
        """Wants a relay, or none; asks it; and has the partner try where this host is seen by it."""
        path = self._paths.get(peer)
        before = detour.relay
        if path is None or path.works:
            detour.drop()
        elif self._around.are_hidden(peer) or path.vain >= VAIN:
            detour.want(self._around.relays(peer), now)
        self._changed |= detour.relay != before
        if detour.relay is None:
            return []
        effects = detour.tick(self._around.life(detour.relay), now)
        return effects + (self._tell_seen(peer, now, PUNCH_AGAIN_S) if detour.pair else [])

    def _direct_again(self, peer: PeerId, path: Direct, detour: Detour, now: float) -> list[Effect]:
        """The direct way works though a relay was wanted: it is taken, and the partner is told how to."""
        path.aim = path.place
        detour.drop()
        self._changed = True
        seen = path.seen
        return [Send(peer, TunnelSeen(seen.address, seen.port))] if seen and seen.port else []

    def _tell_seen(self, peer: PeerId, now: float, pause_s: float) -> list[Effect]:
        """Tells a partner where the relay sees this host, not again within that time."""
        detour = self._detours[peer]
        by = self._paths.get(detour.relay) if detour.relay is not None else None
        seen = by.seen if by is not None else None
        if seen is None or not seen.port or now < self._told_s.get(peer, -_NEVER) + pause_s:
            return []
        self._told_s[peer] = now
        return [Send(peer, TunnelSeen(seen.address, seen.port))]

    def _probe(self, peer: PeerId, path: Direct, now: float) -> list[TunnelProbe]:
        """The direct way: where frames go if they take it, else wherever the partner may be."""
        aims: list[TunnelPlace | None] = [None]
        if self.relay(peer) is not None:
            aims = [
                place for place in (path.told, path.outside) if place is not None and place.port
            ]
        probes = [TunnelProbe(peer, self._next(), 0, place) for place in aims]
        numbers = [probe.number for probe in probes]
        if path.punches(now):
            path.probe_more(numbers)
            path.due_s = now + PUNCH_EVERY_S
        else:
            self._send(path, numbers, now)
        return probes

    def _probe_by_relay(
        self, peer: PeerId, detour: Detour, path: Path, now: float
    ) -> list[TunnelProbe]:
        if peer not in self._paths:
            path.due_s = now + HURRY_S  # there are no keys yet
            return []
        number = self._next()
        self._send(path, [number], now)
        return [TunnelProbe(peer, number, 0, path.told, detour.pair)]

    def _send(self, path: Path, numbers: Sequence[int], now: float) -> None:
        """Probes of these numbers go; and if its size was found, that is tried along with them, so that a host
        that is idle wakes up once."""
        path.probe(numbers)
        path.due_s = now + self._spread_s(HURRY_S if path.hurries else self._every_s)
        if path.size is not None and path.size.is_settled:
            path.size.due_s = now

    def _sizing(self, now: float) -> list[TunnelProbe]:
        """Probes of those whose search is due, of so many that it is no burst."""
        due = [(peer, size) for peer, size in self._sizes() if size.due_s <= now + TOGETHER_S]
        probes = []
        for peer, size in due[:SIZED_AT_ONCE]:
            place, pair = self._place(peer)
            for number, large in size.probes(self._number + 1, now).items():
                probes.append(TunnelProbe(peer, number, large and large + MORE_BYTES, place, pair))
                self._number = number
        for _, size in due[SIZED_AT_ONCE:]:
            size.due_s = now + 2 * TOGETHER_S
        return probes

    def _sizes(self) -> list[tuple[PeerId, Size]]:
        """The searches of ways that are taken and work."""
        ways = ((peer, self.path(peer)) for peer in self._paths)
        return [
            (peer, way.size)
            for peer, way in ways
            if way is not None and way.works and way.size is not None
        ]

    def _ways(self, peer: PeerId) -> list[Path]:
        ways = (self._paths.get(peer), self._by_relay(peer))
        return [way for way in ways if way is not None]

    def _by_relay(self, peer: PeerId) -> Path | None:
        detour = self._detours.get(peer)
        return detour.path if detour is not None else None

    def _place(self, peer: PeerId) -> tuple[TunnelPlace | None, int]:
        """Where probes of the way that is taken go, and for which pair."""
        detour = self._detours.get(peer)
        if detour is None or detour.path is None or not detour.pair:
            return None, 0
        return detour.path.told, detour.pair

    def _routed(self, row: SealedPeer) -> SealedPeer:
        path, (place, pair) = self._paths.get(row.peer), self._place(row.peer)
        place = place or (path.aim if path is not None else None)
        row = replace(row, mtu=self.takes(row.peer))
        return (
            row
            if place is None
            else replace(row, address=place.address, port=place.port, pair=pair)
        )

    def _next(self) -> int:
        self._number += 1
        return self._number

    @property
    def _every_s(self) -> float:
        return max(EVERY_S, len(self._paths) / PROBES_PER_S)

    def _spread_s(self, pause_s: float) -> float:
        return pause_s * self._dice.uniform(1.0 - SPREAD, 1.0 + SPREAD)

    def _look(self) -> None:
        detours = self._detours.values()
        self._due_s = min(
            min((path.due_s for path in self._paths.values()), default=_NEVER),
            min((detour.next_s() for detour in detours), default=_NEVER),
            min((d.path.due_s for d in detours if d.path is not None), default=_NEVER),
            min((size.due_s for _, size in self._sizes()), default=_NEVER),
        )
