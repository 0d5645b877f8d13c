"""What a tool in the cage may not ask of the kernel: a seccomp filter in the kernel's own form, for bubblewrap.

A parser of disk images needs files, memory and threads. The rest of the kernel is a way out for whoever has
taken one over. So what is not needed is refused: other processes, name spaces, mounts, sockets, keys, and what
has had holes lately (io_uring, bpf, userfaultfd). It is a list of what is refused: a tool's next version may
need another harmless call, and must not fail for it.
"""

import errno
import platform
import struct

AUDIT_ARCH_X86_64 = 0xC000003E
_NEW_NAMESPACES = 0x7E02_0080
"""The flags of clone(2) that ask for one (CLONE_NEW*)."""

_LOAD, _EQUAL, _AT_LEAST, _ANY_OF, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL = 0x7FFF_0000, 0x8000_0000
_REFUSE, _UNKNOWN = 0x0005_0000 | errno.EPERM, 0x0005_0000 | errno.ENOSYS
_NUMBER_AT, _ARCH_AT, _FIRST_ARGUMENT_AT = 0, 4, 16
_X32 = 0x4000_0000

CLONE, CLONE3 = 56, 435
REFUSED = {
    "socket": 41, "ptrace": 101, "syslog": 103, "personality": 135, "pivot_root": 155, "adjtimex": 159,
    "chroot": 161, "acct": 163, "settimeofday": 164, "mount": 165, "umount2": 166, "swapon": 167,
    "swapoff": 168, "reboot": 169, "iopl": 172, "ioperm": 173, "init_module": 175, "delete_module": 176,
    "quotactl": 179,
    "clock_settime": 227, "kexec_load": 246, "add_key": 248, "request_key": 249, "keyctl": 250, "unshare": 272,
    "vmsplice": 278, "perf_event_open": 298, "name_to_handle_at": 303, "open_by_handle_at": 304,
    "clock_adjtime": 305, "setns": 308, "process_vm_readv": 310, "process_vm_writev": 311, "kcmp": 312,
    "finit_module": 313, "kexec_file_load": 320, "bpf": 321, "userfaultfd": 323, "io_uring_setup": 425,
    "io_uring_enter": 426, "io_uring_register": 427, "open_tree": 428, "move_mount": 429, "fsopen": 430,
    "fsconfig": 431, "fsmount": 432, "fspick": 433, "pidfd_open": 434, "pidfd_getfd": 438, "mount_setattr": 442,
}  # fmt: skip
"""Numbers of x86-64."""


def program(machine: str | None = None) -> bytes:
    """The filter for such a machine; nothing for one whose numbers are not known here."""
    if (machine or platform.machine()) != "x86_64":
        return b""
    numbers = sorted(REFUSED.values())
    checks = [
        (_LOAD, 0, 0, _ARCH_AT),
        (_EQUAL, 1, 0, AUDIT_ARCH_X86_64),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER_AT),
        (_AT_LEAST, 0, 1, _X32),
        (_RETURN, 0, 0, _REFUSE),
        # glibc asks for clone3 first, whose flags are out of a filter's reach, and then for clone.
        (_EQUAL, 0, 1, CLONE3),
        (_RETURN, 0, 0, _UNKNOWN),
    ]
    for left, number in zip(range(len(numbers), 0, -1), numbers, strict=True):
        checks.append((_EQUAL, left + 2, 0, number))
    checks += [
        (_EQUAL, 0, 3, CLONE),
        (_LOAD, 0, 0, _FIRST_ARGUMENT_AT),
        (_ANY_OF, 0, 1, _NEW_NAMESPACES),
        (_RETURN, 0, 0, _REFUSE),
        (_RETURN, 0, 0, _ALLOW),
    ]
    return b"".join(struct.pack("=HBBI", *check) for check in checks)
