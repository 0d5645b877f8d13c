"""Daemons on hosts that have IPv6 only: they join by address and by name, and are dialled by what they say."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from federation import orders
from federation.launch import PORT, wait_for
from loopback import Daemons

from netns.lab.lab import Lab
from netns.lab.topology import Host, Site, Topology
from overlayd.adapters.nacl_keys import NaclIdentity

SITES = (
    Site("ams", "fd97:1::/64", (Host("a", "fd97:1::1"), Host("b", "fd97:1::2"))),
    Site("bnl", "fd97:2::/64", (Host("c", "fd97:2::1"),)),
)
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
