"""Hosts that have IPv6 only: they join by address and by name, and carry networks sealed and plain."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from federation import orders
from federation.launch import PORT, wait_for
from loopback import Daemons
from paired_hosts import Pair

from netns.kernel import namespaces
from netns.lab.lab import Lab
from netns.lab.topology import Host, Site, Topology
from netns.tunnel import client
from overlayd.adapters.nacl_keys import NaclIdentity
from protocol.grid.model import Encryption

SITES = (
    Site("ams", "fd97:1::/64", (Host("a", "fd97:1::1"), Host("b", "fd97:1::2"))),
    Site("bnl", "fd97:2::/64", (Host("c", "fd97:2::1"),)),
)
WITHIN_S = 20
SENT_BYTES = 1 << 15
"""Of what a socket takes before somebody reads."""
NOBODY = NaclIdentity.generate().key
NAMES = "::1 localhost\nfd97:1::1 a.example.org\nfd97:2::1 c.example.org\n"


@pytest.fixture
def lab() -> Iterator[Lab]:
    lab = Lab(Topology(f"six{os.getpid() % 0xFFF:x}", SITES))
    lab.down(force=True)
    lab.up()
    yield lab
    lab.down(force=True)


def rewritten(daemons: Daemons, name: str, *pairs: tuple[str, str]) -> None:
    config = daemons.hosts[name].folder / "overlayd.toml"
    text = config.read_text()
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new)
    config.write_text(text)


def with_names(daemons: Daemons, folder: Path) -> None:
    """Has every host know these names, whoever else this machine knows."""
    (folder / "hosts").write_text(NAMES)
    bind = f'mount --bind {folder / "hosts"} /etc/hosts && exec "$@"'
    for host in daemons.hosts.values():
        host.prefix += ("unshare", "--mount", "sh", "-c", bind, "sh")


def test_hosts_of_ipv6_join_by_address_and_by_name(lab: Lab, folder: Path) -> None:
    with Daemons(folder, uri="test:///default") as daemons:
        daemons.enrol_lab(lab)
        with_names(daemons, folder)
        a, b, c = (daemons.hosts[name] for name in "abc")
        everywhere = f'listen = "[::]:{PORT}"'
        rewritten(daemons, "b", (f'listen = "{b.endpoint}"', everywhere))
        said = f'{everywhere}\nadvertise = "c.example.org:{PORT}"'
        nobody = f'"{NOBODY}@nowhere.example.org:{PORT}"'
        rewritten(
            daemons,
            "c",
            (f'listen = "{c.endpoint}"', said),
            (f'@{a.endpoint}"', f'@a.example.org:{PORT}", {nobody}'),
        )
        daemons.start_all()
        daemons.wait_converged()
        rows = orders.peers(a)
        assert rows["a"].address == a.endpoint == f"[fd97:1::1]:{PORT}"
        assert rows["b"].address == b.endpoint
        assert rows["c"].address == f"c.example.org:{PORT}"
        what = "nobody answered what nowhere.example.org stands for"
        wait_for(lambda: what in c.log.read_text(), 30, "c says which name leads nowhere")


@pytest.fixture
def pair(folder: Path) -> Iterator[Pair]:
    a, b = SITES[0].hosts[0], SITES[1].hosts[0]
    made = Pair(
        folder,
        Encryption.REQUIRED,
        Site("ams", "fd97:1::/64", (a,)),
        Site("bnl", "fd97:2::/64", (Host("b", b.address),)),
    )
    try:
        made.enrol()
        made.configure("b", f'listen = "[{b.address}]', 'listen = "[::]')
        made.start()
        yield made
    finally:
        made.tear_down()


def test_networks_cross_hosts_of_ipv6_sealed_and_plain(pair: Pair) -> None:
    pair.up("sealed")
    pair.encryption = Encryption.NONE
    pair.up("plain")
    for name, mtu in (("sealed", 1398), ("plain", 1430)):
        wait_for(lambda name=name: pair.meet(name=name), WITHIN_S, f"guests of {name} meet")
        assert pair.meet(mtu, name), "the largest packet"
        assert f"lan ({name}, mtu {mtu})" in pair.daemons.ctl("a", "show", name).stdout
    _a_host_gets_another_address(pair)


def _a_host_gets_another_address(pair: Pair) -> None:
    one, other = pair.guests["sealed"]
    with namespaces.stream_socket_in(other.namespace) as door:
        door.bind((other.port.address, 0))
        door.listen(1)
        with namespaces.stream_socket_in(one.namespace) as near:
            near.settimeout(WITHIN_S)
            near.connect(door.getsockname())
            door.settimeout(WITHIN_S)
            far, _ = door.accept()
            with far:
                far.settimeout(WITHIN_S)
                pair.ip("b", "address", "add", "fd97:2::9/64", "dev", "eth0", "nodad")
                pair.ip("b", "address", "del", "fd97:2::1/64", "dev", "eth0")
                near.sendall(bytes(SENT_BYTES))
                got = 0
                while got < SENT_BYTES and (part := far.recv(SENT_BYTES)):
                    got += len(part)
                assert got == SENT_BYTES, "the connection goes on"
    wait_for(lambda: pair.meet(name="plain"), WITHIN_S, "guests of plain meet again")
    (b,) = client.state(pair.host("a").folder / "state" / "networks").peers
    assert b.address == "fd97:2::9"
