"""A libvirtd of this daemon's own, for containers: libvirt's LXC driver cannot run inside our process.

It runs in a mount namespace of its own, in which the folders where libvirt keeps things are below one of ours.
So it meets no other libvirtd, and nothing has to be configured. What it starts as its controller of a container
is ours there (`controller.py`), by the usual path, for which a host's AppArmor profile has a rule. It outlives
this process, as its containers outlive it. One that was killed is started again with the same folders, and
finds its containers there.
"""

import contextlib
import os
import select
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from overlayd.adapters.libvirt.plans import EMULATOR
from overlayd.ports.compute import ComputeError

_STARTS_WITHIN_S = 30.0
_PID_FILE = "libvirtd.pid"
_FOLDERS = {
    "run": "/run/libvirt",
    "etc": "/etc/libvirt",
    "lib": "/var/lib/libvirt",
    "cache": "/var/cache/libvirt",
    "log": "/var/log/libvirt",
}
_CONFIG = """\
# Written by overlayd.
auth_unix_ro = "none"
auth_unix_rw = "none"
unix_sock_rw_perms = "0700"
"""
_ENTER = """\
set -e
root=$1; shift
while [ $# -gt 1 ]; do
    mkdir -p "$2"
    mount --bind "$root/$1" "$2"
    shift 2
done
mount --bind "$1" "$root/libvirt_lxc"
mount --bind "$root/controller" "$1"
# libvirt's LXC driver takes one hierarchy of control groups only.
umount /sys/fs/cgroup/unified 2>/dev/null || true
exec libvirtd --pid-file "$root/libvirtd.pid"
"""


def uri_of(root: Path) -> str:
    """How to reach the libvirtd whose folders are below `root`."""
    return f"lxc+unix:///?socket={root / 'run' / 'libvirt-sock'}"


def emulator_of(root: Path) -> str:
    """Where libvirt's own controller is for what that libvirtd starts."""
    return str(root / "libvirt_lxc")


def ensure(root: Path, controller: str) -> None:
    """Starts the libvirtd, unless one answers. Blocks until it does. Raises ComputeError.

    `controller` is the script that it starts instead of its own controller. One that was started with another
    is ended first; its containers go on.
    """
    if _answers(root):
        if _entered(root) == (_ENTER, controller):
            return
        _end_now(root)
    if shutil.which("libvirtd") is None:
        raise ComputeError("containers need libvirtd, which is not here; scripts/setup installs it")
    _prepare(root, controller)
    words = [word for pair in _FOLDERS.items() for word in pair]
    argv = [
        "unshare",
        "--mount",
        "--propagation",
        "slave",
        "sh",
        "-c",
        _ENTER,
        "sh",
        str(root),
        *words,
        EMULATOR,
    ]
    with (root / "libvirtd.log").open("ab") as log:
        process = subprocess.Popen(
            argv, cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    end_s = time.monotonic() + _STARTS_WITHIN_S
    while not _answers(root):
        if process.poll() is not None or time.monotonic() > end_s:
            said = (root / "libvirtd.log").read_text(errors="replace").strip().splitlines()
            raise ComputeError(
                f"its own libvirtd does not start: {said[-1] if said else 'it says nothing'}; "
                f"{root / 'libvirtd.log'} has more"
            )
        time.sleep(0.05)


def end(root: Path) -> None:
    """Ends the libvirtd, if it runs. What it has started goes on."""
    pid = _pid(root)
    if pid is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)


def _pid(root: Path) -> int | None:
    """The libvirtd's process; None if there is none."""
    try:
        pid = int((root / _PID_FILE).read_text())
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return None
    return pid if str(root / _PID_FILE).encode() in words else None


def _end_now(root: Path) -> None:
    """Ends it and waits until it has gone: it is silent some time before it lets go of its pid file."""
    pid, handle = _pid(root), _pidfd(root)
    try:
        end(root)
        end_s = time.monotonic() + _STARTS_WITHIN_S
        while _answers(root) or not _has_ended(handle):
            if time.monotonic() > end_s:
                what = f"`kill -9 {pid}` ends it" if pid else "end the one with that socket"
                raise ComputeError(
                    f"the libvirtd of an earlier build below {root} does not end within "
                    f"{_STARTS_WITHIN_S:g} s; {what}, and its containers go on"
                )
            time.sleep(0.05)
    finally:
        if handle is not None:
            os.close(handle)


def _pidfd(root: Path) -> int | None:
    """A descriptor of the libvirtd's process, the caller's to close; None if there is none."""
    pid = _pid(root)
    try:
        handle = os.pidfd_open(pid) if pid is not None else None
    except ProcessLookupError:
        return None
    if handle is not None and _pid(root) != pid:
        os.close(handle)  # another process took the number meanwhile
        return None
    return handle


def _has_ended(handle: int | None) -> bool:
    """Whether the process has ended, with all its threads.

    /proc does not say it: a process that ends has no command line any more while it still has its files.
    """
    if handle is None:
        return True
    ends = select.poll()
    ends.register(handle, select.POLLIN)
    return bool(ends.poll(0))


def _entered(root: Path) -> tuple[str, str]:
    """How the libvirtd was started that has these folders."""
    try:
        return (root / "entered").read_text(), (root / "controller").read_text()
    except OSError:
        return "", ""


def _prepare(root: Path, controller: str) -> None:
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    boot = Path("/proc/sys/kernel/random/boot_id").read_text()
    mark = root / "boot"
    if not mark.exists() or mark.read_text() != boot:
        # What was in /run does not outlive a boot of the host: its pids are others' by now.
        shutil.rmtree(root / "run", ignore_errors=True)
        mark.write_text(boot)
    for name in _FOLDERS:
        (root / name).mkdir(mode=0o755, exist_ok=True)
    (root / "etc" / "libvirtd.conf").write_text(_CONFIG)
    (root / "libvirt_lxc").touch()
    (root / "controller").unlink(missing_ok=True)
    (root / "controller").write_text(controller)
    (root / "controller").chmod(0o755)
    (root / "entered").write_text(_ENTER)
    log = root / "libvirtd.log"
    with contextlib.suppress(FileNotFoundError):
        os.truncate(log, 0)


def _answers(root: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asked:
        asked.settimeout(2)
        try:
            asked.connect(str(root / "run" / "libvirt-sock"))
        except OSError:
            return False
    return True
