"""The hypervisors that are configured: `qemu:///system` and `lxc:///`, each with a libvirtd of the test's own.

That libvirtd runs in mount and network namespaces of its own, with its configuration, sockets and state on file
systems that only it sees. So does the daemon that uses it.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from federation import orders, traces
from federation.launch import Federation, Host, free_endpoint, wait_for

from overlayd.realise.paths import machine_name
from protocol.requesting.request import RequestState
from protocol.terms.ids import GridId
from protocol.trust.order import Action

IMAGE = Path(__file__).resolve().parents[2] / ".cache" / "images" / "guest.img"

PRIVATE = "/run/libvirt /etc/libvirt /var/lib/libvirt /var/cache/libvirt /var/log/libvirt"
SCRIPT = f"""\
set -e
for folder in {PRIVATE}; do
    mkdir -p $folder
    mount -t tmpfs -o mode=0755 tmpfs $folder
done
umount /sys/fs/cgroup/unified 2>/dev/null || true   # libvirt's LXC driver wants one hierarchy only
ip link set lo up
printf '%s\\n' 'stdio_handler = "file"' 'user = "root"' 'group = "root"' 'security_driver = "none"' \
    'dynamic_ownership = 0' 'remember_owner = 0' 'namespaces = []' >/etc/libvirt/qemu.conf
printf '%s\\n' 'auth_unix_ro = "none"' 'auth_unix_rw = "none"' >/etc/libvirt/libvirtd.conf
exec libvirtd
"""


@pytest.fixture(scope="module")
def libvirtd() -> Iterator[tuple[str, ...]]:
    """The command that enters the namespaces of that libvirtd."""
    argv = ["unshare", "--mount", "--net", "--propagation", "private", "bash", "-c", SCRIPT]
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    of = f"/proc/{process.pid}/ns"
    enter = ("nsenter", f"--mount={of}/mnt", f"--net={of}/net", "--")
    try:

        def listens() -> bool:
            assert process.poll() is None, "libvirtd ended"
            socket = Path(f"/proc/{process.pid}/root/run/libvirt/libvirt-sock")
            return socket.is_socket()

        wait_for(listens, 30, "libvirtd listens")
        yield enter
    finally:
        for pid in _beside(process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait(20)


def _beside(pid: int) -> list[int]:
    """All processes in the mount namespace of `pid`: itself, and guests that a failed test left."""
    try:
        namespace = os.readlink(f"/proc/{pid}/ns/mnt")
    except OSError:
        return []
    if namespace == os.readlink("/proc/self/ns/mnt"):
        return [pid]  # it had not entered one of its own yet
    found = []
    for path in Path("/proc").glob("[0-9]*/ns/mnt"):
        try:
            if os.readlink(path) == namespace:
                found.append(int(path.parts[2]))
        except OSError:
            continue
    return found


@pytest.fixture
def federation(request: pytest.FixtureRequest) -> Iterator[Federation]:
    """One host. Unless it starts a libvirtd itself, its hypervisor is that of the test."""
    own = request.param == "lxc:///"
    enter = () if own else request.getfixturevalue("libvirtd")
    folder = Path(tempfile.mkdtemp(prefix="ovl", dir="/tmp"))
    made = Federation(folder, uri=request.param)
    made.enrol("h1", "ams", free_endpoint("127.0.0.1"), enter)
    try:
        with made:
            made.start_all()
            yield made
        assert libvirtd_of(made.hosts["h1"]) is None, "it goes with the last of its containers"
    finally:
        shutil.rmtree(folder)


def libvirtd_of(host: Host) -> int | None:
    """The libvirtd that a daemon started for itself; None if there is none."""
    try:
        pid = int((host.folder / "state" / "lxc" / "libvirtd.pid").read_text())
    except FileNotFoundError:
        return None
    return pid if Path(f"/proc/{pid}").exists() else None


def processes(machine: str) -> list[int]:
    """The processes that run a machine: QEMU, or libvirt's container keeper.

    Until it has become the container's init, a keeper's child looks like its keeper.
    """
    found: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        named = any(word == machine or word.startswith(f"guest={machine},") for word in words)
        if named and ("qemu-system" in words[0] or "libvirt_lxc" in words[0]):
            pid = int(path.parent.name)
            found[pid] = parent_of(pid)
    return sorted(pid for pid, parent in found.items() if parent not in found)


def parent_of(pid: int) -> int:
    """The process that began one; 0 if that one is gone."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def is_ready(host: Host, keeper: int) -> bool:
    """Whether a guest has come up. A virtual machine says so; a container's init makes a file."""
    logs = (host.folder / "state" / "console").glob("*.log")
    if any("guest ready" in log.read_text(errors="replace") for log in logs):
        return True
    children = Path(f"/proc/{keeper}/task/{keeper}/children").read_text().split()
    return any(Path(f"/proc/{child}/root/run/ready").exists() for child in children)


@pytest.mark.parametrize(
    ("federation", "accelerator"),
    [("qemu:///system", "emulated"), ("lxc:///system", "container"), ("lxc:///", "container")],
    indirect=["federation"],
)
def test_a_guest_by_configuration(federation: Federation, accelerator: str) -> None:
    host = federation.hosts["h1"]
    admin = federation.identity("ams")
    row = orders.peers(host)["h1"]
    assert (row.driver, row.accelerator) == (federation.uri, accelerator)
    image = orders.add_image(host, IMAGE)
    plain = orders.spec("one", image, 1, memory_bytes=128 << 20)
    cluster = msgspec.structs.replace(plain.clusters[0], cpus_milli=1000)
    spec = msgspec.structs.replace(plain, clusters=(cluster,))
    made = orders.obeyed(host, orders.up(admin, spec, host))
    assert made.state is RequestState.DONE, made.answer
    view = orders.grid(host, "one")
    assert view is not None
    machine = machine_name(GridId(view.workspaces[0].grid_id), "n-1")
    before = processes(machine)
    assert len(before) == 1
    wait_for(lambda: is_ready(host, before[0]), 60, "the guest is ready")
    federation.kill("h1")
    assert processes(machine) == before
    federation.start("h1")
    federation.wait_ready(host)

    def found() -> bool:
        now = orders.grid(host, "one")
        return now is not None and now.workspaces[0].phase == "running"

    wait_for(found, 30, "the daemon finds it again")
    assert processes(machine) == before
    if (own := libvirtd_of(host)) is not None:
        os.kill(own, signal.SIGKILL)
        request = orders.signed(admin, Action.PAUSE, "one", "n-1")
        assert orders.obeyed(host, request).state is RequestState.DONE, "another is started"
        wait_for(lambda: orders.grid(host, "one").workspaces[0].phase == "paused", 30, "it obeys")
        assert processes(machine) == before
        assert libvirtd_of(host) not in (None, own)
    gone = orders.obeyed(host, orders.signed(admin, Action.DOWN, "one"))
    assert gone.state is RequestState.DONE, gone.answer
    assert "shut itself down in" in host.ask("GET", "events").text, "its init was told"
    assert processes(machine) == []
    assert traces.of_host(host) == []
