"""What is sent from one end to the other: TCP, small datagrams, pings. Each end is a process of its own."""

import multiprocessing
import os
import re
import selectors
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from typing import NamedTuple

from netns import program
from netns.kernel import namespaces

PORT = 5201
PIECE_BYTES = 256 << 10
SMALL_BYTES = 64
SETTLES_S = 0.5  # until TCP has found its rate
PINGS = 500
CONGESTION = b"cubic"
"""What guests have unless somebody chose, whatever this machine has. BBR would hide what loss costs."""
_FORK = multiprocessing.get_context("fork")


class Ends(NamedTuple):
    """Where it is sent from and to: the namespaces, and the address of the second."""

    sender: str
    receiver: str
    address: str


class Flow(NamedTuple):
    """Bytes that arrived, in so many seconds, and what the whole machine's cpus worked meanwhile."""

    got_bytes: int
    took_s: float
    cpu_s: float

    @property
    def gbps(self) -> float:
        return self.got_bytes * 8 / self.took_s / 1e9

    @property
    def cpu_s_per_gb(self) -> float:
        return self.cpu_s * 1e9 / max(self.got_bytes, 1)


def tcp(ends: Ends, streams: int, for_s: float) -> Flow:
    """So many connections at once, that long."""
    with (
        _receiving(ends, lambda tell: _take_streams(streams, for_s, tell)) as told,
        beside(ends.sender, lambda: _give_streams(ends.address, streams)),
    ):
        return Flow(*told.recv())


def small_kpps(ends: Ends, for_s: float) -> float:
    """Thousands of datagrams of 64 bytes that arrive in a second, while as many are sent as can be."""
    with (
        _receiving(ends, lambda tell: _take_small(for_s, tell)) as told,
        beside(ends.sender, lambda: _give_small(ends.address)),
    ):
        return float(told.recv()) / 1e3


def round_trip_us(ends: Ends) -> float:
    """The mean of pings, one after the other."""
    argv = f"ip netns exec {ends.sender} ping -n -q -c {PINGS} -i 0.002 {ends.address}"
    said = re.search(r"= [\d.]+/([\d.]+)/", program.run(argv.split()))
    if said is None:
        raise RuntimeError(f"{argv}: no answer")
    return float(said[1]) * 1e3


def answers(ends: Ends) -> bool:
    """Whether a ping comes back."""
    argv = f"ip netns exec {ends.sender} ping -n -q -c 1 -W 1 {ends.address}"
    return program.attempt(argv.split())[0] == 0


@contextmanager
def _receiving(ends: Ends, work: Callable[[Connection], None]) -> Iterator[Connection]:
    """The receiver is ready; what it tells afterwards comes through the connection."""
    told, tell = _FORK.Pipe(duplex=False)
    with beside(ends.receiver, lambda: work(tell)):
        tell.close()
        told.recv()
        yield told


@contextmanager
def beside(namespace: str, work: Callable[[], None]) -> Iterator[None]:
    """A process that does the work in that namespace, until the block ends."""

    def body() -> None:
        namespaces.enter(namespace)
        work()

    process = _FORK.Process(target=body, daemon=True)
    process.start()
    try:
        yield
    finally:
        process.kill()
        process.join()


def _take_streams(streams: int, for_s: float, tell: Connection) -> None:
    buffer = bytearray(PIECE_BYTES)
    with socket.create_server(("", PORT)) as server, selectors.DefaultSelector() as ready:
        tell.send(None)
        for _ in range(streams):
            ready.register(server.accept()[0], selectors.EVENT_READ)
        settled_s, got, began_s, began_cpu_s = time.monotonic() + SETTLES_S, 0, 0.0, 0.0
        while not began_s or time.monotonic() < began_s + for_s:
            if not began_s and time.monotonic() > settled_s:
                got, began_s, began_cpu_s = 0, time.monotonic(), _cpu_s()
            for key, _ in ready.select(0.1):
                got += key.fileobj.recv_into(buffer)  # type: ignore[union-attr]
        tell.send((got, time.monotonic() - began_s, _cpu_s() - began_cpu_s))


def _give_streams(address: str, streams: int) -> None:
    piece = memoryview(bytes(PIECE_BYTES))
    with (
        selectors.DefaultSelector() as ready,
        suppress(ConnectionError),
    ):  # the receiver has seen enough
        for _ in range(streams):
            stream = socket.create_connection((address, PORT))
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, CONGESTION)
            stream.setblocking(False)
            ready.register(stream, selectors.EVENT_WRITE)
        while True:
            for key, _ in ready.select():
                key.fileobj.send(piece)  # type: ignore[union-attr]


def _take_small(for_s: float, tell: Connection) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        handle.bind(("", PORT))
        handle.settimeout(SETTLES_S)
        tell.send(None)
        handle.recv(SMALL_BYTES)
        got, began_s = 0, time.monotonic()
        while (now_s := time.monotonic()) < began_s + for_s:
            try:
                handle.recv(SMALL_BYTES)
            except TimeoutError:
                continue
            got += 1
        tell.send(got / (now_s - began_s))


def _give_small(address: str) -> None:
    packet = bytes(SMALL_BYTES)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        handle.connect((address, PORT))
        while True:
            try:
                handle.send(packet)
            except OSError:
                time.sleep(0.001)  # the queue is full, or the other end has gone


def _cpu_s() -> float:
    """What all cpus have worked since the machine started, in seconds."""
    with open("/proc/stat") as stat:
        user, nice, system, _, _, irq, softirq = map(int, stat.readline().split()[1:8])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")
