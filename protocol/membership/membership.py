"""Membership: connections, neighbours and beliefs as one machine.

It answers what it cannot do itself (publish a suspicion, refute one, tell the broadcast tree) as outcomes, and
the node carries them to the rooms that can.

Two levels. While there are few peers everybody knows everybody, through the directory. Above LEVELS_ABOVE a
peer knows its own site, and of other sites only guests: neighbours, passive contacts and peers it met lately,
bounded. Nothing else here changes, since views are partial at any size.
"""

from typing import assert_never

from protocol.membership.clocks import Clocks, ClockView, clock_fault, offset_of
from protocol.membership.dialling import Dialling
from protocol.membership.doubles import Doubles
from protocol.membership.guests import Guests
from protocol.membership.healing import Healing
from protocol.membership.links import Links
from protocol.membership.liveness import Changed, Health, Liveness
from protocol.membership.local_health import LocalHealth
from protocol.membership.messages import (
    Contact,
    Disconnect,
    ForwardJoin,
    Goodbye,
    Hello,
    Join,
    MembershipMessage,
    Neighbour,
    NeighbourReply,
    Ping,
    Pong,
    Shuffle,
    ShuffleReply,
    Suspicion,
    Unwelcome,
)
from protocol.membership.neighbours import Answer, Neighbours
from protocol.membership.outcomes import (
    Accuse,
    Met,
    NeighbourDown,
    Outcome,
    Refute,
    Returned,
)
from protocol.membership.presence import Known
from protocol.terms.dice import Dice
from protocol.terms.effects import Deadline, Effect, Send, earliest
from protocol.terms.ids import PeerId
from protocol.terms.limits import (
    CLOCK_AWAY_S,
    JOINS_TRIED,
    NEEDY_BELOW,
    OBSERVERS_ENOUGH,
    REDIAL_EVERY_S,
    SILENCE_S,
)
from protocol.terms.reach import Reach


class Membership:
    """Everything this peer knows of others, and its connections to them."""

    def __init__(
        self,
        me: Contact,
        dice: Dice,
        joins: tuple[Contact, ...],
        now: float,
        configured: tuple[Contact, ...] = (),
    ) -> None:
        """`joins` are contacts to join through, most of them as others told; `configured` are those of them
        whose addresses this host's administrator wrote."""
        self._contact, self._me, self._dice = me, me.peer, dice
        self._joins = {join.peer: join.address for join in joins if join.peer != me.peer}
        told = [contact.address for contact in configured]
        self.dialling = Dialling(lambda: self._contact.address, told)
        self.links = Links(self.dialling)
        self.liveness = Liveness(me.peer)
        self.known: dict[PeerId, Known] = {}
        self._alive: dict[PeerId, str] = {}
        self._neighbours = Neighbours(
            me, dice, self.links, self.liveness, self.known, self._alive, self.address, now
        )
        self.view, self.walks = self._neighbours.view, self._neighbours.walks
        self.vivaldi = self._neighbours.vivaldi
        self._guests: Guests | None = None
        """None while everybody knows everybody."""
        self._local_health = LocalHealth()
        self._clocks = Clocks()
        self._clocks.look([], self._alone)
        self._accused: dict[PeerId, int] = {}
        """Peers that this one accuses of silence, and their incarnation. That ends when it hears from them."""
        self._unsaid: dict[PeerId, int] = {}
        """Peers that it would accuse, had others not done so. If those take it back, it does."""
        self._meeting: dict[PeerId, None] = {}
        """Peers that were dialled to compare directories with them."""
        self._healing = Healing(dice)
        self.doubles = Doubles()
        self.is_twin = False
        """Whether another process uses this peer's key. What connections do then says nothing of others."""
        self._join_s = 0.0
        self._tunnels_told: dict[PeerId, None] = {}
        """Peers that told where they take the traffic of networks, and not what they told before."""

    # -- what is known

    def sites_alive(self) -> dict[PeerId, str]:
        """Live (or only suspected) peers and their sites, in the order in which they were first heard of."""
        return self._alive

    @property
    def contact(self) -> Contact:
        """This peer itself, as others dial it."""
        return self._contact

    def readdressed(self, address: str) -> None:
        """Others dial this peer at that address from now on."""
        self._contact = Contact(self._me, self._contact.site, address)

    def address(self, peer: PeerId) -> str | None:
        """Where to dial a peer, HOST:PORT; empty if only a relay leads to it, None if it is not known."""
        known = self.known.get(peer)
        if known is not None:
            dialled = known.reach is not Reach.NAT or known.site == self._contact.site
            return known.address if dialled else ""
        contact = self.view.passive.get(peer)
        return contact.address if contact is not None else self._joins.get(peer)

    def clock_fault(self) -> str:
        """Why this peer's clock cannot be relied on; empty if it can, or if nobody has answered yet."""
        return clock_fault(self.links.offsets())

    @property
    def clock(self) -> ClockView:
        """What is to be thought of this peer's clock."""
        return self._clocks.view

    def compare_clocks(self) -> bool:
        """Looks again at what neighbours' clocks say. True if something else is to be thought of ours now."""
        return self._clocks.look(self.links.offsets(), self._alone)

    def follows(self, by_s: float, steady_s: float) -> str:
        """Why to go by the machine's clock, which was set `by_s` seconds; empty if there is no reason."""
        return self._clocks.follows(by_s, steady_s, self.links.offsets(), self._alone)

    @property
    def _alone(self) -> bool:
        return not (self._joins or self.known)

    def route(self, send: Send, now: float) -> list[Effect]:
        """Sends a message on its way, through the peer's connection, which is made if need be."""
        return self.links.route(send, self.address(send.peer), now)

    def narrow(self, narrow: bool, now: float) -> list[Outcome]:
        """Knows only its own site and some guests from now on; or everybody again."""
        if not narrow:
            self._guests = None
            return []
        if self._guests is None:
            far = [p for p, known in self.known.items() if known.site != self._contact.site]
            self._guests = Guests(self._kept, far)
            self._forget(self._guests.over())
        return []

    # -- what comes from the directory

    def present(self, known: Known, now: float) -> list[Outcome]:
        """Takes a believed presence record of another peer."""
        peer = known.peer
        before = self.known.get(peer)
        self.known[peer] = known
        self.links.moved(before, known)
        if known.left or known.incarnation > self._accused.get(peer, known.incarnation):
            self._accused.pop(peer, None)
            self._unsaid.pop(peer, None)
        if self._guests is not None and known.site != self._contact.site:
            self._forget(self._guests.met(peer))
        restarted = before is not None and before.process != known.process
        changed = self.liveness.present(
            peer, known.incarnation, known.left, now, restarted=restarted
        )
        outcomes = self._follow(changed, now)
        if known.tunnel is not None and (before is None or known.tunnel != before.tunnel):
            self._tunnels_told[peer] = None
        if (double := self.doubles.present(before, known, now)) is not None:
            outcomes.append(double)
        if self.doubles.is_double(peer, now):
            for accused in self.liveness.accused_by(peer):
                changed = self.liveness.suspected(peer, accused, -1, now)
                outcomes += self._follow(changed, now)
        return outcomes

    def pop_tunnels_told(self) -> list[PeerId]:
        """The peers that told another end of their tunnels than before, or their first, since the last call."""
        told, self._tunnels_told = self._tunnels_told, {}
        return list(told)

    def twinned(self, is_twin: bool) -> list[Outcome]:
        """Another process uses this peer's key, or does no more. What it accused others of is taken back."""
        self.is_twin = is_twin
        accused, self._accused = self._accused, {}
        return [Accuse(Suspicion(peer, -1)) for peer in accused]

    def suspected(self, observer: PeerId, suspicion: Suspicion, now: float) -> list[Outcome]:
        """Takes a suspicion record of another peer. One of a peer that is two processes says nothing."""
        if suspicion.incarnation >= 0 and self.doubles.is_double(observer, now):
            return []
        if suspicion.accused == self._me:
            if suspicion.incarnation < 0:
                return []
            self.liveness.was_wrong(observer, now)
            return [Refute(suspicion.incarnation, self.liveness.is_discredited(observer, now))]
        accused = suspicion.accused
        changed = self.liveness.suspected(
            observer, accused, suspicion.incarnation, now, suspicion.since_s
        )
        outcomes = self._follow(changed, now)
        unsaid = self._unsaid.pop(accused, None) if self.liveness.observers(accused) == 0 else None
        if unsaid is not None and unsaid == self.liveness.incarnation(accused):
            outcomes += self._accuse(accused, now)
        return outcomes

    # -- what comes from the transport

    def introduced(self, peer: PeerId, now: float) -> Answer:
        """The peer's Hello was good (and its presence taken in)."""
        again = self.links.introduced(peer)
        effects = self.links.introduce(peer, now)
        outcomes = self._heard(peer, now)
        if again:
            return effects, outcomes
        if self.view.is_neighbour(peer):
            more, up = self._neighbours.returned(peer, now)
            effects, outcomes = effects + more, outcomes + up
        elif peer in self._meeting:
            outcomes.append(Met(peer))
            if not len(self.view):
                effects.append(Send(peer, Join()))
                self.view.settle(now)
        self._meeting.pop(peer, None)
        return effects, outcomes

    def disconnected(self, peer: PeerId, now: float) -> list[Outcome]:
        """The transport lost a connection. A neighbour is suspected at once."""
        self.links.down(peer, now)
        if not self.view.is_neighbour(peer):
            return []
        return [NeighbourDown(peer), *self._accuse(peer, now)]

    def hang_up(self, peer: PeerId, why: str, now: float) -> Answer:
        """Ends the connection with that peer, at least until the peer comes again."""
        outcomes = self._neighbours.drop(peer, now)
        return self.links.close(peer, why), outcomes

    def expel(self, peer: PeerId, why: str, now: float) -> Answer:
        """That peer is no longer a member. It is forgotten until a new presence makes it one."""
        effects, outcomes = self.hang_up(peer, why, now)
        known = self.known.get(peer)
        if known is not None:
            newest = max(known.incarnation, self.liveness.incarnation(peer))
            outcomes += self._follow(self.liveness.present(peer, newest, True, now), now)
            self._forget([peer])
        return effects, outcomes

    def handle(self, sender: PeerId, message: MembershipMessage, now: float) -> Answer:
        """A message of an introduced peer (a Hello is the node's to check first)."""
        match message:
            case Ping():
                return self._neighbours.pinged(sender, message, now), []
            case Pong(sent_s=sent_s, time_s=time_s, here=here):
                self.links.compared(sender, now - sent_s, offset_of(sent_s, time_s, now), now)
                round_trip_s = self.links.measured(sender, now - sent_s)
                self.vivaldi.measured(here, round_trip_s)
                return [], []
            case Join():
                return self._neighbours.joined(sender, now)
            case ForwardJoin():
                if not self.dialling.hears_of(sender, now):
                    return [], []
                return self._neighbours.forward_join(sender, message, now), []
            case Shuffle():
                return self.walks.shuffle(sender, message, self._neighbours.contacts(), now), []
            case ShuffleReply():
                return self.walks.shuffle_reply(message, len(self.view) < NEEDY_BELOW), []
            case Neighbour(urgent=urgent):
                return self._neighbours.asked(sender, urgent, now)
            case NeighbourReply(agreed=agreed):
                return self._neighbours.answered(sender, agreed, now)
            case Disconnect():
                return [], self._neighbours.drop(sender, now)
            case Goodbye():
                known = self.known.get(sender)
                if known is None:
                    return [], []
                changed = self.liveness.present(sender, known.incarnation, True, now)
                return [], self._follow(changed, now)
            case Hello() | Unwelcome():
                return [], []
            case _:
                assert_never(message)

    def heard(self, peer: PeerId, errand: bool, now: float) -> list[Outcome]:
        """Something came from that peer. `errand`: it was more than upkeep."""
        self.links.heard(peer, now)
        if errand:
            self.links.used(peer, now)
        return self._heard(peer, now)

    def late(self, late_s: float, now: float) -> list[Outcome]:
        """A deadline of this peer was handled so many seconds late (Lifeguard: doubt yourself first)."""
        stopped = self._local_health.late(late_s, now)
        self.liveness.patience = self._local_health.patience
        if late_s > CLOCK_AWAY_S:
            self._clocks.stood_still()
            self._neighbours.compare_clocks(now)
            self.compare_clocks()
        if not stopped:
            return []
        for peer in self.view.neighbours:
            self.links.heard(peer, now)
        return [Returned()] if len(self.view) else []

    def tick(self, now: float) -> Answer:
        """Joins, looks for neighbours, pings them, suspects the silent, heals splits."""
        effects = self._join(now) + self._neighbours.ask(now)
        outcomes: list[Outcome] = []
        if self._neighbours.pings_due(now):
            pings, lost = self._neighbours.ping(now)
            effects += pings
            outcomes += lost + self._silent(now)
        outcomes += self._follow(self.liveness.tick(now), now)
        effects += self._heal(now)
        if self.walks.due(now):
            effects += self.walks.tick(self._contact, self._neighbours.contacts(), now)
        effects += self.links.tick(now)
        for peer in self.links.pop_unreachable():
            outcomes += self._unreachable(peer, now)
        return effects, outcomes

    def next_deadline(self) -> Deadline | None:
        """When to tick."""
        join = Deadline(self._join_s, "join") if self._is_cut_off else None
        return earliest(
            self._neighbours.next_ping(),
            join,
            self._healing.next_deadline(self.liveness.any_gone(), self._strangers),
            self.view.next_deadline(self._alive),
            self.liveness.next_deadline(),
            self.links.next_deadline(),
            self.walks.next_deadline(),
        )

    def check(self) -> None:
        """Asserts that neighbours are known, and that this peer is not its own."""
        self.view.check()
        self.walks.check()
        self.liveness.check()
        self.doubles.check()
        assert not self.view.is_neighbour(self._me)
        assert all(peer in self.known for peer in self.view.neighbours)
        assert self._alive.keys() <= self.known.keys()
        if self._guests is not None:
            self._guests.check()

    # -- joining and healing

    @property
    def _is_cut_off(self) -> bool:
        """Whether there are addresses to join by, and nobody is connected. Beliefs may be out of date."""
        return bool(self._joins) and not self.links.any_introduced()

    def _join(self, now: float) -> list[Effect]:
        """Nobody is connected, so a few addresses are tried, and others at the next try.

        Peers that are believed alive are asked to be neighbours anyway.
        """
        if now < self._join_s or not self._is_cut_off:
            return []
        self._join_s = now + REDIAL_EVERY_S
        peers = [peer for peer in self._joins if peer not in self._alive]
        if len(peers) > JOINS_TRIED:
            peers = self._dice.sample(peers, JOINS_TRIED)
        effects: list[Effect] = []
        for peer in peers:
            self._meeting[peer] = None
            effects += self.links.reach(peer, self._joins[peer], now)
        return effects

    def _heal(self, now: float) -> list[Effect]:
        """Asks a peer that is believed gone to be a neighbour, and meets a stranger now and then."""
        effects: list[Effect] = []
        if self.liveness.any_gone() and self._healing.tries_gone(len(self._alive), now):
            gone = [peer for peer in self.liveness.gone() if not self.links.introduced(peer)]
            if gone:
                peer = self._dice.choice(gone)
                effects += self.links.close(peer, "trying again")
                effects += self.route(Send(peer, Neighbour(True)), now)
        if self._strangers:
            site = self._healing.meets_stranger(now)
            effects += self._meet(site, now) if site is not None else []
        return effects

    @property
    def _strangers(self) -> bool:
        return len(self._alive) > len(self.view)

    def _meet(self, site: str, now: float) -> list[Effect]:
        """Dials a live peer that is no neighbour, to compare with it and to see that it lives."""
        known = self.known
        strange = [p for p in self._alive if not self.links.introduced(p)]
        strange = [p for p in strange if known[p].reach is Reach.PUBLIC]
        strange = [p for p in strange if self._alive[p] == site] or strange
        if not strange:
            return []
        peer = self._dice.choice(strange)
        self._meeting[peer] = None
        return self.links.reach(peer, known[peer].address, now)

    def _unreachable(self, peer: PeerId, now: float) -> list[Outcome]:
        """A peer was dialled in vain: it is not asked to be a neighbour. A live peer to be met is suspected."""
        self.view.lost(peer)
        met = self._meeting.pop(peer, 0) is None
        return self._accuse(peer, now) if met and peer in self._alive else []

    # -- beliefs

    def _silent(self, now: float) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for peer in self.view.neighbours:
            link = self.links.view(peer)
            if link is not None and link.introduced and now >= link.heard_s + SILENCE_S:
                outcomes += self._accuse(peer, now)
        return outcomes

    def _heard(self, peer: PeerId, now: float) -> list[Outcome]:
        outcomes: list[Outcome] = []
        self._unsaid.pop(peer, None)
        if self._accused.pop(peer, None) is not None:
            outcomes.append(Accuse(Suspicion(peer, -1)))
        return outcomes + self._follow(self.liveness.heard(peer, now), now)

    def _accuse(self, peer: PeerId, now: float) -> list[Outcome]:
        incarnation = self.liveness.incarnation(peer)
        if self._accused.get(peer) == incarnation:
            return []
        if self.is_twin or self.doubles.is_double(peer, now):
            return []
        if self._local_health.just_back(now):
            return []
        if self.liveness.observers(peer) >= OBSERVERS_ENOUGH:
            self._unsaid[peer] = incarnation
            return []
        self._accused[peer] = incarnation
        changed = self.liveness.suspected(self._me, peer, incarnation, now)
        return [Accuse(Suspicion(peer, incarnation, now)), *self._follow(changed, now)]

    def _follow(self, changed: list[Changed], now: float) -> list[Outcome]:
        """Acts on changed beliefs. A peer that is gone is no neighbour; one that is back may be asked again."""
        outcomes: list[Outcome] = list(changed)
        for change in changed:
            peer = change.peer
            if change.health in (Health.DEAD, Health.LEFT):
                if self._alive.pop(peer, None) and change.health is Health.DEAD:
                    self._healing.died(self.known[peer].site, len(self._alive), now)
                outcomes += self._neighbours.drop(peer, now)
                self.view.lost(peer)
            else:
                if peer not in self._alive:
                    self._alive[peer] = self.known[peer].site
                    if not (self.view.passive.full or self.view.is_neighbour(peer)):
                        self.view.passive.add(self.known[peer].contact)
                self.view.hurry()
        return outcomes

    # -- guests

    def _forget(self, peers: list[PeerId]) -> None:
        for peer in peers:
            self._accused.pop(peer, None)
            self._unsaid.pop(peer, None)
            self.known.pop(peer, None)
            self.doubles.forget(peer)
            self.liveness.forget(peer)
            self._alive.pop(peer, None)

    def _kept(self, peer: PeerId) -> bool:
        return self.view.is_neighbour(peer) or self.links.introduced(peer)
