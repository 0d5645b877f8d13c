"""Seccomp filters in the kernel's own form (seccomp(2)): what all of ours begin with, and how they are written.

Each says what it lets through, or refuses. A machine whose numbers of system calls are not known here has none.
"""

import errno
import struct
from collections.abc import Iterable, Sequence

LOAD, EQUAL, AT_LEAST, ANY_OF, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
ALLOW, _KILL = 0x7FFF_0000, 0x8000_0000
REFUSE, _UNKNOWN = 0x0005_0000 | errno.EPERM, 0x0005_0000 | errno.ENOSYS
_NUMBER_AT, _ARCH_AT, FIRST_ARGUMENT_AT = 0, 4, 16

AUDIT_ARCH_X86_64 = 0xC000_003E
CLONE, CLONE3 = 56, 435
"""Numbers of x86-64."""

Check = tuple[int, int, int, int]
"""What to do, how many checks to skip if that holds and if not, and the value that it is about."""

_BEGIN: tuple[Check, ...] = (
    (LOAD, 0, 0, _ARCH_AT),
    (EQUAL, 1, 0, AUDIT_ARCH_X86_64),
    (RETURN, 0, 0, _KILL),
    (LOAD, 0, 0, _NUMBER_AT),
    # glibc asks for clone3 first, whose flags are out of a filter's reach, and then for clone.
    (EQUAL, 0, 1, CLONE3),
    (RETURN, 0, 0, _UNKNOWN),
)


def one_of(numbers: Iterable[int], skip: int) -> list[Check]:
    """Skips so many of the checks behind these, if the call is one of those."""
    ordered = sorted(numbers)
    return [(EQUAL, len(ordered) - 1 - at + skip, 0, it) for at, it in enumerate(ordered)]


def program(machine: str, checks: Sequence[Check]) -> bytes:
    """The filter for such a machine; nothing for one whose numbers are not known. The checks see the number."""
    if machine != "x86_64":
        return b""
    return b"".join(struct.pack("=HBBI", *check) for check in (*_BEGIN, *checks))
