"""Named network namespaces, as `ip netns` makes them, and work done inside one.

Only a thread ever enters a namespace, and it ends there: the process itself stays where it is, and
no thread of a pool carries a namespace into somebody else's work.
"""

import ctypes
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from netns import program
from netns.failures import NetnsError

DIRECTORY = Path("/run/netns")
_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)
T = TypeVar("T")


def path_of(name: str) -> Path:
    return DIRECTORY / name


def names() -> list[str]:
    """Names in /run/netns, sorted. Half-made ones are among them."""
    return sorted(os.listdir(DIRECTORY)) if DIRECTORY.is_dir() else []


def exists(name: str) -> bool:
    """Whether there is such a name, even a half-made one."""
    return path_of(name).exists()


def is_mounted(name: str) -> bool:
    """Whether the name really stands for a network namespace."""
    try:
        return path_of(name).stat().st_dev == Path("/proc/self/ns/net").stat().st_dev
    except OSError:
        return False


def add(name: str) -> None:
    """Makes it, with its loopback up. One that is there stays as it is; a half-made one is made whole."""
    if not is_mounted(name):
        path_of(name).unlink(missing_ok=True)
        program.run(["ip", "netns", "add", name])
    program.run(["ip", "-n", name, "link", "set", "lo", "up"])


def delete(name: str) -> None:
    """Takes the name away. Processes that still run inside keep the namespace alive without a name."""
    if is_mounted(name):
        program.run(["ip", "netns", "delete", name])
    path_of(name).unlink(missing_ok=True)


def pids(name: str) -> list[int]:
    """Processes whose main thread is inside, sorted."""
    try:
        wanted = path_of(name).stat()
    except OSError:
        return []
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                seen = os.stat(f"/proc/{entry}/ns/net")
            except OSError:
                continue  # gone meanwhile
            if (seen.st_dev, seen.st_ino) == (wanted.st_dev, wanted.st_ino):
                found.append(int(entry))
    return sorted(found)


def enter(name: str) -> None:
    """Moves the calling thread there for good. Only for threads of your own; otherwise use `inside`."""
    with path_of(name).open("rb") as handle:
        _call(_libc.setns(handle.fileno(), _CLONE_NEWNET), f"enter the namespace {name}")


def inside(name: str, work: Callable[[], T]) -> T:
    """Does `work` in a thread of its own inside the namespace, and returns or raises what it does."""
    return _in_thread(lambda: enter(name), work)


def inside_fresh(work: Callable[[], T]) -> T:
    """Like `inside`, in a nameless namespace that is gone with the thread."""
    return _in_thread(lambda: _call(_libc.unshare(_CLONE_NEWNET), "make a network namespace"), work)


def apart(work: Callable[[], T]) -> T:
    """Like `inside`, but the work enters namespaces itself, one after the other."""
    return _in_thread(lambda: None, work)


def stream_socket_in(name: str) -> socket.socket:
    """A TCP socket that belongs to the namespace wherever it is used. The caller closes it."""
    return inside(name, lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM))


def _in_thread(enter: Callable[[], None], work: Callable[[], T]) -> T:
    result: list[T] = []
    failure: list[BaseException] = []

    def body() -> None:
        try:
            enter()
            result.append(work())
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=body, name="netns")
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return result[0]


def _call(status: int, what: str) -> None:
    if status != 0:
        reason = os.strerror(ctypes.get_errno())
        raise NetnsError(f"cannot {what}: {reason}; this needs root (CAP_SYS_ADMIN)")
