"""The way to one partner by a relay, as this end goes about it: which relay, asked when, and whether it works.

Of two partners the one with the lesser key chooses, and tells the other. A relay that does not answer, refuses,
or brings nothing back is followed by the next one.
"""

from collections.abc import Sequence

from protocol.terms.allowance import Allowance
from protocol.terms.effects import Effect, Send
from protocol.terms.ids import PeerId
from protocol.terms.sealed import TunnelPlace
from protocol.tunnel_paths.limits import (
    ASK_EVERY_S,
    ASK_SOON_S,
    RELAY_WITHIN_S,
    RELAYS_TRIED,
    VIAS_BURST,
    VIAS_PER_S,
)
from protocol.tunnel_paths.messages import TunnelRelayAsk, TunnelVia
from protocol.tunnel_paths.path import Path

_NEVER = float("inf")


class Detour:
    """This host's end of it."""

    def __init__(self, me: PeerId, partner: PeerId) -> None:
        self._partner, self._chooses = partner, me < partner
        self.relay: PeerId | None = None
        """Who is asked; None while no relay is wanted, or none is known."""
        self.pair = 0
        """The number by which that passes on; 0 if it has not said, or does not."""
        self.path: Path | None = None
        """What came back through it; None before there is a number."""
        self._since_s, self._ask_s = 0.0, _NEVER
        self._life = 0
        self._tried = 0
        self._vias = Allowance(VIAS_BURST, VIAS_PER_S, 1)

    def want(self, relays: Sequence[PeerId], now: float) -> None:
        """The direct way does not work. `relays` are those that may be asked, the best first."""
        if not self._chooses or (self.relay in relays and not self._fails(now)):
            return
        if not relays:
            self.drop()
            return
        relay = relays[self._tried % min(len(relays), RELAYS_TRIED)]
        self._tried += 1
        self._use(relay, now)

    def via(self, relay: PeerId, now: float) -> bool:
        """The partner has chosen that one. Whether that is another than before, and is followed."""
        if self._chooses or relay == self.relay or not self._vias.take("", now):
            return False
        self._use(relay, now)
        return True

    def told(self, relay: PeerId, pair: int, told: TunnelPlace, now: float) -> bool:
        """A relay, which is there, says its number. Whether that is another one than before."""
        if relay != self.relay:
            return False
        if not pair:
            self._since_s = -_NEVER  # it fails, so another one may be tried at once
        if pair == self.pair:
            return False
        self.pair = pair
        self.path = Path(told, now, now) if pair else None
        self._ask_s = now + (ASK_EVERY_S if pair else ASK_SOON_S)
        return True

    def drop(self) -> None:
        """No relay is needed. It is not asked again, and so it forgets."""
        self.relay, self.pair, self.path, self._ask_s, self._tried = None, 0, None, _NEVER, 0

    def tick(self, life: int, now: float) -> list[Effect]:
        """Asks when it is time; at once if the relay has begun anew: `life` is its incarnation."""
        if self.relay is None:
            return []
        if life != self._life:
            self._life, self._ask_s = life, min(self._ask_s, now)
        if now < self._ask_s:
            return []
        self._ask_s = now + (ASK_EVERY_S if self.pair else ASK_SOON_S)
        effects: list[Effect] = [Send(self.relay, TunnelRelayAsk(self._partner))]
        if self._chooses:
            effects.append(Send(self._partner, TunnelVia(self.relay)))
        return effects

    def next_s(self) -> float:
        """When to tick."""
        return self._ask_s

    @property
    def works(self) -> bool:
        """Whether what is sent that way comes back."""
        return self.path is not None and self.path.works

    def _fails(self, now: float) -> bool:
        return not self.works and now >= self._since_s + RELAY_WITHIN_S

    def _use(self, relay: PeerId, now: float) -> None:
        self.relay, self.pair, self.path = relay, 0, None
        self._since_s, self._ask_s = now, now
