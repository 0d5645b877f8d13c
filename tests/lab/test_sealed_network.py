"""A grid that says nothing of encryption spans two sites: it works, and nobody reads it on the way."""

import os
import signal
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from federation import traces
from federation.eavesdrop import Capture
from federation.launch import PORT, wait_for
from netns_world import GROUP, Guest, Talk, echos_received, mac_bytes
from paired_hosts import Pair

from netns import program
from netns.kernel import namespaces
from netns.lab.topology import Host, Site
from netns.tunnel import client
from protocol.grid.model import Encryption

WITHIN_S = 20
BORN, MOVED, ROUTER = "203.0.113.1", "203.0.113.9", "203.0.113.14"
OTHER_PORT = 7777
MARK = b"what only the two guests are to read. "
SITES = (
    Site("ams", "198.51.100.0/28", (Host("a", "198.51.100.1"),)),
    Site("bnl", "203.0.113.0/28", (Host("b", BORN),)),
)


@pytest.fixture
def pair(folder: Path) -> Iterator[Pair]:
    made = Pair(folder / "f", Encryption.REQUIRED, *SITES)
    try:
        made.enrol()
        made.listens_everywhere("b")
        made.bits_s = 100_000_000
        made.configure("b", "[offer]", '[offer]\nnetwork-rate = "300M"')
        made.start()
        yield made
    finally:
        made.tear_down()


def test_a_network_crosses_sites_and_nobody_reads_it(pair: Pair) -> None:
    one, other = pair.up()
    wait_for(pair.meet, WITHIN_S, "guests meet")
    assert pair.meet(1418), "the largest packet"
    _guests_meet_over_ipv6(pair)
    _guests_are_held_to_what_a_host_has_left_for_them(pair)
    wait_for(lambda: _shows_both_ways(pair), WITHIN_S, "both hosts tell of their paths")
    _what_somebody_undoes_is_mended(pair)
    with Talk(one, other) as talk:
        _nothing_is_read_on_the_way(pair, talk)
        _a_connection_outlives_daemons_and_forwarders(pair, talk)
        _a_connection_goes_on_where_its_hosts_get_another_address(pair, talk)
    _a_grid_with_the_same_addresses_is_another(pair)
    for name in ("pair", "twin"):
        pair.down(name)
    for host in pair.daemons.hosts.values():
        wait_for(
            lambda h=host: traces.of_host(h) == [], WITHIN_S, f"nothing is left on {host.name}"
        )


def _guests_meet_over_ipv6(pair: Pair) -> None:
    (one, other), (here, there) = pair.guests["pair"], pair.take_six()
    assert one.pings(there)
    assert other.pings(here)
    one.run("ping", "-c", "1", "-W", "2", "-M", "do", "-s", "1370", there)  # 1418 in all
    assert here in pair.daemons.ctl("b", "show", "pair").stdout


def _shows_both_ways(pair: Pair) -> bool:
    """Whether either peer shows the paths of both, each with a round trip."""
    for asked in ("a", "b"):
        shown = pair.daemons.ctl(asked, "show", "pair", "--network").stdout
        rows = [line.split() for line in shown.splitlines()[1:]]
        if sorted(row[1:3] for row in rows) != [["ams/a", "bnl/b"], ["bnl/b", "ams/a"]]:
            return False
        if not all("direct" in row and "1418" in row and "ms" in row for row in rows):
            return False
    return True


def _guests_are_held_to_what_a_host_has_left_for_them(pair: Pair) -> None:
    def held(rate: str) -> bool:
        taps = [guest.port.tap for guest in pair.guests["pair"]]
        return all(
            f" rate {rate} "
            in program.run(["tc", "-n", pair.lab.namespace(host), "qdisc", "show", "dev", tap])
            for host, tap in zip(("a", "b"), taps, strict=True)
        )

    def resize(rate: str) -> CompletedProcess[str]:
        return pair.daemons.ctl("a", "resize", "pair/n", "--network-rate", rate, "-y")

    wait_for(lambda: held("100Mbit"), WITHIN_S, "the rate")
    refused = resize("400M")
    assert refused.returncode != 0
    assert "would work: network-rate 300M for n, now" in refused.stderr
    done = resize("200M")
    assert done.returncode == 0, done.stderr
    wait_for(lambda: held("200Mbit"), WITHIN_S, "the other rate")


def _nothing_is_read_on_the_way(pair: Pair, talk: Talk) -> None:
    one, other = pair.guests["pair"]
    host, content = pair.lab.namespace("a"), MARK * 2000
    with Capture(host, "eth0") as wide, Capture(host, one.port.tap) as near:
        assert talk.crosses(content)
    assert near.has(MARK), "so much for the capture"
    assert wide.sent_to(PORT) > 2 * len(content), "it went there"
    assert not wide.has(MARK)
    for guest in (one, other):
        assert not wide.has(mac_bytes(guest.port.mac))
        assert not wide.has(IPv4Address(guest.port.address).packed)


def _a_connection_outlives_daemons_and_forwarders(pair: Pair, talk: Talk) -> None:
    forwarder = pair.host("a").folder / "state" / "networks"
    before = client.state(forwarder)
    pair.daemons.kill("a")
    assert talk.crosses(b"without a daemon"), "the forwarder goes on"
    pair.daemons.restart("a")
    assert talk.crosses(b"with the next one")
    assert client.state(forwarder).instance == before.instance
    os.kill(before.pid, signal.SIGKILL)
    assert talk.crosses(b"with the next forwarder")
    assert client.state(forwarder).instance != before.instance


def _a_connection_goes_on_where_its_hosts_get_another_address(pair: Pair, talk: Talk) -> None:
    def end() -> tuple[str, int]:
        (b,) = client.state(pair.host("a").folder / "state" / "networks").peers
        return b.address, b.port

    assert end() == (BORN, PORT)
    pair.move("b", BORN, MOVED, ROUTER)
    assert talk.crosses(b"to another address")
    assert end() == (MOVED, PORT)
    pair.daemons.kill("b")
    pair.configure("b", "[network]", f"[network]\ntunnel-port = {OTHER_PORT}")
    pair.daemons.restart("b")
    assert talk.crosses(b"to another port")
    assert end() == (MOVED, OTHER_PORT)
    # While nobody is told, what comes is enough: the keys say whose it is.
    pair.daemons.kill("a")
    pair.move("b", MOVED, BORN, ROUTER)
    assert talk.comes(b"from another address")
    assert talk.crosses(b"and there")
    assert end() == (BORN, OTHER_PORT)
    pair.daemons.restart("a")
    assert talk.crosses(b"with a daemon that last heard the old one")
    said = f"b takes its traffic at {BORN}, no more at {MOVED}"
    wait_for(
        lambda: said in pair.daemons.ctl("a", "events").stdout, WITHIN_S, "it hears the new one"
    )
    assert end() == (BORN, OTHER_PORT)


def _what_somebody_undoes_is_mended(pair: Pair) -> None:
    shown = pair.ip("a", "-br", "link").splitlines()
    (tap,) = (line.split()[0] for line in shown if line.startswith("ovs-"))
    for words, said in {
        f"link set {tap} carrier off": f"tunnel device {tap} had no carrier",
        f"link delete {tap}": f"tunnel device {tap} was gone",
    }.items():
        pair.ip("a", *words.split())
        wait_for(pair.meet, WITHIN_S, f"guests meet after {words}")
        wait_for(lambda s=said: s in pair.daemons.ctl("a", "events").stdout, WITHIN_S, "it is told")


def _a_grid_with_the_same_addresses_is_another(pair: Pair) -> None:
    twins = pair.up("twin")
    addresses = [{g.port.address for g in guests} for guests in (twins, pair.guests["pair"])]
    assert addresses[0] == addresses[1]
    wait_for(lambda: pair.meet(name="twin"), WITHIN_S, "the twins meet")
    heard = [namespaces.inside(twin.namespace, echos_received) for twin in twins]
    assert pair.meet()
    assert heard == [namespaces.inside(twin.namespace, echos_received) for twin in twins]
    _a_group_is_heard_by_its_grid_alone(pair.guests["pair"], twins)


def _a_group_is_heard_by_its_grid_alone(guests: list[Guest], twins: list[Guest]) -> None:
    with guests[1].ear(GROUP) as far, twins[1].ear(GROUP) as twin:
        for to in (GROUP, "10.42.0.255"):
            guests[0].says(to, b"pair to " + to.encode())
            twins[0].says(to, b"twin to " + to.encode())
            assert far.recv(100) == b"pair to " + to.encode()
            assert twin.recv(100) == b"twin to " + to.encode()
