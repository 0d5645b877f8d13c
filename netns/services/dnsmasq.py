"""dnsmasq inside the network's namespace, and beside it on the host: started, told of changes, stopped.

It outlives us. `dnsmasq.json` says which process has read which texts. A process is known by its pid, its
start time and our configuration file on its command line, so a pid that another process has taken is never
signalled.

It runs as a user of its own, of whom nothing else here is, with the powers over networks that it needs, on the
host none: guests talk to it. That user reads its texts, writes its log, and has nothing else. Where a folder
above is closed to users, or the host has no such user, it runs as root with the same few powers.
"""

import os
import signal
from pathlib import Path

import msgspec

from netns import processes, program, saved
from netns.failures import NetnsError
from netns.resources import Service

_POWERS = "-all,+net_bind_service,+net_admin,+net_raw"
_NO_POWERS = (
    "-all"  # the host's own: it gives no addresses, and its port is one that anybody may have
)
_FILES = ("dnsmasq.conf", "dhcp-hosts", "names", "dnsmasq.pid", "dnsmasq.log", "dnsmasq.json")


RELAY = "relay"
"""The folder of the host's own, in that of its network."""


class _Running(msgspec.Struct, frozen=True):
    """The process and what it has read."""

    pid: int
    started_ticks: int
    service: Service


def observe(namespace: str, namespace_path: Path, directory: Path) -> Service | None:
    """What the running process has read. All texts are empty if that cannot be trusted."""
    running = _running(directory)
    if running and _is_inside(running.pid, namespace_path) and _serves(running, directory):
        return running.service
    if _processes(directory) or any((directory / name).exists() for name in _FILES):
        return Service(namespace, "", "", "")
    return None


def ensure(wanted: Service, namespace_path: Path, directory: Path) -> None:
    """Leaves exactly one process, inside the namespace, that has read exactly these texts."""
    running = _running(directory)
    if (
        running is not None
        and _is_inside(running.pid, namespace_path)
        and processes.owner(running.pid) == _user(directory)
        and running.service.config == wanted.config
        and running.service.dhcp_hosts == wanted.dhcp_hosts
    ):
        _write_texts(wanted, directory)
        os.kill(running.pid, signal.SIGHUP)
        os.kill(running.pid, signal.SIGCONT)  # if somebody stopped it
        saved.write(
            directory / "dnsmasq.json", _Running(running.pid, running.started_ticks, wanted)
        )
        return
    stop(directory)
    _write_texts(wanted, directory)
    _start(namespace_path, directory)
    pid = _started(directory)
    saved.write_text(directory / "dnsmasq.pid", f"{pid}\n")
    saved.write(directory / "dnsmasq.json", _Running(pid, processes.started_ticks(pid), wanted))


def stop(directory: Path) -> None:
    """Ends every process of this directory's configuration, and removes its files."""
    processes.end(lambda pid: _is_ours(pid, directory), "dnsmasq")
    for name in _FILES:
        (directory / name).unlink(missing_ok=True)
    if directory.name == RELAY and directory.exists():
        directory.rmdir()


def pidfd(directory: Path) -> int | None:
    """A descriptor that can be read once the running process has ended; the caller's. None if none runs."""
    running = _running(directory)
    if running is None:
        return None
    try:
        handle = os.pidfd_open(running.pid)
    except OSError:
        return None
    if _running(directory) == running:
        return handle
    os.close(handle)  # the pid was taken by another meanwhile
    return None


def _write_texts(wanted: Service, directory: Path) -> None:
    directory.mkdir(mode=0o700, exist_ok=True)
    uid = _user(directory)
    if uid:
        for folder in (directory.parent, directory):
            folder.chmod(0o711)
    for name, text in _texts(wanted):
        saved.write_text(directory / name, text, gid=uid)


def _texts(service: Service) -> tuple[tuple[str, str], ...]:
    return (
        ("dnsmasq.conf", service.config),
        ("dhcp-hosts", service.dhcp_hosts),
        ("names", service.names),
    )


def _serves(running: _Running, directory: Path) -> bool:
    """Whether it is who it is to be, is not stopped by a signal, and its files are those that it has read."""
    if processes.owner(running.pid) != _user(directory):
        return False
    try:
        return not processes.is_stopped(running.pid) and all(
            (directory / name).read_text() == text for name, text in _texts(running.service)
        )
    except OSError:
        return False


def _start(namespace_path: Path, directory: Path) -> None:
    uid, log = _user(directory), directory / "dnsmasq.log"
    log.unlink(missing_ok=True)
    os.close(os.open(log, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    os.chown(log, uid, uid)
    powers = _NO_POWERS if directory.name == RELAY else _POWERS
    # Where it is root, it insists on calling setgid.
    who = [f"--bounding-set={powers},+setgid", "--inh-caps=-all"]
    if uid:
        who = [f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
        who += [f"--{kind}={powers}" for kind in ("inh-caps", "ambient-caps", "bounding-set")]
    program.run(
        [
            "nsenter",
            f"--net={namespace_path}",
            "setpriv",
            "--no-new-privs",
            *who,
            "dnsmasq",
            _mark(directory),
            "--pid-file=",
            f"--dhcp-hostsfile={directory / 'dhcp-hosts'}",
            f"--addn-hosts={directory / 'names'}",
            f"--log-facility={log}",
            "--user=root",  # it changes to nobody
            "--group=root",
        ]
    )


def _user(directory: Path) -> int:
    """Whom it runs as: one user for each directory, or root (0)."""
    above = directory.resolve().parent.parents
    reaches = all(folder.stat().st_mode & 0o001 for folder in above)
    return program.user_of(directory) if reaches else 0


def _mark(directory: Path) -> str:
    """The argument that tells our process from all others."""
    return f"--conf-file={directory.resolve() / 'dnsmasq.conf'}"


def _running(directory: Path) -> _Running | None:
    """The process of `dnsmasq.json`, if it is still that process."""
    running = saved.read(directory / "dnsmasq.json", _Running)
    if running is None or not _is_ours(running.pid, directory):
        return None
    return running if processes.started_ticks(running.pid) == running.started_ticks else None


def _started(directory: Path) -> int:
    """The process that was started just now. It has read its configuration when its starter ends."""
    pids = _processes(directory)
    if len(pids) != 1:
        raise NetnsError(f"dnsmasq ended right after its start; see {directory / 'dnsmasq.log'}")
    return pids[0]


def _processes(directory: Path) -> list[int]:
    """All our processes for this directory, even if the starter was killed before it noted the pid."""
    return processes.found(lambda pid: _is_ours(pid, directory))


def _is_ours(pid: int, directory: Path) -> bool:
    words = processes.words_of(pid)
    return bool(words) and words[0].endswith(b"dnsmasq") and _mark(directory).encode() in words


def _is_inside(pid: int, namespace_path: Path) -> bool:
    try:
        return os.path.samefile(f"/proc/{pid}/ns/net", namespace_path)
    except OSError:
        return False
