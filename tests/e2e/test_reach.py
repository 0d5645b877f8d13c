"""From a host at one site to a guest at another: a command, files, a port, and who may not."""

import hashlib
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from federation import orders
from federation.launch import Caps, Federation, Host, wait_for
from two_hosts import two_hosts

from netns.lab.topology import Host as LabHost
from netns.lab.topology import Site, Topology
from overlayd.ports.images import ImageInfo
from protocol.grid.model import Encryption, GridSpec, NetworkSpec, PlacementSpec
from protocol.requesting.request import RequestState
from protocol.trust.order import Action

IMAGE = Path(__file__).resolve().parents[2] / ".cache" / "images" / "guest.img"
TOPOLOGY = Topology(
    "reach",
    (
        Site("ams", "198.51.100.0/28", (LabHost("a", "198.51.100.1"),)),
        Site("bnl", "198.51.100.16/28", (LabHost("b", "198.51.100.17"),)),
    ),
)
GUEST = "far/n-1"
FILE_BYTES, LOTS_BYTES = 4 << 20, 100 << 20
UP_WITHIN_S, WITHIN_S = 120, 90


@pytest.fixture(scope="module")
def federation() -> Iterator[Federation]:
    with two_hosts(TOPOLOGY, Caps(cpus="1", memory="768M", disk="512M")) as made:
        yield made


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key pair that the guest lets in."""
    path = tmp_path_factory.mktemp("key") / "id"
    made = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)]
    subprocess.run(made, check=True, timeout=WITHIN_S)
    return path


@pytest.fixture(scope="module")
def person(federation: Federation, key: Path) -> "Person":
    """Who has a guest at the other site, and asks the host at this one."""
    a, admin = federation.hosts["a"], federation.identity("ams")
    image = orders.add_image(a, IMAGE)
    wait_for(lambda: orders.peers(federation.hosts["b"])["a"].images, 20, "b has heard of it")
    done = orders.obeyed(a, orders.up(admin, spec_of(image, key), a), UP_WITHIN_S)
    assert done.state is RequestState.DONE, done.answer
    return Person(a, admin, key)


def spec_of(image: ImageInfo, key: Path) -> GridSpec:
    """One workspace, at the other site than the one that is asked."""
    plain = orders.spec("far", image, 1, memory_bytes=512 << 20)
    return msgspec.structs.replace(
        plain,
        clusters=(msgspec.structs.replace(plain.clusters[0], cpus_milli=800, networks=("lan",)),),
        networks=(NetworkSpec("lan", "10.43.0.0/24", Encryption.NONE),),
        placement=PlacementSpec(sites=("bnl",)),
        ssh_authorized_keys=(key.with_suffix(".pub").read_text().strip(),),
    )


class Person:
    """overlayctl at one host, as the admin of a site."""

    def __init__(self, host: Host, identity: Path, key: Path) -> None:
        self.host, self.identity, self.key = host, identity, key
        self.login = ("-i", str(key))
        self.environment = {**os.environ, "XDG_CACHE_HOME": str(key.parent)}

    def words(self, *words: str) -> list[str]:
        options = ["--peer", str(self.host.socket), "--identity", str(self.identity)]
        return [sys.executable, "-m", "overlayd.cli.entry", *options, *words]

    def run(self, *words: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            self.words(*words),
            input=given,
            capture_output=True,
            timeout=WITHIN_S,
            env=self.environment,
        )

    def ssh(self, command: str, given: bytes = b"") -> bytes:
        done = self.run("ssh", GUEST, *self.login, "--", command, given=given)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    @contextmanager
    def forwarding(self, ports: str) -> Iterator[int]:
        """The port here that leads to the guest."""
        words = self.words("forward", GUEST, ports)
        with subprocess.Popen(words, stdout=subprocess.PIPE, env=self.environment) as running:
            assert running.stdout is not None
            try:
                line = running.stdout.readline().decode()
                yield int(line.split(" ")[0].rpartition(":")[2])
            finally:
                running.send_signal(signal.SIGINT)
                running.wait(WITHIN_S)


def test_a_command_runs_in_a_guest_at_another_site(person: Person) -> None:
    assert person.ssh("hostname").strip() == b"n-1"
    failed = person.run("ssh", GUEST, *person.login, "--", "exit 7")
    assert failed.returncode == 7


def test_files_are_copied_there_and_back(person: Person, tmp_path: Path) -> None:
    there, back = tmp_path / "there", tmp_path / "back"
    there.write_bytes(os.urandom(FILE_BYTES))
    done = person.run("cp", str(there), f"{GUEST}:/tmp/lots", *person.login)
    assert done.returncode == 0, done.stderr.decode()
    digest = hashlib.sha256(there.read_bytes()).hexdigest()
    assert person.ssh("sha256sum /tmp/lots").split()[0].decode() == digest
    done = person.run("cp", f"{GUEST}:/tmp/lots", str(back), *person.login)
    assert done.returncode == 0, done.stderr.decode()
    assert back.read_bytes() == there.read_bytes()


def test_a_hundred_megabytes_arrive_whole(person: Person) -> None:
    """Without ssh's encryption, which an emulated guest is slow at."""
    listens = "while ! netstat -ltn | grep -q :99; do sleep 0.05; done"
    take = "(nc -l -p 99 | sha256sum >/tmp/sum) </dev/null >/dev/null 2>&1"
    person.ssh(f"{take} & {listens}")
    lots = os.urandom(LOTS_BYTES)
    done = person.run("connect", GUEST, "99", given=lots)
    assert done.returncode == 0, done.stderr.decode()
    shown = person.ssh("while [ ! -s /tmp/sum ]; do sleep 0.1; done; cat /tmp/sum")
    assert shown.split()[0].decode() == hashlib.sha256(lots).hexdigest()


def test_a_port_here_leads_to_one_of_the_guest(person: Person) -> None:
    person.ssh("mkdir -p /tmp/www; echo here I am >/tmp/www/index.html; httpd -p 80 -h /tmp/www")
    with person.forwarding("0:80") as port:
        for _ in range(3):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=WITHIN_S) as page:
                assert page.read() == b"here I am\n"


def test_a_port_where_nobody_listens_is_said(person: Person) -> None:
    done = person.run("connect", GUEST, "81")
    assert done.returncode == 1
    assert b"connection refused by n-1 port 81: nobody listens there" in done.stderr


def test_another_sites_admin_gets_nowhere(person: Person, federation: Federation) -> None:
    for name, host in federation.hosts.items():
        stranger = Person(host, federation.identity("bnl"), person.key)
        done = stranger.run("connect", GUEST, "22")
        assert done.returncode == 1, name
        assert b"belongs to site ams's admin" in done.stderr
        assert done.stdout == b""


def test_it_is_closed_when_the_workspace_is_terminated(
    person: Person, federation: Federation
) -> None:
    with (
        person.forwarding("0:22") as port,
        socket.create_connection(("127.0.0.1", port), WITHIN_S) as near,
    ):
        assert near.recv(4) == b"SSH-"
        order = orders.signed(person.identity, Action.TERMINATE, "far", "n-1")
        assert orders.obeyed(federation.hosts["b"], order).state is RequestState.DONE
        near.settimeout(WITHIN_S)
        while near.recv(1000):
            pass
