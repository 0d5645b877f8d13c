"""Datagrams in batches over the loopback, and a control socket that nobody can hold up."""

import contextlib
import os
import select
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tunnel_sides import LOOPS, udp

from netns.tunnel import batches
from netns.tunnel.control import CONNECTIONS_MAX, Control
from netns.tunnel.loop import Loop
from netns.tunnel.orders import (
    LENGTH,
    MESSAGE_BYTES_MAX,
    Answer,
    AskState,
    HoldTaps,
    Request,
    answer_of,
    written,
)
from netns.tunnel.tables import State

STATE = State(5, 1, 0, 0, 0, False, (), (), {}, ())


def pair(family: socket.AddressFamily = socket.AF_INET) -> tuple[socket.socket, socket.socket]:
    return udp(family), udp(family)


@pytest.mark.parametrize("family", LOOPS)
def test_datagrams_of_all_sizes_arrive_in_order_with_their_source(
    family: socket.AddressFamily,
) -> None:
    sender, receiver = pair(family)
    with sender, receiver:
        going = [
            bytes([number]) * size
            for number, size in enumerate([1400] * 60 + [9] + [500, 500, 800, 1])
        ]
        assert batches.send(sender, receiver.getsockname()[:2], going) == len(going)
        receiving = batches.Receiver()
        got = [*receiving.receive(receiver.fileno()), *receiving.receive(receiver.fileno())]
        assert [one.data for one in got] == going
        assert {batches.endpoint(one.source) for one in got} == {sender.getsockname()[:2]}
        assert not any(one.is_truncated for one in got)
        assert receiving.receive(receiver.fileno()) == []


def test_the_longest_datagram_arrives_whole() -> None:
    sender, receiver = pair()
    with sender, receiver:
        longest = os.urandom(batches.DATAGRAM_BYTES_MAX)
        assert batches.send(sender, receiver.getsockname(), [longest]) == 1
        assert [one.data for one in batches.Receiver().receive(receiver.fileno())] == [longest]


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_whether_datagrams_may_be_cut_is_said_to_the_kernel(family: socket.AddressFamily) -> None:
    with socket.socket(family, socket.SOCK_DGRAM) as handle:
        for may, how in ((False, 3), (True, 0)):
            batches.may_be_cut(handle, may)
            assert handle.getsockopt(socket.IPPROTO_IP, 10) == how
            if family is socket.AF_INET6:
                assert handle.getsockopt(socket.IPPROTO_IPV6, 23) == how


def test_runs_are_of_one_size_with_a_shorter_one_at_the_end() -> None:
    sizes = [len(one) for one in [b"x" * 3, b"x" * 3, b"x", b"x" * 2, b"x" * 4]]
    runs = batches.runs([b"x" * size for size in sizes])
    assert [[len(one) for one in run] for run in runs] == [[3, 3, 1], [2], [4]]
    many = batches.runs([b"x" * 1472] * 46 + [b""] * 0)
    assert [len(run) for run in many] == [44, 2], "one send is 64 KiB at most"
    assert [len(run) for run in batches.runs([b"x"] * 130)] == [64, 64, 2]
    assert batches.runs([]) == []


def test_what_the_kernel_does_not_take_is_not_counted_as_sent() -> None:
    sender, _ = pair()
    sender.close()
    assert batches.send(sender, ("127.0.0.1", 9), [b"x", b"x"]) == 0


class Served:
    """A control socket with its loop in a thread."""

    def __init__(self, folder: Path, allowed_uid: int) -> None:
        self.path = str(folder / "c")
        self.loop = Loop()
        self.asked: list[Request] = []
        self.took: list[int] = []
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        listener.bind(self.path)
        listener.listen(16)
        self.control = Control(listener, self.answer, self.loop.watch, allowed_uid)
        self.listener = listener
        self._ends = False
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        with contextlib.suppress(StopIteration):
            self.loop.run(self.tick)

    def tick(self) -> None:
        self.control.expire()
        if self._ends:
            raise StopIteration

    def answer(self, request: Request, descriptors: list[int]) -> Answer:
        self.asked.append(request)
        if isinstance(request, HoldTaps):
            self.took.append(descriptors.pop(0))
        return Answer(STATE)

    def connect(self) -> socket.socket:
        handle = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        handle.settimeout(10)
        handle.connect(self.path)
        return handle

    def stop(self) -> None:
        self._ends = True
        self.thread.join()
        self.listener.close()
        for descriptor in self.took:
            os.close(descriptor)


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setattr("netns.tunnel.loop.TICK_S", 0.02)
    made = Served(tmp_path, os.getuid())
    yield made
    made.stop()


def read_answer(handle: socket.socket) -> Answer:
    with handle.makefile("rb") as stream:
        (length,) = LENGTH.unpack(stream.read(LENGTH.size))
        return answer_of(stream.read(length))


def test_a_request_in_pieces_is_answered_when_it_is_whole(served: Served) -> None:
    with served.connect() as handle:
        for byte in written(AskState()):
            handle.sendall(bytes([byte]))
        assert read_answer(handle) == Answer(STATE)
        assert handle.recv(1) == b"", "one request a connection"


def test_descriptors_that_are_not_kept_are_closed(served: Served) -> None:
    reads, writes = os.pipe()
    with served.connect() as handle:
        socket.send_fds(handle, [written(HoldTaps(("x",)))], [reads, writes])
        assert read_answer(handle) == Answer(STATE)
    os.close(writes)
    ready = select.select([served.took[0]], [], [], 10)[0]
    assert ready, "the copy that was not taken is closed, so the pipe has ended"
    os.close(reads)


@pytest.mark.parametrize(
    "sent",
    [LENGTH.pack(MESSAGE_BYTES_MAX + 1), LENGTH.pack(2) + b"no", LENGTH.pack(0), b"abc"],
    ids=repr,
)
def test_what_is_no_request_ends_its_connection(served: Served, sent: bytes) -> None:
    with served.connect() as handle:
        handle.sendall(sent)
        handle.shutdown(socket.SHUT_WR)
        assert handle.recv(1) == b""
    assert served.asked == []


def test_connections_that_say_nothing_do_not_keep_others_out(served: Served) -> None:
    silent = [served.connect() for _ in range(CONNECTIONS_MAX + 1)]
    with served.connect() as handle:
        handle.sendall(written(AskState()))
        assert read_answer(handle) == Answer(STATE)
    for one in silent:
        one.close()


def test_a_connection_past_its_deadline_is_ended(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("netns.tunnel.control.DEADLINE_S", 0.0)
    with served.connect() as handle:
        assert handle.recv(1) == b""


def test_who_is_not_allowed_is_not_heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netns.tunnel.loop.TICK_S", 0.02)
    monkeypatch.setattr("netns.tunnel.control._PEER_CREDENTIALS", _Nobody())
    made = Served(tmp_path, 0)
    try:
        with made.connect() as handle:
            assert handle.recv(1) == b""
        assert made.asked == []
    finally:
        made.stop()


class _Nobody:
    """What the kernel says of who connects, were it nobody."""

    size = 12

    def unpack(self, raw: bytes) -> tuple[int, int, int]:
        assert len(raw) == self.size
        return 1, 65534, 65534
