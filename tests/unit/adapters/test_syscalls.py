"""The filter of system calls: read by a machine as the kernel's, and met by a tool in the cage."""

import errno
import struct

import pytest

from netns.seccomp import AUDIT_ARCH_X86_64, CLONE, CLONE3
from overlayd.adapters.imports import confined
from overlayd.adapters.imports.confined import Cage
from overlayd.adapters.imports.syscalls import REFUSED, program
from overlayd.ports.images import ImageError, ImportWatch

ALLOWED, KILLED = 0x7FFF0000, 0x80000000
NO, NO_SUCH = 0x50000 | errno.EPERM, 0x50000 | errno.ENOSYS
READ, OPENAT, CLONE_THREAD, CLONE_NEWUSER = 0, 257, 0x3D0F00, 0x10000000


def verdict(number: int, first: int = 0, arch: int = AUDIT_ARCH_X86_64) -> int:
    """What the kernel answers to a call, by its rules for such programs (bpf(4))."""
    data = struct.pack("=IIQQ", number, arch, 0, first)
    steps = list(struct.iter_unpack("=HBBI", program("x86_64")))
    at = held = 0
    while True:
        code, if_so, if_not, k = steps[at]
        at += 1
        if code == 0x06:
            return int(k)
        if code == 0x20:
            (held,) = struct.unpack_from("=I", data, k)
        else:
            holds = {0x15: held == k, 0x35: held >= k, 0x45: bool(held & k)}[code]
            at += if_so if holds else if_not


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_parser_does_not_need_is_refused(name: str) -> None:
    assert verdict(REFUSED[name]) == NO


def test_what_it_needs_is_not() -> None:
    assert {verdict(number) for number in (READ, OPENAT, 9, 59, 202, 231)} == {ALLOWED}
    assert verdict(CLONE, CLONE_THREAD) == ALLOWED


def test_name_spaces_by_clone_are_refused_and_clone3_is_unknown() -> None:
    assert verdict(CLONE, CLONE_THREAD | CLONE_NEWUSER) == NO
    assert verdict(CLONE3) == NO_SUCH


def test_other_numberings_are_no_way_around_it() -> None:
    assert verdict(READ, arch=0x40000003) == KILLED
    assert verdict(0x40000000 | READ) == NO


def test_of_another_machine_nothing_is_known() -> None:
    assert program("aarch64") == b""


def test_a_tool_in_the_cage_meets_it() -> None:
    said: list[bytes] = []
    confined.run(
        ["sh", "-c", "grep ^Seccomp: /proc/self/status; unshare --user true || echo refused"],
        Cage(),
        ImportWatch(),
        output=said.append,
    )
    assert b"".join(said).split() == [b"Seccomp:", b"2", b"refused"]


def test_a_tool_that_needs_more_says_so() -> None:
    with pytest.raises(ImageError, match="not permitted"):
        confined.run(["unshare", "--mount", "true"], Cage(), ImportWatch())
