"""The simulated transport: connections between peers, with latency, loss, cuts and crashes.

It keeps the contract of the real one (overlayd/ports/transport.py). A dialler tries until told to stop.
A connection serves both ways; a peer is up from its first connection to its last. Frames of one
connection arrive in order, at most once, unless faults say otherwise. A cut drops frames at once and
ends connections when heartbeats have been missed; a crash is noticed within one latency.
"""

from functools import partial
from random import Random
from typing import TYPE_CHECKING

from protocol.node.events import Arrived, Connected, Disconnected, Knocked
from protocol.node.messages import Message
from protocol.sim.faults import LinkFaults
from protocol.terms.ids import PeerId

if TYPE_CHECKING:
    from protocol.sim.peer import SimPeer
    from protocol.sim.world import World

RETRY_S = 0.5
KNOCK_WITHIN_S = 3.0
HEARTBEATS_S = 3.7
"""A frozen or cut-off peer is noticed by the transport this late (overlay.md)."""


class _Connection:
    """One connection; each end knows for itself whether it stands."""

    def __init__(self, a: "SimPeer", b: "SimPeer") -> None:
        self.ends = (a, b)
        self.lives = (a.life, b.life)
        self.over = False
        self.last_s = {a.id: 0.0, b.id: 0.0}
        """Arrival of the newest frame at that end, so that frames stay in order."""

    def other(self, peer: "SimPeer") -> "SimPeer":
        return self.ends[1] if self.ends[0] is peer else self.ends[0]

    def same_life(self, peer: "SimPeer") -> bool:
        return self.lives[self.ends.index(peer)] == peer.life


class Wires:
    """All connections of the world."""

    def __init__(self, world: "World", dice: Random, faults: LinkFaults) -> None:
        self._world, self._dice = world, dice
        self.faults = faults
        self._dialled: dict[tuple[PeerId, PeerId], int] = {}
        self._connections: dict[tuple[PeerId, PeerId], _Connection] = {}
        self._up: dict[tuple[PeerId, PeerId], _Connection] = {}
        """What each end (first) believes to have with the other."""
        self._denied: dict[PeerId, dict[PeerId, None]] = {}
        self._cut: list[tuple[dict[PeerId, None], dict[PeerId, None]]] = []
        self._hidden: dict[tuple[PeerId, PeerId], None] = {}
        """(who, whom): the first cannot dial the second."""
        self.lost = 0
        self.doubled = 0

    # -- what the world does to links

    def cut(self, some: list[PeerId], others: list[PeerId]) -> None:
        """Nothing passes between the two groups until `heal`."""
        self._cut.append((dict.fromkeys(some), dict.fromkeys(others)))
        for connection in list(self._connections.values()):
            if self._is_cut(*connection.ends):
                self._world.after(HEARTBEATS_S, partial(self._missed, connection))

    def heal(self) -> None:
        """Undoes every cut."""
        self._cut.clear()

    def hide(self, hidden: list[PeerId], dialler: list[PeerId]) -> None:
        """From now on no `dialler` gets through to a `hidden` one; connections the other way do."""
        self._hidden.update(dict.fromkeys((a, b) for a in dialler for b in hidden if a != b))

    def show(self, hidden: list[PeerId]) -> None:
        """Everybody can dial these again."""
        self._hidden = {pair: None for pair in self._hidden if pair[1] not in hidden}

    def crashed(self, peer: "SimPeer") -> None:
        """The peer's process is gone; others notice."""
        self._denied.pop(peer.id, None)
        for pair in [pair for pair in self._dialled if pair[0] == peer.id]:
            del self._dialled[pair]
        for pair in [pair for pair in self._up if pair[0] == peer.id]:
            del self._up[pair]
        for connection in list(self._connections.values()):
            if peer in connection.ends:
                self._end(connection, peer, "it closed the connection")

    # -- what a peer does

    def dial(self, peer: "SimPeer", to: PeerId) -> None:
        """Keeps a connection until `hang_up`."""
        if (peer.id, to) not in self._dialled and to not in self._denied.get(peer.id, {}):
            self._dialled[(peer.id, to)] = peer.life
            self._try(peer, to)

    def hang_up(self, peer: "SimPeer", to: PeerId) -> None:
        """Stops dialling and closes what there is."""
        self._dialled.pop((peer.id, to), None)
        connection = self._connections.get(_pair(peer.id, to))
        if connection is not None:
            self._end(connection, peer, "it hung up")
        if (peer.id, to) in self._up:
            self._lower(peer, self._up[(peer.id, to)], "hung up", 0.0)

    def deny(self, peer: "SimPeer", others: tuple[PeerId, ...]) -> None:
        """These, and only these, are refused from now on."""
        self._denied[peer.id] = dict.fromkeys(others)
        for other in others:
            self.hang_up(peer, other)

    def knock(self, peer: "SimPeer", to: PeerId) -> None:
        """Tells the peer in a while whether it could dial."""
        target = self._world.by_id.get(to)
        life = peer.life
        late_s = 2 * self._latency_s(peer, target) if target is not None else KNOCK_WITHIN_S

        def answer() -> None:
            if peer.life == life:
                there = target is not None and target.up and not self._barred(peer, target)
                peer.feed(Knocked(to, there))

        barred = target is None or not target.up or self._barred(peer, target)
        self._world.after(KNOCK_WITHIN_S if barred else late_s, answer)

    def send(self, peer: "SimPeer", to: PeerId, message: Message, cause: str) -> None:
        """One frame, lost if no connection stands or the faults will have it."""
        connection = self._up.get((peer.id, to))
        if connection is None or connection.over:
            self.lost += 1
            return
        copies = 1
        if self.faults.loss and self._dice.random() < self.faults.loss:
            self.lost += 1
            return
        if self.faults.doubling and self._dice.random() < self.faults.doubling:
            self.doubled += 1
            copies = 2
        for _ in range(copies):
            self._carry(connection, peer, Arrived(peer.id, message, cause))

    # -- parts

    def _carry(
        self, connection: _Connection, sender: "SimPeer", event: Arrived | Connected
    ) -> None:
        receiver = connection.other(sender)
        if self._is_cut(sender, receiver):
            self.lost += 1
            return
        arrival_s = self._world.now_s + self._latency_s(sender, receiver)
        reorder = self.faults.reordering and self._dice.random() < self.faults.reordering
        if not reorder or isinstance(event, Connected):
            arrival_s = max(arrival_s, connection.last_s[receiver.id] + 1e-6)
            connection.last_s[receiver.id] = arrival_s
        self._world.at(arrival_s, lambda: self._deliver(connection, receiver, event))

    def _deliver(
        self, connection: _Connection, receiver: "SimPeer", event: Arrived | Connected
    ) -> None:
        here = (receiver.id, connection.other(receiver).id)
        if connection.over or not connection.same_life(receiver):
            self.lost += 1
        elif isinstance(event, Connected):
            self._raise(receiver, connection)
        elif self._up.get(here) is connection:
            receiver.feed(event)
        else:
            self.lost += 1

    def _raise(self, peer: "SimPeer", connection: _Connection, *, accepted: bool = False) -> None:
        """The peer has a connection; what it had before with that other is gone."""
        other = connection.other(peer).id
        if (peer.id, other) in self._up:
            del self._up[(peer.id, other)]
            peer.feed(Disconnected(other, "it was restarted"))
        if peer.up and not connection.over:
            self._up[(peer.id, other)] = connection
            peer.feed(Connected(other, accepted))

    def _lower(self, peer: "SimPeer", connection: _Connection, why: str, delay_s: float) -> None:
        """The peer notices that a connection is gone."""
        other = connection.other(peer).id

        def notice() -> None:
            if self._up.get((peer.id, other)) is connection:
                del self._up[(peer.id, other)]
                peer.feed(Disconnected(other, why))

        self._world.after(delay_s, notice)

    def _try(self, peer: "SimPeer", to: PeerId) -> None:
        life = self._dialled.get((peer.id, to))
        if life is None or life != peer.life:
            return
        target = self._world.by_id.get(to)
        pair = _pair(peer.id, to)
        if pair not in self._connections and target is not None:
            latency_s = self._latency_s(peer, target)
            self._world.after(2 * latency_s, lambda: self._meet(peer, target))
        self._world.after(RETRY_S, lambda: self._try(peer, to))

    def _meet(self, peer: "SimPeer", target: "SimPeer") -> None:
        """The handshake is through, if there is anybody there."""
        pair = _pair(peer.id, target.id)
        dialled = self._dialled.get((peer.id, target.id)) == peer.life
        if not dialled or not peer.up or not target.up or self._barred(peer, target):
            return
        if pair in self._connections or peer.id in self._denied.get(target.id, {}):
            return
        connection = _Connection(peer, target)
        self._connections[pair] = connection
        self._carry(connection, target, Connected(target.id))
        self._raise(target, connection, accepted=True)

    def _missed(self, connection: _Connection) -> None:
        """Heartbeats stayed away, if the cut is still there: both ends give up."""
        if connection.over or not self._is_cut(*connection.ends):
            return
        self._connections.pop(_pair(connection.ends[0].id, connection.ends[1].id), None)
        connection.over = True
        for end in connection.ends:
            self._lower(end, connection, "it fell silent", 0.0)

    def _end(self, connection: _Connection, by: "SimPeer", why: str) -> None:
        """One end closes; the other notices a latency later, or by missing heartbeats if cut off."""
        other = connection.other(by)
        self._connections.pop(_pair(by.id, other.id), None)
        connection.over = True
        self._lower(
            other,
            connection,
            why,
            HEARTBEATS_S if self._is_cut(by, other) else self._latency_s(by, other),
        )

    def _latency_s(self, a: "SimPeer", b: "SimPeer") -> float:
        base_s = self._world.latency_s(a.site, b.site)
        return base_s * self._dice.uniform(1.0, 1.0 + self.faults.jitter)

    def _barred(self, peer: "SimPeer", target: "SimPeer") -> bool:
        return (peer.id, target.id) in self._hidden or self._is_cut(peer, target)

    def _is_cut(self, a: "SimPeer", b: "SimPeer") -> bool:
        return any(
            (a.id in some and b.id in others) or (b.id in some and a.id in others)
            for some, others in self._cut
        )


def _pair(a: PeerId, b: PeerId) -> tuple[PeerId, PeerId]:
    return (a, b) if a < b else (b, a)
