"""How hosts of a grid reach each other: each knows its own paths, tells them to others, and asks theirs."""

from collections.abc import Callable

from overlayd.loop.asks import Asks
from protocol.node.events import Say
from protocol.node.messages import PathsAsk, PathsTold
from protocol.terms.ids import GridId, PeerId
from protocol.terms.paths import PathTold


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

    async def ask(self, peer: PeerId, grid: GridId) -> PathsTold:
        """The paths from `peer`. What went wrong is in the answer's `problem`."""
        ask = PathsAsk(self._asks.session(), grid)
        if peer == self._me:
            return self.serve(ask)
        told = await self._asks.ask(peer, ask.session, ask)
        return told or PathsTold(ask.session, (), "it does not answer; `overlayctl peers`")

    def deliver(self, peer: PeerId, told: PathsTold) -> None:
        """An answer came."""
        self._asks.deliver(peer, told)

    def serve(self, ask: PathsAsk) -> PathsTold:
        """The paths from this host."""
        paths = self._paths(ask.grid)
        if paths is None:
            return PathsTold(ask.session, (), "it does not carry this grid")
        return PathsTold(ask.session, paths, "")
