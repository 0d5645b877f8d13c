"""Which peer is asked for which part of an image next: several at once, each with a window of its own.

What is fetched is cut into blocks: the summary, pages of leaves, chunks. A block is asked of one peer, in
pieces that fit in a frame, and is checked as a whole, so it is known who lied. A window counts pieces that are
on their way; it grows with each good block and halves when one is late (Jacobson 1988). When nothing is left to
ask for, what a slow peer has on its way is asked of a second one, and who is first counts (BitTorrent's end
game, Cohen 2003). A peer that is silent rests, longer each time. One that lies is out for good.

Pure: time is an argument, the bytes are checked and kept by the caller, who says what came of it. There is no
order among blocks but the one they are wanted in, so a fetch goes on from whatever is here.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import msgspec

from protocol.terms.ids import PeerId

PIECE_BYTES = 256 << 10
"""What one frame carries. It holds up a link of 10 Mbit/s for a fifth of a second."""
WINDOW_FIRST, WINDOW_MOST = 4, 8
"""Pieces on their way from one peer: 2 MiB. Three fetches from one peer fit in its lane of the inbox."""
FAST_S = 0.4
"""A window grows only while a block takes less. What takes longer waits in a queue, or in a relay's."""
PEERS_AT_ONCE = 6
"""Peers that are asked at once, the nearest ones. More would only make each of them slower."""
PIECE_WITHIN_S = 10.0
"""A piece is late after that: a link of 1 Mbit/s brings a window of four in 8 s."""
ASKED_MOST = 3
"""How often one piece is asked of one peer, before the block is asked of another."""
REST_S, REST_MOST_S = 15.0, 240.0
"""How long a silent peer is asked nothing. The second is the longest."""
ABSENT_S = 30.0
"""The same for one that does not have the image though it was said to: its advert may be old, or new."""
OVERTAKEN_AFTER_S = 0.5
"""A block that is on its way for less is not asked of a second peer."""
GIVE_UP_S = 60.0
"""A fetch without a single good block in that time ends with an error."""

NOBODY = "no live peer has it"


class ImagePiece(StrEnum):
    """What of an image is asked for."""

    SUMMARY = "summary"
    """The facts and the roots of all pages of leaves."""
    LEAVES = "leaves"
    """The digests of the chunks, one page of them."""
    CONTENT = "content"


class Block(msgspec.Struct, frozen=True):
    """What is asked of one peer and checked as a whole."""

    piece: ImagePiece
    offset: int
    """Where it begins in the content, or in the file of all leaves, in bytes."""
    size: int
    """In bytes. Of a summary: the most it may have."""


class Ask(msgspec.Struct, frozen=True):
    """One piece is to be asked of a peer."""

    peer: PeerId
    piece: ImagePiece
    offset: int
    length: int


class Whole(msgspec.Struct, frozen=True):
    """A block is here, unchecked. The caller answers with `good` or `wrong`."""

    peer: PeerId
    block: Block
    data: bytes


class Lied(msgspec.Struct, frozen=True):
    """A peer sent what no honest one sends. It is out."""

    peer: PeerId
    why: str


@dataclass
class _Getting:
    """A block on its way from one peer."""

    began_s: float
    left: deque[tuple[int, int]]
    """Pieces that are not asked for yet: offset and length."""
    asked: dict[int, tuple[int, float, int]] = field(default_factory=dict)
    """By offset: length, when it was asked last, how often."""
    came: dict[int, bytes] = field(default_factory=dict)

    @property
    def whole(self) -> bool:
        return not self.left and not self.asked


@dataclass
class _Source:
    """A peer that says it has the image."""

    window: float = float(WINDOW_FIRST)
    heard_s: float = 0.0
    """When it said something last, or was asked something while nothing was on its way."""
    getting: dict[Block, _Getting] = field(default_factory=dict)
    block_s: float = 0.0
    """How long a block takes from it, smoothed; 0: not known yet."""
    rests_until_s: float = 0.0
    rests: int = 0

    checking: int = 0
    """Pieces of its blocks that are here and were not checked yet."""

    @property
    def on_the_way(self) -> int:
        return sum(len(getting.asked) for getting in self.getting.values())

    @property
    def has_room(self) -> bool:
        """What is here of blocks that are not checked yet counts too, so that a liar costs no more than a
        window: at first one chunk."""
        here = sum(len(getting.came) for getting in self.getting.values())
        return here + self.on_the_way + self.checking < int(self.window)


class Fetching:
    """One fetch. `check` says whether it is in order."""

    def __init__(self, now: float) -> None:
        self._sources: dict[PeerId, _Source] = {}
        """The nearest first."""
        self._out: dict[PeerId, str] = {}
        """Who lied, and how."""
        self._troubles: dict[PeerId, str] = {}
        """Why others gave nothing, for people."""
        self._queue: deque[Block] = deque()
        self._checking: dict[Block, PeerId] = {}
        self._good_s = now
        """When the last block was good, or the first was wanted."""
        self.twice_bytes = 0
        """What came a second time, or for nothing."""

    # -- what there is to do

    def want(self, blocks: Iterable[Block], now: float) -> None:
        """Adds blocks. One that is wanted, on its way or in check already must not be added again."""
        if self.done:
            self._good_s = now  # While nothing was wanted, nothing could come.
        self._queue.extend(blocks)

    @property
    def waiting(self) -> int:
        """Blocks that nobody was asked for yet."""
        return len(self._queue)

    @property
    def done(self) -> bool:
        """Whether everything that was wanted is here and good."""
        busy = any(source.getting for source in self._sources.values())
        return not self._queue and not self._checking and not busy

    @property
    def peers(self) -> int:
        """How many peers have something on its way here."""
        return sum(1 for source in self._sources.values() if source.getting)

    def sources(self, peers: Sequence[PeerId]) -> None:
        """Who has the image now, the nearest first. What was asked of one that is gone is asked of another."""
        for peer in [peer for peer in self._sources if peer not in peers]:
            self._drop(self._sources.pop(peer))
        known = self._sources
        self._sources = {
            peer: known.get(peer) or _Source() for peer in peers if peer not in self._out
        }

    def hopeless(self, now: float) -> str:
        """Why the fetch cannot go on now; empty while it can."""
        if self._checking:
            return ""
        awake = any(s.getting or s.rests_until_s <= now for s in self._sources.values())
        if awake and now < self._good_s + GIVE_UP_S:
            return ""
        told = {**self._troubles, **self._out}
        if told:
            return "; ".join(f"{peer[:12]}: {why}" for peer, why in told.items())
        if awake:
            return f"nothing came within {GIVE_UP_S:.0f} s"
        return NOBODY

    # -- asking

    def asks(self, now: float) -> list[Ask]:
        """What is to be asked now."""
        asks: list[Ask] = []
        for peer, source in self._sources.items():
            if source.getting:
                asks += self._late(peer, source, now)
        for peer, source in self._active(now):
            while source.has_room:
                ask = self._next(peer, source, now)
                if ask is None:
                    break
                asks.append(ask)
        return asks

    def next_deadline(self, now: float) -> float:
        """When `asks` may have something to say though nothing came."""
        times = [now + 1.0]
        for source in self._sources.values():
            for getting in source.getting.values():
                times += [at_s + PIECE_WITHIN_S for _, at_s, _ in getting.asked.values()]
        return max(now, min(times))

    def _active(self, now: float) -> list[tuple[PeerId, _Source]]:
        awake = [(p, s) for p, s in self._sources.items() if s.rests_until_s <= now]
        return awake[:PEERS_AT_ONCE]

    def _next(self, peer: PeerId, source: _Source, now: float) -> Ask | None:
        for block, getting in source.getting.items():
            if getting.left:
                return self._ask(peer, source, block, getting, now)
        found = self._queue.popleft() if self._queue else self._overtake(peer, source, now)
        if found is None:
            return None
        ends = found.offset + found.size
        pieces = range(found.offset, ends, PIECE_BYTES)
        left = deque((offset, min(PIECE_BYTES, ends - offset)) for offset in pieces)
        getting = source.getting[found] = _Getting(now, left)
        return self._ask(peer, source, found, getting, now)

    def _ask(
        self, peer: PeerId, source: _Source, block: Block, getting: _Getting, now: float
    ) -> Ask:
        if not source.on_the_way:
            source.heard_s = now
        offset, length = getting.left.popleft()
        getting.asked[offset] = (length, now, 1)
        return Ask(peer, block.piece, offset, length)

    def _overtake(self, peer: PeerId, mine: _Source, now: float) -> Block | None:
        """A block that one other peer takes long to bring: the one that is on its way the longest."""
        patience_s = max(OVERTAKEN_AFTER_S, 2.0 * mine.block_s)
        slow: tuple[float, Block] | None = None
        for other, source in self._sources.items():
            for block, getting in source.getting.items() if other != peer else ():
                if getting.began_s + patience_s > now or self._askers(block) > 1:
                    continue
                if block not in self._checking and (slow is None or getting.began_s < slow[0]):
                    slow = (getting.began_s, block)
        return slow[1] if slow is not None else None

    def _askers(self, block: Block) -> int:
        return sum(1 for source in self._sources.values() if block in source.getting)

    def _late(self, peer: PeerId, source: _Source, now: float) -> list[Ask]:
        """Asks again for what is late, and gives up on a peer that is silent."""
        late = [
            (block, offset)
            for block, getting in source.getting.items()
            for offset, (_, at_s, _) in getting.asked.items()
            if at_s + PIECE_WITHIN_S <= now
        ]
        if not late:
            return []
        source.window = max(1.0, source.window / 2)
        most = max(source.getting[block].asked[offset][2] for block, offset in late)
        if source.heard_s + PIECE_WITHIN_S <= now or most >= ASKED_MOST:
            self._rest(peer, source, "does not answer", now)
            return []
        asks: list[Ask] = []
        for block, offset in late[: int(source.window)]:
            length, _, times = source.getting[block].asked[offset]
            source.getting[block].asked[offset] = (length, now, times + 1)
            asks.append(Ask(peer, block.piece, offset, length))
        return asks

    def _rest(self, peer: PeerId, source: _Source, why: str, now: float) -> None:
        self._drop(source)
        self._troubles[peer] = why
        source.rests_until_s = now + min(REST_S * 2.0**source.rests, REST_MOST_S)
        source.rests += 1

    def _drop(self, source: _Source) -> None:
        """What a peer has on its way is asked of others, before everything else."""
        dropped, source.getting = source.getting, {}
        for block in reversed(dropped):
            self._again(block)

    def _again(self, block: Block) -> None:
        if not self._askers(block) and block not in self._checking:
            self._queue.appendleft(block)

    # -- hearing

    def heard(
        self, peer: PeerId, piece: ImagePiece, offset: int, total: int, data: bytes, now: float
    ) -> Whole | Lied | None:
        """A piece came. What was not asked for is ignored: it may be an answer that was late."""
        source = self._sources.get(peer)
        found = _asked(source, piece, offset) if source is not None else None
        if source is None or found is None:
            self.twice_bytes += len(data)
            return None
        block, getting = found
        source.heard_s = now
        if total < 0:
            self._rest(peer, source, "does not have it", now)
            source.rests_until_s = now + ABSENT_S
            return None
        length = getting.asked[offset][0]
        least = 1 if piece is ImagePiece.SUMMARY else length
        if not least <= len(data) <= length:
            why = f"sent {len(data)} bytes where {length} were asked for"
            self._expel(peer, why)
            return Lied(peer, why)
        del getting.asked[offset]
        getting.came[offset] = data
        if not getting.whole:
            return None
        del source.getting[block]
        if block in self._checking:
            self.twice_bytes += block.size
            return None
        took_s = now - getting.began_s
        source.block_s = took_s if not source.block_s else 0.8 * source.block_s + 0.2 * took_s
        self._checking[block] = peer
        source.checking += _pieces(block)
        return Whole(peer, block, b"".join(getting.came[at] for at in sorted(getting.came)))

    def good(self, block: Block, now: float) -> None:
        """A block was right, and is kept."""
        peer = self._checking.pop(block)
        self._good_s = now
        for source in self._sources.values():
            if (getting := source.getting.pop(block, None)) is not None:
                self.twice_bytes += sum(map(len, getting.came.values()))
        giver = self._sources.get(peer)
        if giver is not None:
            giver.checking = max(0, giver.checking - _pieces(block))
            if block.piece is ImagePiece.CONTENT:
                more = 1.0 if giver.block_s < FAST_S else -1.0
                giver.window = min(max(giver.window + more, 1.0), float(WINDOW_MOST))
                if giver.block_s >= FAST_S:
                    giver.window = min(giver.window, float(WINDOW_FIRST))
            giver.rests = 0
            self._troubles.pop(peer, None)

    def wrong(self, block: Block, why: str) -> Lied | None:
        """A block was not what the image has there. Who sent it is out, and another is asked.

        None if it was out before.
        """
        peer = self._checking.pop(block)
        self.twice_bytes += block.size
        known = peer in self._out
        self._expel(peer, why)
        self._again(block)
        return None if known else Lied(peer, why)

    def _expel(self, peer: PeerId, why: str) -> None:
        self._out[peer] = why
        source = self._sources.pop(peer, None)
        if source is not None:
            self._drop(source)

    # -- in order

    def check(self) -> None:
        """Nothing is wanted twice, nor lost; windows are kept. Cheap enough for every step of a test."""
        assert len(set(self._queue)) == len(self._queue)
        for source in self._sources.values():
            assert source.on_the_way <= WINDOW_MOST
            for block, getting in source.getting.items():
                assert block not in self._queue
                assert not getting.whole
        assert not any(peer in self._out for peer in self._sources)


def _pieces(block: Block) -> int:
    return -(-block.size // PIECE_BYTES)


def _asked(source: _Source, piece: ImagePiece, offset: int) -> tuple[Block, _Getting] | None:
    for block, getting in source.getting.items():
        if block.piece is piece and offset in getting.asked:
            return block, getting
    return None
