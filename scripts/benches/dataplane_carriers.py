"""What carries guests' frames from host to host: ways to set it up between the bench's two hosts.

Each gets the two hosts and leaves two ends that reach each other, with frames that fit the link. Nebula carries
packets, not frames, so its ends are the hosts themselves: it has no bridge and no guest's card to pass.
"""

import shutil
import socket
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from federation.launch import wait_for
from nacl.public import PrivateKey

from benches.dataplane_flows import Ends
from benches.dataplane_hosts import GUESTS, HOSTS, INSIDE, MACS, UNDERLAY, WITHIN_S, Hosts
from netns import apply, program
from netns.kernel import namespaces
from netns.model import Neighbour, NetworkPlan, Port, card_name, mac_of, tap_name, vni_of
from netns.tunnel import client, process
from netns.tunnel.tables import (
    Member,
    Networks,
    Peers,
    SealedNetwork,
    SealedPeer,
    Session,
)

TUNNEL = ("10.9.0.1", "10.9.0.2")
"""Addresses of the hosts inside a tunnel."""
NETWORK = "bench.lan"
SEALED_PORT, SEALED_MTU = 7790, 1_418
KEYS = (bytes([1] * 32), bytes([2] * 32))
"""What each host seals with in the rows of ours."""


class Carrier(NamedTuple):
    """A row of the table. `needs` are programs, each with Debian's package."""

    set_up: Callable[[Hosts], Ends]
    needs: tuple[tuple[str, str], ...] = ()

    def missing(self) -> str:
        """How to get what this machine has not; empty if it has all."""
        packages = {package for name, package in self.needs if shutil.which(name) is None}
        return f"apt-get install {' '.join(sorted(packages))}" if packages else ""


def vxlan(hosts: Hosts) -> Ends:
    """VXLAN as a person types it."""
    return _vxlan_over(hosts, UNDERLAY, 1_450)


def plain(hosts: Hosts) -> Ends:
    """A network of ours that is not encrypted, with all its rules."""
    ports = [
        Port(tap_name(NETWORK, n), mac_of(NETWORK, a), a, n, paired=True)
        for n, a in zip("ab", INSIDE, strict=True)
    ]
    for end, mine in enumerate(ports):
        other = ports[1 - end]
        far = Neighbour(other.mac, other.address, other.name, UNDERLAY[1 - end])
        plan = NetworkPlan(
            NETWORK, f"bench{'ab'[end]}", vni_of(NETWORK), "10.42.0.0/24", "10.42.0.1", 1_450, UNDERLAY[end],
            "bench", 1, (mine,), (far,),
        )  # fmt: skip
        run_dir = hosts.folder / f"run{end}"
        run_dir.mkdir()
        namespaces.inside(HOSTS[end], lambda p=plan, d=run_dir: apply.ensure(p, d))
        hosts.at_end(end, lambda p=plan, d=run_dir: apply.remove(NETWORK, d, p.owner_tag))
        hosts.ip(end, f"link set {card_name(mine.tap)} netns {GUESTS[end]} name eth0")
        hosts.dress(end, 1_450, mine.mac)
    return _guests()


def sealed(hosts: Hosts, native: bool = True) -> Ends:
    """A sealed network of ours: the forwarders as they are, with keys and tables from here."""
    hosts.guests(SEALED_MTU)
    made_s = time.monotonic()
    for end, far in ((0, 1), (1, 0)):
        run_dir = hosts.folder / f"run{end}"
        hosts.ip(end, "tuntap add sealed0 mode tap vnet_hdr")
        hosts.bridged(end, "sealed0")
        hosts.at_end(end, lambda d=run_dir: client.stop(d))
        process.start(run_dir, native=native)
        namespaces.inside(HOSTS[end], lambda d=run_dir: client.ensure(d, SEALED_PORT))
        member = Member(MACS[far], INSIDE[far], "far")
        network = SealedNetwork(
            7, "sealed0", SEALED_MTU, (MACS[end],), "02:00:00:00:00:01", (member,)
        )
        session = Session(end + 1, far + 1, KEYS[end], KEYS[far], made_s)
        peer = SealedPeer("far", UNDERLAY[far], SEALED_PORT, (session,))
        told = Networks(1, (network,))
        namespaces.inside(HOSTS[end], lambda d=run_dir, t=told: client.tell_networks(d, t))
        state = client.tell_peers(run_dir, client.state(run_dir).instance, Peers(1, (peer,)))
        if state.native != native:
            raise RuntimeError("the native loops were not built; scripts/setup says why")
    return _guests()


def wireguard_go(hosts: Hosts) -> Ends:
    """VXLAN over WireGuard in user space."""
    links, keys = ("wgbencha", "wgbenchb"), (PrivateKey.generate(), PrivateKey.generate())
    for end, link in enumerate(links):
        hosts.start(end, "wireguard-go", "--foreground", link)
        wait_for(lambda e=end, n=link: hosts.has_link(e, n), WITHIN_S, f"wireguard-go makes {link}")
        far = 1 - end
        _tell_wireguard(
            Path(f"/var/run/wireguard/{link}.sock"),
            f"set=1\nprivate_key={bytes(keys[end]).hex()}\nlisten_port=51820\n"
            f"public_key={bytes(keys[far].public_key).hex()}\nendpoint={UNDERLAY[far]}:51820\n"
            f"allowed_ip={TUNNEL[far]}/32\n\n",
        )
        hosts.ip(end, f"address add {TUNNEL[end]}/24 dev {link}")
        hosts.ip(end, f"link set {link} mtu 1420 up")
    return _vxlan_over(hosts, TUNNEL, 1_370)


def nebula(hosts: Hosts) -> Ends:
    """Nebula between the hosts, each the other's entry in a fixed map."""
    _cert(hosts, "ca", "-name", "bench")
    for end in (0, 1):
        _cert(hosts, "sign", "-name", f"h{end}", "-ip", f"{TUNNEL[end]}/24")
        any_ = "[{port: any, proto: any, host: any}]"
        (hosts.folder / f"h{end}.yml").write_text(
            f"pki: {{ca: ca.crt, cert: h{end}.crt, key: h{end}.key}}\n"
            f"static_host_map: {{{TUNNEL[1 - end]}: ['{UNDERLAY[1 - end]}:4242']}}\n"
            "lighthouse: {am_lighthouse: false}\nlisten: {host: 0.0.0.0, port: 4242}\n"
            f"tun: {{dev: nebula1, mtu: 1440}}\nfirewall: {{outbound: {any_}, inbound: {any_}}}\n"
        )
        hosts.start(end, "nebula", "-config", f"h{end}.yml")
        wait_for(lambda e=end: hosts.has_link(e, "nebula1"), WITHIN_S, "nebula makes its link")
    return Ends(*HOSTS, TUNNEL[1])


def openvpn(hosts: Hosts) -> Ends:
    """OpenVPN with taps in the guests' bridges, AES-256-GCM, each knowing the other's certificate."""
    prints = [_certificate(hosts.folder, end) for end in (0, 1)]
    hosts.guests(1_420)
    for end in (0, 1):
        role = ["--tls-client"] if end else ["--tls-server", "--dh", "none"]
        hosts.start(
            end, "openvpn", *role, "--dev", "ovpn", "--dev-type", "tap", "--proto", "udp",
            "--local", UNDERLAY[end], "--remote", UNDERLAY[1 - end], "--port", "1194",
            "--cert", f"o{end}.crt", "--key", f"o{end}.key", "--peer-fingerprint", prints[1 - end],
            "--data-ciphers", "AES-256-GCM", "--mssfix", "0",
        )  # fmt: skip
        wait_for(lambda e=end: hosts.has_link(e, "ovpn"), WITHIN_S, "openvpn makes its tap")
        hosts.bridged(end, "ovpn")
    return _guests()


CARRIERS = {
    "VXLAN by hand": Carrier(vxlan),
    "ours, plain": Carrier(plain),
    "ours, sealed": Carrier(sealed),
    "ours, sealed, Python": Carrier(partial(sealed, native=False)),
    "VXLAN over wireguard-go": Carrier(wireguard_go, (("wireguard-go", "wireguard-go"),)),
    "nebula": Carrier(nebula, (("nebula", "nebula"), ("nebula-cert", "nebula"))),
    "openvpn": Carrier(openvpn, (("openvpn", "openvpn"), ("openssl", "openssl"))),
}


def _guests() -> Ends:
    return Ends(*GUESTS, INSIDE[1])


def _vxlan_over(hosts: Hosts, addresses: tuple[str, str], mtu: int) -> Ends:
    hosts.guests(mtu)
    for end in (0, 1):
        ways = f"local {addresses[end]} remote {addresses[1 - end]} dstport 4789"
        hosts.ip(end, f"link add vx mtu {mtu} type vxlan id 42 {ways}")
        hosts.bridged(end, "vx")
    return _guests()


def _tell_wireguard(path: Path, text: str) -> None:
    wait_for(path.exists, WITHIN_S, f"{path} is there")
    with socket.socket(socket.AF_UNIX) as handle:
        handle.connect(str(path))
        handle.sendall(text.encode())
        if (said := handle.recv(100)) != b"errno=0\n\n":
            raise RuntimeError(f"{path.name} refuses its configuration: {said!r}")


def _cert(hosts: Hosts, *words: str) -> None:
    folder = hosts.folder
    crt, key = (str(folder / f"ca.{kind}") for kind in ("crt", "key"))
    given = (
        ["-out-crt", crt, "-out-key", key] if words[0] == "ca" else ["-ca-crt", crt, "-ca-key", key]
    )
    if words[0] == "sign":
        given += [
            "-out-crt",
            str(folder / f"{words[2]}.crt"),
            "-out-key",
            str(folder / f"{words[2]}.key"),
        ]
    program.run(["nebula-cert", *words, *given])


def _certificate(folder: Path, end: int) -> str:
    """A certificate for one end, signed by itself. Its fingerprint."""
    key, crt = str(folder / f"o{end}.key"), str(folder / f"o{end}.crt")
    made = f"openssl req -x509 -nodes -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -subj /CN=o{end} -days 2"
    program.run([*made.split(), "-keyout", key, "-out", crt])
    return (
        program.run(["openssl", "x509", "-noout", "-sha256", "-fingerprint", "-in", crt])
        .strip()
        .split("=")[1]
    )
