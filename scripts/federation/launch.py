"""Keys, configurations and daemons of a federation on this machine: in a lab, or on loopback."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import httpx

from netns.lab.lab import Lab
from netns.tunnel import client
from overlayd.adapters.credentials import add_site, create_federation, enrol_host, load_host
from protocol.terms.address import Address, address_of

T = TypeVar("T")

BIN = Path(sys.executable).parent
PORT = 7400


@dataclass(frozen=True)
class Caps:
    """What a host offers at most, as its configuration says, since the hosts of a lab share one machine."""

    cpus: str = "1"
    memory: str = "1G"
    disk: str = "2G"


@dataclass
class Host:
    """One daemon's folder, address and process."""

    name: str
    site: str
    address: str
    folder: Path
    prefix: tuple[str, ...] = ()
    """The words that are put before a command that is to run on this host."""
    process: subprocess.Popen[bytes] | None = None

    @property
    def socket(self) -> Path:
        """The API's socket."""
        return self.folder / "api.sock"

    @property
    def log(self) -> Path:
        """The file with what the daemon printed."""
        return self.folder / "overlayd.log"

    @property
    def endpoint(self) -> str:
        """The address that others dial."""
        return self.address if address_of(self.address) else str(Address(self.address, PORT))

    def get(self, path: str) -> object:
        """One answer of the API, as JSON."""
        return self.ask("GET", path).json()

    def ask(self, method: str, path: str, content: bytes | Iterable[bytes] = b"") -> httpx.Response:
        """One answer of the API. Raises httpx.HTTPError if there is none, or it is no success."""
        # Without TLS nothing is verified; loading the certificates for it would take longer than asking.
        transport = httpx.HTTPTransport(uds=str(self.socket), verify=False)
        with httpx.Client(transport=transport, timeout=10) as client:
            answer = client.request(method, f"http://overlayd/v1/{path}", content=content)
            return answer.raise_for_status()


@dataclass
class Federation:
    """Hosts by name. It is a context manager that ends everything it started."""

    folder: Path
    uri: str = "qemu:///embed"
    caps: Caps = field(default_factory=Caps)
    kvm: str = "never"
    network: str = ""
    """Lines of every configuration's [network]."""
    hosts: dict[str, Host] = field(default_factory=dict)

    def __enter__(self) -> "Federation":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop_all()
        self.end_forwarders()

    def identity(self, site: str) -> Path:
        """A site admin's folder, for overlayctl --identity."""
        return self.folder / "federation" / "sites" / site

    def enrol_loopback(self, sites: Sequence[str]) -> None:
        """Enrols a host at each of these sites, h1 and so on, each with a loopback address of its own.

        They share the kernel's network: grids with networks need a lab.
        """
        for site in sites:
            name = f"h{len(self.hosts) + 1}"
            self.enrol(name, site, free_endpoint(f"127.77.0.{len(self.hosts) + 1}"))

    def enrol_lab(self, lab: Lab) -> None:
        """Enrols every host of a lab."""
        for name in lab.hosts:
            prefix = tuple(lab.command(name))
            self.enrol(name, lab.site(name), lab.address(name), prefix)

    def enrol(self, name: str, site: str, address: str, prefix: tuple[str, ...] = ()) -> Host:
        """Makes keys, certificates and configuration of one host. It joins by the first that was enrolled."""
        federation = self.folder / "federation"
        if not (federation / "federation.key").exists():
            create_federation(federation)
        if not self.identity(site).exists():
            add_site(federation, site)
        keys = self._keys_of(site, name)
        if not keys.exists():
            enrol_host(self.identity(site), name)
        folder = self.folder / name
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for way in (self.folder, folder):
            way.chmod(0o711)  # guests run as users of their own, and go through here to their files
        host = Host(name, site, address, folder, prefix)
        first = next(iter(self.hosts.values()), None)
        join = ""
        if first is not None:
            key = load_host(self._keys_of(first.site, first.name)).identity.key
            join = f'"{key}@{first.endpoint}"'
        (folder / "overlayd.toml").write_text(self._config(host, keys, join))
        self.hosts[name] = host
        return host

    def start(self, name: str) -> Host:
        """Starts one daemon, which may not be ready yet."""
        host = self.hosts[name]
        argv = [
            *host.prefix,
            str(BIN / "overlayd"),
            "run",
            "-c",
            str(host.folder / "overlayd.toml"),
        ]
        with host.log.open("ab") as log:
            host.process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        return host

    def start_all(self, within_s: float = 30) -> None:
        """Starts every daemon and waits until each answers."""
        for name in self.hosts:
            self.start(name)
        for host in self.hosts.values():
            self.wait_ready(host, within_s)

    def wait_ready(self, host: Host, within_s: float = 30) -> None:
        """Waits until the daemon answers on its socket."""

        def ready() -> bool:
            if host.process is not None and host.process.poll() is not None:
                raise RuntimeError(f"{host.name} ended:\n{host.log.read_text()[-2000:]}")
            try:
                host.get("self")
            except (httpx.HTTPError, OSError):
                return False
            return True

        wait_for(ready, within_s, f"{host.name} answers on {host.socket}")

    def kill(self, name: str, number: int = signal.SIGKILL) -> None:
        """Ends one daemon, by default without warning."""
        host = self.hosts[name]
        if host.process is not None and host.process.poll() is None:
            os.kill(host.process.pid, number)
            host.process.wait(15)
        host.process = None

    def stop_all(self) -> None:
        """Ends every daemon in order. Guests are not touched."""
        running = [h.process for h in self.hosts.values() if h.process is not None]
        for process in running:
            if process.poll() is None:
                process.terminate()
        for process in running:
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(5)

    def end_forwarders(self) -> None:
        """Ends what seals the hosts' networks, which outlives daemons as guests do."""
        for host in self.hosts.values():
            client.stop(host.folder / "state" / "networks")

    def ctl(self, peer: str, *arguments: str, site: str = "") -> subprocess.CompletedProcess[str]:
        """Runs overlayctl, which talks to one peer, with a site admin's identity."""
        argv = self.ctl_argv(peer, *arguments, site=site)
        return subprocess.run(argv, capture_output=True, text=True, timeout=600, check=False)

    def ctl_argv(self, peer: str, *arguments: str, site: str = "") -> list[str]:
        """The command line of that, to be run in another way."""
        host = self.hosts[peer]
        identity = self.identity(site or host.site)
        named = ["--peer", str(host.socket), "--identity", str(identity)]
        return [str(BIN / "overlayctl"), *named, *arguments]

    def _keys_of(self, site: str, name: str) -> Path:
        return self.identity(site) / "hosts" / name

    def _config(self, host: Host, keys: Path, join: str) -> str:
        return f"""\
[host]
name = "{host.name}"
site = "{host.site}"
state = "{host.folder / "state"}"

[overlay]
listen = "{host.endpoint}"
join = [{join}]

[identity]
key = "{keys / "host.key"}"
certificate = "{keys / "host.cert"}"
federation = "{keys / "federation.pub"}"

[api]
socket = "{host.socket}"

[compute]
uri = "{self.uri}"
kvm = "{self.kvm}"

[offer]
cpus = "{self.caps.cpus}"
memory = "{self.caps.memory}"
disk = "{self.caps.disk}"

[network]
{self.network}

[log]
format = "json"
"""


def free_endpoint(address: str) -> str:
    """ADDRESS:PORT with a port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind((address, 0))
        return f"{address}:{probe.getsockname()[1]}"


def cpu_s(pid: int, *, waited_for: bool = False) -> float:
    """Cpu time of a process, all its threads, as the kernel accounts it; also of children it waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(map(int, fields[11 : 15 if waited_for else 13])) / os.sysconf("SC_CLK_TCK")


def wait_for(condition: Callable[[], T], within_s: float, what: str) -> T:
    """The first true answer. Raises RuntimeError, which names what was waited for, if none comes."""
    end_s = time.monotonic() + within_s
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > end_s:
            raise RuntimeError(f"waited {within_s:.0f} s in vain: {what}")
        time.sleep(0.05)
