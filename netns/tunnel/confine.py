"""How a forwarder gives up all it could do, once it has its control socket.

It parses what strangers send, so whoever takes it over must find nothing: a user of its own, an empty folder as
the whole file system, a network namespace with nothing in it, no capabilities and none to be had, and a filter
that lets it ask the kernel for what the loop needs only. Its taps and its UDP socket, which it is given open,
keep their namespace.

It stays in the host's mount namespace: in one of its own it would hold on to whatever is unmounted later.
"""

import ctypes
import os
import platform
import resource
import struct
from pathlib import Path

from netns.failures import NetnsError
from netns.seccomp import (
    ALLOW,
    ANY_OF,
    CLONE,
    EQUAL,
    FIRST_ARGUMENT_AT,
    LOAD,
    REFUSE,
    RETURN,
    one_of,
    program,
)

_CLONE_NEWIPC, _CLONE_NEWNET = 0x0800_0000, 0x4000_0000
_PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 4, 22, 24, 38
_SECCOMP_MODE_FILTER = 2
_CAPABILITY_VERSION_3 = 0x2008_0522
_CAPABILITIES = 64

OPEN_FILES_MOST = 4_096 + 64
"""A tap of each network, and what else there is."""
MEMORY_BYTES_MOST = 2 << 30
"""Of addresses; what is used is far less."""
LOG_BYTES_MOST = 1 << 20

ALLOWED = {
    "read": 0, "write": 1, "close": 3, "fstat": 5, "poll": 7, "lseek": 8, "mmap": 9, "mprotect": 10,
    "munmap": 11, "brk": 12, "rt_sigaction": 13, "rt_sigprocmask": 14, "rt_sigreturn": 15,
    "readv": 19, "writev": 20, "sched_yield": 24, "mremap": 25, "madvise": 28, "nanosleep": 35,
    "getpid": 39, "sendto": 44, "recvfrom": 45, "sendmsg": 46, "recvmsg": 47, "shutdown": 48,
    "getsockname": 51, "setsockopt": 54, "getsockopt": 55, "exit": 60, "fcntl": 72,
    "gettid": 186, "futex": 202, "restart_syscall": 219, "clock_gettime": 228,
    "clock_nanosleep": 230, "exit_group": 231, "epoll_wait": 232, "epoll_ctl": 233,
    "set_robust_list": 273, "epoll_pwait": 281, "accept4": 288, "recvmmsg": 299, "sendmmsg": 307,
    "getrandom": 318, "rseq": 334,
}  # fmt: skip
"""System calls of the loop, by their numbers of x86-64."""
_CLONE_THREAD = 0x0001_0000


def enter(uid: int, empty: Path) -> None:
    """Leaves everything behind, for good, in the calling process. `uid` 0 stays root, without its powers.

    `empty` is an empty folder of root's. Raises NetnsError when a step fails; then end the process.
    """
    try:
        _limit()
        _call("unshare", _CLONE_NEWIPC | _CLONE_NEWNET)
        os.chroot(empty)
        os.chdir("/")
        _prctl(_PR_SET_NO_NEW_PRIVS, 1)
        for capability in range(_CAPABILITIES):
            if not _may(_PR_CAPBSET_DROP, capability):
                break  # the last that this kernel has was before
        os.setgroups([])
        if uid:
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
        _call("capset", *_no_capabilities())
        _prctl(_PR_SET_DUMPABLE, 0)  # keys are in our memory
        _filter()
    except OSError as error:
        raise NetnsError(f"the forwarder cannot be confined: {error.strerror}") from error


def filter_program(machine: str) -> bytes:
    """The seccomp filter for such a machine; nothing for one whose numbers are not known here."""
    checks = [
        *one_of(ALLOWED.values(), 4),
        (EQUAL, 0, 2, CLONE),
        (LOAD, 0, 0, FIRST_ARGUMENT_AT),
        (ANY_OF, 1, 0, _CLONE_THREAD),  # a thread, and no process
        (RETURN, 0, 0, REFUSE),
        (RETURN, 0, 0, ALLOW),
    ]
    return program(machine, checks)


def _limit() -> None:
    for limit, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, LOG_BYTES_MOST),
        (resource.RLIMIT_NOFILE, OPEN_FILES_MOST),
        (resource.RLIMIT_AS, MEMORY_BYTES_MOST),
    ):
        resource.setrlimit(limit, (most, most))


def _filter() -> None:
    text = filter_program(platform.machine())
    if text:
        held = ctypes.create_string_buffer(text, len(text))
        where = struct.pack("HxxxxxxP", len(text) // 8, ctypes.addressof(held))
        _prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.create_string_buffer(where))


def _no_capabilities() -> tuple[ctypes.Array[ctypes.c_char], ctypes.Array[ctypes.c_char]]:
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    return ctypes.create_string_buffer(header, 8), ctypes.create_string_buffer(24)


def _prctl(*words: int | ctypes.Array[ctypes.c_char]) -> None:
    if not _may(*words):
        number = ctypes.get_errno()
        raise OSError(number, f"prctl {words[0]}: {os.strerror(number)}")


def _may(*words: int | ctypes.Array[ctypes.c_char]) -> bool:
    padded = [*words, 0, 0, 0, 0][:5]
    wide = [ctypes.c_ulong(word) if isinstance(word, int) else word for word in padded]
    return bool(_libc().prctl(*wide) == 0)


def _call(name: str, *words: int | ctypes.Array[ctypes.c_char]) -> None:
    if getattr(_libc(), name)(*words) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
