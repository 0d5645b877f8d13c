"""Commits begin as orders allow, here or at their host; who asks again hears how far they are."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from turns import until

from overlayd.loop import asks
from overlayd.loop.commits import COMMITS_MOST, Commits
from overlayd.ports.commits import CommitError, CommitWatch
from overlayd.ports.images import ImageInfo
from overlayd.telemetry.supervisor import Supervisor
from protocol.image.commit import CommitStage, CommitTerms, CommitView
from protocol.image.facts import Firmware, ImageFacts, ImageKind, ImageNotes
from protocol.node.events import Say
from protocol.node.messages import CommitAsk, CommitTold
from protocol.node.rows import NoCommit
from protocol.terms.architecture import Architecture
from protocol.terms.ids import GridId, PeerId
from protocol.trust.order import SignedOrder
from protocol.trust.signing import Reason, Untrusted

ME, YOU = PeerId("me"), PeerId("you")
FACTS = ImageFacts(ImageKind.DISK, 1 << 20, Architecture.X86_64, Firmware.BIOS)
MADE = ImageInfo("d" * 64, ("mine",), FACTS, ImageNotes(), 4096)


class Host:
    """A host's commits, with a node that follows any order, and a committer that waits to be let go on."""

    def __init__(self) -> None:
        self.refuses: Exception | None = None
        self.terms = CommitTerms("mine", "0" * 16)
        self.said: list[Say] = []
        self.begun: list[str] = []
        self.go_on = asyncio.Event()
        self.ends: Exception | None = None
        self.supervisor = Supervisor()
        self.commits = Commits(
            ME, self._orders, self, self.supervisor, self.said.append, lambda: 5.0  # type: ignore[arg-type]
        )  # fmt: skip

    def _orders(
        self, order: SignedOrder, via: PeerId, now: float
    ) -> tuple[GridId, str, CommitTerms]:
        assert via == ME
        if self.refuses is not None:
            raise self.refuses
        return GridId("g"), "web-1", self.terms

    async def commit(
        self, grid: GridId, workspace: str, name: str, watch: CommitWatch
    ) -> tuple[ImageInfo, str]:
        self.begun.append(f"{grid}/{workspace} {name}")
        watch.begin(CommitStage.HASH, 100)
        watch.step(40)
        await self.go_on.wait()
        if self.ends is not None:
            raise self.ends
        return MADE, "it was paused"

    async def ask(self) -> CommitTold:
        told = await self.commits.ask(ME, ORDER)
        await asyncio.sleep(0)
        return told


ORDER = SignedOrder(b"an order", b"", ())


@pytest.fixture
async def host() -> AsyncIterator[Host]:
    made = Host()
    yield made
    await made.supervisor.close()


async def ended(host: Host) -> CommitView:
    host.go_on.set()
    for _ in range(100):
        if (view := (await host.ask()).view).over:
            return view
    raise AssertionError("it is not over")


async def test_it_begins_once_and_who_asks_again_hears_how_far_it_is(host: Host) -> None:
    assert (await host.ask()).view == CommitView(CommitStage.WAITS)
    assert (await host.ask()).view == CommitView(CommitStage.HASH, 40, 100)
    done = CommitView(CommitStage.DONE, 0, 0, "it was paused", MADE.digest, 4096)
    assert await ended(host) == done
    assert host.begun == ["g/web-1 mine"]
    assert (await host.ask()).view == done, "who asks late is told, too"


async def test_another_order_for_another_commit_begins_another(host: Host) -> None:
    await ended(host)
    host.terms = CommitTerms("mine", "1" * 16)
    await host.ask()
    assert host.begun == ["g/web-1 mine"] * 2


@pytest.mark.parametrize("ends", [CommitError("no room"), OSError("no room"), KeyError("no room")])
async def test_why_it_failed_is_told(host: Host, ends: Exception) -> None:
    host.ends = ends
    await host.ask()
    view = await ended(host)
    assert (view.stage, "no room" in view.detail) == (CommitStage.FAILED, True)


@pytest.mark.parametrize("no", [NoCommit("it is not yours"), Untrusted(Reason.EXPIRED, "too old")])
async def test_an_order_that_is_not_followed_begins_nothing(host: Host, no: Exception) -> None:
    host.refuses = no
    told = await host.ask()
    assert told.problem == str(no)
    assert host.begun == []


async def test_a_host_remembers_so_many_and_those_that_are_over_go_first(host: Host) -> None:
    for number in range(COMMITS_MOST):
        host.terms = CommitTerms("mine", f"{number:016}")
        assert (await host.ask()).problem == ""
    host.terms = CommitTerms("mine", "f" * 16)
    assert "try again" in (await host.ask()).problem
    host.terms = CommitTerms("mine", f"{0:016}")
    await ended(host)
    host.terms = CommitTerms("mine", "f" * 16)
    assert (await host.ask()).problem == ""


async def test_that_of_another_host_is_asked_there(host: Host) -> None:
    asking = asyncio.ensure_future(host.commits.ask(YOU, ORDER))
    await until(lambda: host.said, "the question")
    (say,) = host.said
    assert isinstance(say.message, CommitAsk)
    told = CommitTold(say.message.session, CommitView(CommitStage.HASH, 1, 2), "")
    host.commits.deliver(ME, told)
    assert not asking.done(), "nobody else answers for it"
    host.commits.deliver(YOU, told)
    host.commits.deliver(YOU, told)
    assert await asking == told


async def test_a_host_that_does_not_answer_is_told(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asks, "ANSWER_WITHIN_S", 0.0)
    assert "does not answer" in (await host.commits.ask(YOU, ORDER)).problem
