"""Commits: images made of workspaces' root disks, here for others, and at other hosts for people here.

Who asked asks again and again how far it is, with an order that is signed anew and names the same commit. A
host that has forgotten it in the meantime, since its daemon died, begins again.
"""

from collections.abc import Callable

from overlayd.loop.asks import Asks
from overlayd.ports.commits import CommitError, CommitWatch
from overlayd.ports.compute import ComputeError
from overlayd.ports.images import ImageError, ImageInfo
from overlayd.realise.commits import Committer
from overlayd.telemetry.logs import logger
from overlayd.telemetry.supervisor import Supervisor
from protocol.image.commit import DETAIL_MOST, CommitStage, CommitTerms, CommitView
from protocol.node.events import Say
from protocol.node.messages import CommitAsk, CommitTold
from protocol.node.rows import NoCommit
from protocol.terms.ids import GridId, PeerId
from protocol.trust.order import SignedOrder
from protocol.trust.signing import Untrusted

COMMITS_MOST = 32
"""Commits that a host remembers, those that are over too, so that who asked late is told."""

_Key = tuple[GridId, str, CommitTerms]


class _Job:
    """One commit of this host."""

    def __init__(self) -> None:
        self.watch = CommitWatch()
        self.over: CommitView | None = None

    @property
    def view(self) -> CommitView:
        """How far it is."""
        watch = self.watch
        return self.over or CommitView(watch.stage, watch.done_bytes, watch.total_bytes)


class Commits:
    """This host's commits for others, and other hosts' commits for people here."""

    def __init__(
        self,
        me: PeerId,
        orders: Callable[[SignedOrder, PeerId, float], tuple[GridId, str, CommitTerms]],
        committer: Committer,
        supervisor: Supervisor,
        say: Callable[[Say], None],
        now: Callable[[], float],
    ) -> None:
        """`orders` answers what an order makes an image of here now, for the peer that shows it.

        It raises Untrusted or NoCommit.
        """
        self._me, self._orders, self._committer = me, orders, committer
        self._supervisor, self._now = supervisor, now
        self._jobs: dict[_Key, _Job] = {}
        self._asks = Asks[CommitTold](me, "commit", say)

    async def ask(self, peer: PeerId, order: SignedOrder) -> CommitTold:
        """Begins a commit on `peer`, or hears how far it is. What went wrong is in the answer's `problem`."""
        ask = CommitAsk(self._asks.session(), order)
        if peer == self._me:
            return self.serve(peer, ask)
        said = "its host does not answer; `overlayctl peers`"
        told = await self._asks.ask(peer, ask.session, ask)
        return told or CommitTold(ask.session, CommitView(CommitStage.FAILED), said)

    def deliver(self, peer: PeerId, told: CommitTold) -> None:
        """An answer came."""
        self._asks.deliver(peer, told)

    def serve(self, peer: PeerId, ask: CommitAsk) -> CommitTold:
        """Begins a commit of this host if the order allows that peer to, and says how far it is."""
        try:
            key = self._orders(ask.order, peer, self._now())
            job = self._jobs.get(key) or self._begin(key)
        except (Untrusted, NoCommit) as error:
            return CommitTold(ask.session, CommitView(CommitStage.FAILED), str(error)[:DETAIL_MOST])
        return CommitTold(ask.session, job.view, "")

    def _begin(self, key: _Key) -> _Job:
        over = [key for key, job in self._jobs.items() if job.over is not None]
        for old in over[: max(0, len(self._jobs) + 1 - COMMITS_MOST)]:
            del self._jobs[old]
        if len(self._jobs) >= COMMITS_MOST:
            raise NoCommit(f"its host makes {COMMITS_MOST} images already; try again in a while")
        job = self._jobs[key] = _Job()
        self._supervisor.spawn(f"commit {key[0]}/{key[1]}", self._run(key, job))
        return job

    async def _run(self, key: _Key, job: _Job) -> None:
        grid, workspace, terms = key
        try:
            info, how = await self._committer.commit(grid, workspace, terms.name, job.watch)
        except (CommitError, ImageError, ComputeError, OSError) as error:
            logger().warning("commit.failed", grid=grid, workspace=workspace, error=str(error))
            job.over = CommitView(CommitStage.FAILED, detail=str(error)[:DETAIL_MOST])
        except Exception as error:  # nobody foresaw it: who asks is told all the same
            logger().error("commit.failed", grid=grid, workspace=workspace, exc_info=error)
            job.over = CommitView(
                CommitStage.FAILED, detail=f"an error in overlayd: {error!r}"[:DETAIL_MOST]
            )
        else:
            job.over = _done(info, how)


def _done(info: ImageInfo, how: str) -> CommitView:
    return CommitView(
        CommitStage.DONE, detail=how[:DETAIL_MOST], digest=info.digest, size_bytes=info.size_bytes
    )
