"""Hosts that carry one grid with files, and everything said between them, delivered at once or not at all."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from turns import until

from overlayd.adapters.attachments import DirectoryAttachments
from overlayd.adapters.nacl_keys import NaclIdentity
from overlayd.adapters.sealed_boxes import SealedBoxes
from overlayd.loop.attachments import SETTLES_S, AttachmentTraffic
from overlayd.telemetry.supervisor import Supervisor
from protocol.node.events import Say
from protocol.node.messages import AttachmentAsk, AttachmentOffer, AttachmentPart
from protocol.node.rows import GridFiles
from protocol.terms.ids import Digest, GridId, PeerId, digest_of

KEY = "0123456789abcdef0123"
GRID = GridId(f"{KEY}.0-abcdef")
FILE = b"#cloud-config\n" + bytes(600_000)
"""More than two pieces."""
DIGEST = digest_of(FILE)
Message = AttachmentAsk | AttachmentOffer | AttachmentPart


class Peer:
    """One host: what its node says of files, its store, its traffic."""

    def __init__(self, folder: Path, wire: "Wire") -> None:
        self.identity = NaclIdentity.generate()
        self.needed: list[GridFiles] = []
        self.given: list[GridFiles] = []
        self.named: set[str] = set()
        self.came: list[GridId] = []
        self.said: list[Say] = []
        self.now_s = 1000.0
        self.supervisor = Supervisor()
        self.kept = DirectoryAttachments(folder / self.me[:8])
        self.boxes = SealedBoxes(self.identity)
        self._wire = wire
        self.traffic = self.next_life()

    def next_life(self) -> AttachmentTraffic:
        """The traffic of a daemon that begins now."""
        return AttachmentTraffic(
            self,
            self.kept,
            self.boxes,
            self.supervisor,
            lambda say: self._wire.say(self, say),
            self.came.append,
            lambda: self.now_s,
        )

    @property
    def me(self) -> PeerId:
        return self.identity.peer

    def files(self) -> list[GridFiles]:
        return self.needed

    def given_files(self) -> list[GridFiles]:
        return self.given

    def readers(self, key: str, digest: str) -> tuple[PeerId, ...]:
        grids = [f for f in (*self.needed, *self.given) if f.key == key and digest in f.digests]
        return tuple(peer for files in grids for peer in files.readers)

    def file_keys(self) -> set[str]:
        return self.named | {files.key for files in (*self.needed, *self.given)}

    async def look(self) -> None:
        """One look, and all that follows from it."""
        await self.traffic.look()
        await self.settled()

    async def gone(self) -> None:
        """Looks until what is named no more is gone."""
        await self.look()
        self.now_s += SETTLES_S + 1.0
        await self.look()

    async def settled(self) -> None:
        await until(lambda: not self.traffic._fetching, "every fetch has ended")


class Wire:
    """Carries what peers say, unless they are `cut` off; `bend` may change a message on its way."""

    def __init__(self) -> None:
        self.peers: dict[PeerId, Peer] = {}
        self.cut: set[PeerId] = set()
        self.bend: Callable[[PeerId, Message], Message | None] = lambda _, message: message
        self.seen: list[tuple[PeerId, PeerId, Message]] = []

    def say(self, sender: Peer, say: Say) -> None:
        message = say.message
        assert isinstance(message, Message)
        sender.said.append(say)
        self.seen.append((sender.me, say.peer, message))
        bent = self.bend(sender.me, message)
        if say.peer in self.peers and not {sender.me, say.peer} & self.cut and bent is not None:
            asyncio.get_running_loop().call_soon(self._arrive, sender, self.peers[say.peer], bent)

    def _arrive(self, sender: Peer, to: Peer, message: Message) -> None:
        if isinstance(message, AttachmentAsk):
            sender.supervisor.spawn("serve", self._serve(sender, to, message))
        else:
            to.traffic.deliver(sender.me, message)

    async def _serve(self, sender: Peer, to: Peer, ask: AttachmentAsk) -> None:
        part = await to.traffic.serve(sender.me, ask)
        if part is not None:
            self.say(to, Say(sender.me, part))


class FileWorld:
    """A requester, a carrier, a steward, and a stranger of the same federation."""

    def __init__(self, folder: Path) -> None:
        self.wire = Wire()
        self.requester, self.carrier, self.steward, self.stranger = (
            Peer(folder, self.wire) for _ in range(4)
        )
        self.all = (self.requester, self.carrier, self.steward, self.stranger)
        self.wire.peers = {peer.me: peer for peer in self.all}
        self.grid = self.files_of(self.carrier, self.steward)

    def files_of(self, *readers: Peer, digests: tuple[Digest, ...] = (DIGEST,)) -> GridFiles:
        named = tuple((f"c{n}", digest) for n, digest in enumerate(digests))
        return GridFiles(KEY, GRID, named, tuple(peer.me for peer in readers))

    async def given(self) -> None:
        """The requester was given the file, and the grid is decided."""
        await self.requester.kept.keep(KEY, (FILE,))
        self.requester.given = [self.grid]
        self.carrier.needed = self.steward.needed = [self.grid]

    async def close(self) -> None:
        for peer in self.all:
            await peer.supervisor.close()
