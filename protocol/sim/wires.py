"""The simulated transport: connections between peers, with latency, loss, cuts and crashes.

It keeps the contract of the real one (overlayd/ports/transport.py). A dialler tries until told to stop. A
connection serves both ways. A peer is up, for another, from their first connection to their last. Frames of
one connection arrive in order, at most once, unless faults say otherwise. A cut drops frames at once, and
ends connections when heartbeats have been missed. A process that ends is noticed within one latency, a host
that loses power when heartbeats have been missed.

A cut may be one way: A's frames reach B, and B's do not reach A. TCP then makes no new connection. On an
existing one A misses B's heartbeats and gives up; B learns that from A's goodbye, which does arrive.
"""

from random import Random
from typing import Protocol

from protocol.node.events import Arrived, Connected, Disconnected, Event, Knocked
from protocol.node.messages import Message
from protocol.sim.environment import Environment
from protocol.sim.faults import LinkFaults
from protocol.terms.ids import PeerId

RETRY_S = 0.5
KNOCK_WITHIN_S = 3.0
HEARTBEATS_S = 3.7
"""How many seconds late the transport notices a frozen or cut-off peer. The real one takes 4.5 s at most."""
_APART_S = 1e-6
"""How many seconds two frames of one connection are apart, so that they stay in order."""


class End(Protocol):
    """A peer, as the transport sees it."""

    id: PeerId
    site: str
    life: int
    """Which start it is in. What was on its way to an earlier one does not come to this."""
    is_frozen: bool

    @property
    def up(self) -> bool:
        """Whether its process runs."""

    def echoes(self, peer: PeerId) -> bool:
        """Whether its host's forwarder has keys with that peer's, and so answers its probes."""

    def relays(self, pair: int, one: PeerId, other: PeerId) -> bool:
        """Whether its host's forwarder passes on between these, by that number."""

    def feed(self, event: Event) -> None:
        """Gives it an event."""


class _Connection:
    """One connection; each end knows for itself whether it stands."""

    __slots__ = ("arrivals_s", "ends", "lives", "over")

    def __init__(self, a: End, b: End) -> None:
        self.ends = (a, b)
        self.lives = (a.life, b.life)
        self.over = False
        self.arrivals_s = [0.0, 0.0]
        """When the newest frame arrives at each end."""

    def other(self, peer: End) -> End:
        return self.ends[1] if self.ends[0] is peer else self.ends[0]


class _Port:
    """The transport of one peer."""

    __slots__ = ("connections", "denied", "dialled", "end", "trying", "up")

    def __init__(self, end: End) -> None:
        self.end = end
        self.dialled: dict[PeerId, int] = {}
        """The peers that it dials, and the life in which it was told to."""
        self.connections: dict[PeerId, _Connection] = {}
        """The connections that there are, whatever the ends believe."""
        self.up: dict[PeerId, _Connection] = {}
        """The connections that this end believes it has."""
        self.trying: dict[PeerId, None] = {}
        """The peers that an attempt to dial is under way to, or will be."""
        self.denied: dict[PeerId, None] = {}


class Wires:
    """All connections of the world."""

    def __init__(self, world: Environment, dice: Random, faults: LinkFaults) -> None:
        self._world, self._dice = world, dice
        self.faults = faults
        self._ports: dict[PeerId, _Port] = {}
        self._cuts: list[tuple[dict[PeerId, None], dict[PeerId, None]]] = []
        """Pairs of groups: nothing gets from the first to the second."""
        self.undialled: dict[PeerId, None] = {}
        """Peers behind NAT: they dial, and nobody dials them."""
        self._hidden: dict[tuple[PeerId, PeerId], None] = {}
        """Pairs of peers: the first cannot dial the second."""
        self.whole_since_s = float("-inf")
        """Since when nothing is cut; the future while something is."""
        self.lost = 0
        self.doubled = 0

    def attach(self, peer: End) -> None:
        """Takes in a peer. From now on it may dial and be dialled."""
        self._ports[peer.id] = _Port(peer)

    # -- what the world does to links

    def cut(self, some: list[PeerId], others: list[PeerId], *, one_way: bool = False) -> None:
        """Nothing passes from `some` to `others` (nor back, unless `one_way`) until `heal`."""
        self._cuts.append((dict.fromkeys(some), dict.fromkeys(others)))
        self.whole_since_s = float("inf")
        if not one_way:
            self._cuts.append((dict.fromkeys(others), dict.fromkeys(some)))
        for id in some:
            for other, connection in list(self._ports[id].connections.items()):
                if self._is_cut(id, other) or self._is_cut(other, id):
                    self._world.after(HEARTBEATS_S, self._missed, connection)

    def probe(self, peer: End, to: PeerId, pair: int) -> bool:
        """Whether a probe of that peer's forwarder comes back from there; by the relay of that pair, if it is
        not 0. Of two that cannot dial each other neither's gets through."""
        other = self._end_of(to)
        if other is None or not other.echoes(peer.id):
            return False
        if pair:
            ends = (port.end for port in self._ports.values())
            return any(
                relay.relays(pair, peer.id, to)
                and relay.echoes(peer.id)
                and relay.echoes(to)
                and self._passes(peer.id, relay.id)
                and self._passes(relay.id, to)
                for relay in ends
            )
        shut = self._hides(peer.id, to) and self._hides(to, peer.id)
        return self._passes(peer.id, to) and not shut

    def _hides(self, dialler: PeerId, target: PeerId) -> bool:
        return target in self.undialled or (dialler, target) in self._hidden

    def _passes(self, one: PeerId, other: PeerId) -> bool:
        return not (self._is_cut(one, other) or self._is_cut(other, one))

    def heal(self) -> None:
        """Undoes every cut."""
        if self._cuts:
            self._cuts.clear()
            self.whole_since_s = self._world.now_s

    def hide(self, hidden: list[PeerId], dialler: list[PeerId]) -> None:
        """From now on no `dialler` gets through to a `hidden` one; connections the other way do."""
        self._hidden.update(dict.fromkeys((a, b) for a in dialler for b in hidden if a != b))

    def show(self, hidden: list[PeerId]) -> None:
        """Everybody can dial these again."""
        self._hidden = {pair: None for pair in self._hidden if pair[1] not in hidden}

    @property
    def whole(self) -> bool:
        """Whether nothing is cut."""
        return not self._cuts

    def frozen(self, peer: End) -> None:
        """The peer's process does nothing any more, not even answer heartbeats."""
        for connection in list(self._ports[peer.id].connections.values()):
            self._world.after(HEARTBEATS_S, self._missed, connection)

    def crashed(self, peer: End, silently: bool) -> None:
        """The peer's process is gone; others notice, late if its host went with it."""
        port = self._ports[peer.id]
        port.dialled.clear()
        port.denied.clear()
        port.up.clear()
        why = "it fell silent" if silently else "it closed the connection"
        for connection in list(port.connections.values()):
            self._end(connection, peer, why, HEARTBEATS_S if silently else None)

    def join(self, dialler: End, to: End) -> None:
        """Makes a connection as if one had dialled the other long ago and both knew."""
        connection = _Connection(dialler, to)
        self._ports[dialler.id].dialled[to.id] = dialler.life
        for end, other in ((dialler, to), (to, dialler)):
            port = self._ports[end.id]
            port.connections[other.id] = port.up[other.id] = connection

    # -- what a peer does

    def dial(self, peer: End, to: PeerId) -> None:
        """Keeps up a connection until `hang_up`."""
        port = self._ports[peer.id]
        if to not in port.dialled and to not in port.denied:
            port.dialled[to] = peer.life
            if to not in port.trying:
                self._try(peer, to)

    def hang_up(self, peer: End, to: PeerId) -> None:
        """Stops dialling and closes what there is."""
        port = self._ports[peer.id]
        port.dialled.pop(to, None)
        connection = port.connections.get(to)
        if connection is not None:
            self._end(connection, peer, "it hung up")
        if to in port.up:
            self._world.after(0.0, self._notice, peer, port.up[to], "hung up")

    def deny(self, peer: End, others: tuple[PeerId, ...]) -> None:
        """Refuses these peers, and only these, from now on."""
        self._ports[peer.id].denied = dict.fromkeys(others)
        for other in others:
            self.hang_up(peer, other)

    def knock(self, peer: End, to: PeerId) -> None:
        """Tells the peer in a while whether it could dial."""
        target = self._end_of(to)
        if target is None or self._barred(peer, target):
            self._world.after(KNOCK_WITHIN_S, self._knocked, peer, peer.life, to)
        else:
            late_s = 2 * self._latency_s(peer, target)
            self._world.after(late_s, self._knocked, peer, peer.life, to)

    def send(self, peer: End, to: PeerId, message: Message, cause: str) -> None:
        """Sends one frame. It is lost if there is no connection, or if the faults will have it."""
        self.carry(peer, to, Arrived(peer.id, message, cause))

    def carry(self, peer: End, to: PeerId, event: Event) -> None:
        """Sends one frame, whose arrival is `event` to the receiver."""
        connection = self._ports[peer.id].up.get(to)
        faults = self.faults
        if (
            connection is None
            or connection.over
            or (faults.loss and self._dice.random() < faults.loss)
        ):
            self.lost += 1
            return
        if faults.doubling and self._dice.random() < faults.doubling:
            self.doubled += 1
            self._carry(connection, peer, event)
        self._carry(connection, peer, event)

    def up(self, peer: End) -> list[PeerId]:
        """The peers with which the peer believes it has a connection."""
        return list(self._ports[peer.id].up)

    # -- parts

    def _end_of(self, id: PeerId) -> End | None:
        """The peer with that id; None if there is none."""
        port = self._ports.get(id)
        return port.end if port is not None else None

    def _carry(self, connection: _Connection, sender: End, event: Event) -> None:
        at = 1 if connection.ends[0] is sender else 0
        receiver = connection.ends[at]
        if self._cuts and self._is_cut(sender.id, receiver.id):
            self.lost += 1
            return
        arrival_s = self._world.now_s + self._latency_s(sender, receiver)
        arrivals_s = connection.arrivals_s
        reorder = self.faults.reordering and self._dice.random() < self.faults.reordering
        if not reorder or isinstance(event, Connected):
            if arrival_s < arrivals_s[at] + _APART_S:
                arrival_s = arrivals_s[at] + _APART_S
            arrivals_s[at] = arrival_s
        self._world.at(arrival_s, self._deliver, connection, at, event)

    def _deliver(self, connection: _Connection, at: int, event: Event) -> None:
        receiver = connection.ends[at]
        if connection.over or connection.lives[at] != receiver.life:
            self.lost += 1
        elif isinstance(event, Connected):
            self._raise(receiver, connection)
        elif self._ports[receiver.id].up.get(connection.ends[1 - at].id) is connection:
            receiver.feed(event)
        else:
            self.lost += 1

    def _raise(self, peer: End, connection: _Connection, *, accepted: bool = False) -> None:
        """The peer has a connection. The one that it had with that other before is gone."""
        other, port = connection.other(peer).id, self._ports[peer.id]
        if other in port.up:
            del port.up[other]
            peer.feed(Disconnected(other, "it was restarted"))
        if peer.up and not connection.over:
            port.up[other] = connection
            peer.feed(Connected(other, accepted))

    def _notice(self, peer: End, connection: _Connection, why: str) -> None:
        """The peer notices that a connection is gone."""
        other, up = connection.other(peer).id, self._ports[peer.id].up
        if up.get(other) is connection:
            del up[other]
            peer.feed(Disconnected(other, why))

    def _try(self, peer: End, to: PeerId) -> None:
        """Dials, if that is still wanted and there is no connection yet."""
        port = self._ports[peer.id]
        port.trying.pop(to, None)
        life = port.dialled.get(to)
        target = self._end_of(to)
        if life is None or life != peer.life or to in port.connections or target is None:
            return
        port.trying[to] = None
        self._world.after(2 * self._latency_s(peer, target), self._meet, peer, target)

    def _meet(self, peer: End, target: End) -> None:
        """Ends the handshake, if there is anybody at the other end."""
        port = self._ports[peer.id]
        port.trying.pop(target.id, None)
        if port.dialled.get(target.id) != peer.life or target.id in port.connections:
            return
        refused = peer.id in self._ports[target.id].denied
        if not peer.up or refused or self._barred(peer, target):
            self._retry(peer, target.id)
            return
        connection = _Connection(peer, target)
        port.connections[target.id] = self._ports[target.id].connections[peer.id] = connection
        self._carry(connection, target, Connected(target.id))
        self._raise(target, connection, accepted=True)

    def _barred(self, peer: End, target: End) -> bool:
        """Whether a dial comes to nothing."""
        if not target.up or target.is_frozen or target.id in self.undialled:
            return True
        if (peer.id, target.id) in self._hidden:
            return True
        return self._is_cut(peer.id, target.id) or self._is_cut(target.id, peer.id)

    def _knocked(self, peer: End, life: int, to: PeerId) -> None:
        if peer.life == life:
            target = self._end_of(to)
            peer.feed(Knocked(to, target is not None and not self._barred(peer, target)))

    def _missed(self, connection: _Connection) -> None:
        """Heartbeats stayed away, if what stopped them is still there. An end that misses them gives up."""
        a, b = connection.ends
        deaf = [
            end
            for end, other in ((a, b), (b, a))
            if other.is_frozen or self._is_cut(other.id, end.id)
        ]
        if connection.over or not deaf:
            return
        self._forget(connection)
        for end in (a, b):
            if end in deaf:
                self._notice(end, connection, "it fell silent")
            else:
                latency_s = self._latency_s(deaf[0], end)
                self._world.after(latency_s, self._notice, end, connection, "it gave up")

    def _end(
        self, connection: _Connection, by: End, why: str, delay_s: float | None = None
    ) -> None:
        """One end closes. The other notices a latency later, or by missing heartbeats if cut off."""
        other = connection.other(by)
        self._forget(connection)
        if delay_s is None:
            cut = self._is_cut(by.id, other.id)
            delay_s = HEARTBEATS_S if cut else self._latency_s(by, other)
        self._world.after(delay_s, self._notice, other, connection, why)

    def _forget(self, connection: _Connection) -> None:
        """Forgets a connection that is over. An end that still dials tries again."""
        connection.over = True
        for end in connection.ends:
            other = connection.other(end).id
            port = self._ports[end.id]
            if port.connections.pop(other, None) is not None and other in port.dialled:
                self._retry(end, other)

    def _retry(self, peer: End, to: PeerId) -> None:
        """Makes another attempt in a while."""
        trying = self._ports[peer.id].trying
        if to not in trying:
            trying[to] = None
            self._world.after(RETRY_S, self._try, peer, to)

    def _latency_s(self, a: End, b: End) -> float:
        base_s = self._world.latency_s(a.site, b.site)
        return base_s * (1.0 + self.faults.jitter * self._dice.random())

    def _is_cut(self, a: PeerId, b: PeerId) -> bool:
        """Whether nothing gets from `a` to `b`."""
        return any(a in some and b in others for some, others in self._cuts)
