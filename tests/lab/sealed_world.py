"""Two hosts with a forwarder each, and guests behind their taps. Only what a sealed network needs: no daemon.

Guests are namespaces on a veth into the host's bridge. The underlay is one veth pair, with packets of
wire size.
"""

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from netns import program
from netns.kernel import namespaces
from netns.tunnel import client
from netns.tunnel.tables import Member, Networks, Peers, SealedNetwork, SealedPeer, Session, State

VNI, TAP, PORT, MTU = 7, "ovs-000007", 7790, 1418
GATEWAY_MAC = "02:00:00:00:00:01"
T = TypeVar("T")
KEYS = {(a, b): bytes([number] * 32) for number, (a, b) in enumerate([("a", "b"), ("b", "a")], 1)}


class Host:
    """A host's namespace, its forwarder, and the guest on it."""

    def __init__(self, name: str, prefix: str, last: int, root: Path) -> None:
        self.name, self.namespace, self.guest = name, f"{prefix}-{name}", f"{prefix}-g{name}"
        self.underlay, self.address = f"192.0.2.{last}", f"10.42.0.{last + 1}"
        self.mac = f"02:00:00:00:00:0{last + 1}"
        self.run_dir = root / name
        self.epoch = 0

    def run(self, command: str) -> str:
        return program.run(["ip", "netns", "exec", self.namespace, *command.split()])

    def in_guest(self, *argv: str, timeout_s: float = 60.0) -> str:
        return program.run(["ip", "netns", "exec", self.guest, *argv], timeout_s=timeout_s)

    def on(self, work: Callable[[], T]) -> T:
        return namespaces.inside(self.namespace, work)

    def next_epoch(self) -> int:
        self.epoch += 1
        return self.epoch

    def state(self) -> State:
        return client.state(self.run_dir)


class SealedWorld:
    """Hosts `a` and `b`, wired but silent until `start`."""

    def __init__(self) -> None:
        self.prefix = f"sw{os.getpid() % 0xFFF:x}"
        self.root = Path(tempfile.mkdtemp(prefix="ovl", dir="/tmp"))
        self.a = Host("a", self.prefix, 1, self.root)
        self.b = Host("b", self.prefix, 2, self.root)
        self.generation = 0

    @property
    def hosts(self) -> tuple[Host, Host]:
        return self.a, self.b

    def start(self) -> None:
        for host in self.hosts:
            for name in (host.namespace, host.guest):
                namespaces.add(name)
        program.run(
            f"ip -n {self.a.namespace} link add eth0 type veth "
            f"peer name eth0 netns {self.b.namespace}".split()
        )
        for host in self.hosts:
            self._wire(host)
            host.on(lambda host=host: client.ensure(host.run_dir, PORT))
        self.tell_networks()
        self.new_sessions()

    def _wire(self, host: Host) -> None:
        lines = f"""
            address add {host.underlay}/24 dev eth0
            link set eth0 mtu 1500 up
            link add br0 type bridge mcast_snooping 0
            link set br0 up
            link add g0 type veth peer name eth0 netns {host.guest}
            link set g0 master br0 up
            tuntap add {TAP} mode tap vnet_hdr
            link set {TAP} master br0 up
        """
        inside = f"""
            link set eth0 address {host.mac} mtu {MTU} up
            address add {host.address}/24 dev eth0
        """
        for namespace, text in ((host.namespace, lines), (host.guest, inside)):
            program.run(
                [
                    "ip",
                    "netns",
                    "exec",
                    namespace,
                    "sysctl",
                    "-qw",
                    "net.ipv6.conf.default.disable_ipv6=1",
                ]
            )
            program.run(["ip", "-n", namespace, "-batch", "-"], text=text)

    def other(self, host: Host) -> Host:
        return self.b if host is self.a else self.a

    def tell_networks(self) -> None:
        for host in self.hosts:
            there = self.other(host)
            network = SealedNetwork(
                VNI,
                TAP,
                MTU,
                (host.mac,),
                GATEWAY_MAC,
                (Member(there.mac, there.address, there.name),),
            )
            table = Networks(host.next_epoch(), (network,))
            host.on(lambda host=host, table=table: client.tell_networks(host.run_dir, table))

    def new_sessions(self) -> None:
        """Keys that nobody has used, told to both sides."""
        self.generation += 1
        for host in self.hosts:
            there = self.other(host)
            session = Session(
                index=self.generation * 10 + ord(host.name),
                peer_index=self.generation * 10 + ord(there.name),
                send_key=self._key(host, there),
                receive_key=self._key(there, host),
                made_s=time.monotonic(),
            )
            peer = SealedPeer(there.name, there.underlay, PORT, (session,))
            client.tell_peers(
                host.run_dir, host.state().instance, Peers(host.next_epoch(), (peer,))
            )

    def _key(self, sender: Host, receiver: Host) -> bytes:
        return bytes([ord(sender.name), ord(receiver.name), self.generation] + [9] * 29)

    def pings(self, host: Host, *options: str) -> bool:
        """Whether the other guest answers; asks again for a while."""
        words = ["ip", "netns", "exec", host.guest, "ping", "-c", "1", "-i", "0.2", "-w", "5"]
        return program.attempt([*words, *options, self.other(host).address])[0] == 0

    def tear_down(self) -> None:
        for host in self.hosts:
            client.stop(host.run_dir)
            namespaces.delete(host.guest)
            namespaces.delete(host.namespace)
        program.run(["rm", "-r", str(self.root)])
