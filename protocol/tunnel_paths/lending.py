"""This host as a relay: who has asked it to pass on between itself and whom, and by which number.

Nobody can ask for another: who asks is one end of the pair. What is passed on begins when both have asked, and
ends when either does not ask any more, is out, or nothing is lent.
"""

from collections.abc import Callable, Iterable

from protocol.terms.effects import Effect, Send
from protocol.terms.ids import PeerId
from protocol.terms.sealed import RelayedPair
from protocol.tunnel_paths.limits import ASKED_S, PAIRS_MOST, PAIRS_OF_ONE, SHARE
from protocol.tunnel_paths.messages import PAIR_MOST, TunnelRelayAsk, TunnelRelayTold

_NEVER = float("inf")
_Ends = tuple[PeerId, PeerId]


class _Pair:
    """Two hosts, and until when each has asked."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.until_s: dict[PeerId, float] = {}


class Lending:
    """All pairs of this relay. Times are Unix seconds."""

    def __init__(self, me: PeerId, rate: Callable[[], float]) -> None:
        """`rate` answers what is lent now, in bytes a second."""
        self._me, self._rate = me, rate
        self._pairs: dict[_Ends, _Pair] = {}
        self._number = 0

    def asked(self, peer: PeerId, ask: TunnelRelayAsk, now: float) -> list[Effect]:
        """A member asks. Who is one is the caller's to say."""
        return [Send(peer, TunnelRelayTold(ask.partner, self._lend(peer, ask.partner, now)))]

    def among(self, may: Callable[[PeerId], bool]) -> None:
        """Hosts that may not are ends of no pair any more."""
        for ends in [ends for ends in self._pairs if not (may(ends[0]) and may(ends[1]))]:
            del self._pairs[ends]

    def tick(self, now: float) -> None:
        """Forgets whoever does not ask any more."""
        lends = self._rate() > 0
        for ends, pair in list(self._pairs.items()):
            pair.until_s = {peer: s for peer, s in pair.until_s.items() if s > now and lends}
            if not pair.until_s:
                del self._pairs[ends]

    def next_s(self) -> float:
        """When to tick."""
        return min(
            (s for pair in self._pairs.values() for s in pair.until_s.values()), default=_NEVER
        )

    def ends(self) -> Iterable[PeerId]:
        """Who has asked: keys are needed with these, which show where they are."""
        return dict.fromkeys(peer for pair in self._pairs.values() for peer in pair.until_s)

    def pairs(self) -> tuple[RelayedPair, ...]:
        """Those that both ends have asked for."""
        both = [(ends, pair) for ends, pair in self._pairs.items() if len(pair.until_s) == 2]
        rate = self._rate()
        each = min(rate, rate * SHARE / max(1, len(both)))
        return tuple(RelayedPair(pair.number, *ends, each) for ends, pair in both)

    @property
    def rate(self) -> float:
        """What is lent, in bytes a second."""
        return self._rate()

    def check(self) -> None:
        """Bounds, and each number once."""
        assert len(self._pairs) <= PAIRS_MOST
        numbers = [pair.number for pair in self._pairs.values()]
        assert len(numbers) == len(dict.fromkeys(numbers))
        assert all(0 < number <= PAIR_MOST for number in numbers)

    def _lend(self, peer: PeerId, partner: PeerId, now: float) -> int:
        """The number of the pair; 0 if nothing is passed on for it."""
        if self._rate() <= 0 or partner in (peer, self._me):
            return 0
        self.tick(now)
        ends = (peer, partner) if peer < partner else (partner, peer)
        pair = self._pairs.get(ends)
        if pair is None or peer not in pair.until_s:
            own = sum(peer in pair.until_s for pair in self._pairs.values())
            if own >= PAIRS_OF_ONE:
                return 0
        if pair is None:
            if not self._has_room():
                return 0
            pair = self._pairs[ends] = _Pair(self._next_number())
        pair.until_s[peer] = now + ASKED_S
        return pair.number

    def _has_room(self) -> bool:
        """Whether there is room for one more; the oldest that only one end has asked for makes it."""
        if len(self._pairs) < PAIRS_MOST:
            return True
        half = next((ends for ends, pair in self._pairs.items() if len(pair.until_s) < 2), None)
        if half is not None:
            del self._pairs[half]
        return half is not None

    def _next_number(self) -> int:
        taken = {pair.number for pair in self._pairs.values()}
        while True:
            self._number = self._number % PAIR_MOST + 1
            if self._number not in taken:
                return self._number
