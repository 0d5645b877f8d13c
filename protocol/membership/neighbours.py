"""Neighbours: asked, agreed to, taken, pinged, let go.

The view says whom to ask and whom to take (view.py), and walks bring newcomers (walks.py). Here both become
messages and connections.
"""

from collections.abc import Callable

from protocol.membership.links import Links
from protocol.membership.liveness import Health, Liveness
from protocol.membership.messages import (
    Contact,
    Disconnect,
    ForwardJoin,
    Neighbour,
    NeighbourReply,
    Ping,
    Pong,
)
from protocol.membership.outcomes import NeighbourDown, NeighbourUp, Outcome
from protocol.membership.presence import Known
from protocol.membership.view import View
from protocol.membership.vivaldi import Vivaldi
from protocol.membership.walks import Walks
from protocol.terms.coordinate import known as settled
from protocol.terms.dice import Dice
from protocol.terms.effects import Deadline, Effect, Send
from protocol.terms.ids import PeerId
from protocol.terms.limits import (
    NEEDY_BELOW,
    PING_EVERY_S,
    PING_SOON_S,
    REDIAL_EVERY_S,
    UNREACHED_S,
)

Answer = tuple[list[Effect], list[Outcome]]


class Neighbours:
    """The active view as it is kept up: each neighbour has a standing connection."""

    def __init__(
        self,
        me: Contact,
        dice: Dice,
        links: Links,
        liveness: Liveness,
        known: dict[PeerId, Known],
        alive: dict[PeerId, str],
        address: Callable[[PeerId], str | None],
        now: float,
    ) -> None:
        """`known` and `alive` are membership's own. `address` says where to dial a peer."""
        self._me, self._links, self._liveness = me, links, liveness
        self._known, self._alive, self._address = known, alive, address
        self.view = View(me.peer, me.site, dice)
        self.vivaldi = Vivaldi(dice)
        self.walks = Walks(me.peer, self.view, dice, now)
        self._ping_s = 0.0

    def contacts(self) -> list[Contact]:
        """The neighbours, and where they are."""
        return [self._known[peer].contact for peer in self.view.neighbours]

    # -- asked and taken

    def ask(self, now: float) -> list[Effect]:
        """Asks the peers that the view wants, if it is short of neighbours and it is time."""
        effects: list[Effect] = []
        for peer in self.view.asks_for(self._alive, now):
            if len(self.view) >= NEEDY_BELOW and not self._links.near(
                peer, self._address(peer), now
            ):
                continue
            if self._liveness.health(peer) in (Health.DEAD, Health.LEFT):
                self.view.lost(peer)
                continue
            effects += self._route(Send(peer, Neighbour(self.view.is_urgent(peer))), now)
        return effects

    def joined(self, sender: PeerId, now: float) -> Answer:
        """A newcomer begins here."""
        known = self._known.get(sender)
        if known is None:
            return [], []
        effects = self.walks.joined(known.contact, self.contacts())
        taken = self.walks.may_take(now)
        effects.append(Send(sender, NeighbourReply(taken)))
        if not taken:
            return effects, []
        more, outcomes = self.take(sender, now)
        return effects + more, outcomes

    def forward_join(self, sender: PeerId, message: ForwardJoin, now: float) -> list[Effect]:
        """A newcomer's walk comes by."""
        effects, ends_here = self.walks.forward_join(sender, message)
        newcomer = message.newcomer
        if ends_here and self.view.wants(newcomer.peer, newcomer.site, False, self._alive):
            return self._route(Send(newcomer.peer, Neighbour(False)), now)
        return effects

    def asked(self, sender: PeerId, urgent: bool, now: float) -> Answer:
        """A peer wants to be a neighbour."""
        known = self._known.get(sender)
        if known is None:
            return [], []
        agreed = self.view.wants(sender, known.site, urgent, self._alive)
        effects: list[Effect] = [Send(sender, NeighbourReply(agreed))]
        if not agreed:
            return effects, []
        more, outcomes = self.take(sender, now)
        return effects + more, outcomes

    def take(self, peer: PeerId, now: float) -> Answer:
        """Makes the peer a neighbour. The neighbour that must make room for it is told."""
        known = self._known.get(peer)
        if known is None or self.view.is_neighbour(peer):
            return [], []
        outcomes: list[Outcome] = [NeighbourUp(peer)]
        effects: list[Effect] = self._links.stand(peer, self._address(peer), now)
        self._links.pinged(peer, now - PING_EVERY_S)
        self._ping_s = min(self._ping_s, now)
        for evicted in self.view.add(known.contact, self._alive):
            effects.append(Send(evicted, Disconnect()))
            outcomes.append(self._release(evicted, now))
        return effects, outcomes

    def answered(self, sender: PeerId, agreed: bool, now: float) -> Answer:
        """A peer that this one asked has answered. A neighbour that says no is no longer one."""
        self.view.answered(sender)
        return self.take(sender, now) if agreed else ([], self.drop(sender, now))

    def returned(self, peer: PeerId, now: float) -> Answer:
        """A neighbour's connection has come back. The neighbour is asked again, because it may have given this
        peer up meanwhile, and a neighbour of one side only misses what the other hears."""
        effects = self._links.stand(peer, None, now)
        effects.append(Send(peer, Neighbour(self.view.is_urgent(peer))))
        return effects, [NeighbourUp(peer)]

    def drop(self, peer: PeerId, now: float) -> list[Outcome]:
        """The peer is no longer a neighbour, by its own wish or because it is gone."""
        if not self.view.remove(peer):
            return []
        self.view.hurry()
        return [self._release(peer, now)]

    # -- pings

    def pings_due(self, now: float) -> bool:
        """Whether to `ping`."""
        return now >= self._ping_s

    def ping(self, now: float) -> Answer:
        """Pings neighbours. One side of a connection pings; the other waits longer, and pings if nothing comes.

        A neighbour that lives but cannot be reached from here is of no use as one.
        """
        effects: list[Effect] = []
        outcomes: list[Outcome] = []
        pause_s = PING_EVERY_S if settled(self.vivaldi.here) else PING_SOON_S
        next_s = now + pause_s
        for peer in self.view.neighbours:
            link = self._links.view(peer)
            if link is None or not link.introduced:
                if link is not None and now >= link.heard_s + UNREACHED_S:
                    outcomes += self.drop(peer, now)
                    continue
                effects += self._links.stand(peer, self._address(peer), now)
                next_s = min(next_s, now + REDIAL_EVERY_S)
                continue
            due_s = link.pinged_s + pause_s * (1.0 if self._me.peer < peer else 1.5)
            if now >= due_s:
                self._links.pinged(peer, now)
                effects.append(Send(peer, Ping(now, link.round_trip_s, self.vivaldi.here)))
            else:
                next_s = min(next_s, due_s)
        self._ping_s = next_s
        return effects, outcomes

    def pinged(self, sender: PeerId, ping: Ping, now: float) -> list[Effect]:
        """Answers a ping."""
        self._links.pinged(sender, now)
        self.vivaldi.measured(ping.here, ping.round_trip_s)
        answers: list[Effect] = [Send(sender, Pong(ping.sent_s, now, self.vivaldi.here))]
        if not self.view.is_neighbour(sender):
            # Only neighbours ping, so the sender missed that this one is no longer a neighbour.
            answers.append(Send(sender, Disconnect()))
        elif self._links.asks_time(sender, now):
            # One side of a connection pings, and only who pings learns the other's clock.
            round_trip_s = ping.round_trip_s
            answers.append(Send(sender, Ping(now, round_trip_s, self.vivaldi.here)))
        return answers

    def compare_clocks(self, now: float) -> None:
        """Forgets what neighbours' clocks said, and asks each of them soon."""
        self._links.forget_times()
        self._ping_s = now

    def next_ping(self) -> Deadline | None:
        """When to `ping`."""
        return Deadline(self._ping_s, "ping") if len(self.view) else None

    # -- parts

    def _release(self, peer: PeerId, now: float) -> NeighbourDown:
        self._links.release(peer, now)
        if peer in self._alive:
            self.view.passive.add(self._known[peer].contact)
        return NeighbourDown(peer)

    def _route(self, send: Send, now: float) -> list[Effect]:
        return self._links.route(send, self._address(send.peer), now)
