"""Two hosts' streams with a way between them that a test may cut, and workspaces played by sockets."""

import asyncio
import socket
from collections import Counter
from typing import Any

from turns import until

from overlayd.fakes.network import FakeNetwork
from overlayd.loop.streams import Streams
from overlayd.telemetry.supervisor import Supervisor
from protocol.node.events import Event, Garbled, Say
from protocol.node.rows import NoStream, StreamWay
from protocol.stream.admission import Carried
from protocol.stream.messages import StreamMessage, Why
from protocol.terms.ids import GridId, KeyId, PeerId
from protocol.trust.order import SignedOrder

HERE, THERE, MALLORY = PeerId("a" * 64), PeerId("b" * 64), PeerId("c" * 64)
ORDER = SignedOrder(b"an order", b"", ())
DOOR = ("g.lan", "10.0.0.10", 22)


class Ways:
    """A node that lets every order lead to one workspace's port 22, until it is told otherwise."""

    def __init__(self) -> None:
        self.refuses: Exception | None = None
        self.ends: Exception | None = None
        self.addresses: tuple[tuple[str, str], ...] = (("lan", DOOR[1]),)
        self.looks = 0
        self.gone: list[PeerId] = []

    def stream_way(
        self, order: SignedOrder, via: PeerId, now: float, kept: StreamWay | None = None
    ) -> StreamWay:
        self.looks += 1
        if kept is None and self.refuses is not None:
            raise self.refuses
        if kept is not None and self.ends is not None:
            raise self.ends
        carried = Carried(via, KeyId("owner"), GridId("g"), "web-1")
        return StreamWay(carried, DOOR[2], self.addresses, "ams")

    def is_gone(self, peer: PeerId) -> bool:
        return peer in self.gone


class TwoEnds:
    """`here` asks, `there` carries. What either says to the other goes through `loses`."""

    def __init__(self) -> None:
        self.supervisor = Supervisor()
        self.network = FakeNetwork("t")
        self.network.plans[DOOR[0]] = None  # type: ignore[assignment]  # that there is one is enough
        self.network.listeners.add(DOOR)
        self.ways = Ways()
        self.streams = {
            HERE: self._streams(HERE),
            THERE: self._streams(THERE),
        }
        self.cut = False
        self.lose_every = 0
        self.carried: Counter[str] = Counter()
        self.to_strangers: list[StreamMessage] = []
        self.faults: list[tuple[PeerId, str]] = []

    @property
    def here(self) -> Streams:
        return self.streams[HERE]

    @property
    def there(self) -> Streams:
        return self.streams[THERE]

    def _streams(self, me: PeerId) -> Streams:
        def now() -> float:
            return asyncio.get_running_loop().time()

        return Streams(
            me, self.ways, self.network, self.supervisor, lambda e: self._tell(me, e), now
        )

    def _tell(self, me: PeerId, event: Event) -> None:
        match event:
            case Say(peer=peer, message=message) if peer in self.streams:
                self.carried[type(message).__name__] += 1
                lost = self.lose_every and self.carried.total() % self.lose_every == 0
                if not (self.cut or lost):
                    asyncio.get_running_loop().call_soon(self.streams[peer].take, me, message)
            case Say(message=message):
                self.to_strangers.append(message)  # type: ignore[arg-type]  # one of a stream's
            case Garbled(peer=peer, reason=reason):
                self.faults.append((peer, reason))

    async def open(self) -> tuple[Any, socket.socket]:
        """A stream, and the workspace's end of its connection."""
        before = len(self.network.connected)
        stream = await self.here.ask(THERE, ORDER)
        await until(lambda: len(self.network.connected) > before, "the workspace is asked")
        far = self.network.connected[-1]
        far.setblocking(False)
        return stream, far

    async def close(self) -> None:
        await self.supervisor.close()
        for far in self.network.connected:
            far.close()


def refusal(why: Why = Why.ENDED, text: str = "its lease has ended") -> NoStream:
    return NoStream(why, text)
