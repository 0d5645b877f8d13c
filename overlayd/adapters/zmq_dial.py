"""The dialler: keeps one path to one peer, and tries again with back-off.

Every attempt is a new DEALER with its own greeting. It counts as a path once the welcome is back, which only
the holder of the pinned key can have sent.
"""

import asyncio
import contextlib
from collections.abc import Callable
from random import SystemRandom

import zmq
from zmq.utils.monitor import recv_monitor_message

from overlayd.adapters.names import Names, Unresolved
from overlayd.adapters.tcp_doorbell import Doorbell
from overlayd.adapters.zmq_beat import BEAT
from overlayd.adapters.zmq_paths import greeting, read_greeting
from overlayd.adapters.zmq_sockets import (
    CONNECT_MS,
    DIALLED_HANDSHAKE_MS,
    PARTING_S,
    Context,
    Pump,
    Socket,
    dialler_socket,
)
from overlayd.ports.keys import Identity
from overlayd.ports.transport import SCHEME, dialled
from protocol.terms.address import Address, Ip
from protocol.terms.ids import PeerId
from protocol.terms.problem import Trouble

ATTEMPT_S = 6.0
"""From dialling to welcome."""

BACK_OFF_FIRST_S = 0.1
BACK_OFF_MOST_S = 15.0
STEADY_S = 5.0
"""After a path that held this long the back-off starts afresh."""

_EVENTS = (
    zmq.EVENT_CLOSED
    | zmq.EVENT_DISCONNECTED
    | zmq.EVENT_HANDSHAKE_SUCCEEDED
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
)
_FAILED = {
    zmq.EVENT_HANDSHAKE_FAILED_AUTH: Trouble.TURNED_AWAY,
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL: Trouble.OTHER_KEY,
    zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL: Trouble.NO_OVERLAYD,
}
_WHY = {
    Trouble.REFUSED: "nobody listens there",
    Trouble.NO_ROUTE: "the network does not lead there",
    Trouble.NO_ANSWER: f"no answer within {CONNECT_MS / 1000:.0f} s",
    Trouble.TURNED_AWAY: "it refuses this peer",
    Trouble.OTHER_KEY: "the handshake failed: another peer listens there",
    Trouble.NO_OVERLAYD: "no overlayd listens there",
    Trouble.SILENT: "it takes the connection and says nothing",
}
_NEARLY = 0.9
"""A try that took this part of a time limit ran into it."""
_ASKED_AGAIN_S = 10.0
"""How long the answer to why nobody takes a connection is good for."""
_jitter = SystemRandom()


class Dialler:
    """A Path while it is up. Tells `on_path`, `on_frame`, `on_gone` and `on_failed`."""

    dialled = True

    def __init__(
        self,
        context: Context,
        identity: Identity,
        instance: bytes,
        peer: PeerId,
        server_key: bytes,
        address: str,
        names: Names,
        on_path: Callable[["Dialler"], None],
        on_frame: Callable[["Dialler", bytes], None],
        on_gone: Callable[["Dialler", str], None],
        on_failed: Callable[["Dialler", Trouble, str], None],
    ) -> None:
        self.peer = peer
        self.instance = b""
        self.address = address
        self._names = names
        self._looking: asyncio.Task[None] | None = None
        self._tried: tuple[Ip, int] | None = None
        """The address and port of the last try."""
        self._context = context
        self._identity = identity
        self._greeting = greeting(PeerId(identity.key), instance)
        self._server_key = server_key
        self._on_path, self._on_frame = on_path, on_frame
        self._on_gone, self._on_failed = on_gone, on_failed
        self._loop = asyncio.get_running_loop()
        self.heard_s = self.said_s = self.beat_s = self._loop.time()
        self._socket: Socket | None = None
        self._monitor: Socket | None = None
        self._pumps: list[Pump] = []
        self._timer: asyncio.TimerHandle | None = None
        self._trouble: Trouble | None = None
        self._shook_hands = False
        self._tried_s = 0.0
        self._doorbell: Doorbell | None = None
        self._unanswered: tuple[float, Trouble] | None = None
        """Why nobody took the connection, as the system last said, and when that was."""
        self._up_since_s: float | None = None
        self._failures = 0
        self._stopped = False
        self._linger_ms = 0
        self._attempt()

    def send(self, frame: bytes) -> bool:
        """Queues a frame; False if the queue is full or the path is not up."""
        if self._socket is None or self._up_since_s is None:
            return False
        try:
            self._socket.send(frame, zmq.NOBLOCK)
        except zmq.Again:
            return False
        finally:
            self._pumps[1].sent()
        self.said_s = self._loop.time()
        return True

    def redirect(self, address: str) -> None:
        """Takes another address for the next attempt, which is now if the path is not up."""
        if address == self.address:
            return
        self.address = address
        self._unanswered = None
        if self._up_since_s is None:
            self._tear_down()
            self._failures = 0
            self._attempt()

    def cut(self, why: str = "closed by this peer") -> None:
        """Closes the connection and dials again."""
        self._ended(why)

    def part(self) -> None:
        """Closes the connection for good, when what was queued has gone out."""
        self.stop(parting=True)

    def stop(self, *, parting: bool = False) -> None:
        """Closes the connection for good, at once or after what was queued has gone out."""
        self._stopped = True
        self._linger_ms = int(PARTING_S * 1000) if parting else 0
        self._ended("hung up")
        self._tear_down()

    def _attempt(self) -> None:
        self._trouble, self._shook_hands = None, False
        address = dialled(self.address)
        assert address is not None, "who dials has looked"
        if address.ip is not None:
            self._connect(address.ip, address.port)
        else:
            self._looking = self._loop.create_task(self._look(address))

    async def _look(self, address: Address) -> None:
        try:
            ip = await self._names.one_of(address, self._failures)
        except Unresolved as error:
            self._looking, self._trouble = None, error.trouble
            self._retry(up_since_s=None, why=str(error))
        else:
            self._looking = None
            self._connect(ip, address.port)

    def _connect(self, ip: Ip, port: int) -> None:
        self._tried, self._tried_s = (ip, port), self._loop.time()
        try:
            self._socket = dialler_socket(self._context, self._identity, self._server_key, ip)
            self._monitor = self._socket.get_monitor_socket(_EVENTS)
            self._socket.connect(f"{SCHEME}{Address(str(ip), port)}")
            # If there is no room for it the connection is over already, and the monitor says why.
            with contextlib.suppress(zmq.Again):
                self._socket.send(self._greeting, zmq.NOBLOCK)
        except zmq.ZMQError as error:
            # Out of descriptors or memory, which may be better in a while.
            self._trouble = Trouble.THIS_HOST
            self._retry(up_since_s=None, why=f"this host: {error.strerror}")
            return
        self._pumps = [
            Pump(self._monitor, self._monitor_step),
            Pump(self._socket, self._socket_step),
        ]
        self._timer = self._loop.call_later(
            ATTEMPT_S, self._ended, f"no welcome within {ATTEMPT_S:.0f} s"
        )

    def _why(self, event: zmq.Event) -> Trouble | None:
        """What an event says of an attempt; None if nothing."""
        took_s = self._loop.time() - self._tried_s
        if event == zmq.EVENT_CLOSED:
            late = took_s >= _NEARLY * CONNECT_MS / 1000
            return Trouble.NO_ANSWER if late else Trouble.REFUSED
        if (
            event == zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
            and took_s >= _NEARLY * DIALLED_HANDSHAKE_MS / 1000
        ):
            return Trouble.SILENT
        if event == zmq.EVENT_DISCONNECTED and not self._shook_hands:
            return Trouble.NO_OVERLAYD
        return _FAILED.get(event)

    def _monitor_step(self) -> None:
        assert self._monitor is not None
        event = zmq.Event(recv_monitor_message(self._monitor, zmq.NOBLOCK)["event"])
        self._shook_hands = self._shook_hands or event == zmq.EVENT_HANDSHAKE_SUCCEEDED
        self._trouble = self._trouble or self._why(event)
        if event in (zmq.EVENT_CLOSED, zmq.EVENT_DISCONNECTED):
            self._pumps[1].drain()
            why = _WHY.get(self._trouble) if self._trouble is not None else None
            self._ended(why or "it closed the connection or fell silent")

    def _socket_step(self) -> None:
        assert self._socket is not None
        frame = self._socket.recv(zmq.NOBLOCK)
        if self._socket.getsockopt(zmq.RCVMORE):
            self._ended("it broke the rules")
        elif self._up_since_s is None:
            self._welcomed(frame)
        else:
            self.heard_s = self._loop.time()
            if frame != BEAT:
                self._on_frame(self, frame)

    def _welcomed(self, frame: bytes) -> None:
        read = read_greeting(frame)
        if read is None or read[0] != self.peer:
            self._ended("its first frame is no welcome")
            return
        self.instance = read[1]
        self._up_since_s = self.heard_s = self._loop.time()
        if self._timer is not None:
            self._timer.cancel()
        self._on_path(self)

    def _ended(self, why: str) -> None:
        if self._socket is None:
            return
        self._retry(self._up_since_s, why)

    def _retry(self, up_since_s: float | None, why: str) -> None:
        self._tear_down()
        steady = up_since_s is not None and self._loop.time() - up_since_s >= STEADY_S
        self._failures = 0 if steady else self._failures + 1
        if not self._stopped:
            longest_s = min(BACK_OFF_MOST_S, BACK_OFF_FIRST_S * 2 ** min(self._failures, 10))
            wait_s = longest_s * _jitter.uniform(0.5, 1.0)
            self._timer = self._loop.call_later(wait_s, self._attempt)
        if up_since_s is not None:
            self._on_gone(self, why)
        elif not self._stopped:
            self._tell(self._trouble or Trouble.CLOSED, why)

    def _tell(self, trouble: Trouble, why: str) -> None:
        """Tells that an attempt came to nothing. Why nobody takes a connection the system is asked once more,
        because ZeroMQ does not pass its answer on."""
        if trouble is not Trouble.REFUSED:
            self._on_failed(self, trouble, why)
        elif self._unanswered is None or self._loop.time() >= self._unanswered[0] + _ASKED_AGAIN_S:
            if self._doorbell is None and self._tried is not None:
                self._doorbell = Doorbell(*self._tried, self._answered)
        else:
            self._on_failed(self, self._unanswered[1], _WHY.get(self._unanswered[1], why))

    def _answered(self, trouble: Trouble | None) -> None:
        self._doorbell = None
        self._unanswered = self._loop.time(), trouble or Trouble.REFUSED
        if not self._stopped and self._up_since_s is None:
            told = self._unanswered[1]
            self._on_failed(self, told, _WHY.get(told, str(told)))

    def _tear_down(self) -> None:
        for pump in self._pumps:
            pump.close()
        self._pumps = []
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None
        if self._stopped and self._doorbell is not None:
            self._doorbell.close()
            self._doorbell = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._monitor is not None and self._socket is not None:
            self._socket.disable_monitor()
            self._monitor.close(0)
        if self._socket is not None:
            self._socket.close(self._linger_ms)
        self._socket = self._monitor = None
        self._up_since_s = None
