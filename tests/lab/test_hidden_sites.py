"""Two sites behind NAT of every kind, and a sealed network over both: directly where it can be, or by a relay.

Linux's masquerading lets in only what was asked for, from where it was asked, and keeps a flow's port where it
can: a NAT that is restricted by port. With `fully-random` each flow has another port: a symmetric one. A rule
more lets in what comes to the port from anywhere: a full cone.
"""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from federation import orders
from federation.launch import PORT, wait_for
from paired_hosts import Pair

from netns import program
from netns.kernel import namespaces
from netns.lab.topology import Host, Site
from netns.lab.wiring import CLOSED, NAT_TABLE, router_of
from netns.tunnel import client
from protocol.grid.model import Encryption, GridSpec, PlacementSpec, Spread, Strict

WITHIN_S = 60
INSIDE = {"a": "192.168.1.1", "b": "192.168.2.1"}
AMS = Site("ams", "192.168.1.0/24", (Host("a", INSIDE["a"]),), nat="10.98.1.1/30")
BNL = Site("bnl", "192.168.2.0/24", (Host("b", INSIDE["b"]),), nat="10.98.2.1/30")
OPEN = Site("open", "10.97.1.0/24", (Host("r", "10.97.1.1"), Host("s", "10.97.1.2")))
NAT_OF = {"a": AMS, "b": BNL}

RULES = """
table ip kinds {{}}
delete table ip kinds
table ip kinds {{
    chain out {{
        type nat hook postrouting priority srcnat - 10; policy accept;
        oifname "out" masquerade {how}
    }}
    chain in {{
        type nat hook prerouting priority dstnat; policy accept;
        {cone}
    }}
    chain router {{
        type filter hook input priority 0; policy accept;
        iifname "out" meta l4proto udp drop
    }}
}}
{through}
"""
SYMMETRIC, RESTRICTED, CONE = "symmetric", "restricted by port", "full cone"


class HiddenPair(Pair):
    """Hosts `a` and `b` behind NAT; `r` and `s` pass on for them, and carry nothing."""

    def start(self) -> None:
        super().start()
        wait_for(lambda: self.through("a", "b") and self.through("b", "a"), 30, "they can talk")

    def through(self, at: str, to: str) -> str:
        """By whom messages of the overlay go to that host; empty if there is no path."""
        rows = orders.peers(self.host(at)).values()
        return next((row.through for row in rows if row.name == to), "")

    def spec(self, name: str) -> GridSpec:
        placement = PlacementSpec(sites=("ams", "bnl"), spread=Spread.HOST, strict=(Strict.SPREAD,))
        return msgspec.structs.replace(super().spec(name), placement=placement)

    def nat(self, host: str, kind: str) -> None:
        """The NAT in front of that host is of that kind."""
        cone = f'iifname "out" udp dport {PORT} dnat to {INSIDE[host]}' if kind is CONE else ""
        through = f"insert rule ip {NAT_TABLE} {CLOSED} udp dport {PORT} accept" if cone else ""
        how = "fully-random" if kind is SYMMETRIC else ""
        text = RULES.format(how=how, cone=cone, through=through)
        router = f"ovl-lab-{self.lab.name}.{router_of(NAT_OF[host])}"
        namespaces.inside(router, lambda: program.run(["nft", "-f", "-"], text=text))

    def relay(self) -> str:
        """Who passes on between the two, as `show --network` says; empty if nobody does."""
        said = self.daemons.ctl("a", "show", "pair", "--network").stdout
        found = {name for name in ("r", "s") if f"by {name}" in said}
        assert len(found) <= 1, said
        return "".join(found)

    def passed_on(self, host: str) -> int:
        """How many datagrams its forwarder passed on."""
        folder = self.host(host).folder / "state" / "networks"
        return client.state(folder).counters["passed-on"]


@pytest.fixture
def pair(folder: Path) -> Iterator[HiddenPair]:
    made = HiddenPair(folder / "f", Encryption.REQUIRED, OPEN, AMS, BNL)
    try:
        made.enrol()
        yield made
    finally:
        made.tear_down()


def test_behind_symmetric_nat_guests_meet_by_a_relay_and_by_another_if_that_dies(
    pair: HiddenPair,
) -> None:
    pair.nat("a", SYMMETRIC)
    pair.nat("b", SYMMETRIC)
    pair.start()
    pair.up()
    wait_for(pair.meet, WITHIN_S, "guests meet")
    first = wait_for(pair.relay, WITHIN_S, "a relay passes on")
    before = pair.passed_on(first)
    assert pair.meet(1418), "no packet is smaller for it"
    assert pair.passed_on(first) >= before + 4
    pair.daemons.kill(first)
    client.stop(pair.host(first).folder / "state" / "networks")
    wait_for(lambda: pair.relay() not in (first, ""), WITHIN_S, "the other passes on")
    wait_for(pair.meet, WITHIN_S, "guests meet again")


@pytest.mark.parametrize("kinds", [(RESTRICTED, RESTRICTED), (CONE, SYMMETRIC)], ids=str)
def test_behind_other_nat_guests_meet_directly(kinds: tuple[str, str], pair: HiddenPair) -> None:
    pair.nat("a", kinds[0])
    pair.nat("b", kinds[1])
    pair.start()
    pair.up()
    wait_for(lambda: pair.meet() and not pair.relay(), WITHIN_S, "guests meet without a relay")
    assert pair.meet(1418)
