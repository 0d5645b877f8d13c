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
from benches.dataplane_hosts import (
    GUESTS,
    HOSTS,
    INSIDE,
    MACS,
    UNDERLAY,
    UNDERLAY6,
    WITHIN_S,
    Hosts,
)
from netns import apply, program
from netns.kernel import namespaces
from netns.model import (
    IPV6_MORE_BYTES,
    SEALED_OVERHEAD_BYTES,
    VXLAN_OVERHEAD_BYTES,
    Neighbour,
    NetworkPlan,
    Port,
    card_name,
    mac_of,
    tap_name,
    vni_of,
)
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
SEALED_PORT, TAP = 7790, "sealed0"
WIREGUARD_BYTES, NEBULA_BYTES, OPENVPN_BYTES, TINC_BYTES = 80, 60, 80, 80
"""What each adds to a packet at most, in bytes."""
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
    return _vxlan_over(hosts, UNDERLAY, hosts.mtu - VXLAN_OVERHEAD_BYTES)


def plain(hosts: Hosts) -> Ends:
    """A network of ours that is not encrypted, with all its rules."""
    ports = [
        Port(tap_name(NETWORK, n), mac_of(NETWORK, a), a, n, paired=True)
        for n, a in zip("ab", INSIDE, strict=True)
    ]
    mtu = hosts.mtu - VXLAN_OVERHEAD_BYTES
    for end, mine in enumerate(ports):
        other = ports[1 - end]
        far = Neighbour(other.mac, other.address, other.name, UNDERLAY[1 - end])
        plan = NetworkPlan(
            NETWORK, f"bench{'ab'[end]}", vni_of(NETWORK), "10.42.0.0/24", "10.42.0.1", mtu, UNDERLAY[end],
            "bench", 1, (mine,), (far,),
        )  # fmt: skip
        run_dir = hosts.folder / f"run{end}"
        run_dir.mkdir()
        namespaces.inside(HOSTS[end], lambda p=plan, d=run_dir: apply.ensure(p, d))
        hosts.at_end(end, lambda p=plan, d=run_dir: apply.remove(NETWORK, d, p.owner_tag))
        hosts.ip(end, f"link set {card_name(mine.tap)} netns {GUESTS[end]} name eth0")
        hosts.dress(end, mtu, mine.mac)
    return _guests()


def sealed(hosts: Hosts, native: bool = True, ipv6: bool = False) -> Ends:
    """A sealed network of ours: the forwarders as they are, with keys and tables from here."""
    underlay = UNDERLAY6 if ipv6 else UNDERLAY
    mtu = hosts.mtu - SEALED_OVERHEAD_BYTES - (IPV6_MORE_BYTES if ipv6 else 0)
    hosts.guests(mtu)
    made_s = time.monotonic()
    for end, far in ((0, 1), (1, 0)):
        run_dir = hosts.folder / f"run{end}"
        hosts.ip(end, f"tuntap add {TAP} mode tap vnet_hdr")
        hosts.bridged(end, TAP, mtu)
        hosts.at_end(end, lambda d=run_dir: client.stop(d))
        process.start(run_dir, native=native)
        namespaces.inside(HOSTS[end], lambda d=run_dir: client.ensure(d, SEALED_PORT))
        member = Member(MACS[far], INSIDE[far], "far")
        network = SealedNetwork(7, TAP, mtu, (MACS[end],), "02:00:00:00:00:01", (member,))
        session = Session(end + 1, far + 1, KEYS[end], KEYS[far], made_s)
        peer = SealedPeer("far", underlay[far], SEALED_PORT, (session,))
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
        hosts.ip(end, f"link set {link} mtu {hosts.mtu - WIREGUARD_BYTES} up")
    return _vxlan_over(hosts, TUNNEL, hosts.mtu - WIREGUARD_BYTES - VXLAN_OVERHEAD_BYTES)


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
            f"tun: {{dev: nebula1, mtu: {hosts.mtu - NEBULA_BYTES}}}\n"
            f"firewall: {{outbound: {any_}, inbound: {any_}}}\n"
        )
        hosts.start(end, "nebula", "-config", f"h{end}.yml")
        wait_for(lambda e=end: hosts.has_link(e, "nebula1"), WITHIN_S, "nebula makes its link")
    return Ends(*HOSTS, TUNNEL[1])


def openvpn(hosts: Hosts) -> Ends:
    """OpenVPN with taps in the guests' bridges, AES-256-GCM, each knowing the other's certificate."""
    prints = [_certificate(hosts.folder, end) for end in (0, 1)]
    mtu = hosts.mtu - OPENVPN_BYTES
    hosts.guests(mtu)
    for end in (0, 1):
        role = ["--tls-client"] if end else ["--tls-server", "--dh", "none"]
        hosts.start(
            end, "openvpn", *role, "--dev", "ovpn", "--dev-type", "tap", "--proto", "udp",
            "--local", UNDERLAY[end], "--remote", UNDERLAY[1 - end], "--port", "1194",
            "--cert", f"o{end}.crt", "--key", f"o{end}.key", "--peer-fingerprint", prints[1 - end],
            "--data-ciphers", "AES-256-GCM", "--mssfix", "0", "--tun-mtu", str(mtu),
        )  # fmt: skip
        wait_for(lambda e=end: hosts.has_link(e, "ovpn"), WITHIN_S, "openvpn makes its tap")
        hosts.bridged(end, "ovpn", mtu)
    return _guests()


def tinc(hosts: Hosts) -> Ends:
    """tinc 1.0 with taps in the guests' bridges, its own choice of ciphers, no search of the path's MTU."""
    mtu = hosts.mtu - TINC_BYTES
    hosts.guests(mtu)
    folders = [hosts.folder / f"tinc{end}" for end in (0, 1)]
    for end, folder in enumerate(folders):
        (folder / "hosts").mkdir(parents=True)
        (folder / "tinc.conf").write_text(
            f"Name = h{end}\nMode = switch\nDeviceType = tap\nInterface = tinc0\nPMTUDiscovery = no\n"
            + "ConnectTo = h0\n" * end
        )
        (folder / "hosts" / f"h{end}").write_text(f"Address = {UNDERLAY[end]}\n")
        program.run(["tincd", "-c", str(folder), "-K"])
    for end, folder in enumerate(folders):
        shutil.copy(folders[1 - end] / "hosts" / f"h{1 - end}", folder / "hosts")
        hosts.start(end, "tincd", "-c", str(folder), "-D", f"--pidfile={folder}/pid")
        wait_for(lambda e=end: hosts.has_link(e, "tinc0"), WITHIN_S, "tinc makes its tap")
        hosts.bridged(end, "tinc0", mtu)
    return _guests()


CARRIERS = {
    "VXLAN by hand": Carrier(vxlan),
    "ours, plain": Carrier(plain),
    "ours, sealed": Carrier(sealed),
    "ours, sealed, Python": Carrier(partial(sealed, native=False)),
    "ours, sealed, over IPv6": Carrier(partial(sealed, ipv6=True)),
    "VXLAN over wireguard-go": Carrier(wireguard_go, (("wireguard-go", "wireguard-go"),)),
    "nebula": Carrier(nebula, (("nebula", "nebula"), ("nebula-cert", "nebula"))),
    "openvpn": Carrier(openvpn, (("openvpn", "openvpn"), ("openssl", "openssl"))),
    "tinc": Carrier(tinc, (("tincd", "tinc"),)),
}


def _guests() -> Ends:
    return Ends(*GUESTS, INSIDE[1])


def _vxlan_over(hosts: Hosts, addresses: tuple[str, str], mtu: int) -> Ends:
    hosts.guests(mtu)
    for end in (0, 1):
        ways = f"local {addresses[end]} remote {addresses[1 - end]} dstport 4789"
        hosts.ip(end, f"link add vx type vxlan id 42 {ways}")
        hosts.bridged(end, "vx", mtu)
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
