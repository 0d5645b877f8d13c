"""A distribution's image, as a person brings it: two Debian guests at two sites, one by BIOS and one by UEFI.

The rows share one running lab and run in the order of the file, since a guest's first boot takes more than a
minute under emulation. The image is that of `scripts/build-image debian`. `scripts/build-image repository`
makes the mirror that guests find beyond their hosts' way out.
"""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from federation import orders, traces
from federation.launch import Caps, Federation, wait_for
from federation.outside import FAR, NEAR, PORT, folder, forwards, outside, serving
from two_hosts import two_hosts

from netns.lab.topology import Host as LabHost
from netns.lab.topology import Site, Topology
from overlayd.adapters.credentials import load_host
from overlayd.assembly import OWNER_TAG
from protocol.terms.ids import short_hash

pytestmark = pytest.mark.timeout(1200)

TOP = Path(__file__).resolve().parents[2]
IMAGE = TOP / ".cache" / "images" / "debian.qcow2"
TOPOLOGY = Topology(
    "debian",
    (
        Site("ams", "198.51.100.0/28", (LabHost("a", "198.51.100.1"),)),
        Site("bnl", "198.51.100.16/28", (LabHost("b", "198.51.100.17"),)),
    ),
)
BOTH = ["bios-1", "uefi-1"]
GRID = """\
grid: deb
lease: {for: 2h}
networks:
  lan: {cidr: 10.47.0.0/24, encryption: none, internet: true}
clusters:
  bios:
    {image: debian, cpus: 1, memory: 512M, disk: 3G, networks: [lan], user-data: bios.yaml,
     stop-within: 2m}
  uefi:
    {image: debian-uefi, cpus: 1, memory: 512M, networks: [lan], user-data: uefi.sh,
     stop-within: 2m}
placement: {spread: host}
"""
AGAIN = """\
grid: again
lease: {for: 1h}
networks:
  lan: {cidr: 10.47.0.0/24, encryption: none}
clusters:
  copy: {image: mine, cpus: 1, memory: 512M, networks: [lan]}
"""
CONFIG = """\
#cloud-config
write_files:
  - {path: /root/written, content: "by write_files"}
runcmd:
  - [sh, -c, "hostname >/root/ran"]
"""
SCRIPT = """\
#!/bin/sh
curl --silent --fail --retry 10 --output /root/asked http://169.254.169.254/overlayd/v1/grid
hostname >/root/ran
"""
SOURCES = f"deb [trusted=yes] http://{FAR}:{PORT} ./"
FETCH = f"curl --silent --output /dev/null --max-time 3 http://{{}}:{PORT}/Packages"
UP_WITHIN_S = 600
"""Two first boots at once, emulated, on two cores that something else may use as well."""


class Guests:
    """The lab, and what a person of site ams types at b, of another site, about the grid."""

    def __init__(self, federation: Federation, folder: Path) -> None:
        self.federation = federation
        self.folder = folder
        self.a, self.b = federation.hosts["a"], federation.hosts["b"]

    def ctl(self, *words: str, code: int = 0, peer: str = "b") -> str:
        """An overlayctl command, at b whatever host it is about, and what it prints."""
        argv = self.federation.ctl_argv(peer, *words, site="ams")
        done = subprocess.run(
            argv, capture_output=True, text=True, timeout=UP_WITHIN_S, check=False
        )
        said = done.stdout + done.stderr
        assert done.returncode == code, f"overlayctl {' '.join(words)}: {done.returncode}\n{said}"
        return done.stdout

    def written(self, name: str, grid: str) -> str:
        """A grid file. Its images are what the person's own site calls so, and not b's."""
        (self.folder / name).write_text(grid)
        return str(self.folder / name)

    def run(self, workspace: str, command: str, grid: str = "deb") -> str:
        """A command in a guest, as root. It has no single quotes."""
        words = ["sudo", "sh", "-c", f"'{command}'"]
        return self.ctl(*self.login("ssh"), f"{grid}/{workspace}", "--", *words)

    def login(self, command: str) -> list[str]:
        """How that command logs in."""
        return [command, "--user", "debian", "--key", str(self.folder / "key")]

    def phases(self, grid: str = "deb", peer: str = "b") -> dict[str, str]:
        """Each workspace's phase, as that host knows it."""
        view = orders.grid(self.federation.hosts[peer], grid)
        return {row.workspace: row.phase for row in view.workspaces} if view else {}

    def all_ready(self) -> bool:
        """Whether both are ready, as their own hosts say it, which are the first to know better."""
        return all(
            self.phases(peer=peer) == dict.fromkeys(BOTH, "ready") for peer in self.federation.hosts
        )

    def have_a_way_out(self) -> bool:
        """Whether no host says that it lacks what its guests are to have of it."""
        said = [self.federation.ctl(name, "status").stdout for name in self.federation.hosts]
        return not any("egress" in status for status in said)

    def processes(self) -> dict[str, int]:
        """The process of each guest."""
        found: dict[str, int] = {}
        for host in self.federation.hosts.values():
            found |= traces.guests(host)
        return found

    def left(self) -> list[str]:
        """What the grid has left behind on any host."""
        tags = []
        for host in self.federation.hosts.values():
            keys = self.federation.identity(host.site) / "hosts" / host.name
            tags.append(short_hash(load_host(keys).identity.key, digits=OWNER_TAG))
        hosts = self.federation.hosts.values()
        found = [f"{host.name}: {x}" for host in hosts for x in traces.of_host(host)]
        return found + traces.of_machine(tags)


@pytest.fixture(scope="module")
def guests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guests]:
    """Two hosts, each with room for one of the guests; the image is at one of them, once for each firmware."""
    work = tmp_path_factory.mktemp("grid")
    key = work / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    for name, content in (("bios.yaml", CONFIG), ("uefi.sh", SCRIPT)):
        (work / name).write_text(content)
    build = [TOP / "scripts" / "build-image", "repository", "--output", work / "mirror", "figlet"]
    subprocess.run(build, check=True, capture_output=True)
    mirror = folder(work / "mirror")
    caps = Caps(cpus="2", memory="1600M", disk="16G")
    with (
        two_hosts(TOPOLOGY, caps, 'egress = "nat"') as federation,
        outside(TOPOLOGY.name, federation.hosts, mirror),
        ExitStack() as stack,
    ):
        for host in federation.hosts.values():
            forwards(TOPOLOGY.name, host.name)
            there = f"ovl-lab-{TOPOLOGY.name}.{host.name}"
            stack.enter_context(serving(there, host.address, mirror))
        yield Guests(federation, work)


def test_by_bios_and_by_uefi_they_boot_and_say_that_they_are_ready(guests: Guests) -> None:
    guests.ctl("image", "add", str(IMAGE), "--name", "debian", peer="a")
    guests.ctl("image", "add", str(IMAGE), "--name", "debian-uefi", "--firmware", "uefi", peer="a")
    wait_for(lambda: len(orders.peers(guests.b)["a"].images) == 2, 20, "b has heard of both images")
    wait_for(guests.have_a_way_out, 60, "both have a way out")
    grid = guests.written("deb.yaml", GRID)
    guests.ctl("up", grid, "--ssh-key", f"{guests.folder / 'key'}.pub")
    assert guests.phases() == dict.fromkeys(BOTH, "ready")
    booted = "test -d /sys/firmware/efi && echo uefi || echo bios"
    assert [guests.run(name, booted).strip() for name in BOTH] == ["bios", "uefi"]


def test_what_the_person_wrote_for_the_first_boot_was_done(guests: Guests) -> None:
    assert guests.run("bios-1", "cat /root/written /root/ran") == "by write_filesbios-1\n"
    assert guests.run("uefi-1", "cat /root/ran") == "uefi-1\n"
    members = json.loads(guests.run("uefi-1", "cat /root/asked"))["members"]
    assert [member["name"] for member in members] == BOTH


def test_the_root_disk_has_the_size_that_was_asked_for(guests: Guests) -> None:
    blocks = [int(guests.run(name, "lsblk -bdno SIZE /dev/vda")) for name in BOTH]
    assert blocks == [3 << 30, 2 << 30]
    root_bytes = int(guests.run("bios-1", "df -B1 --output=size / | tail -n 1"))
    assert root_bytes > 2.5 * (1 << 30), "the file system grew with its disk"


def test_they_reach_each_other_by_name(guests: Guests) -> None:
    guests.run("bios-1", "ping -4 -c 1 -W 5 uefi-1")
    guests.run("bios-1", "ping -6 -c 1 -W 5 uefi-1")


def test_packages_come_from_outside_and_no_host_is_reached(guests: Guests) -> None:
    guests.run(
        "uefi-1", f'rm -f /etc/apt/sources.list.d/*; echo "{SOURCES}" >/etc/apt/sources.list'
    )
    guests.run("uefi-1", "apt-get -q update && apt-get -qy install figlet")
    assert guests.run("uefi-1", "figlet -f banner x").count("#") > 5
    shut = f"{guests.a.address} {guests.b.address} {NEAR}"
    others = f"for host in {shut}; do ! {FETCH.format('$host')} || exit 1; done"
    for workspace in BOTH:
        guests.run(workspace, f"{FETCH.format(FAR)} && {others}")


def test_files_go_there_and_come_back(guests: Guests) -> None:
    there, back = guests.folder / "there", guests.folder / "back"
    there.write_bytes(os.urandom(3 << 20))
    guests.ctl(*guests.login("cp"), str(there), "deb/uefi-1:/tmp/there")
    guests.ctl(*guests.login("cp"), "deb/uefi-1:/tmp/there", str(back))
    assert back.read_bytes() == there.read_bytes()


def test_a_restart_keeps_what_was_installed_and_an_image_of_it_has_it(guests: Guests) -> None:
    """A second grid begins with that image while the first guest restarts: each boot takes a minute."""
    guests.run("uefi-1", "echo installed >/opt/kept")
    guests.ctl("image", "commit", "deb/uefi-1", "--name", "mine")
    wait_for(lambda: "mine" in guests.ctl("image", "list"), 20, "b has heard of the new image")
    before = guests.run("uefi-1", "cat /proc/sys/kernel/random/boot_id")
    guests.ctl("restart", "deb/uefi-1")
    grid = guests.written("again.yaml", AGAIN)
    guests.ctl("up", grid, "--ssh-key", f"{guests.folder / 'key'}.pub")
    assert guests.phases("again") == {"copy-1": "ready"}
    assert guests.run("copy-1", "cat /opt/kept; hostname", grid="again") == "installed\ncopy-1\n"
    guests.run("copy-1", "figlet -f banner x", grid="again")
    guests.ctl("down", "again")
    wait_for(guests.all_ready, UP_WITHIN_S, "the first is ready again")
    assert guests.run("uefi-1", "cat /opt/kept") == "installed\n"
    assert guests.run("uefi-1", "cat /proc/sys/kernel/random/boot_id") != before
    guests.run("uefi-1", "journalctl --boot -1 | grep -q poweroff.target")


def test_a_reboot_of_both_hosts_keeps_it_too(guests: Guests) -> None:
    guests.run("bios-1", "echo kept >/opt/kept && sync /opt/kept")
    before = guests.run("bios-1", "cat /proc/sys/kernel/random/boot_id")
    killed = guests.processes()
    for name in guests.federation.hosts:
        guests.federation.kill(name)
    for pid in killed.values():
        os.kill(pid, signal.SIGKILL)
    guests.federation.start_all()

    def anew() -> bool:
        now = guests.processes()
        return now.keys() == killed.keys() and not set(now.values()) & set(killed.values())

    wait_for(anew, UP_WITHIN_S, "both run again")
    wait_for(guests.all_ready, UP_WITHIN_S, "both are ready again")
    assert guests.run("bios-1", "cat /opt/kept") == "kept\n"
    assert guests.run("uefi-1", "cat /opt/kept") == "installed\n"
    assert guests.run("bios-1", "cat /proc/sys/kernel/random/boot_id") != before


def test_down_leaves_nothing(guests: Guests) -> None:
    guests.ctl("down", "deb")
    try:
        wait_for(lambda: not guests.left(), 60, "nothing is left")
    except RuntimeError:
        pytest.fail("left behind: " + "; ".join(guests.left()))
