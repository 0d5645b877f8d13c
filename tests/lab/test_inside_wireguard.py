"""Two daemons whose hosts have WireGuard: a grid that says nothing of encryption crosses by that.

Where the kernel has none, `ip link add NAME type wireguard` begins wireguard-go instead.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from federation import traces
from federation.eavesdrop import Capture
from federation.launch import PORT as SEALED_PORT
from federation.launch import wait_for
from netns_world import Talk, mac_bytes
from paired_hosts import Pair

from netns import program
from netns.kernel import wireguard
from netns.lab.topology import Host, Site
from protocol.grid.model import Encryption
from protocol.node.rows import PeerRow
from protocol.node.status_rows import StatusRow

WITHIN_S = 20
PORT = SEALED_PORT + 1
MARK = b"what only the two guests are to read. "
SITES = (
    Site("ams", "198.51.100.0/28", (Host("a", "198.51.100.1"),)),
    Site("bnl", "203.0.113.0/28", (Host("b", "203.0.113.1"),)),
)
STAND_IN = """#!/bin/sh
if [ "$1 $2 $4 $5" = "link add type wireguard" ]; then
    wireguard-go -f "$3" >/dev/null 2>&1 &
    until [ -S "/var/run/wireguard/$3.sock" ]; do sleep 0.02; done
    exit 0
fi
exec {ip} "$@"
"""


@pytest.fixture
def pair(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    if wireguard.fault(PORT, "test"):
        programs = folder / "bin"
        programs.mkdir()
        (programs / "ip").write_text(STAND_IN.format(ip=shutil.which("ip")))
        (programs / "ip").chmod(0o755)
        monkeypatch.setenv("PATH", f"{programs}:/usr/sbin:/usr/bin:/sbin:/bin")
    made = Pair(folder / "f", Encryption.REQUIRED, *SITES)
    try:
        made.enrol()
        made.start()
        yield made
    finally:
        made.tear_down()


def links(pair: Pair, host: str) -> list[str]:
    """WireGuard interfaces of a host."""
    shown = program.run(["ip", "-n", pair.lab.namespace(host), "-br", "link"]).splitlines()
    return [line.split()[0].partition("@")[0] for line in shown if line.startswith("ovw-")]


def test_a_grid_crosses_by_wireguard_where_both_hosts_have_it(pair: Pair) -> None:
    for host in pair.daemons.hosts.values():
        wait_for(lambda h=host: _has(h.get("status"), h.get("peers")), WITHIN_S, "both tell it")
    one, other = pair.up()
    wait_for(pair.meet, WITHIN_S, "guests meet")
    assert pair.meet(1370), "the largest packet"
    _, there = pair.take_six()
    one.run("ping", "-c", "1", "-W", "5", "-M", "do", "-s", "1322", there)  # 1370 in all, too
    assert "wireguard" in pair.daemons.ctl("a", "show", "pair", "--network").stdout
    host, content = pair.lab.namespace("a"), MARK * 2000
    with (
        Talk(one, other) as talk,
        Capture(host, "eth0") as wide,
        Capture(host, one.port.tap) as near,
    ):
        assert talk.crosses(content)
        pair.daemons.kill("a")
        assert talk.crosses(b"without a daemon"), "WireGuard goes on"
        pair.daemons.restart("a")
        assert talk.crosses(b"with the next one")
    assert near.has(MARK), "so much for the capture"
    assert wide.sent_to(PORT) > 2 * len(content), "it went there"
    assert not wide.has(MARK)
    assert not wide.has(mac_bytes(one.port.mac))
    _what_is_lost_is_made_anew(pair)
    pair.down()
    for each in pair.daemons.hosts.values():
        wait_for(lambda h=each: traces.of_host(h) == [], WITHIN_S, f"{each.name} has nothing left")


def _has(status: object, peers: object) -> bool:
    rows = msgspec.convert(peers, list[PeerRow])
    row = msgspec.convert(status, StatusRow)
    return row.wireguard_port == PORT and [peer.wireguard for peer in rows] == [True, True]


def _what_is_lost_is_made_anew(pair: Pair) -> None:
    (link,) = links(pair, "a")
    program.run(["ip", "-n", pair.lab.namespace("a"), "link", "delete", link])
    wait_for(lambda: links(pair, "a") == [link] and pair.meet(), WITHIN_S, "it is made anew")
    said = f"WireGuard interface {link} was gone"
    wait_for(lambda: said in pair.daemons.ctl("a", "events").stdout, WITHIN_S, "it is told")
