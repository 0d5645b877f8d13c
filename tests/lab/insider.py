"""A peer with good keys that says whatever a test wants: no node, only the transport and a hello."""

import asyncio
import time
from collections.abc import Callable
from typing import Any, TypeVar

from overlayd.adapters.credentials import Credentials
from overlayd.adapters.zmq_transport import ZmqTransport
from overlayd.ports.transport import Arrived, Down, TransportEvent, Up
from protocol.membership.messages import Ping, Pong, Presence, greeting
from protocol.membership.presence import KIND
from protocol.node.messages import Message
from protocol.terms.ids import KeyId, PeerId
from protocol.trust.record import Record, sign_record
from protocol.wire.codec import encode
from protocol.wire.envelope import pack, unpack

T = TypeVar("T")


class Insider:
    """One connection to one daemon. Use as an async context manager."""

    def __init__(self, credentials: Credentials, peer: PeerId, endpoint: str) -> None:
        self._credentials, self.peer, self._endpoint = credentials, peer, endpoint
        self.transport = ZmqTransport(credentials.identity)
        self.connected = False
        self.hung_up = 0
        self.heard: list[Any] = []
        self._news = asyncio.Event()

    async def __aenter__(self) -> "Insider":
        await self.transport.open("tcp://127.0.0.1:0", self._on_event)
        self.transport.dial(self.peer, f"tcp://{self._endpoint}")
        await self.until(lambda: self.connected, "a connection")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.transport.close()

    def introduce(self, **changes: object) -> None:
        """Says hello, as a member would."""
        who = self._credentials
        presence = Presence(who.chain, self.transport.address.removeprefix("tcp://"))
        record = Record(
            owner=KeyId(who.identity.key),
            kind=KIND,
            name="",
            incarnation=int(time.time()),
            sequence=1,
            body=encode(presence),
            ttl_s=60.0,
            scope=who.principal.site,
        )
        self.say(greeting(sign_record(record, who.identity)))

    def say(self, message: Any) -> None:
        """One well-formed message."""
        self.say_bytes(pack(message, ""))

    def say_bytes(self, frame: bytes) -> None:
        """One frame of anything."""
        assert self.transport.send(self.peer, frame), "the transport does not take it"

    async def hears(self, kind: type[T], within_s: float = 10) -> T:
        """The first message of that kind."""
        await self.until(
            lambda: any(isinstance(m, kind) for m in self.heard), kind.__name__, within_s
        )
        return next(message for message in self.heard if isinstance(message, kind))

    async def until(self, ready: Callable[[], bool], what: str, within_s: float = 10) -> None:
        """Waits for something the daemon does."""
        try:
            async with asyncio.timeout(within_s):
                while not ready():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"no {what} within {within_s:.0f} s; heard {self.heard}") from None

    def _on_event(self, event: TransportEvent) -> None:
        match event:
            case Up():
                self.connected = True
            case Down():
                self.connected, self.hung_up = False, self.hung_up + 1
            case Arrived(frame=frame):
                _, message = unpack(frame, Message)
                self.heard.append(message)
                if isinstance(message, Ping):
                    self.say(Pong(message.sent_s))
        self._news.set()
