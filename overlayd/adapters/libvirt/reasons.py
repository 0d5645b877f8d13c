"""Why a domain is stopped or paused: what libvirt says of it now, what it said meanwhile, and QEMU's log.

libvirt gives one reason (`crashed`) for a guest that panicked and for a QEMU that was killed. Its events tell
them apart, but are gone with the process that heard them. What is left is QEMU's log, which libvirt ends.
"""

import contextlib
import re
from pathlib import Path

import libvirt

from overlayd.ports.compute import Cause

TAIL_BYTES = 8 << 10
WORDS_MAX = 300
"""Characters of what is said of an end. What QEMU writes may be long."""

_PAUSED = {
    libvirt.VIR_DOMAIN_PAUSED_USER: (Cause.ASKED, "paused by a user of libvirt"),
    libvirt.VIR_DOMAIN_PAUSED_IOERROR: (Cause.IO_ERROR, "a disk answers with an error"),
    libvirt.VIR_DOMAIN_PAUSED_SAVE: (Cause.ASKED, "paused to be saved"),
    libvirt.VIR_DOMAIN_PAUSED_DUMP: (Cause.ASKED, "paused for a dump"),
    libvirt.VIR_DOMAIN_PAUSED_SNAPSHOT: (Cause.ASKED, "paused for a snapshot"),
    libvirt.VIR_DOMAIN_PAUSED_MIGRATION: (Cause.ASKED, "paused to migrate"),
    libvirt.VIR_DOMAIN_PAUSED_FROM_SNAPSHOT: (Cause.ASKED, "it was paused when it was saved"),
    libvirt.VIR_DOMAIN_PAUSED_WATCHDOG: (Cause.UNKNOWN, "its watchdog paused it"),
}
_STOPPED = {
    libvirt.VIR_DOMAIN_SHUTOFF_SHUTDOWN: Cause.POWERED_OFF,
    libvirt.VIR_DOMAIN_SHUTOFF_DESTROYED: Cause.ASKED,
    libvirt.VIR_DOMAIN_SHUTOFF_CRASHED: Cause.KILLED,
    libvirt.VIR_DOMAIN_SHUTOFF_FAILED: Cause.KILLED,
    libvirt.VIR_DOMAIN_SHUTOFF_DAEMON: Cause.KILLED,
}
_LOGGED = {
    "shutdown": Cause.POWERED_OFF,
    "destroyed": Cause.ASKED,
    "crashed": Cause.KILLED,
    "failed": Cause.KILLED,
    "daemon": Cause.KILLED,
}
_ENDED = re.compile(r": shutting down, reason=(\w+)$")
_SAID = re.compile(r"^\d{4}-\d\d-\d\dT[\d:.]+Z qemu[\w.-]*: (.+)$")
_WORDS = {
    Cause.POWERED_OFF: "powered off from inside",
    Cause.CRASHED: "its kernel panicked",
    Cause.ASKED: "ended by a user of libvirt (virsh destroy, for one)",
}


def paused(reason: int) -> tuple[Cause, str]:
    """Why a domain is paused, from the reason in its state."""
    return _PAUSED.get(reason, (Cause.UNKNOWN, "the hypervisor paused it and does not say why"))


def told(event: int, detail: int) -> Cause | None:
    """What a life cycle event says of an end that a domain's state does not; None if it says nothing."""
    panicked = (libvirt.VIR_DOMAIN_EVENT_CRASHED, libvirt.VIR_DOMAIN_EVENT_CRASHED_PANICKED)
    if (event, detail) == panicked:
        return Cause.CRASHED
    if (event, detail) == (
        libvirt.VIR_DOMAIN_EVENT_SHUTDOWN,
        libvirt.VIR_DOMAIN_EVENT_SHUTDOWN_HOST,
    ):
        return Cause.KILLED
    return None


def stopped(reason: int, heard: Cause | None, how: str, log: Path | None) -> tuple[Cause, str]:
    """Why a domain is stopped. `heard` is what `told` made of its events, `how` says how its process ended, and
    `log` is QEMU's."""
    last = ["".join(filter(str.isprintable, line)) for line in _last_run(log)]
    cause = heard or _STOPPED.get(reason) or _logged(last)
    if cause is None:
        return Cause.UNKNOWN, "it ended while nobody watched; the host may have been off"
    if cause is not Cause.KILLED:
        return cause, _WORDS[cause]
    said = [match[1] for line in last if (match := _SAID.match(line))]
    # A QEMU that is asked to end by a signal ends well, and says who asked.
    by_signal = next((line for line in said if line.startswith("terminating on signal")), "")
    if by_signal:
        return cause, f"QEMU was ended from outside: {by_signal}"[:WORDS_MAX]
    did = how or "was killed, or crashed"
    return cause, f"QEMU {did}{'; it said last: ' if said else ''}{said[-1] if said else ''}"[
        :WORDS_MAX
    ]


def _logged(lines: list[str]) -> Cause | None:
    for line in reversed(lines):
        if match := _ENDED.search(line):
            return _LOGGED.get(match[1])
    return None


def _last_run(log: Path | None) -> list[str]:
    """The lines of a log about the last start."""
    lines: list[str] = []
    with contextlib.suppress(OSError):
        if log is not None:
            with log.open("rb") as file:
                file.seek(max(0, file.seek(0, 2) - TAIL_BYTES))
                lines = file.read().decode(errors="replace").splitlines()
    begins = [number for number, line in enumerate(lines) if ": starting up libvirt" in line]
    return lines[begins[-1] :] if begins else lines
