"""Membership: connections, neighbours and beliefs as one machine.

What it cannot do itself (publish a suspicion, refute one, tell the broadcast tree) it answers as
outcomes; the node carries them to the rooms that can.
"""

from typing import assert_never

import msgspec

from protocol.membership.links import Links
from protocol.membership.liveness import Changed, Health, Liveness
from protocol.membership.messages import (
    Disconnect,
    Goodbye,
    Hello,
    MembershipMessage,
    Neighbour,
    NeighbourReply,
    Ping,
    Pong,
    Suspicion,
)
from protocol.membership.presence import Known
from protocol.membership.view import View
from protocol.terms.dice import Dice
from protocol.terms.effects import Deadline, Effect, Send, earliest
from protocol.terms.ids import PeerId
from protocol.terms.limits import (
    HEAL_EVERY_S,
    NEEDY_BELOW,
    PING_EVERY_S,
    REDIAL_EVERY_S,
    SILENCE_S,
)


class Accuse(msgspec.Struct, frozen=True):
    """Publish that we hear nothing from this peer (incarnation -1: that we do again)."""

    suspicion: Suspicion


class Refute(msgspec.Struct, frozen=True):
    """Somebody suspects this peer itself: raise the incarnation above this one and say so."""

    incarnation: int


class NeighbourUp(msgspec.Struct, frozen=True):
    """A neighbour's connection stands."""

    peer: PeerId


class NeighbourDown(msgspec.Struct, frozen=True):
    """A neighbour is gone, or its connection is."""

    peer: PeerId


Outcome = Accuse | Refute | NeighbourUp | NeighbourDown | Changed


class Join(msgspec.Struct, frozen=True):
    """A peer to start from."""

    peer: PeerId
    address: str


class Membership:
    """Everything this peer knows of others, and its connections to them."""

    def __init__(self, me: PeerId, site: str, dice: Dice, joins: tuple[Join, ...]) -> None:
        self._me, self._dice = me, dice
        self._joins = {join.peer: join.address for join in joins if join.peer != me}
        self.links = Links()
        self.liveness = Liveness()
        self.view = View(site, dice)
        self.known: dict[PeerId, Known] = {}
        self._sites: tuple[list[PeerId], dict[PeerId, str]] = ([], {})
        self._accused: dict[PeerId, int] = {}
        self._join_s = 0.0
        self._heal_s = 0.0
        self._tick_s = 0.0

    # -- what is known

    def sites_alive(self) -> dict[PeerId, str]:
        """Live peers and their sites."""
        alive = self.liveness.alive()
        if self._sites[0] is not alive:
            self._sites = (alive, {peer: self.known[peer].site for peer in alive})
        return self._sites[1]

    def address(self, peer: PeerId) -> str | None:
        """Where to dial a peer."""
        known = self.known.get(peer)
        return known.address if known is not None else self._joins.get(peer)

    def route(self, send: Send, now: float) -> list[Effect]:
        """An effect on its way out: through the peer's connection, made if need be."""
        return self.links.route(send, self.address(send.peer), now)

    # -- what comes from the directory

    def present(self, known: Known, now: float) -> list[Outcome]:
        """A believed presence record of another peer."""
        self.known[known.peer] = known
        changed = self.liveness.present(known.peer, known.incarnation, known.left, now)
        self.view.hurry()
        return self._follow(changed, now)

    def suspected(self, observer: PeerId, suspicion: Suspicion, now: float) -> list[Outcome]:
        """A suspicion record of another peer."""
        if suspicion.accused == self._me:
            return [Refute(suspicion.incarnation)] if suspicion.incarnation >= 0 else []
        changed = self.liveness.suspected(observer, suspicion.accused, suspicion.incarnation, now)
        return self._follow(changed, now)

    # -- what comes from the transport

    def connected(self, peer: PeerId, hello: Hello, now: float) -> list[Effect]:
        """A connection stands; introduce ourselves."""
        return self.links.up(peer, hello, now)

    def introduced(self, peer: PeerId, now: float) -> tuple[list[Effect], list[Outcome]]:
        """The peer's Hello was good (and its presence taken in)."""
        again = self.links.introduced(peer)
        effects = self.links.introduce(peer, now)
        outcomes = self._heard(peer, now)
        if self.view.is_neighbour(peer) and not again:
            effects += self.links.stand(peer, None, now)
            outcomes.append(NeighbourUp(peer))
        return effects, outcomes

    def disconnected(self, peer: PeerId, now: float) -> list[Outcome]:
        """The transport lost it. A neighbour is suspected at once."""
        self.links.down(peer, now)
        if not self.view.is_neighbour(peer):
            return []
        return [NeighbourDown(peer), *self._accuse(peer, now)]

    def hang_up(self, peer: PeerId, why: str, now: float) -> tuple[list[Effect], list[Outcome]]:
        """Done with that peer, at least until it comes again."""
        outcomes = self._drop(peer, now)
        return self.links.close(peer, why), outcomes

    def expel(self, peer: PeerId, why: str, now: float) -> tuple[list[Effect], list[Outcome]]:
        """That peer is no member any more: forgotten, until a new presence makes it one."""
        known = self.known.pop(peer, None)
        effects, outcomes = self.hang_up(peer, why, now)
        if known is not None:
            changed = self.liveness.present(peer, known.incarnation, True, now)
            outcomes += self._follow(changed, now)
        return effects, outcomes

    def handle(
        self, sender: PeerId, message: MembershipMessage, now: float
    ) -> tuple[list[Effect], list[Outcome]]:
        """A message of an introduced peer (a Hello is the node's to check first)."""
        match message:
            case Ping(sent_s=sent_s):
                answers: list[Effect] = [Send(sender, Pong(sent_s))]
                if not self.view.is_neighbour(sender):
                    # Only neighbours ping: the sender missed that this ended.
                    answers.append(Send(sender, Disconnect()))
                return answers, []
            case Pong(sent_s=sent_s):
                self.links.measured(sender, now - sent_s)
                return [], []
            case Neighbour(urgent=urgent):
                return self._asked(sender, urgent, now)
            case NeighbourReply(agreed=agreed):
                self.view.answered(sender)
                return self._take(sender, now) if agreed else ([], [])
            case Disconnect():
                return [], self._drop(sender, now)
            case Goodbye():
                known = self.known.get(sender)
                if known is None:
                    return [], []
                changed = self.liveness.present(sender, known.incarnation, True, now)
                return [], self._follow(changed, now)
            case Hello():
                return [], []
            case _:
                assert_never(message)

    def heard(self, peer: PeerId, errand: bool, now: float) -> list[Outcome]:
        """Anything came from that peer; `errand` if it was more than upkeep."""
        self.links.heard(peer, now)
        if errand:
            self.links.used(peer, now)
        return self._heard(peer, now)

    def tick(self, now: float) -> tuple[list[Effect], list[Outcome]]:
        """Joins, looks for neighbours, pings them, suspects the silent, heals splits."""
        if self._tick_s and now > self._tick_s + PING_EVERY_S + 1.0:
            self._doubt_myself(now)
        self._tick_s = now
        effects = self._join(now)
        for peer in self.view.asks_for(self.sites_alive(), now):
            urgent = len(self.view.neighbours) < NEEDY_BELOW
            effects += self.route(Send(peer, Neighbour(urgent)), now)
        outcomes: list[Outcome] = []
        for peer in self.view.neighbours:
            link = self.links.view(peer)
            if link is None or not link.introduced:
                effects += self.links.stand(peer, self.address(peer), now)
                continue
            if now >= link.heard_s + SILENCE_S:
                outcomes += self._accuse(peer, now)
            if now >= link.heard_s + PING_EVERY_S * 0.9:
                effects.append(Send(peer, Ping(now)))
        outcomes += self._follow(self.liveness.tick(now), now)
        effects += self._heal(now)
        effects += self.links.tick(now)
        return effects, outcomes

    def next_deadline(self) -> Deadline | None:
        """When to tick."""
        alive = self.sites_alive()
        ping = Deadline(self._tick_s + PING_EVERY_S, "ping") if self.view.neighbours else None
        join = Deadline(self._join_s, "join") if self._joins and not alive else None
        heal = Deadline(self._heal_s, "heal") if self._heal_s else None
        return earliest(
            ping,
            join,
            heal,
            self.view.next_deadline(alive),
            self.liveness.next_deadline(),
            self.links.next_deadline(),
        )

    def check(self) -> None:
        """Neighbours are known, and nobody is its own."""
        self.view.check()
        assert not self.view.is_neighbour(self._me)
        assert all(peer in self.known for peer in self.view.neighbours)

    # -- parts

    def _join(self, now: float) -> list[Effect]:
        if not self._joins or self.liveness.alive() or now < self._join_s:
            return []
        self._join_s = now + REDIAL_EVERY_S
        effects: list[Effect] = []
        for peer, address in self._joins.items():
            if not self.links.introduced(peer):
                effects += self.links.reach(peer, address, now)
        return effects

    def _heal(self, now: float) -> list[Effect]:
        """A random peer that is believed gone, or is no neighbour, is asked to be one."""
        gone = [peer for peer in self.liveness.gone() if not self.links.introduced(peer)]
        strange = [peer for peer in self.liveness.alive() if not self.view.is_neighbour(peer)]
        if not gone and not strange:
            self._heal_s = 0.0
            return []
        if not self._heal_s:
            self._heal_s = now + HEAL_EVERY_S * self._dice.uniform(0.1, 1.0)
            return []
        if now < self._heal_s:
            return []
        self._heal_s = now + HEAL_EVERY_S * self._dice.uniform(0.8, 1.2)
        peers = gone if not strange or (gone and self._dice.random() < 0.5) else strange
        peer = self._dice.choice(peers)
        stale = [] if self.links.introduced(peer) else self.links.close(peer, "trying again")
        return stale + self.route(Send(peer, Neighbour(True)), now)

    def _asked(
        self, sender: PeerId, urgent: bool, now: float
    ) -> tuple[list[Effect], list[Outcome]]:
        known = self.known.get(sender)
        if known is None:
            return [], []
        agreed = self.view.wants(sender, known.site, urgent, self.sites_alive())
        effects: list[Effect] = [Send(sender, NeighbourReply(agreed))]
        if not agreed:
            return effects, []
        more, outcomes = self._take(sender, now)
        return effects + more, outcomes

    def _take(self, peer: PeerId, now: float) -> tuple[list[Effect], list[Outcome]]:
        known = self.known.get(peer)
        if known is None or self.view.is_neighbour(peer):
            return [], []
        outcomes: list[Outcome] = [NeighbourUp(peer)]
        effects: list[Effect] = self.links.stand(peer, known.address, now)
        for evicted in self.view.add(peer, known.site, self.sites_alive()):
            effects.append(Send(evicted, Disconnect()))
            self.links.release(evicted, now)
            outcomes.append(NeighbourDown(evicted))
        return effects, outcomes

    def _drop(self, peer: PeerId, now: float) -> list[Outcome]:
        if not self.view.remove(peer):
            return []
        self.links.release(peer, now)
        self.view.hurry()
        return [NeighbourDown(peer)]

    def _heard(self, peer: PeerId, now: float) -> list[Outcome]:
        outcomes: list[Outcome] = []
        if self._accused.pop(peer, None) is not None:
            outcomes.append(Accuse(Suspicion(peer, -1)))
        return outcomes + self._follow(self.liveness.heard(peer, now), now)

    def _accuse(self, peer: PeerId, now: float) -> list[Outcome]:
        incarnation = self.liveness.incarnation(peer)
        if self._accused.get(peer) == incarnation:
            return []
        self._accused[peer] = incarnation
        changed = self.liveness.suspected(self._me, peer, incarnation, now)
        return [Accuse(Suspicion(peer, incarnation)), *self._follow(changed, now)]

    def _follow(self, changed: list[Changed], now: float) -> list[Outcome]:
        """A peer that is gone is no neighbour; one that is back is worth asking."""
        outcomes: list[Outcome] = list(changed)
        for change in changed:
            if change.health in (Health.DEAD, Health.LEFT):
                self._accused.pop(change.peer, None)
                outcomes += self._drop(change.peer, now)
            else:
                self.view.hurry()
        return outcomes

    def _doubt_myself(self, now: float) -> None:
        """We were late ourselves (Lifeguard): everybody gets a fresh start."""
        for peer in self.view.neighbours:
            self.links.heard(peer, now)
