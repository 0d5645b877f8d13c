"""A grid of containers over two hosts: the same file, networks, ready, found again, restarted."""

import contextlib
import gzip
import os
import signal
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from federation import orders
from federation.launch import Caps, Federation, Host, wait_for
from two_hosts import two_hosts

from netns.lab.topology import Host as LabHost
from netns.lab.topology import Site, Topology
from overlayd.adapters.libvirt.controller import AT
from overlayd.adapters.libvirt.plans import SEED_PATH
from overlayd.adapters.libvirt.users import built_in_containers
from overlayd.api.views import ConsoleRequest
from overlayd.realise.paths import machine_name
from protocol.grid.model import (
    GridSpec,
    Mount,
    NetworkSpec,
    PlacementSpec,
    Spread,
    VolumeSpec,
)
from protocol.requesting.request import RequestState
from protocol.terms.ids import GridId
from protocol.trust.order import Action

IMAGE = Path(__file__).resolve().parents[2] / ".cache" / "images" / "guest.img"
TOPOLOGY = Topology(
    "boxes",
    (
        Site("ams", "198.51.100.64/28", (LabHost("a", "198.51.100.65"),)),
        Site("bnl", "198.51.100.80/28", (LabHost("b", "198.51.100.81"),)),
    ),
)
UP_WITHIN_S = 120
OWN = """\
grid: own
networks: {lan: {cidr: 10.45.0.0/24}}
clusters:
  n: {image: box, cpus: 0.25, memory: 64M, disk: 96M, networks: [lan]}
"""


@pytest.fixture
def federation() -> Iterator[Federation]:
    with two_hosts(TOPOLOGY, Caps("1", "256M", "2G"), uri="lxc:///") as made:
        yield made


def asked(spec: GridSpec) -> GridSpec:
    """One container on each host, on a network, with a scratch disk; the first has a volume, too."""
    cluster = msgspec.structs.replace(
        spec.clusters[0], cpus_milli=500, networks=("lan",), scratch_bytes=32 << 20
    )
    store = msgspec.structs.replace(
        cluster, name="store", count=1, minimum=1, mounts=(Mount("data", "/srv"),)
    )
    return msgspec.structs.replace(
        spec,
        clusters=(store, msgspec.structs.replace(cluster, count=1, minimum=1)),
        networks=(NetworkSpec("lan", "10.44.0.0/24"),),
        volumes=(VolumeSpec("data", 64 << 20),),
        placement=PlacementSpec(spread=Spread.HOST),
    )


def phases(host: Host) -> dict[str, tuple[str, str]]:
    view = orders.grid(host, "boxes")
    return {row.workspace: (row.phase, row.detail) for row in view.workspaces} if view else {}


def is_ready(host: Host) -> bool:
    return [phase for phase, _ in phases(host).values()] == ["ready", "ready"]


def test_containers_are_made_as_virtual_machines_are(federation: Federation) -> None:
    a, b = federation.hosts["a"], federation.hosts["b"]
    image = orders.add_image(a, IMAGE)
    wait_for(lambda: orders.peers(b)["a"].images, 20, "b has heard of the image")
    admin = federation.identity("ams")
    spec = asked(orders.spec("boxes", image, 1, memory_bytes=96 << 20))
    done = orders.obeyed(a, orders.up(admin, spec, a), UP_WITHIN_S)
    assert done.state is RequestState.DONE, (done.answer, phases(a))
    wait_for(lambda: is_ready(a) and is_ready(b), 60, f"all are ready: {phases(a)}")
    consoles_answer(federation, "first")
    they_reach_each_other(a, federation)

    # A daemon is killed with its libvirtd: the containers go on, and are found again.
    federation.kill("b")
    own = int((b.folder / "state" / "lxc" / "libvirtd.pid").read_text())
    os.kill(own, signal.SIGKILL)
    federation.start("b")
    federation.wait_ready(b)
    wait_for(lambda: is_ready(b), 60, "it is found as it was")
    consoles_answer(federation, "found")

    store = next(r for r in orders.grid(a, "boxes").workspaces if r.workspace == "store-1")
    machine = machine_name(GridId(store.grid_id), "store-1")
    in_container(federation.hosts[store.host], "echo data >/srv/kept", machine)
    again = orders.signed(admin, Action.RESTART, "boxes", "store-1")
    assert orders.obeyed(a, again, UP_WITHIN_S).state is RequestState.DONE
    wait_for(lambda: is_ready(a) and is_ready(b), 60, "it is ready again, with its card")
    consoles_answer(federation, "again")
    host = federation.hosts[store.host]
    assert in_container(host, "cat /srv/kept", machine).stdout == "data\n"
    assert in_container(host, "stat -c %u /srv/kept", machine).stdout == "0\n"

    refused = orders.obeyed(a, orders.signed(admin, Action.SUSPEND, "boxes", "n-1"), 60)
    assert refused.state is RequestState.FAILED
    assert "cannot be saved to disk" in str(refused.answer)

    own_root(federation, admin)
    gone = orders.obeyed(b, orders.signed(admin, Action.DOWN, "boxes"), 60)
    assert gone.state is RequestState.DONE, gone.answer
    assert subprocess.run(["losetup", "--list"], capture_output=True, check=True).stdout == b""
    assert [line for line in all_mounts() if "/dev/loop" in line or AT in line] == []
    for host in (a, b):
        assert list((host.folder / "state" / "containers").iterdir()) == []


def they_reach_each_other(asked: Host, federation: Federation) -> None:
    """By name, from site to site, sealed as all networks are."""
    where = {row.workspace: row for row in orders.grid(asked, "boxes").workspaces}
    for one, other in (("n-1", "store-1"), ("store-1", "n-1")):
        host = federation.hosts[where[one].host]
        machine = machine_name(GridId(where[one].grid_id), one)
        said = in_container(host, f"ping -c 3 -w 20 {other}", machine).stdout
        assert ", 0% packet loss" in said or " 3 packets received" in said, said


def consoles_answer(federation: Federation, word: str) -> None:
    """Each container's console takes what is typed at one site, and shows what comes of it."""
    admin = federation.identity("ams")
    for host, workspace in (("a", "n-1"), ("a", "store-1")):
        order = orders.signed(admin, Action.CONSOLE, "boxes", workspace, via=federation.hosts[host])
        keys = f"echo {word}-{host}-$((6*7))\n".encode()
        federation.hosts[host].ask(
            "POST", "console", msgspec.json.encode(ConsoleRequest(order, 0, keys))
        )

        def shows(host: str = host, workspace: str = workspace) -> bool:
            read = federation.ctl("a", "console", f"boxes/{workspace}")
            return f"{word}-{host}-42" in read.stdout

        wait_for(shows, 20, f"{workspace} shows what was typed at {host}")


def own_root(federation: Federation, admin: Path) -> None:
    """A root file system as a tar becomes a container with a root of its own, which a restart keeps."""
    a = federation.hosts["a"]
    box = root_file_system(federation.folder)
    added = federation.ctl("a", "image", "add", str(box), "--name", "box")
    assert added.returncode == 0, added.stderr
    file = federation.folder / "own.yaml"
    file.write_text(OWN)
    key = federation.folder / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    up = federation.ctl("a", "up", str(file), "--ssh-key", f"{key}.pub")
    assert up.returncode == 0, up.stdout + up.stderr
    (row,) = orders.grid(a, "own").workspaces
    host = federation.hosts[row.host]
    mark = Path("srv") / "mark"
    in_container(host, f"echo kept >/{mark}")
    root_is_nobody(host)
    copied = federation.ctl("a", "cp", str(file), "own/n-1:/srv/given", "-i", str(key))
    assert copied.returncode == 0, copied.stderr
    read = federation.ctl("a", "ssh", "own/n-1", "-i", str(key), "--", "id -u; cat /srv/given")
    assert read.stdout == f"0\n{OWN}", read.stderr
    own = orders.id_of(a, "own")
    again = orders.signed(admin, Action.RESTART, own, "n-1")
    assert orders.obeyed(a, again, UP_WITHIN_S).state is RequestState.DONE
    wait_for(lambda: orders.grid(a, "own").workspaces[0].phase == "ready", 60, "it is back")
    assert (inside(host) / mark).read_text() == "kept\n"
    root_is_nobody(host)
    size = os.statvfs(inside(host))
    assert size.f_blocks * size.f_frsize < 96 << 20, "no larger than its disk"
    down = orders.obeyed(a, orders.signed(admin, Action.DOWN, own), 60)
    assert down.state is RequestState.DONE, down.answer


def root_is_nobody(host: Host) -> None:
    """Root of that host's newest container has none of its powers on the host."""
    init = inside(host).parent
    status = dict(line.split(":", 1) for line in (init / "status").read_text().splitlines())
    uids = {int(uid) for uid in (*status["Uid"].split(), *status["Gid"].split())}
    assert min(uids) >= built_in_containers().first, "its init is nobody on the host"
    assert in_container(host, "id -u").stdout == "0\n", "in there it is root"

    made = in_container(host, "mknod /tmp/disk b 7 0; test -e /tmp/disk || echo none")
    assert made.stdout == "none\n", made.stderr
    (bound,) = (host.folder / "state" / "console").glob("*.root/user-data")
    secret = bound.with_name("secret")
    secret.write_text("the host's root's")
    secret.chmod(0o600)
    read = in_container(host, f"cat {SEED_PATH}/user-data {SEED_PATH}/secret")
    assert read.stdout.startswith("#cloud-config"), read.stderr
    assert "root's" not in read.stdout
    assert "Permission denied" in read.stderr

    row = orders.peers(host)[host.name]
    assert row.confined.startswith("user, namespaces"), row.confined


def in_container(
    host: Host, script: str, machine: str = "ovl-*"
) -> subprocess.CompletedProcess[str]:
    """What root of a container says to a script: of the host's newest, or of a machine's."""
    pid = inside(host, machine).parent.name
    enter = ["nsenter", "--target", pid, "--user", "--mount", "--pid", "--net", "--root", "--wd"]
    argv = [*enter, "/bin/sh", "-c", script]
    return subprocess.run(argv, capture_output=True, text=True, check=False)


def all_mounts() -> list[str]:
    """What is mounted, in whatever mount namespace of this machine."""
    found = set[str]()
    for path in Path("/proc").glob("[0-9]*/mounts"):
        with contextlib.suppress(OSError):
            found.update(path.read_text().splitlines())
    return sorted(found)


def inside(host: Host, machine: str = "ovl-*") -> Path:
    """The root of that host's newest container, as this machine sees it."""
    files = (host.folder / "state" / "lxc" / "run" / "lxc").glob(f"{machine}.pid")
    pid = max(files, key=lambda file: file.stat().st_mtime).read_text()
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return Path(f"/proc/{children[0]}/root")


def root_file_system(folder: Path) -> Path:
    """A compressed tar of the appliance's files, whose init finds its seed where cloud-init does."""
    with tarfile.open(IMAGE) as image:
        part = image.extractfile("initrd.img")
        assert part is not None
        archive = gzip.decompress(part.read())
    tree = folder / "tree"
    tree.mkdir()
    unpack = ["cpio", "-idm", "--quiet", "--no-absolute-filenames"]
    subprocess.run(unpack, cwd=tree, input=archive, check=True)
    (tree / "var" / "lib" / "cloud" / "seed").mkdir(parents=True)
    (tree / "srv").mkdir(exist_ok=True)
    (tree / "run" / "seed").symlink_to("../var/lib/cloud/seed/nocloud")
    box = folder / "box.tar.gz"
    subprocess.run(["tar", "-C", tree, "--exclude=./dev/*", "-czf", box, "."], check=True)
    return box
