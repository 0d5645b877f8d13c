"""From a part to networks and machines: which addresses and sizes count."""

import asyncio
from pathlib import Path

import msgspec
from host_world import GRID, ME, OTHER, HostWorld

from netns.model import NetworkPlan
from overlayd.realise import plan
from overlayd.realise.paths import network_name
from protocol.grid.lifecycle import Power
from protocol.grid.tunnel import TunnelEnd
from protocol.hosting.part import Part

SITE = plan.Site(ME, "abc123", "192.0.2.1", 1450)


def part_of(folder: Path, *ends: tuple[str, TunnelEnd]) -> Part:
    world = HostWorld(folder)
    world.digest = "d" * 64

    async def wanted() -> None:
        await world.start()
        world.want()
        await world.end()

    asyncio.run(wanted())
    assert world.part is not None
    return msgspec.structs.replace(world.part, ends=ends)  # type: ignore[arg-type]


def network(part: Part, site: plan.Site = SITE) -> NetworkPlan:
    (found,) = plan.networks(part, site)
    found.check()
    return found


def test_frames_go_where_a_host_says_that_it_is_now(tmp_path: Path) -> None:
    assert [n.via for n in network(part_of(tmp_path)).neighbours] == ["192.0.2.2"]
    moved = network(part_of(tmp_path, (OTHER, TunnelEnd("192.0.2.9", 1450))))
    assert [n.via for n in moved.neighbours] == ["192.0.2.9"]
    assert moved.underlay == "192.0.2.1"


def test_an_address_that_is_this_host_s_own_now_leads_nowhere_else(tmp_path: Path) -> None:
    behind = network(part_of(tmp_path, (OTHER, TunnelEnd(SITE.underlay, 1450))))
    assert behind.neighbours == ()
    assert len(behind.ports) == 2


def test_the_network_takes_what_all_its_hosts_carry(tmp_path: Path) -> None:
    part = part_of(
        tmp_path, (ME, TunnelEnd("192.0.2.1", 1450)), (OTHER, TunnelEnd("192.0.2.2", 1350))
    )
    assert network(part).mtu == 1350
    assert network(part_of(tmp_path)).mtu == 1450
    small = msgspec.structs.replace(SITE, mtu=1300)
    assert network(part, small).mtu == 1300, "its own as it is now, not as it told"
    assert plan.mtu_of(part, small) == {"lan": 1300}
    assert plan.networks(part, small)[0].network == network_name(GRID, "lan")
    assert part.mine[0].wanted.power is Power.RUNNING
