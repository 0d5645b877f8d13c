"""What a lab's hosts still carry when the lab is to go: processes, and networks of grids."""

import os
import re
import signal
import time
from pathlib import Path
from typing import NamedTuple

from netns import model
from netns.failures import NetnsError
from netns.kernel import namespaces, observe

_GRACE_S = 5.0
_ALIAS = re.compile(r"overlayd/([^/]+)/(.+)")
_OWN_LINK = re.compile(r"ov[bxsv]-([0-9a-f]{6})")


class Running(NamedTuple):
    """A process inside a namespace."""

    namespace: str
    pid: int
    command: str


def grid_namespaces(host_namespace: str) -> list[str]:
    """Namespaces of grid networks that a daemon on this host has made and not removed."""
    if not namespaces.is_mounted(host_namespace):
        return []
    found = set()
    for link, alias in namespaces.inside(host_namespace, observe.aliased_links):
        said, named = _ALIAS.fullmatch(alias), _OWN_LINK.fullmatch(link)
        if said and named:
            found.add(model.namespace_name(said[1], int(named[1], 16)))
    return sorted(found.intersection(namespaces.names()))


def processes(namespace: str) -> list[Running]:
    """The processes that run inside, with their command lines."""
    return [Running(namespace, pid, _command(pid)) for pid in namespaces.pids(namespace)]


def end(running: list[Running]) -> None:
    """Ends them by SIGTERM, and by SIGKILL if they take too long. Raises NetnsError if one still lives."""
    started = time.monotonic()
    _signal(running, signal.SIGTERM)
    killed = False
    while alive := [who for who in running if who.pid in namespaces.pids(who.namespace)]:
        waited_s = time.monotonic() - started
        if waited_s > _GRACE_S and not killed:
            _signal(alive, signal.SIGKILL)
            killed = True
        if waited_s > 2 * _GRACE_S:
            names = ", ".join(f"{who.pid} ({who.command})" for who in alive)
            raise NetnsError(f"these do not end, not even killed: {names}")
        time.sleep(0.01)


def _signal(running: list[Running], which: signal.Signals) -> None:
    for who in running:
        if who.pid in namespaces.pids(who.namespace):  # another process may have the pid by now
            os.kill(who.pid, which)


def _command(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return "?"
    return b" ".join(words).decode(errors="replace").strip()[:100]
