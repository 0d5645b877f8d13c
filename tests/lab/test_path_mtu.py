"""The way between two hosts shrinks under a connection, and says nothing: it goes on, and guests are told."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from federation.launch import PORT, wait_for
from netns_world import Talk
from paired_hosts import Pair

from netns import program
from netns.lab.topology import Host, Site
from protocol.grid.model import Encryption

SITES = (
    Site("ams", "198.51.100.0/28", (Host("a", "198.51.100.1"),)),
    Site("bnl", "203.0.113.0/28", (Host("b", "203.0.113.1"),)),
)
WITHIN_S = 30
GOES_ON_WITHIN_S = 60
HOLE = f"""
table ip hole {{
    chain arrives {{
        type filter hook prerouting priority -450;
        udp dport {PORT} meta length > 1400 counter drop
        ip frag-off & 0x3fff != 0 drop
    }}
}}
"""


@pytest.fixture
def pair(folder: Path) -> Iterator[Pair]:
    made = Pair(folder / "f", Encryption.REQUIRED, *SITES)
    try:
        made.enrol()
        for host in ("a", "b"):
            made.ip(host, "link", "set", "eth0", "gso_max_segs", "1")  # packets of wire size
        made.start()
        yield made
    finally:
        made.tear_down()


@contextmanager
def narrow(pair: Pair) -> Iterator[None]:
    """Packets of more than 1,400 bytes vanish on their way, and so do fragments."""
    names = [pair.lab.namespace(host) for host in ("a", "b")]
    for name in names:
        program.run(["ip", "netns", "exec", name, "nft", "-f", "-"], text=HOLE)
    yield
    for name in names:
        program.run(["ip", "netns", "exec", name, "nft", "delete", "table", "ip", "hole"])


def vanished(pair: Pair) -> int:
    """How many packets to the second host were too large for the way."""
    rules = program.run(
        ["ip", "netns", "exec", pair.lab.namespace("b"), "nft", "list", "table", "ip", "hole"]
    )
    return int(rules.split("counter packets ")[1].split()[0])


def told(pair: Pair) -> list[int]:
    """What DHCP tells guests of each host that they may send."""
    return [
        int(line.rpartition(",")[2])
        for host in ("a", "b")
        for config in (pair.host(host).folder / "state" / "networks").glob("*/dnsmasq.conf")
        for line in config.read_text().splitlines()
        if line.startswith("dhcp-option-force=option:mtu,")
    ]


def shown(pair: Pair, mtu: int) -> bool:
    """Whether both ways are shown with that MTU."""
    rows = pair.daemons.ctl("b", "show", "pair", "--network").stdout.splitlines()[1:]
    return len(rows) == 2 and all(str(mtu) in row.split() for row in rows)


def test_a_connection_goes_on_though_the_way_shrinks_and_nobody_says_so(pair: Pair) -> None:
    one, other = pair.up()
    wait_for(lambda: pair.meet(1418), WITHIN_S, "guests meet")
    wait_for(lambda: shown(pair, 1418), WITHIN_S, "both ways were measured")
    content = b"as large as it gets " * 50_000
    with Talk(one, other, GOES_ON_WITHIN_S) as talk:
        assert talk.crosses(content)
        with narrow(pair):
            assert talk.crosses(content), "it goes on"
            assert vanished(pair), "after it was hindered"
            wait_for(lambda: shown(pair, 1318), WITHIN_S, "both know what gets there")
            wait_for(lambda: told(pair) == [1318, 1318], WITHIN_S, "guests are told of it")
            wait_for(lambda: pair.meet(1318), WITHIN_S, "as much gets there")
            assert not pair.meet(1319), "and no more"
            assert talk.crosses(content)
