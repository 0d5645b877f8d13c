"""Commits: images made of workspaces' root disks, here for others, and at other hosts for people here.

Who asked asks again and again how far it is, with an order that is signed anew and names the same commit. A
host that has forgotten it in the meantime, since its daemon died, begins again.
"""

import asyncio
from collections.abc import Callable

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
from protocol.terms.ids import GridId, PeerId, short_hash
from protocol.trust.order import SignedOrder
from protocol.trust.signing import Untrusted

ANSWER_WITHIN_S = 5.0
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
        self._supervisor, self._say, self._now = supervisor, say, now
        self._jobs: dict[_Key, _Job] = {}
        self._waiting: dict[tuple[PeerId, str], asyncio.Future[CommitTold]] = {}
        self._asked = 0

    async def ask(self, peer: PeerId, order: SignedOrder) -> CommitTold:
        """Begins a commit on `peer`, or hears how far it is. What went wrong is in the answer's `problem`."""
        self._asked += 1
        session = short_hash(str(self._asked), self._me, "commit", digits=16)
        ask = CommitAsk(session, order)
        if peer == self._me:
            return self.serve(peer, ask)
        future: asyncio.Future[CommitTold] = asyncio.get_running_loop().create_future()
        self._waiting[peer, session] = future
        try:
            self._say(Say(peer, ask))
            async with asyncio.timeout(ANSWER_WITHIN_S):
                return await future
        except TimeoutError:
            said = "its host does not answer; `overlayctl peers`"
            return CommitTold(session, CommitView(CommitStage.FAILED), said)
        finally:
            self._waiting.pop((peer, session), None)

    def deliver(self, peer: PeerId, told: CommitTold) -> None:
        """An answer came. It is ignored if nobody waits for it, or not from that peer."""
        waiting = self._waiting.get((peer, told.session))
        if waiting is not None and not waiting.done():
            waiting.set_result(told)

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
