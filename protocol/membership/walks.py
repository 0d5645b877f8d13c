"""Walks through the overlay: newcomers are brought to random peers, and contacts swapped. After HyParView.

Leitao, Pereira, Rodrigues: HyParView (DSN 2007). Rules: the first contact of a newcomer sends walks of a few
hops to its neighbours. Where a walk ends the newcomer is asked to be a neighbour, and on its way it is left in
one passive view. Now and then each peer sends a sample of its views on a walk, and swaps it for as many
contacts of the peer it ends at. So passive views stay a fresh random sample of everybody.

What we change: a shuffle is answered along the way it came (peers remember it for a moment). A connection of
its own would cost a handshake and could not reach a peer behind NAT. A first contact takes newcomers itself
only at a bounded rate; the others get walks and contacts. A walk does not go back to the peer it just came
from, and no peer is asked to pass on more than WALKS of them.
"""

import msgspec

from protocol.membership.messages import Contact, ForwardJoin, Shuffle, ShuffleReply
from protocol.membership.view import View
from protocol.terms.dice import Dice
from protocol.terms.effects import Deadline, Effect, Send
from protocol.terms.ids import PeerId
from protocol.terms.limits import (
    JOIN_HOPS,
    JOIN_PASSIVE_AT,
    JOINS_AT_ONCE,
    JOINS_PER_S,
    SHUFFLE_EVERY_S,
    SHUFFLE_HOPS,
    SHUFFLED,
    WALK_S,
    WALKS,
)

_SHUFFLED_ACTIVE = 3
"""Neighbours in a sample. The rest are passive contacts (HyParView: 3 and 4)."""


class Walks:
    """Joins and shuffles that come through this peer, and this peer's own."""

    def __init__(self, me: PeerId, view: View, dice: Dice, now: float) -> None:
        self._me, self._view, self._dice = me, view, dice
        self._trails: dict[str, tuple[PeerId, float]] = {}
        """Where each shuffle under way came from, and until when that is remembered."""
        self._mine: tuple[str, tuple[PeerId, ...]] = ("", ())
        """This peer's last shuffle, and the peers it named in it."""
        self._shuffle_s = now + SHUFFLE_EVERY_S * dice.uniform(0.2, 1.2)
        self._allowance, self._allowed_s = float(JOINS_AT_ONCE), now

    # -- joins

    def may_take(self, now: float) -> bool:
        """Whether this peer takes one more newcomer itself."""
        earned = (now - self._allowed_s) * JOINS_PER_S
        self._allowance = min(float(JOINS_AT_ONCE), self._allowance + max(0.0, earned))
        self._allowed_s = now
        if self._allowance < 1:
            return False
        self._allowance -= 1
        return True

    def joined(self, newcomer: Contact, known: list[Contact]) -> list[Effect]:
        """A newcomer begins here: walks go to all neighbours, and it gets contacts to begin with."""
        walk = ForwardJoin(newcomer, JOIN_HOPS)
        peers = [peer for peer in self._view.neighbours if peer != newcomer.peer]
        effects: list[Effect] = [Send(peer, walk) for peer in peers]
        named = tuple(c for c in self._sample(known) if c.peer != newcomer.peer)
        if named:
            effects.append(Send(newcomer.peer, ShuffleReply("", named)))
        return effects

    def forward_join(self, sender: PeerId, message: ForwardJoin) -> tuple[list[Effect], bool]:
        """A walk comes by. True if it ends here and the newcomer is to be asked."""
        newcomer = message.newcomer
        if newcomer.peer == self._me or self._view.is_neighbour(newcomer.peer):
            return [], False
        if message.hops == JOIN_PASSIVE_AT:
            self._view.passive.add(newcomer)
        onward = self._onward(sender, newcomer.peer)
        if message.hops == 0 or onward is None:
            self._view.passive.add(newcomer)
            return [], True
        return [Send(onward, ForwardJoin(newcomer, message.hops - 1))], False

    # -- shuffles

    def due(self, now: float) -> bool:
        """Whether it is time for a shuffle."""
        return now >= self._shuffle_s

    def tick(self, me: Contact, known: list[Contact], now: float) -> list[Effect]:
        """Sends this peer's own sample on a walk, if that is `due`. `known` are its neighbours."""
        self._shuffle_s = now + SHUFFLE_EVERY_S * self._dice.uniform(0.8, 1.2)
        self._trails = {walk: trail for walk, trail in self._trails.items() if trail[1] > now}
        neighbours = self._view.neighbours
        if not neighbours:
            return []
        walk = f"{self._dice.getrandbits(64):016x}"
        contacts = (me, *self._sample(known)[: SHUFFLED - 1])
        self._mine = (walk, tuple(contact.peer for contact in contacts))
        hops = min(SHUFFLE_HOPS, max(0, len(neighbours) - 1))
        return [Send(self._dice.choice(neighbours), Shuffle(walk, contacts, hops))]

    def shuffle(
        self, sender: PeerId, message: Shuffle, known: list[Contact], now: float
    ) -> list[Effect]:
        """Another peer's sample comes by. It is passed on, or swapped here."""
        onward = self._onward(sender, sender)
        if message.hops > 0 and onward is not None:
            if message.walk in self._trails or len(self._trails) >= WALKS:
                return []
            self._trails[message.walk] = (sender, now + WALK_S)
            return [Send(onward, msgspec.structs.replace(message, hops=message.hops - 1))]
        named = self._sample(known)
        self._take(message.contacts, tuple(contact.peer for contact in named))
        return [Send(sender, ShuffleReply(message.walk, tuple(named)))]

    def shuffle_reply(self, message: ShuffleReply, newcomer: bool) -> list[Effect]:
        """Contacts come in return, for this peer or on their way back. Unasked ones are ignored, except
        from the first contact of a `newcomer`."""
        walk, sent = self._mine
        if (walk and message.walk == walk) or (not message.walk and newcomer):
            self._mine = ("", ())
            self._take(message.contacts, sent)
            return []
        trail = self._trails.pop(message.walk, None)
        return [Send(trail[0], message)] if trail is not None else []

    def next_deadline(self) -> Deadline:
        """When to shuffle."""
        return Deadline(self._shuffle_s, "shuffle")

    def check(self) -> None:
        """Asserts that what is remembered is bounded."""
        assert len(self._trails) <= WALKS

    # -- parts

    def _onward(self, sender: PeerId, about: PeerId) -> PeerId | None:
        others = [p for p in self._view.neighbours if p not in (sender, about)]
        return self._dice.choice(others) if others else None

    def _sample(self, known: list[Contact]) -> list[Contact]:
        near = known
        if len(known) > _SHUFFLED_ACTIVE:
            near = self._dice.sample(known, _SHUFFLED_ACTIVE)
        return [*near, *self._view.passive.some(SHUFFLED - 1 - len(near))]

    def _take(self, contacts: tuple[Contact, ...], sent: tuple[PeerId, ...]) -> None:
        """Takes contacts into the passive view. Those that were sent to the other side make room first."""
        passive = self._view.passive
        spare = [peer for peer in sent if peer in passive]
        for contact in contacts:
            if contact.peer == self._me or self._view.is_neighbour(contact.peer):
                continue
            if passive.full and contact.peer not in passive and spare:
                passive.discard(spare.pop())
            passive.add(contact)
