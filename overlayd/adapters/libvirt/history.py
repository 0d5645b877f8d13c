"""What happened to each domain, for whoever looks at it.

While we are here it is gathered from libvirt's events and QEMU's processes; what came before is in QEMU's log.
"""

import contextlib
import time
from pathlib import Path
from xml.etree import ElementTree as ET

import libvirt

from overlayd.adapters.libvirt import reasons
from overlayd.adapters.libvirt.exits import Exits
from overlayd.ports.compute import Cause

ONE_RESET_S = 10.0
"""A kernel that restarts tries several ways at once, and each is an event. Within so many seconds it is one."""


class History:
    """The history of one connection's domains."""

    def __init__(self, folder: "Folder | None") -> None:
        """`folder` is where the driver keeps QEMU's logs and pid files; None for a driver without any."""
        self._folder = folder
        self._exits = Exits()
        self._heard: dict[str, Cause] = {}
        self._resets: dict[str, tuple[int, float]] = {}

    def event(self, name: str, event: int, detail: int) -> None:
        """libvirt tells of a life cycle event."""
        if event == libvirt.VIR_DOMAIN_EVENT_STARTED:
            self._heard.pop(name, None)
        elif (cause := reasons.told(event, detail)) is not None:
            self._heard[name] = cause

    def reset(self, name: str) -> None:
        """The guest restarted itself: its QEMU goes on."""
        count, last_s = self._resets.get(name, (0, -ONE_RESET_S))
        now_s = time.monotonic()
        self._resets[name] = (count if now_s < last_s + ONE_RESET_S else count + 1, now_s)

    def resets(self, name: str) -> int:
        """How often it did."""
        return self._resets.get(name, (0, 0.0))[0]

    def watch(self, domain: libvirt.virDomain) -> None:
        """A domain runs: its process is watched from now on, so that its end can be told."""
        name, run = domain.name(), domain.ID()
        if self._folder is None or run < 0 or self._exits.watches(name, run):
            return
        pid = self._folder.pid(name)
        if pid is not None:
            self._exits.watch(name, run, pid)

    def stopped(self, domain: libvirt.virDomain, reason: int) -> tuple[Cause, str]:
        """Why a domain does not run."""
        name = domain.name()
        log = self._folder.log(name) if self._folder is not None else None
        return reasons.stopped(reason, self._heard.get(name), self._exits.how(name), log)

    def paused(self, domain: libvirt.virDomain, reason: int) -> tuple[Cause, str, tuple[str, ...]]:
        """Why a domain is paused, and the paths of the disks that it waits for."""
        cause, why = reasons.paused(reason)
        if cause is not Cause.IO_ERROR:
            return cause, why, ()
        errors = domain.diskErrors()
        paths = _paths(domain, errors)
        if libvirt.VIR_DOMAIN_DISK_ERROR_NO_SPACE in errors.values():
            cause, why = Cause.NO_ROOM, "a disk's file cannot grow: no room where it is"
        return cause, f"{why} ({', '.join(paths)})" if paths else why, paths

    def forget(self, name: str) -> None:
        """The domain is gone by our will, and so is what QEMU logged of it."""
        self._heard.pop(name, None)
        self._resets.pop(name, None)
        self._exits.forget(name)
        if self._folder is not None:
            self._folder.remove_log(name)

    def close(self) -> None:
        """Nobody asks any more."""
        self._exits.close()


class Folder:
    """Where a QEMU driver keeps what it knows of its processes."""

    def __init__(self, logs: Path, runs: Path) -> None:
        self._logs, self._runs = logs, runs

    def log(self, name: str) -> Path:
        """QEMU's log of a domain: what it was started with, what it said, how it ended."""
        return self._logs / f"{name}.log"

    def pid(self, name: str) -> int | None:
        """The process of a domain that runs; None if it cannot be known."""
        try:
            return int((self._runs / f"{name}.pid").read_text())
        except (OSError, ValueError):
            return None

    def remove_log(self, name: str) -> None:
        """Removes a domain's log and its older parts. What is a libvirtd's own stays if we may not."""
        for log in (self.log(name), *self._logs.glob(f"{name}.log.*")):
            with contextlib.suppress(OSError):
                log.unlink(missing_ok=True)

    def remove_logs_but(self, names: set[str]) -> None:
        """Removes the logs of domains that are not there, for a driver that is ours alone."""
        there = dict.fromkeys(log.name.partition(".log")[0] for log in self._logs.glob("*.log*"))
        for name in there:
            if name not in names:
                self.remove_log(name)


def _paths(domain: libvirt.virDomain, targets: dict[str, int]) -> tuple[str, ...]:
    """The files behind some of a domain's disks."""
    tree = ET.fromstring(domain.XMLDesc())  # noqa: S314, libvirt's own, which it validated
    found = []
    for disk in tree.iterfind("devices/disk"):
        target, source = disk.find("target"), disk.find("source")
        if target is not None and source is not None and target.get("dev") in targets:
            found.append(source.get("file", ""))
    return tuple(path for path in found if path)
