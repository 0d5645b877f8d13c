"""What the kernel says is a hint where it is about something of ours, and nothing where it is not."""

import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from netns.kernel.changes import Changes
from netns.kernel.rtnetlink import NETLINK_NETFILTER

NEW_LINK, DEL_LINK, DEL_ADDRESS, NEW_NEIGHBOUR, DEL_QUEUE = 16, 17, 21, 28, 37
DEL_TABLE, NEW_GENERATION = 10 << 8 | 2, 10 << 8 | 15
OURS, THEIRS = 7, 8


class Ear(socket.socket):
    """A socket at which a test speaks as the kernel does."""

    def setsockopt(self, *_: object) -> None:  # type: ignore[override]
        """Groups are the kernel's business."""


class Kernel:
    """The other ends of the sockets, in the order in which they were opened."""

    def __init__(self) -> None:
        self.ends: list[socket.socket] = []
        self.protocols: list[int] = []

    def open_socket(self, protocol: int = socket.NETLINK_ROUTE) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.ends.append(theirs)
        self.protocols.append(protocol)
        return Ear(fileno=ours.detach())

    def says(self, door: int, kind: int, payload: bytes) -> None:
        self.ends[door].send(struct.pack("=IHHII", 16 + len(payload), kind, 0, 0, 0) + payload)


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Kernel:
    made = Kernel()
    monkeypatch.setattr("netns.kernel.rtnetlink.open_socket", made.open_socket)
    monkeypatch.setattr("netns.kernel.namespaces.DIRECTORY", tmp_path)
    monkeypatch.setattr("socket.if_nameindex", lambda: [(OURS, "ovx-00abcd"), (THEIRS, "eth0")])
    return made


@pytest.fixture
def changes(kernel: Kernel) -> Iterator[Changes]:
    made = Changes()
    assert kernel.protocols == [socket.NETLINK_ROUTE, socket.NETLINK_ROUTE, NETLINK_NETFILTER]
    yield made
    made.close()
    for end in kernel.ends:
        end.close()


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def link(index: int, name: str) -> bytes:
    return struct.pack("=BxHiII", 0, 0, index, 0, 0) + attribute(3, name.encode() + b"\0")


def neighbour(index: int) -> bytes:
    return struct.pack("=BxxxiHBB", 2, index, 0, 0, 0)


def queue(index: int) -> bytes:
    return struct.pack("=BxxxiIII", 0, index, 0, 0, 0)


def table(name: str) -> bytes:
    return bytes(4) + attribute(1, name.encode() + b"\0")


LINKS, ENTRIES, RULES = 0, 1, 2


@pytest.mark.parametrize(
    ("door", "kind", "payload", "heard"),
    [
        (LINKS, DEL_LINK, link(OURS, "ovx-00abcd"), True),
        (LINKS, NEW_LINK, link(9, "ovt-0123456789a"), True),
        (LINKS, NEW_LINK, link(9, "ovr-0123456789a"), True),
        (LINKS, NEW_LINK, link(9, "ovs-00abcd"), True),
        (LINKS, NEW_LINK, link(THEIRS, "eth0"), False),
        (LINKS, NEW_LINK, link(10, "ovs-system"), False),
        (LINKS, DEL_LINK, link(11, "ovs-00abcd"), True),
        (LINKS, DEL_LINK, link(12, "ovw-uc1"), True),
        (LINKS, NEW_LINK, link(OURS, "renamed"), True),
        (LINKS, DEL_ADDRESS, bytes(8), True),
        (ENTRIES, NEW_NEIGHBOUR, neighbour(OURS), True),
        (ENTRIES, NEW_NEIGHBOUR, neighbour(THEIRS), False),
        (ENTRIES, DEL_QUEUE, queue(OURS), True),
        (ENTRIES, DEL_QUEUE, queue(THEIRS), False),
        (RULES, DEL_TABLE, table("ovl_00abcd"), True),
        (RULES, DEL_TABLE, table("ovw_uc1"), True),
        (RULES, DEL_TABLE, table("firewalld"), False),
        (RULES, NEW_GENERATION, table("ovl_00abcd"), False),
    ],
)
def test_what_concerns_networks_is_heard(
    changes: Changes, kernel: Kernel, door: int, kind: int, payload: bytes, heard: bool
) -> None:
    kernel.says(door, kind, payload)
    assert changes.hear(changes.handles()[door]) is heard
    assert not changes.hear(changes.handles()[door])


def test_a_link_made_meanwhile_is_ours_from_then_on(changes: Changes, kernel: Kernel) -> None:
    links, entries = changes.handles()[:2]
    kernel.says(ENTRIES, NEW_NEIGHBOUR, neighbour(9))
    assert not changes.hear(entries)
    kernel.says(LINKS, NEW_LINK, link(9, "ovb-00abcd"))
    assert changes.hear(links)
    kernel.says(ENTRIES, NEW_NEIGHBOUR, neighbour(9))
    assert changes.hear(entries)


def test_a_name_of_a_namespace_that_goes_is_heard_if_it_is_one_of_ours(
    changes: Changes, tmp_path: Path
) -> None:
    names = changes.handles()[-1]
    (tmp_path / "other").touch()
    assert not changes.hear(names)
    (tmp_path / "ovl-abc123-00abcd").touch()
    assert changes.hear(names)
    (tmp_path / "ovl-abc123-00abcd").unlink()
    assert changes.hear(names)


def test_messages_that_were_dropped_are_a_hint(
    changes: Changes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def overflown(*_: object) -> None:
        raise OSError(105, "No buffer space available")

    monkeypatch.setattr(Ear, "recvmsg", overflown, raising=False)
    assert changes.hear(changes.handles()[LINKS])


def test_nothing_stays_open_if_something_cannot_be_opened(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("netns.kernel.namespaces.DIRECTORY", tmp_path / "file" / "below")
    (tmp_path / "file").touch()
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match="file"):
        Changes()
    for end in kernel.ends:
        end.close()
    assert len(os.listdir("/proc/self/fd")) <= before
