"""A stretch of the way between two forwarders: datagrams are lost, held back, doubled, damaged, forged."""

import random
import select
import socket
import threading

Place = tuple[str, int]


class BadRoad:
    """Two sockets in the calling thread's namespace. What comes to one leaves by the other, more or less.

    A forwarder learns where the other is from what opens, so both answer to this.
    """

    def __init__(self, address: str, left_of: Place, right_of: Place) -> None:
        self._dice = random.Random(5)
        self._sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
        for handle in self._sockets:
            handle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
            handle.bind((address, 0))
        self.left, self.right = (handle.getsockname() for handle in self._sockets)
        self._targets = (left_of, right_of)
        self._held: list[tuple[int, bytes]] = []
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def close(self) -> None:
        self._ends.set()
        self._thread.join()
        for handle in self._sockets:
            handle.close()

    def _run(self) -> None:
        while not self._ends.is_set():
            ready, _, _ = select.select(self._sockets, [], [], 0.02)
            for handle in ready:
                to = 1 - self._sockets.index(handle)
                self._pass_on(to, handle.recv(65536))
            if not ready:
                self._let_go()

    def _pass_on(self, to: int, data: bytes) -> None:
        chance = self._dice.random()
        if chance < 0.005:
            return
        if chance < 0.05:
            self._held.append((to, data))
            if len(self._held) > 40:
                self._let_go()
            return
        if chance < 0.10:
            self._send(to, data)
        elif chance < 0.15:
            damaged = bytearray(data)
            damaged[self._dice.randrange(len(data))] ^= 1 << self._dice.randrange(8)
            self._send(to, bytes(damaged))
        elif chance < 0.20:
            self._send(to, data[: self._dice.randrange(len(data))])
        elif chance < 0.25:
            self._send(to, self._dice.randbytes(self._dice.randrange(1500)))
        self._send(to, data)

    def _let_go(self) -> None:
        self._dice.shuffle(self._held)
        for to, data in self._held:
            self._send(to, data)
        self._held.clear()

    def _send(self, to: int, data: bytes) -> None:
        self._sockets[to].sendto(data, self._targets[to])
