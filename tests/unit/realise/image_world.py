"""A fetcher on real folders, and peers that answer as a test says, for the tests of fetches."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import msgspec

from overlayd.adapters.images import DirectoryImages
from overlayd.adapters.partials import DirectoryPartials
from overlayd.realise.fetch import Fetcher
from overlayd.realise.one_fetch import Progress
from protocol.image.facts import Firmware, ImageFacts, ImageKind, ImageNotes
from protocol.image.fetching import ImagePiece
from protocol.image.merkle import CHUNK_BYTES, ZERO_LEAF, id_of, leaf_of, page_roots
from protocol.image.summary import ImageSummary, summary_bytes
from protocol.node.events import Event, Garbled, Say
from protocol.node.messages import ImageAsk, ImageChunk
from protocol.terms.architecture import Architecture
from protocol.terms.ids import PeerId

A, B, C = PeerId("a" * 64), PeerId("b" * 64), PeerId("c" * 64)
Source = Callable[[ImageAsk], ImageChunk | None]


class Sparse:
    """Content of so many chunks of zeros, but for some."""

    def __init__(self, count: int, chunks: dict[int, bytes]) -> None:
        self._count, self._chunks = count, chunks

    def __len__(self) -> int:
        return self._count * CHUNK_BYTES

    def __getitem__(self, part: slice) -> bytes:
        first, last = part.start // CHUNK_BYTES, min(part.stop, len(self)) // CHUNK_BYTES
        chunks = (self._chunks.get(i, bytes(CHUNK_BYTES)) for i in range(first, last + 1))
        return b"".join(chunks)[part.start % CHUNK_BYTES :][: part.stop - part.start]

    @property
    def leaves(self) -> list[bytes]:
        given = {index: leaf_of(chunk) for index, chunk in self._chunks.items()}
        return [given.get(index, ZERO_LEAF) for index in range(self._count)]


class Image:
    """A disk image: its content, and what an honest peer says of it."""

    def __init__(self, content: bytes | Sparse) -> None:
        self.content = content
        if isinstance(content, Sparse):
            self.leaves = content.leaves
        else:
            cut = (content[i : i + CHUNK_BYTES] for i in range(0, len(content), CHUNK_BYTES))
            self.leaves = [leaf_of(chunk) for chunk in cut]
        facts = ImageFacts(ImageKind.DISK, len(content), Architecture.X86_64, Firmware.BIOS)
        roots = b"".join(page_roots(self.leaves))
        self.summary = ImageSummary(facts, ImageNotes(), roots)
        self.digest = id_of(facts, self.leaves)

    def whole(self, piece: ImagePiece) -> bytes | Sparse:
        match piece:
            case ImagePiece.SUMMARY:
                return summary_bytes(self.summary)
            case ImagePiece.LEAVES:
                return b"".join(self.leaves)
            case ImagePiece.CONTENT:
                return self.content

    def honest(self, ask: ImageAsk) -> ImageChunk:
        whole = self.whole(ask.piece)
        data = whole[ask.offset : ask.offset + ask.length]
        return ImageChunk(ask.session, ask.digest, ask.offset, len(whole), data, ask.piece)


def random_image(chunks: int, last_bytes: int = 700_000) -> Image:
    """So many chunks, all different, the last of that length."""
    return Image(os.urandom((chunks - 1) * CHUNK_BYTES + last_bytes))


class World:
    """One host that fetches."""

    def __init__(self, folder: Path, image: Image) -> None:
        self.folder, self.image, self.digest = folder, image, image.digest
        self.sources: dict[PeerId, Source] = {}
        self.asked: list[tuple[PeerId, ImagePiece, int]] = []
        self.blamed: list[PeerId] = []
        self.progress: list[Progress] = []
        self.wanted_room: list[int] = []
        self.came = 0
        self.begin()

    def begin(self, boot: str = "one") -> None:
        """Another life of the daemon."""
        self.images = DirectoryImages(self.folder)
        self.partials = DirectoryPartials(self.folder, boot)
        self.fetcher = Fetcher(
            self.images,
            self.partials,
            self._tell,
            lambda digest: list(self.sources),
            self._changed,
            self._make_room,
        )

    def lying(self, ask: ImageAsk) -> ImageChunk:
        """Wrong content; the rest is as it should be."""
        chunk = self.image.honest(ask)
        if ask.piece is not ImagePiece.CONTENT:
            return chunk
        return msgspec.structs.replace(chunk, data=bytes(len(chunk.data)))

    def only(self, *chunks: int) -> Source:
        """Answers for these chunks only."""

        def source(ask: ImageAsk) -> ImageChunk | None:
            content = ask.piece is ImagePiece.CONTENT
            silent = content and ask.offset // CHUNK_BYTES not in chunks
            return None if silent else self.image.honest(ask)

        return source

    async def fetch(self) -> None:
        await self.fetcher.ensure(self.digest, self.progress.append, "named")

    async def listed(self) -> list[str]:
        return [info.digest for info in await self.images.list()]

    def content(self) -> bytes:
        return (self.folder / self.digest / "content").read_bytes()

    def asked_of(self, peer: PeerId) -> list[int]:
        """The chunks a piece of which that peer was asked for, in order."""
        found = [o // CHUNK_BYTES for p, kind, o in self.asked if p == peer and kind == "content"]
        return list(dict.fromkeys(found))

    def _tell(self, event: Event) -> None:
        if isinstance(event, Garbled):
            self.blamed.append(event.peer)
            return
        assert isinstance(event, Say)
        ask = event.message
        assert isinstance(ask, ImageAsk)
        self.asked.append((event.peer, ask.piece, ask.offset))
        source = self.sources.get(event.peer)
        chunk = source(ask) if source is not None else None
        if chunk is not None:
            asyncio.get_running_loop().call_soon(self.fetcher.deliver, event.peer, chunk)

    def _changed(self) -> None:
        self.came += 1

    async def _make_room(self, size_bytes: int) -> None:
        self.wanted_room.append(size_bytes)
