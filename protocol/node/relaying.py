"""Between relay/ and the other rooms: to membership a path is a connection, and what comes on it is a message.

On the way out, a Send to a peer that is reached only through a relay becomes a sealed frame in a Send to that
relay. What is for a relay goes by a connection or not at all: nothing is relayed to be relayed again.
"""

from collections.abc import Callable, Iterable
from typing import assert_never

from protocol.node.messages import Message
from protocol.node.outbox import caused
from protocol.peering.overlay import Overlay
from protocol.relay.messages import Relayed, RelayMessage, Unrelayed
from protocol.relay.outcomes import (
    Came,
    DirectFound,
    Outcome,
    PathDown,
    PathUp,
    ReachChanged,
    Spoilt,
)
from protocol.relay.reachability import REACH_WORDS
from protocol.relay.relay import Relay
from protocol.terms.effects import Effect, HangUp, Note, Send
from protocol.terms.ids import PeerId
from protocol.terms.reach import Reach
from protocol.trust.identity import Identity
from protocol.wire.codec import Malformed
from protocol.wire.envelope import pack, unpack

HOP_BY_HOP = Relayed | Unrelayed
"""Messages that go by connections only."""


class Relaying:
    """The way in and out through the relay."""

    def __init__(
        self,
        identity: Identity,
        overlay: Overlay,
        relay: Relay,
        arrived: Callable[[PeerId, Message, int, float], list[Effect]],
    ) -> None:
        """`arrived(sender, message, size_bytes, now)` is where the node takes in messages."""
        self._me, self._name = identity.peer, identity.name
        self._overlay, self.relay, self._arrived = overlay, relay, arrived
        self._membership, self._links = overlay.membership, overlay.membership.links
        self.dropped = 0
        """How many messages were not sent, because only a relay leads to the peer but they are not relayed."""

    def hidden(self) -> bool:
        """Whether not every peer can dial this one."""
        return self.relay.reachability.reach is not Reach.PUBLIC

    def through(self, peer: PeerId) -> PeerId | None:
        """The relay through which that peer is spoken to now; None if it has a connection, or no path."""
        return self.relay.paths.through(peer) if self._links.relayed(peer) else None

    # -- the way in

    def handle(self, sender: PeerId, message: RelayMessage, now: float) -> list[Effect]:
        """A message of an introduced peer."""
        return self._follow(self.relay.handle(sender, message, now), now)

    def met(self, peer: PeerId, now: float) -> list[Effect]:
        """A peer introduced itself, on a connection or through a relay."""
        self._overlay.announcer.look_again(now)
        if not self._links.direct(peer):
            return []
        return self._follow(self.relay.met(peer, self._links.accepted(peer), now), now)

    def lost(self, peer: PeerId, now: float) -> list[Effect]:
        """A connection is gone."""
        effects = self._overlay.disconnected(peer, now)
        return effects + self._follow(self.relay.lost(peer, now), now)

    def knocked(self, peer: PeerId, reached: bool, now: float) -> list[Effect]:
        """What came of a Knock."""
        return self._follow(self.relay.knocked(peer, reached), now)

    def tick(self, now: float) -> list[Effect]:
        """Seeks paths to peers that are to be spoken to and got no connection, and does what else is due."""
        effects: list[Effect] = []
        for peer in self._links.seeking(now):
            effects += self.relay.paths.seek(peer, now)
        return effects + self._follow(self.relay.tick(now), now)

    def _follow(self, answer: tuple[list[Effect], list[Outcome]], now: float) -> list[Effect]:
        """Carries out what relay/ asked of other rooms: a path is a connection, and a frame on it a message."""
        effects, outcomes = answer
        effects = list(effects)
        for outcome in outcomes:
            match outcome:
                case PathUp(peer=peer):
                    effects += self._up(peer, now)
                case PathDown(peer=peer):
                    if self._links.relayed(peer):
                        effects += self._overlay.disconnected(peer, now)
                case Came(peer=peer, frame=frame):
                    effects += self._came(peer, frame, now)
                case Spoilt(peer=peer, reason=reason):
                    effects += self._overlay.blame(peer, reason, now)
                case DirectFound(peer=peer):
                    known = self._membership.known.get(peer)
                    if known is not None:
                        effects += self._links.dial(peer, known.address, now)
                case ReachChanged(reach=reach):
                    self._overlay.announcer.look_again(now)
                    effects.append(Note("peer.reach", self._name, REACH_WORDS[reach]))
                case _:
                    assert_never(outcome)
        return effects

    def _up(self, peer: PeerId, now: float) -> list[Effect]:
        if self._overlay.quarantines.left_s(peer, now):
            return self.relay.paths.close(peer)
        effects = self._overlay.connected(peer, now, relayed=True)
        if self._links.undialled(peer, now):
            effects += self.relay.passed_over(peer)
        return effects

    def _came(self, peer: PeerId, frame: bytes, now: float) -> list[Effect]:
        """A frame came through a relay. It is held to the same rules as any other."""
        try:
            message: Message
            cause, message = unpack(frame, Message)
        except Malformed as error:
            return self._overlay.garbled(peer, error.reason, now)
        if isinstance(message, HOP_BY_HOP):
            return self._overlay.blame(peer, "relayed-in-relayed", now)
        return caused(self._arrived(peer, message, len(frame), now), cause)

    # -- the way out

    @property
    def busy(self) -> bool:
        """Whether there is any path, so that what is said may have to go through a relay."""
        return self.relay.paths.any

    def send(self, effects: Iterable[Effect], now: float) -> list[Effect]:
        """The same effects, with what goes through a relay sealed and given to that."""
        # What the paths said for themselves in this step was numbered first, so it goes first.
        effects = list(effects)
        if not self.busy:
            return effects
        out: list[Effect] = []
        for effect in filter(self._is_own, effects):
            if isinstance(effect, Send) and self._links.relayed(effect.peer):
                self.dropped += 1
            else:
                out.append(effect)
        for effect in effects:
            if self._is_own(effect):
                continue
            match effect:
                case Send(peer=peer, message=message) if self._links.relayed(peer):
                    if isinstance(message, HOP_BY_HOP):
                        self.dropped += 1
                        continue
                    try:
                        frame = pack(message, effect.cause, effect.version)
                    except ValueError:
                        self.dropped += 1
                        continue
                    out += self._relayed(self.relay.paths.send(peer, frame, now), now)
                case HangUp(peer=peer):
                    out += self._relayed(self.relay.paths.close(peer), now)
                    out.append(effect)
                case _:
                    out.append(effect)
        return out

    def _is_own(self, effect: Effect) -> bool:
        return (
            isinstance(effect, Send)
            and isinstance(effect.message, Relayed)
            and effect.message.origin == self._me
        )

    def _relayed(self, sends: list[Effect], now: float) -> list[Effect]:
        """Sends to relays, by their connections."""
        out: list[Effect] = []
        for send in sends:
            if not isinstance(send, Send):
                out.append(send)
            elif self._links.relayed(send.peer):
                self.dropped += 1
            else:
                out += self._membership.route(send, now)
        return self._overlay.versions.spoken(out)
