"""Two hosts in network namespaces, a guest behind a bridge in each, and a link with frames of wire size.

A virtual link would pass segments of 64 KiB on as one frame, which no wire does. So segmentation and
gathering are off on both of its ends, and what crossed it is counted afterwards.
"""

import json
import os
import subprocess
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from netns import program
from netns.kernel import namespaces, offload

HOSTS = ("ovlbench-a", "ovlbench-b")
GUESTS = ("ovlbench-c", "ovlbench-d")
UNDERLAY = ("192.0.2.1", "192.0.2.2")
UNDERLAY6 = ("2001:db8::1", "2001:db8::2")
INSIDE = ("10.42.0.2", "10.42.0.3")
MACS = ("02:00:00:00:00:02", "02:00:00:00:00:03")
LINK, BRIDGE = "wan", "bridge0"
MTU = 1_500
ETHERNET = 14
WITHIN_S = 20.0
_SEGMENT_TCP, _SEGMENT, _GATHER = 0x1F, 0x24, 0x2C  # ETHTOOL_STSO, ETHTOOL_SGSO, ETHTOOL_SGRO


class Hosts:
    """The namespaces, and the programs that run in them. `folder` is for their files and last words.

    `mtu` is the link's, in bytes.
    """

    def __init__(self, folder: Path, mtu: int = MTU) -> None:
        self.folder = folder
        self.mtu = mtu
        self._running: list[subprocess.Popen[bytes]] = []
        self._at_end = ExitStack()

    def __enter__(self) -> "Hosts":
        self._clear()
        for name in (*HOSTS, *GUESTS):
            namespaces.add(name)
        mtu = f"mtu {self.mtu}"
        self.ip(0, f"link add {LINK} {mtu} type veth peer name {LINK} {mtu} netns {HOSTS[1]}")
        for end in (0, 1):
            self.ip(end, f"link set {LINK} gso_max_segs 1 up")
            self.ip(end, f"address add {UNDERLAY[end]}/24 dev {LINK}")
            self.ip(end, f"address add {UNDERLAY6[end]}/64 dev {LINK} nodad")
            namespaces.inside(HOSTS[end], _wire_size)
        return self

    def __exit__(self, *_: object) -> None:
        self._at_end.close()
        for process in self._running:
            process.terminate()
        for process in self._running:
            try:
                process.wait(WITHIN_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._clear()

    def ip(self, end: int, words: str, *, guest: bool = False) -> str:
        """`ip` in the host of that end (0 or 1), or in its guest."""
        return program.run(["ip", "-n", (GUESTS if guest else HOSTS)[end], *words.split()])

    def start(self, end: int, *argv: str) -> None:
        """A program in a host, until all is over. Its words are in the folder."""
        with (self.folder / f"{Path(argv[0]).name}.{end}.log").open("wb") as log:
            command = ["nsenter", f"--net={namespaces.path_of(HOSTS[end])}", "--", *argv]
            env = {**os.environ, "WG_PROCESS_FOREGROUND": "1"}
            process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder, env=env)
            self._running.append(process)

    def at_end(self, end: int, work: Callable[[], object]) -> None:
        """Does this in the host when all is over, before its programs are ended."""
        self._at_end.callback(lambda: namespaces.inside(HOSTS[end], work))

    def ended(self) -> list[str]:
        """The programs that should run and do not, with their last words."""
        logs = [path.read_text(errors="replace")[-600:] for path in self.folder.glob("*.log")]
        return logs if any(process.poll() is not None for process in self._running) else []

    def has_link(self, end: int, link: str) -> bool:
        """Whether the host has the link. Raises RuntimeError if a program has ended instead of making it."""
        if words := self.ended():
            raise RuntimeError("a program ended: " + "\n".join(words))
        return program.attempt(["ip", "-n", HOSTS[end], "link", "show", link])[0] == 0

    def guests(self, mtu: int) -> None:
        """A bridge in each host, and a guest on it."""
        for end in (0, 1):
            self.ip(end, f"link add {BRIDGE} type bridge")
            self.ip(end, f"link add guest type veth peer name eth0 netns {GUESTS[end]}")
            for link in ("guest", BRIDGE):
                self.ip(end, f"link set {link} mtu {mtu} up")
            self.ip(end, f"link set guest master {BRIDGE}")
            self.dress(end, mtu)

    def dress(self, end: int, mtu: int, mac: str = "") -> None:
        """The guest's card has its address."""
        self.ip(end, f"link set eth0 address {mac or MACS[end]} mtu {mtu} up", guest=True)
        self.ip(end, f"address add {INSIDE[end]}/24 dev eth0", guest=True)

    def bridged(self, end: int, link: str, mtu: int) -> None:
        """The link joins the guest's bridge, with packets as large as the guest's."""
        self.ip(end, f"link set {link} mtu {mtu} master {BRIDGE} up")

    def lose(self, share: float) -> None:
        """Of what arrives at either host, that share is lost from now on."""
        for name in HOSTS:
            text = "add table netdev loss\ndelete table netdev loss\n"
            if share:
                text += (
                    "add table netdev loss\n"
                    f"add chain netdev loss in {{ type filter hook ingress device {LINK} priority 0; }}\n"
                    f"add rule netdev loss in numgen random mod 100000 < {round(share * 100_000)} drop\n"
                )
            program.run(["ip", "netns", "exec", name, "nft", "-f", "-"], text=text)

    def check_wire(self) -> None:
        """Raises RuntimeError if larger frames crossed the link than a wire carries."""
        most = self.mtu + ETHERNET
        for end in (0, 1):
            (link,) = json.loads(self.ip(end, f"-j -s link show {LINK}"))
            got = link["stats64"]["rx"]
            if got["bytes"] > got["packets"] * most:
                raise RuntimeError(f"frames were larger than {most} bytes: {got}")

    def _clear(self) -> None:
        for name in (*GUESTS, *HOSTS):
            namespaces.delete(name)


def _wire_size() -> None:
    """Every frame of the link is as long as on a wire. `gso_max_segs` does the same for UDP."""
    for command in (_SEGMENT_TCP, _SEGMENT, _GATHER):
        offload.ethtool(LINK, command, 0)
