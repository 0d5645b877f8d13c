"""What a tool in the cage may not ask of the kernel: a seccomp filter in the kernel's own form, for bubblewrap.

A parser of disk images needs files, memory and threads. The rest of the kernel is a way out for whoever has
taken one over. So what is not needed is refused: other processes, name spaces, mounts, sockets, keys, and what
has had holes lately (io_uring, bpf, userfaultfd). It is a list of what is refused: a tool's next version may
need another harmless call, and must not fail for it.
"""

import platform

from netns import seccomp
from netns.seccomp import (
    ALLOW,
    ANY_OF,
    AT_LEAST,
    CLONE,
    EQUAL,
    FIRST_ARGUMENT_AT,
    LOAD,
    REFUSE,
    RETURN,
    one_of,
)

_NEW_NAMESPACES = 0x7E02_0080
"""The flags of clone(2) that ask for one (CLONE_NEW*)."""
_X32 = 0x4000_0000

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
    checks = [
        (AT_LEAST, 0, 1, _X32),
        (RETURN, 0, 0, REFUSE),
        *one_of(REFUSED.values(), 3),
        (EQUAL, 0, 3, CLONE),
        (LOAD, 0, 0, FIRST_ARGUMENT_AT),
        (ANY_OF, 0, 1, _NEW_NAMESPACES),
        (RETURN, 0, 0, REFUSE),
        (RETURN, 0, 0, ALLOW),
    ]
    return seccomp.program(machine or platform.machine(), checks)
