"""How hosts of a grid reach each other: each knows its own paths, tells them to others, and asks theirs."""

from collections.abc import Callable

from overlayd.loop.asks import Asks
from protocol.node.events import Say
from protocol.node.messages import PathsAsk, PathsTold
from protocol.terms.allowance import Allowance
from protocol.terms.ids import GridId, PeerId
from protocol.terms.paths import PathTold

TOLD_AT_ONCE, TOLD_PER_S, ASKERS_MOST = 16, 2.0, 4_096
"""How often one peer is told: an answer is up to a thousand times as large as its question, and some
milliseconds of work."""


class PathAsks:
    """This host's paths for others, and other hosts' paths for people here."""

    def __init__(
        self,
        me: PeerId,
        paths: Callable[[GridId], tuple[PathTold, ...] | None],
        say: Callable[[Say], None],
    ) -> None:
        """`paths` answers this host's paths of a grid; None if it does not carry it."""
        self._me, self._paths = me, paths
        self._asks = Asks[PathsTold](me, "paths", say)
        self._say = say
        self._askers = Allowance(TOLD_AT_ONCE, TOLD_PER_S, ASKERS_MOST)

    async def ask(self, peer: PeerId, grid: GridId) -> PathsTold:
        """The paths from `peer`. What went wrong is in the answer's `problem`."""
        ask = PathsAsk(self._asks.session(), grid)
        if peer == self._me:
            return self._own(ask)
        told = await self._asks.ask(peer, ask.session, ask)
        return told or PathsTold(ask.session, (), "it does not answer; `overlayctl peers`")

    def deliver(self, peer: PeerId, told: PathsTold) -> None:
        """An answer came."""
        self._asks.deliver(peer, told)

    def serve(self, peer: PeerId, ask: PathsAsk, cause: str, now: float) -> bool:
        """Tells a peer the paths from this host; False if it asks too often, and is told nothing."""
        if not self._askers.take(peer, now):
            return False
        self._say(Say(peer, self._own(ask), cause))
        return True

    def _own(self, ask: PathsAsk) -> PathsTold:
        paths = self._paths(ask.grid)
        if paths is None:
            return PathsTold(ask.session, (), "it does not carry this grid")
        return PathsTold(ask.session, paths, "")
