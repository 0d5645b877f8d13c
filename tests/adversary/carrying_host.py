"""A real node that carries a workspace, with its streams, and what it says to whom."""

import asyncio
import socket
import time
from collections.abc import Callable

from overlayd.fakes.network import FakeNetwork
from overlayd.loop.streams import Streams
from overlayd.telemetry.supervisor import Supervisor
from protocol.node.events import Event, Garbled, Say
from protocol.node.snapshot import PeerView
from protocol.sim.people import grid_spec
from protocol.sim.world import World
from protocol.stream.messages import (
    ConnectBody,
    Flow,
    StreamClose,
    StreamCredit,
    StreamData,
    StreamMessage,
    StreamOpen,
)
from protocol.terms.ids import PeerId
from protocol.trust.order import Action, SignedOrder
from protocol.wire.codec import encode

PORT = 22
WITHIN_S = 5.0


class CarryingHost:
    """It carries `shop/web-1`, whose owner asks through `honest`. `mallory` and `others` are members, too."""

    def __init__(self) -> None:
        self.world = World(3, 4, 2)
        self.world.start_all()
        self.world.run(5.0)
        asked = self.world.peers[0]
        self.owner, self.other_owner = (self.world.peers[i].site for i in (0, 1))
        order = self.world.admins[self.owner].up(grid_spec("shop", 2), self.world.now_s)
        self.world.give(asked, order)
        assert asked.node is not None
        view = PeerView(asked.node)
        assert self.world.run_until(lambda: view.grids(self.world.now_s) != [], 20.0)
        self.world.run(20.0)
        (self.grid,) = (row.grid for row in view.grids(self.world.now_s))
        first = next(
            r for r in view.workspaces(self.grid, self.world.now_s) if r.workspace == "web-1"
        )
        self.me = first.peer
        self.honest, self.mallory, *_ = (p.id for p in self.world.peers if p.id != self.me)
        node = self.world.by_id[self.me].node
        assert node is not None
        self.view = PeerView(node)
        self.supervisor = Supervisor()
        self.network = FakeNetwork("t")
        network = f"{self.grid}.lan"
        self.network.plans[network] = None  # type: ignore[assignment]  # that there is one is enough
        self.network.listeners.add((network, first.address, PORT))
        self.said: list[tuple[PeerId, StreamMessage]] = []
        self.faults: list[PeerId] = []
        self.late_s = 0.0
        self.streams = Streams(
            self.me, self.view, self.network, self.supervisor, self._tell, self.now
        )

    def now(self) -> float:
        return self.world.now_s + self.late_s

    def _tell(self, event: Event) -> None:
        match event:
            case Say(peer=peer, message=message):
                self.said.append((peer, message))  # type: ignore[arg-type]  # one of a stream's
            case Garbled(peer=peer):
                self.faults.append(peer)

    def order(self, via: PeerId, site: str = "", workspace: str = "web-1") -> SignedOrder:
        """A fresh order to connect, of that site's admin; of the owner's, if none is named."""
        admin = self.world.admins[site or self.owner]
        body = encode(ConnectBody(PORT, via))
        return admin.order(Action.CONNECT, self.grid, self.now(), workspace=workspace, body=body)

    async def ask(self, peer: PeerId, session: str, order: SignedOrder) -> Flow:
        """What that peer is answered."""
        self.streams.take(peer, StreamOpen(session, order))
        return await self.answer(peer, session)

    async def answer(self, peer: PeerId, session: str) -> Flow:
        """The next thing that is said to a peer of a session."""
        async with asyncio.timeout(WITHIN_S):
            while True:
                for said in self.said:
                    to, message = said
                    if to == peer and message.session == session:
                        self.said.remove(said)
                        assert not isinstance(message, StreamOpen)
                        return message
                await asyncio.sleep(0)

    async def until(self, ready: Callable[[], bool]) -> None:
        """Lets the loop turn until that is so."""
        give_up = time.monotonic() + WITHIN_S
        while not ready():
            assert time.monotonic() < give_up
            await asyncio.sleep(0)

    async def works(self, peer: PeerId, session: str, far: socket.socket, offset: int = 0) -> None:
        """Asserts that an open stream still carries bytes to the workspace."""
        self.streams.take(peer, StreamData(session, False, offset, b"ping"))
        async with asyncio.timeout(WITHIN_S):
            assert await asyncio.get_running_loop().sock_recv(far, 100) == b"ping"

    async def opened(self, peer: PeerId, session: str) -> socket.socket:
        """A stream that the owner opened through that peer; the workspace's end of it."""
        answer = await self.ask(peer, session, self.order(peer))
        assert isinstance(answer, StreamCredit), answer
        far = self.network.connected[-1]
        far.setblocking(False)
        return far

    async def close(self) -> None:
        await self.supervisor.close()
        for far in self.network.connected:
            far.close()


def closed(message: Flow) -> StreamClose:
    """The message, which is a close."""
    assert isinstance(message, StreamClose), message
    return message
