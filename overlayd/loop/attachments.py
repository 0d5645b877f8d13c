"""Files that grids name, between peers: asked for where they are missing, given to who carries the grid.

What is here is compared with what is needed, now and then and when something waits for it. A file that is
missing is asked of the peer that offers it, of the grid's stewards and of its other hosts, one after the other,
until one has it; and again, after longer and longer pauses. Each piece is sealed for who asks, and the whole is
checked against its digest, so nobody on the way can read it and nobody can put another in its place.

Nothing of a file is in a log line; what it is called there is its digest.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable
from math import inf
from time import monotonic
from typing import Protocol, assert_never

import msgspec

from overlayd.ports.attachments import AttachmentError, Attachments
from overlayd.telemetry.logs import logger
from overlayd.telemetry.supervisor import Supervisor
from protocol.grid.limits import ATTACHMENT_BYTES_MAX
from protocol.node.events import Say
from protocol.node.messages import AttachmentAsk, AttachmentOffer, AttachmentPart
from protocol.node.rows import GridFiles
from protocol.terms.allowance import Allowance
from protocol.terms.ids import Digest, GridId, PeerId, digest_of, short_hash

PIECE_BYTES = 256 << 10
LOOK_EVERY_S = 10.0
"""How often it is looked at what is missing and what is left over. What waits for a file says so at once."""
PART_WITHIN_S = 5.0
ASK_AGAIN_S, ASK_AGAIN_MOST_S = 1.0, 30.0
OFFER_AGAIN_S, OFFER_AGAIN_MOST_S = 1.0, 600.0
KEPT_FOR_S = 600.0
"""How long what nobody names is kept: an order is on its way through the inbox, or a register is."""
SETTLES_S = 5.0
"""How long what is named no more is kept: a host that has just begun tells its node what it finds."""
AT_ONCE = 4
"""Files that are fetched at once."""
OFFERERS = 4
"""Peers that are remembered for one order because they offer its files."""
EARLY = 64
"""Offers that may be of something that is needed since it was looked last."""
LOOKS_APART_S = 0.25
"""At least so long between two looks, however many ask for one."""
ASKERS_MOST = 4096
ASKS, ASKS_PER_S = 128, 16.0
"""So many pieces one peer may ask for at once, and so many more each second: all files of two large grids."""


class Files(Protocol):
    """What the node says of files (PeerView)."""

    @property
    def me(self) -> PeerId:
        """This peer."""

    def files(self) -> list[GridFiles]:
        """The grids whose files must be here."""

    def given_files(self) -> list[GridFiles]:
        """The grids whose files were given here."""

    def readers(self, key: str, digest: str) -> tuple[PeerId, ...]:
        """Who may have a file."""

    def file_keys(self) -> set[str]:
        """What files are to be kept by."""


class Boxes(Protocol):
    """Seals pieces for one peer each."""

    def seal(self, to: PeerId, plain: bytes) -> bytes | None:
        """A box for `to`; None if `to` is no key."""

    def open(self, box: bytes) -> bytes | None:
        """What is in a box; None if it is not for this peer."""


class _Pause(msgspec.Struct):
    """When something is done again, by the machine's clock, and how long the pause is then."""

    at_s: float
    pause_s: float


class AttachmentTraffic:
    """The files of this host for others, and other hosts' files for this one."""

    def __init__(
        self,
        view: Files,
        kept: Attachments,
        boxes: Boxes,
        supervisor: Supervisor,
        say: Callable[[Say], None],
        came: Callable[[GridId], None],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """`came` hears of each grid of which a file has come."""
        self._view, self._kept, self._boxes = view, kept, boxes
        self._supervisor, self._say, self._came, self._clock = supervisor, say, came, clock
        self._waiting: dict[tuple[PeerId, str, int], asyncio.Future[AttachmentPart]] = {}
        self._fetching: set[tuple[str, Digest]] = set()
        self._again: dict[tuple[str, Digest], _Pause] = {}
        self._offers: dict[GridId, _Pause] = {}
        self._needed: set[str] = set()
        """The keys that something was needed of when it was looked last."""
        self._early: dict[str, PeerId] = {}
        """Offers by keys of which nothing was needed then."""
        self._offerers: dict[str, dict[PeerId, None]] = {}
        # What was given to an earlier life and is on its way nowhere is left over: its order is lost, too.
        self._named = set(kept.kept())
        self._unnamed_s: dict[str, float] = {}
        self._allowed = Allowance(float(ASKS), ASKS_PER_S, ASKERS_MOST)
        self._asked = 0
        self._kick = asyncio.Event()
        self.counts: Counter[str] = Counter()

    # -- what is missing

    async def run(self) -> None:
        """Looks for ever."""
        while True:
            self._kick.clear()
            await self.look()
            await asyncio.sleep(LOOKS_APART_S)
            due_s = [pause.at_s for pause in (*self._again.values(), *self._offers.values())]
            left_s = min(due_s, default=inf) - self._clock()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(max(left_s, ASK_AGAIN_S), LOOK_EVERY_S)):
                    await self._kick.wait()

    def wake(self) -> None:
        """Something waits for a file, or a file was given here."""
        self._kick.set()

    async def look(self) -> None:
        """Compares what is here with what is needed, once: asks, offers, and clears away."""
        needed = self._view.files()
        self._needed = {files.key for files in needed}
        early, self._early = self._early, {}
        for key, peer in early.items():
            if key in self._needed:
                self._offered(peer, key)
        for files in needed:
            for digest in files.digests:
                if not self._kept.has(files.key, digest):
                    self._fetch_soon(files, digest)
        missing = {(f.key, d) for f in needed for d in f.digests if not self._kept.has(f.key, d)}
        self._again = {each: pause for each, pause in self._again.items() if each in missing}
        self._offer()
        await self._clear()

    def _fetch_soon(self, files: GridFiles, digest: Digest) -> None:
        each = (files.key, digest)
        pause = self._again.setdefault(each, _Pause(0.0, ASK_AGAIN_S))
        if each in self._fetching or self._clock() < pause.at_s or len(self._fetching) >= AT_ONCE:
            return
        self._fetching.add(each)
        work = self._supervisor.spawn(f"attachment {digest[:12]}", self._fetch(files, digest))
        work.add_done_callback(lambda _: self._fetching.discard(each))

    async def _fetch(self, files: GridFiles, digest: Digest) -> None:
        offerers = self._offerers.get(files.key, {})
        sources = [p for p in dict.fromkeys((*offerers, *files.readers)) if p != self._view.me]
        for peer in sources:
            content = await self._fetch_from(peer, files.key, digest)
            if content is None:
                continue
            try:
                await self._kept.keep(files.key, (content,))
            except AttachmentError as error:
                logger().error("attachment.not-kept", digest=digest[:12], why=str(error))
                break
            self._again.pop((files.key, digest), None)
            self._came(files.grid)
            return
        pause = self._again.setdefault((files.key, digest), _Pause(0.0, ASK_AGAIN_S))
        pause.at_s = self._clock() + pause.pause_s
        pause.pause_s = min(2 * pause.pause_s, ASK_AGAIN_MOST_S)

    async def _fetch_from(self, peer: PeerId, key: str, digest: Digest) -> bytes | None:
        """A file from one peer; None if it has none for this one, or sends something else."""
        content = b""
        while True:
            part = await self._part(peer, key, digest, len(content))
            if part is None or not 0 < part.total_bytes <= ATTACHMENT_BYTES_MAX:
                return None
            piece = self._boxes.open(part.box)
            # Each piece but the last is whole: one who sends a byte at a time would keep all others waiting.
            due_bytes = min(PIECE_BYTES, part.total_bytes - len(content))
            if piece is None or not piece or len(piece) != due_bytes:
                self.counts["attachments-wrong"] += 1
                return None
            content += piece
            if len(content) == part.total_bytes:
                break
        if digest_of(content) != digest:
            self.counts["attachments-wrong"] += 1
            logger().warning("attachment.wrong", peer=peer[:12], digest=digest[:12])
            return None
        return content

    async def _part(
        self, peer: PeerId, key: str, digest: Digest, offset: int
    ) -> AttachmentPart | None:
        self._asked += 1
        session = short_hash(str(self._asked), self._view.me, digits=16)
        future: asyncio.Future[AttachmentPart] = asyncio.get_running_loop().create_future()
        self._waiting[peer, session, offset] = future
        try:
            self._say(Say(peer, AttachmentAsk(session, key, digest, offset)))
            async with asyncio.timeout(PART_WITHIN_S):
                return await future
        except TimeoutError:
            return None
        finally:
            self._waiting.pop((peer, session, offset), None)

    # -- what others say

    def deliver(self, peer: PeerId, message: AttachmentOffer | AttachmentPart) -> None:
        """An offer or a piece came. What nobody waits for, or not from that peer, is ignored."""
        match message:
            case AttachmentPart():
                waiting = self._waiting.pop((peer, message.session, message.offset), None)
                if waiting is not None and not waiting.done():
                    waiting.set_result(message)
            case AttachmentOffer(key=key):
                self._offered(peer, key)
            case _:
                assert_never(message)

    def _offered(self, peer: PeerId, key: str) -> None:
        if key not in self._needed:
            # What is needed now is looked up once for many: an offer costs nothing to send, and is said again.
            if len(self._early) < EARLY:
                self._early[key] = peer
                self.wake()
            return
        missing = [each for each in self._again if each[0] == key]
        offerers = self._offerers.setdefault(key, {})
        if peer not in offerers and len(offerers) < OFFERERS:
            offerers[peer] = None
            for each in missing:
                self._again[each] = _Pause(0.0, ASK_AGAIN_S)
            self.wake()

    async def serve(self, peer: PeerId, ask: AttachmentAsk) -> AttachmentPart | None:
        """A piece for a peer that carries the grid or keeps its record; None for one that asks too often."""
        if not self._allowed.take(peer, self._clock()):
            self.counts["attachment-asks-dropped"] += 1
            return None
        none = AttachmentPart(ask.session, ask.digest, ask.offset, -1, b"")
        if not self._kept.has(ask.key, ask.digest):
            return none
        if peer not in self._view.readers(ask.key, ask.digest):
            self.counts["attachment-asks-refused"] += 1
            return none
        content = await self._kept.read(ask.key, ask.digest)
        if content is None or not 0 <= ask.offset < len(content):
            return none
        piece = content[ask.offset : ask.offset + PIECE_BYTES]
        box = await asyncio.to_thread(self._boxes.seal, peer, piece)
        if box is None:
            return none
        return AttachmentPart(ask.session, ask.digest, ask.offset, len(content), box)

    # -- what was given here

    def _offer(self) -> None:
        given = {files.grid: files for files in self._view.given_files()}
        now = self._clock()
        for grid, files in given.items():
            pause = self._offers.setdefault(grid, _Pause(now, OFFER_AGAIN_S))
            if now < pause.at_s:
                continue
            for peer in files.readers:
                if peer != self._view.me:
                    self._say(Say(peer, AttachmentOffer(files.key)))
            pause.at_s = now + pause.pause_s
            pause.pause_s = min(2 * pause.pause_s, OFFER_AGAIN_MOST_S)
        self._offers = {grid: pause for grid, pause in self._offers.items() if grid in given}

    async def _clear(self) -> None:
        """Removes what no grid, request or quote here names any more, or, if none did so far, for a while."""
        now, named = self._clock(), self._view.file_keys()
        self._offerers = {
            key: peers for key, peers in self._offerers.items() if key in self._needed
        }
        unnamed = [key for key in self._kept.kept() if key not in named]
        self._unnamed_s = {key: self._unnamed_s.get(key, now) for key in unnamed}
        for key in unnamed:
            was_s = now - self._unnamed_s[key]
            if was_s > KEPT_FOR_S or (key in self._named and was_s > SETTLES_S):
                logger().info("attachments.removed", key=key)
                await self._kept.remove(key)
                del self._unnamed_s[key]
        self._named = (self._named | named) & set(self._kept.kept())
