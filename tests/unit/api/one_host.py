"""A peer alone in its federation: a real node behind a small LocalPeer, with its machines played.

Nothing leaves the process. `builds` plays the realiser: what is wanted is there at once. Without it, tests feed
Progressed by hand.
"""

import asyncio
import io
import json
import tarfile
import time
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any, ClassVar

import msgspec

from overlayd.adapters.attachments import DirectoryAttachments
from overlayd.adapters.audit_log import DirectoryAuditLog
from overlayd.adapters.credentials import add_site, create_federation, enrol_host, load_host
from overlayd.adapters.nacl_keys import NaclSealer, NaclVerifier
from overlayd.config.values import Name
from overlayd.fakes.images import FakeImages
from overlayd.loop.usage_asks import UsageAsks
from overlayd.ports.images import Collected, labels_of
from overlayd.ports.peer import Busy, EventLine, Pipe, StreamOver
from overlayd.ports.usage import UsageFault
from overlayd.realise.image_cache import ImageCache
from protocol.capacity.advert import HostFacts
from protocol.capacity.quantum import Quantum
from protocol.grid.lifecycle import Phase, Power, Wanted
from protocol.hosting.events import Cleared, Progressed
from protocol.image.commit import CommitStage, CommitView
from protocol.node.events import Arrived, Event, ImagesChanged, Say, Started, Ticked
from protocol.node.messages import CommitTold, ConsoleText, PathsTold, UsageTold
from protocol.node.node import Node
from protocol.node.snapshot import PeerView
from protocol.policy.receipts import Receipt, SignedReceipt, sign_receipt
from protocol.requesting.visiting import VisitRow
from protocol.stream.messages import Why
from protocol.terms.effects import Audit, Note, Persist, Realise, Send
from protocol.terms.ids import GridId, PeerId
from protocol.trust.identity import Identity
from protocol.trust.order import Order, SignedOrder, read_order
from protocol.trust.signing import Signer

INBOX = 256
FACTS = HostFacts(
    capacity=Quantum(4000, 4 << 30, 20 << 30),
    architecture="x86_64",
    driver="test",
    accelerator="test",
    accelerator_why="no guest runs here",
    underlay="192.0.2.1",
    encrypts=False,
    tunnel_port=7700,
)


class EchoPipe:
    """A stream to a workspace that says again what it is told, until `breaks` says that it is over."""

    def __init__(self) -> None:
        self.told = b""
        self.breaks = asyncio.Event()
        self.closed: list[Why] = []
        self._ready = asyncio.Event()
        self._over = asyncio.Event()
        self._said = b""
        self._ended = False

    async def read(self) -> bytes:
        while not self._said:
            if self._ended:
                return b""
            await self._turn()
        said, self._said = self._said, b""
        return said

    def freed(self, size_bytes: int) -> None:
        pass

    async def write(self, data: bytes) -> None:
        self.told += data
        self._said += data
        self._ready.set()

    def end(self) -> None:
        self._ended = True
        self._ready.set()
        self._over.set()

    def close(self, why: Why, detail: str) -> None:
        self.closed.append(why)
        self._over.set()

    async def wait_over(self) -> None:
        await self._over.wait()

    async def _turn(self) -> None:
        self._ready.clear()
        ready = asyncio.ensure_future(self._ready.wait())
        breaks = asyncio.ensure_future(self.breaks.wait())
        await asyncio.wait((ready, breaks), return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        breaks.cancel()
        if self.breaks.is_set():
            raise StreamOver(Why.ENDED, "its lease has ended")


class PlayedView(PeerView):
    """The view of a peer whose attachments to networks are played."""

    rows: ClassVar[list[VisitRow]] = []

    def visits(self) -> list[VisitRow]:
        return self.rows


class Counted:
    """Usage as a test has it."""

    def __init__(self, signer: Signer) -> None:
        self.signer, self.full = signer, False
        self.receipts: list[Receipt] = []
        self.open: list[Receipt] = []

    async def signed(self, since_s: float) -> list[SignedReceipt]:
        if self.full:
            raise UsageFault("usage.sqlite: the disk is gone")
        return [sign_receipt(r, self.signer) for r in self.receipts if r.until_s > since_s]

    def running(self) -> list[Receipt]:
        return self.open


class OneHost:
    """A LocalPeer whose node is real."""

    def __init__(self, folder: Path, builds: bool = True) -> None:
        create_federation(folder / "federation")
        self.site_dir = add_site(folder / "federation", "ams")
        self.other_site_dir = add_site(folder / "federation", "uc")
        made = load_host(enrol_host(self.site_dir, "h1"))
        identity = Identity(
            signer=made.identity,
            verifier=NaclVerifier(),
            sealer=NaclSealer(made.identity),
            chain=made.chain,
            federation=made.federation,
            name="h1",
            site="ams",
            address="192.0.2.1:7700",
        )
        self.node = Node(identity, FACTS, (), (), {}, Random(7), time.time())
        self.view = PeerView(self.node)
        self.images = FakeImages()
        self.attachments = DirectoryAttachments(folder / "attachments")
        self.builds = builds
        self.full = False
        self.still = False
        """Whether hosts are silent and no deadline comes, so that whatever is asked stays where it is."""
        self.waiting = 0
        self.console_says = ConsoleText("", 0, b"", "")
        self.console_asked: list[tuple[int, bytes]] = []
        self.connected: list[Order] = []
        self.stream_refused: StreamOver | None = None
        self.echo = EchoPipe()
        self.cards: dict[tuple[str, str], str] = {}
        self.commits_asked: list[SignedOrder] = []
        self.commit_told = [CommitTold("", CommitView(CommitStage.WAITS), "")]
        """What is told of a commit, time after time; the last goes on for ever."""
        self.paths_told: dict[PeerId, PathsTold] = {}
        """What hosts tell of their paths, in place of what this one knows."""
        self.store: dict[tuple[str, str], bytes | None] = {}
        self.audit_log = DirectoryAuditLog(folder / "audit", made.identity, NaclVerifier())
        self._audits: list[Audit] = []
        self._writing: list[asyncio.Task[None]] = []
        self.usage = Counted(made.identity)
        self.said: list[Say] = []
        self._inbox: asyncio.Queue[Event] = asyncio.Queue(INBOX)
        self._lines: list[EventLine] = []
        self._news = asyncio.Event()

    def play(self) -> tuple[PlayedView, list[Event]]:
        """From now on what this host is attached to is as the view's rows say, and the node hears nothing more.

        Answers the view, and the events that it would hear.
        """
        view, heard = PlayedView(self.node), list[Event]()
        self.view = view
        self.submit = heard.append  # type: ignore[method-assign]  # heard
        return view, heard

    # -- LocalPeer

    def now(self) -> float:
        return time.time()

    def submit(self, event: Event) -> None:
        if self.full:
            raise Busy
        self._inbox.put_nowait(event)

    def events(self, since: int) -> list[EventLine]:
        return [line for line in self._lines if line.seq > since]

    async def events_after(self, since: int, timeout_s: float) -> list[EventLine]:
        self.waiting += 1
        try:
            async with asyncio.timeout(timeout_s):
                while not (lines := self.events(since)):
                    await self._news.wait()
            return lines
        except TimeoutError:
            return []
        finally:
            self.waiting -= 1

    async def images_changed(self) -> None:
        self.submit(ImagesChanged(labels_of(await self.images.list())))

    async def collect_images(self, limit_bytes: int | None, need_bytes: int = 0) -> Collected:
        limit = 50 << 30 if limit_bytes is None else limit_bytes
        users = self.view.image_users
        left: Any = SimpleNamespace(left=list)
        cache = ImageCache(self.images, left, users, tuple, self.images_changed, limit)
        return await cache.collect(limit_bytes, need_bytes)

    async def console(
        self, peer: PeerId, order: SignedOrder, offset: int, keys: bytes
    ) -> ConsoleText:
        assert peer == self.node.me
        self.console_asked.append((offset, keys))
        said = self.console_says
        return msgspec.structs.replace(said, offset=offset, data=said.data[offset:])

    async def connect(self, peer: PeerId, order: SignedOrder) -> Pipe:
        assert peer == self.node.me
        self.connected.append(read_order(order))
        if self.stream_refused is not None:
            raise self.stream_refused
        return self.echo

    async def commit(self, peer: PeerId, order: SignedOrder) -> CommitTold:
        assert peer == self.node.me
        self.commits_asked.append(order)
        return self.commit_told.pop(0) if self.commit_told[1:] else self.commit_told[0]

    async def paths(self, peer: PeerId, grid: GridId) -> PathsTold:
        return self.paths_told.get(peer) or PathsTold("", self.view.paths(grid) or (), "")

    async def usage_of(self, peer: PeerId, since_s: float) -> UsageTold:
        assert peer == self.node.me
        return await UsageAsks(peer, self.usage, lambda _: True, self.said.append, self.now).ask(
            peer, since_s
        )

    def metrics(self) -> bytes:
        return b"overlayd_peers 1\n"

    # -- the loop

    async def run(self) -> None:
        self._step(Started())
        while True:
            deadline = self.node.next_deadline()
            left_s = max(0.0, deadline.at_s - self.now()) if deadline is not None else None
            left_s = None if self.still else left_s
            try:
                async with asyncio.timeout(left_s):
                    event = await self._inbox.get()
            except TimeoutError:
                event = Ticked()
            self._step(event)
            if self._audits:
                self._write([(self.now(), audit) for audit in self._audits])
                self._audits.clear()

    def _write(self, decisions: list[tuple[float, Audit]]) -> None:
        """Has them in the log in a moment; the node goes on meanwhile."""
        writing = asyncio.create_task(self.audit_log.add(decisions))
        self._writing.append(writing)
        writing.add_done_callback(self._writing.remove)

    def _step(self, event: Event) -> None:
        for effect in self.node.handle(event, self.now()):
            match effect:
                case Send(peer=peer) if self.still or peer != self.node.me:
                    pass
                case Send(peer=peer, message=message, cause=cause):
                    self._inbox.put_nowait(Arrived(peer, message, cause))
                case Persist(rows=rows):
                    self.store |= {(row.table, row.key): row.value for row in rows}
                case Note(kind=kind, subject=subject, detail=detail, cause=cause):
                    self.tell(kind, subject, detail, cause)
                case Audit():
                    self._audits.append(effect)
                case Realise(grid=grid) if self.builds:
                    self._build(GridId(grid))
        self.node.check()

    def tell(self, kind: str, subject: str, detail: str = "", cause: str = "") -> None:
        """One more event."""
        seq = len(self._lines) + 1
        host = Name("h1")  # as the configuration has it, which is not quite a str
        self._lines.append(EventLine(seq, self.now(), kind, subject, detail, cause, host))
        self._news.set()
        self._news = asyncio.Event()

    def progress(self, grid: GridId, phase: Phase, detail: str = "") -> None:
        """All workspaces of a grid reach that phase."""
        row = self.node.host.leases.row(grid)
        assert row is not None
        for wanted in row.wanted:
            self._inbox.put_nowait(
                Progressed(grid, wanted.workspace, phase, detail, wanted.boot, True)
            )

    def _build(self, grid: GridId) -> None:
        row = self.node.host.leases.row(grid)
        for wanted in row.wanted if row is not None else ():
            for phase in _phases(wanted):
                self._inbox.put_nowait(
                    Progressed(grid, wanted.workspace, phase, "", wanted.boot, True)
                )
        self._inbox.put_nowait(Cleared(grid))


def _phases(wanted: Wanted) -> tuple[Phase, ...]:
    match wanted.power:
        case Power.RUNNING:
            return Phase.IMAGE, Phase.BOOTING, Phase.READY
        case Power.PAUSED:
            return (Phase.PAUSED,)
        case Power.OFF:
            return (Phase.EXPIRED,)
        case Power.GONE:
            return Phase.ENDING, Phase.GONE


def image_file(path: Path, name: str = "guest", cmdline: str = "console=ttyS0") -> Path:
    """A small image, as scripts/build-image makes large ones."""
    manifest = {
        "name": name,
        "architecture": "x86_64",
        "kernel": "vmlinuz",
        "initrd": "initrd.img",
        "cmdline": cmdline,
        "format": 1,
    }
    parts = {
        "image.json": json.dumps(manifest).encode(),
        "vmlinuz": b"kernel",
        "initrd.img": b"initrd",
    }
    with tarfile.open(path, "w") as archive:
        for part, content in parts.items():
            member = tarfile.TarInfo(part)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path
