"""Filters of system calls: how all of them begin, and how far a match skips.

What they answer is tested where they are used: test_syscalls.py, test_tunnel_confine_opening.py.
"""

import struct

from netns import seccomp
from netns.seccomp import ALLOW, EQUAL, LOAD, RETURN


def test_it_looks_at_the_machine_before_the_number() -> None:
    text = seccomp.program("x86_64", [(RETURN, 0, 0, ALLOW)])
    checks = list(struct.iter_unpack("=HBBI", text))
    assert checks[:2] == [(LOAD, 0, 0, 4), (EQUAL, 1, 0, seccomp.AUDIT_ARCH_X86_64)]
    assert checks[-1] == (RETURN, 0, 0, ALLOW)


def test_each_match_skips_to_the_same_check() -> None:
    checks = seccomp.one_of((9, 3, 5), 2)
    assert [number for *_, number in checks] == [3, 5, 9]
    assert {at + 1 + skip for at, (_, skip, _, _) in enumerate(checks)} == {3 + 2}


def test_of_another_machine_nothing_is_known() -> None:
    assert seccomp.program("riscv64", [(RETURN, 0, 0, ALLOW)]) == b""
