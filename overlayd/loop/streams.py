"""Streams to ports of workspaces: asked of other hosts for people here, and served for people elsewhere.

The host that carries the workspace checks the order itself, opens the connection inside the grid network's
namespace, and looks once a second whether what allowed the stream still holds. What a peer asks beyond its
limits, or against the rules, ends its own streams and nobody else's.
"""

import asyncio
import secrets
from collections import Counter
from collections.abc import Callable
from typing import Protocol

import msgspec

from overlayd.loop.carrying import Door, carry
from overlayd.loop.stream import Stream
from overlayd.ports.network import Network
from overlayd.ports.peer import StreamOver
from overlayd.telemetry.supervisor import Supervisor
from protocol.node.events import Event, Garbled, Say
from protocol.node.rows import NoStream, StreamWay
from protocol.stream.admission import Admission
from protocol.stream.end import End
from protocol.stream.limits import (
    STREAM_CHECK_S,
    STREAM_OPEN_EVERY_S,
    STREAM_OPEN_WITHIN_S,
    STREAMS_ENDED,
    STREAMS_FROM_HERE,
)
from protocol.stream.messages import (
    DETAIL_CHARACTERS,
    Flow,
    StreamClose,
    StreamCredit,
    StreamData,
    StreamMessage,
    StreamOpen,
    Why,
)
from protocol.stream.outgoing import Overrun
from protocol.terms.ids import PeerId
from protocol.trust.order import SignedOrder
from protocol.trust.signing import Untrusted

OVERRUN = "stream-overrun"
_SESSION_BYTES = 8
_LOOKS = 8
"""How many streams are looked at before the loop gets a turn."""

_Key = tuple[PeerId, str, bool]
"""The other end's peer, the session, and whether this end is the one that carries."""


class Ways(Protocol):
    """Where orders lead, as the node says it."""

    def stream_way(
        self, order: SignedOrder, via: PeerId, now: float, kept: StreamWay | None = None
    ) -> StreamWay:
        """Raises Untrusted or NoStream."""

    def is_gone(self, peer: PeerId) -> bool:
        """Whether that peer is believed dead, or has left."""


class _Served(msgspec.Struct, frozen=True):
    """A stream that this host carries, and by what right."""

    stream: Stream
    way: StreamWay
    order: SignedOrder


class Streams:
    """This host's ends of streams."""

    def __init__(
        self,
        me: PeerId,
        ways: Ways,
        network: Network,
        supervisor: Supervisor,
        tell: Callable[[Event], None],
        now: Callable[[], float],
    ) -> None:
        self._me, self._ways, self._network = me, ways, network
        self._supervisor, self._tell, self._now = supervisor, tell, now
        self._streams: dict[_Key, Stream] = {}
        self._served: dict[_Key, _Served] = {}
        self._opening: dict[_Key, asyncio.Task[None]] = {}
        self._ended: dict[_Key, StreamCredit] = {}
        """What ends that are over still answer, the newest last."""
        self.admission = Admission()
        self._watching: asyncio.Task[None] | None = None
        self.counts: Counter[str] = Counter()

    # -- asking

    async def ask(self, peer: PeerId, order: SignedOrder) -> Stream:
        """A stream to where the order leads on `peer`, once that has opened it. Raises StreamOver."""
        if sum(not back for _, _, back in self._streams) >= STREAMS_FROM_HERE:
            said = f"{STREAMS_FROM_HERE} streams are open through this peer already"
            raise StreamOver(Why.BUSY, said)
        session = secrets.token_hex(_SESSION_BYTES)
        stream = self._stream(peer, session, back=False)
        self._watch()
        try:
            async with asyncio.timeout(STREAM_OPEN_WITHIN_S):
                while not stream.opened:
                    stream.raise_if_broken()
                    self._say(peer, StreamOpen(session, order))
                    await _turned(stream, STREAM_OPEN_EVERY_S)
        except TimeoutError:
            said = "its host does not answer; `overlayctl peers`"
            stream.close(Why.SILENT, said)
            raise StreamOver(Why.SILENT, said) from None
        except BaseException:
            stream.close(Why.RESET, "nobody waits for it any more")
            raise
        return stream

    # -- what arrives

    def take(self, peer: PeerId, message: StreamMessage) -> None:
        """One message of a peer."""
        if isinstance(message, StreamOpen):
            self._asked(peer, message)
            return
        key = (peer, message.session, not message.back)
        stream = self._streams.get(key)
        if stream is not None:
            try:
                stream.handle(message)
            except Overrun as error:
                self._overrun(peer, message, str(error))
        elif key in self._opening:
            if isinstance(message, StreamClose):
                self._opening[key].cancel()
        elif key in self._ended:
            if isinstance(message, StreamData):
                self._say(peer, self._ended[key])
        elif not isinstance(message, StreamClose):
            said = "it is not known there any more; its daemon began anew, perhaps"
            self._say(peer, StreamClose(message.session, not message.back, Why.UNKNOWN, said))

    def _overrun(self, peer: PeerId, message: Flow, how: str) -> None:
        """The peer broke a rule that no honest one can break: its stream is over, and it has a fault."""
        self.counts[OVERRUN] += 1
        self._say(peer, StreamClose(message.session, not message.back, Why.BROKEN, how))
        if peer != self._me:
            self._tell(Garbled(peer, OVERRUN))

    def _asked(self, peer: PeerId, ask: StreamOpen) -> None:
        key = (peer, ask.session, True)
        if (stream := self._streams.get(key)) is not None:
            stream.greet()
        elif key in self._ended:
            self._say(peer, self._ended[key])
        elif key not in self._opening:
            if not self.admission.may_ask(peer, self._now()):
                self.counts["stream-opens-dropped"] += 1
                return
            task = self._supervisor.spawn("stream", self._serve(key, ask.order))
            self._opening[key] = task
            task.add_done_callback(lambda _: self._opening.pop(key, None))

    # -- carrying

    async def _serve(self, key: _Key, order: SignedOrder) -> None:
        """Carries one stream from the asking to its end."""
        peer, session, _ = key
        try:
            way = self._ways.stream_way(order, peer, self._now())
        except (NoStream, Untrusted) as error:
            why = error.why if isinstance(error, NoStream) else Why.REFUSED
            self._refuse(key, why, str(error))
            return
        if busy := self.admission.take(way.carried):
            self._refuse(key, Why.BUSY, busy)
            return
        try:
            async with Door(self._network, way) as door:
                stream = self._stream(peer, session, back=True)
                self._opening.pop(key, None)
                self._served[key] = _Served(stream, way, order)
                self._watch()
                stream.greet()
                await carry(stream, door)
        except StreamOver as error:
            if key not in self._served:
                self._refuse(key, error.why, str(error))
        finally:
            self._served.pop(key, None)
            self.admission.give_back(way.carried)

    def _refuse(self, key: _Key, why: Why, text: str) -> None:
        peer, session, _ = key
        self._say(peer, StreamClose(session, True, why, text[:DETAIL_CHARACTERS]))

    def _watch(self) -> None:
        if self._watching is None or self._watching.done():
            self._watching = self._supervisor.spawn("streams", self._look())

    async def _look(self) -> None:
        """Closes what may not stay open, as long as anything is."""
        while self._streams:
            await asyncio.sleep(STREAM_CHECK_S)
            for (peer, _, back), stream in list(self._streams.items()):
                if not back and self._ways.is_gone(peer):
                    stream.close(Why.SILENT, "the host of the workspace is gone")
            for number, (key, served) in enumerate(list(self._served.items())):
                if number % _LOOKS == _LOOKS - 1:
                    await asyncio.sleep(0)
                try:
                    self._ways.stream_way(served.order, key[0], self._now(), served.way)
                except NoStream as error:
                    served.stream.close(error.why, str(error))
                except Untrusted as error:
                    served.stream.close(Why.REFUSED, str(error))

    # -- parts

    def _stream(self, peer: PeerId, session: str, *, back: bool) -> Stream:
        key = (peer, session, back)
        stream = self._streams[key] = Stream(
            End(session, back, self._now()),
            lambda message: self._say(peer, message),
            self._now,
            lambda: sum(other == peer for other, _, _ in self._streams),
            lambda over: self._over(key, over),
        )
        return stream

    def _over(self, key: _Key, stream: Stream) -> None:
        self._streams.pop(key, None)
        if (credit := stream.farewell()) is not None:
            self._ended[key] = credit
            if len(self._ended) > STREAMS_ENDED:
                del self._ended[next(iter(self._ended))]

    def _say(self, peer: PeerId, message: StreamMessage) -> None:
        self._tell(Say(peer, message))


async def _turned(stream: Stream, within_s: float) -> None:
    """Waits for a change of the stream, but only so long."""
    try:
        async with asyncio.timeout(within_s):
            await stream.turn()
    except TimeoutError:
        return
