"""Image pieces for others: served beside the node's work, bounded, never trusted."""

from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from turns import until

from overlayd.fakes.images import FakeImages
from overlayd.loop import bulk as bulk_module
from overlayd.loop.bulk import Bulk
from overlayd.loop.path_asks import PathAsks
from overlayd.ports.images import ImageInfo
from overlayd.telemetry.supervisor import Supervisor
from protocol.image.commit import CommitStage, CommitView
from protocol.image.facts import ImageFacts, ImageKind, ImageNotes
from protocol.image.fetching import PIECE_BYTES, ImagePiece
from protocol.image.merkle import image_id, leaf_of
from protocol.image.summary import believed_summary
from protocol.node.events import Say
from protocol.node.messages import (
    CommitAsk,
    CommitTold,
    ConsoleAsk,
    ConsoleText,
    ImageAsk,
    ImageChunk,
    PathsAsk,
    PathsTold,
    UsageAsk,
    UsageTold,
)
from protocol.stream.messages import StreamCredit, StreamData, StreamOpen
from protocol.terms.architecture import Architecture
from protocol.terms.ids import Digest, GridId, PeerId
from protocol.terms.paths import PathTold
from protocol.trust.order import SignedOrder

PEER = PeerId("a" * 64)
CONTENT = bytes(range(256)) * 4096
DIGEST = Digest(sha256(CONTENT).hexdigest())
GRID = GridId("g")
PATHS = (PathTold("lan", PEER, "plain"),)
ASK = ConsoleAsk("s", SignedOrder(b"", b"", ()), 0, b"")


class Ends:
    """A fetcher and consoles that write down what they are given."""

    def __init__(self) -> None:
        self.delivered: list[tuple[PeerId, Any]] = []

    def deliver(self, peer: PeerId, message: Any) -> None:
        self.delivered.append((peer, message))

    def take(self, peer: PeerId, message: Any) -> None:
        self.delivered.append((peer, message))

    async def serve(self, peer: PeerId, ask: ConsoleAsk) -> ConsoleText:
        return ConsoleText(ask.session, ask.offset, b"$ ", "")


class CommitEnds:
    """Commits that write down what they are given, and answer at once."""

    def __init__(self) -> None:
        self.delivered: list[CommitTold] = []

    def deliver(self, peer: PeerId, told: CommitTold) -> None:
        self.delivered.append(told)

    def serve(self, peer: PeerId, ask: CommitAsk) -> CommitTold:
        return CommitTold(ask.session, CommitView(CommitStage.WAITS), "")


class UsageEnds:
    """The same of usage."""

    def __init__(self) -> None:
        self.delivered: list[UsageTold] = []

    def deliver(self, peer: PeerId, told: UsageTold) -> None:
        self.delivered.append(told)

    async def serve(self, peer: PeerId, ask: UsageAsk) -> UsageTold:
        return UsageTold(ask.session, (), 3, "")


class World:
    def __init__(self) -> None:
        self.said: list[Say] = []
        self.images, self.ends, self.supervisor = FakeImages(), Ends(), Supervisor()
        self.commits, self.usage = CommitEnds(), UsageEnds()
        self.bulk = Bulk(
            self.images,
            self.ends,
            self.ends,
            self.ends,
            self.ends,
            self.commits,  # type: ignore[arg-type]
            PathAsks(PEER, {GRID: PATHS}.get, self.said.append),
            self.usage,  # type: ignore[arg-type]
            self.supervisor,
            self.said.append,
        )

    def ask(self, offset: int = 0, length: int = 100, digest: Digest = DIGEST) -> None:
        self.bulk.take(PEER, ImageAsk("s", digest, offset, length), "c")

    async def chunk(self) -> ImageChunk:
        await until(lambda: self.said, "an answer")
        say = self.said.pop()
        assert (say.peer, say.cause) == (PEER, "c")
        assert isinstance(say.message, ImageChunk)
        return say.message


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = World()
    made.images._images[DIGEST] = (None, CONTENT, "")  # type: ignore[assignment]  # its bytes matter only
    yield made
    await made.supervisor.close()


async def test_a_piece(world: World) -> None:
    world.ask(1000, 100)
    assert await world.chunk() == ImageChunk("s", DIGEST, 1000, len(CONTENT), CONTENT[1000:1100])


async def test_leaves_and_the_summary(world: World) -> None:
    facts = ImageFacts(ImageKind.APPLIANCE, len(CONTENT), Architecture.X86_64)
    info = ImageInfo(DIGEST, ("guest",), facts, ImageNotes(), len(CONTENT))
    world.images._images[DIGEST] = (info, CONTENT, "")
    for piece in (ImagePiece.LEAVES, ImagePiece.SUMMARY):
        world.bulk.take(PEER, ImageAsk("s", DIGEST, 0, 1000, piece), "c")
        chunk = await world.chunk()
        assert (chunk.piece, chunk.offset, chunk.total_bytes) == (piece, 0, len(chunk.data))
        if piece is ImagePiece.LEAVES:
            assert chunk.data == leaf_of(CONTENT)
        else:
            assert believed_summary(image_id(facts, leaf_of(CONTENT)), chunk.data) is not None


@pytest.mark.parametrize("length", [PIECE_BYTES + 1, 1 << 40, -1, 0])
async def test_never_more_than_a_piece_and_never_none(world: World, length: int) -> None:
    world.ask(0, length)
    assert 1 <= len((await world.chunk()).data) <= PIECE_BYTES


@pytest.mark.parametrize("offset", [-5, len(CONTENT), 1 << 60])
async def test_offsets_of_all_kinds_have_an_answer(world: World, offset: int) -> None:
    world.ask(offset)
    chunk = await world.chunk()
    assert chunk.offset == offset
    assert chunk.data == (CONTENT[:100] if offset < 0 else b"")


@pytest.mark.parametrize("digest", ["0" * 64, "", "../../etc/passwd"])
async def test_an_image_that_is_not_here(world: World, digest: str) -> None:
    world.ask(digest=Digest(digest))
    chunk = await world.chunk()
    assert (chunk.total_bytes, chunk.data) == (-1, b"")


async def test_answers_go_to_who_asked_with_their_sender(world: World) -> None:
    chunk, text = ImageChunk("s", DIGEST, 0, 1, b"x"), ConsoleText("s", 0, b"", "")
    world.bulk.take(PEER, chunk, "")
    world.bulk.take(PEER, text, "")
    assert world.ends.delivered == [(PEER, chunk), (PEER, text)]


async def test_what_streams_say_goes_to_the_streams(world: World) -> None:
    said = [
        StreamOpen("s", ASK.order),
        StreamData("s", False, 0, b"x"),
        StreamCredit("s", True, 1, 2),
    ]
    for message in said:
        world.bulk.take(PEER, message, "")
    assert world.ends.delivered == [(PEER, message) for message in said]


async def test_a_console_is_answered(world: World) -> None:
    world.bulk.take(PEER, ASK, "c")
    await until(lambda: world.said, "an answer")
    assert world.said[0].message == ConsoleText("s", 0, b"$ ", "")


async def test_a_flood_of_asks_is_bounded_and_counted(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_module, "_WAITING", 10)
    for _ in range(25):
        world.ask()
    world.bulk.take(PEER, ASK, "")
    assert world.bulk.counts == {"asks-dropped": 16}
    await until(lambda: len(world.said) == 10, "the ten are answered")

    def answered_again() -> bool:
        world.ask()
        return len(world.said) > 10

    await until(answered_again, "and then there is room again")


async def test_a_commit_is_answered_at_once_and_an_answer_delivered(world: World) -> None:
    told = CommitTold("s", CommitView(CommitStage.WAITS), "")
    world.bulk.take(PEER, CommitAsk("s", SignedOrder(b"", b"", ())), "c")
    world.bulk.take(PEER, told, "c")
    assert [say.message for say in world.said] == [told]
    assert world.commits.delivered == [told]


async def test_paths_are_told_at_once(world: World) -> None:
    world.bulk.take(PEER, PathsAsk("s", GRID), "c")
    assert world.said == [Say(PEER, PathsTold("s", PATHS, ""), "c")]
    world.bulk.take(PEER, PathsTold("s", PATHS, ""), "c")
    assert len(world.said) == 1, "what nobody waits for is ignored"


async def test_usage_is_told_and_an_answer_delivered(world: World) -> None:
    told = UsageTold("s", (), 3, "")
    world.bulk.take(PEER, UsageAsk("s", 0.0), "c")
    world.bulk.take(PEER, told, "c")
    await until(lambda: world.said, "it is told")
    assert world.said == [Say(PEER, told, "c")]
    assert world.usage.delivered == [told]
