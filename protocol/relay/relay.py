"""The room as one machine: paths that end at this peer, what it passes on for others, and how it is reached.

It asks `Around` for what it must know of connections and presences, and answers as outcomes what others must
do. Every Send it answers goes to a peer with a connection of its own, or to one that can be dialled.
"""

from collections import Counter
from typing import assert_never

from protocol.relay.choice import ways
from protocol.relay.forwarding import Forwarding
from protocol.relay.messages import DialBack, DialledBack, Relayed, RelayMessage, Unrelayed
from protocol.relay.outcomes import Around, DirectFound
from protocol.relay.paths import Answer, Paths
from protocol.relay.reachability import Reachability
from protocol.terms.dice import Dice
from protocol.terms.effects import Deadline, Effect, Knock, Send, earliest, soonest
from protocol.terms.ids import PeerId
from protocol.terms.limits import KNOCK_FIRST_S, KNOCK_MOST_S
from protocol.terms.reach import Reach
from protocol.trust.sealing import Sealer

_NEVER = float("inf")


class Relay:
    """Everything about peers that cannot reach each other."""

    def __init__(
        self,
        me: PeerId,
        site: str,
        address: str,
        said: Reach | None,
        sealer: Sealer,
        dice: Dice,
        around: Around,
    ) -> None:
        """`said` is what the configuration says of how this peer is reached; None if it is to be found out."""
        self._around = around

        def site_of(peer: PeerId) -> str:
            told = around.told(peer)
            return told.site if told is not None else ""

        self.paths = Paths(me, sealer, dice, lambda peer: ways(me, site, peer, around), site_of)
        self.forwarding = Forwarding(me, site, around)
        self.reachability = Reachability(site, address, said, around)
        self._knocks: dict[PeerId, tuple[float, float]] = {}
        """When to knock next at a peer that is reached through a relay, and the pause after that."""
        self._knocking: dict[PeerId, None] = {}

    @property
    def counts(self) -> Counter[str]:
        """Messages and bytes that were passed on, and whatever was dropped, by reason."""
        return self.forwarding.counts + self.paths.counts

    # -- connections

    def met(self, peer: PeerId, accepted: bool, now: float) -> Answer:
        """A direct connection to that peer was introduced. `accepted`: the other end made it."""
        self.paths.retire(peer, now)
        self._knocks.pop(peer, None)
        effects, outcomes = self.reachability.met(peer, accepted, now)
        return effects + self.forwarding.introduced(peer, now), outcomes

    def lost(self, peer: PeerId, now: float) -> Answer:
        """That connection is gone."""
        self.forwarding.lost(peer)
        effects, outcomes = self.paths.lost(peer, now)
        return effects, outcomes + self.reachability.lost(peer, now)

    def knocked(self, peer: PeerId, reached: bool) -> Answer:
        """Takes what came of a Knock."""
        effects = self.reachability.knocked(peer, reached)
        if peer not in self._knocking:
            return effects, []
        del self._knocking[peer]
        if not self.paths.carries(peer):
            return effects, []
        # If the other end made the path, this was the first time that it was dialled from here.
        return (effects, [DirectFound(peer)]) if reached else (effects + self.passed_over(peer), [])

    # -- messages

    def handle(self, sender: PeerId, message: RelayMessage, now: float) -> Answer:
        """A message of an introduced peer. A Relayed or Unrelayed came on a connection, never on a path."""
        match message:
            case Relayed(destination=destination):
                if destination == self.paths.me:
                    return self.paths.arrived(sender, message, now)
                return self.forwarding.take(sender, message, now)
            case Unrelayed(destination=destination):
                return self.paths.refused(sender, destination, now), []
            case DialBack():
                return self.reachability.asked(sender, now), []
            case DialledBack(reached=reached):
                return [], self.reachability.told(sender, reached, now)
            case _:
                assert_never(message)

    def passed_over(self, peer: PeerId) -> list[Effect]:
        """A path stands to a peer that this one could not dial, though the peer says others can."""
        told = self._around.told(peer)
        if told is None or told.reach is Reach.NAT:
            return []
        return [Send(peer, DialledBack(False))]

    # -- time

    def tick(self, now: float) -> Answer:
        """Does what is due."""
        effects, outcomes = self.paths.tick(now)
        effects += self.forwarding.tick(now)
        more, changed = self.reachability.tick(now)
        return effects + more + self._knock(now), outcomes + changed

    def next_deadline(self) -> Deadline | None:
        """When to tick."""
        return earliest(
            self.paths.next_deadline(),
            self.forwarding.next_deadline(),
            self.reachability.next_deadline(),
            soonest([at_s for at_s, _ in self._knocks.values() if at_s < _NEVER], "knock"),
        )

    def check(self) -> None:
        """Asserts the invariants of the parts."""
        self.paths.check()
        self.forwarding.check()
        self.reachability.check()

    def _knock(self, now: float) -> list[Effect]:
        """Looks for a direct connection now and then."""
        effects: list[Effect] = []
        there = self.paths.peers()
        self._knocks = {
            peer: self._knocks.get(peer, (now + KNOCK_FIRST_S, KNOCK_FIRST_S)) for peer in there
        }
        for peer, (at_s, pause_s) in self._knocks.items():
            if now < at_s:
                continue
            pause_s = min(2 * pause_s, KNOCK_MOST_S)
            self._knocks[peer] = (now + pause_s, pause_s)
            told = self._around.told(peer)
            if self._around.is_dialled(peer):
                # The transport dials all the time, and has had no answer so far.
                effects += self.passed_over(peer)
            elif told is not None and told.address:
                self._knocking[peer] = None
                effects.append(Knock(peer, told.address))
        return effects
