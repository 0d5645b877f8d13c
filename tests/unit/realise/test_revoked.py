"""What is left of a grid's part where certificates were revoked: no tunnel, and guests as the policy says."""

from pathlib import Path

import msgspec
from host_world import GRID, OTHER, HostWorld, until

from overlayd.realise.paths import machine_name
from overlayd.realise.revoked import stopping
from protocol.grid.lifecycle import Phase, Power
from protocol.hosting.part import Part

HEAD = machine_name(GRID, "head-1")


def vias(world: HostWorld) -> list[str]:
    return [n.via for plan in world.network.plans.values() for n in plan.neighbours]


async def test_no_tunnel_leads_to_a_revoked_host_and_guests_go_on(world: HostWorld) -> None:
    world.want()
    await until(lambda: world.phases("head-1")[-1:] == [Phase.RUNNING], "the head runs")
    assert vias(world) == ["192.0.2.2"]
    assert world.part is not None
    world.part = msgspec.structs.replace(world.part, out=(OTHER,))
    world.realiser.kick(GRID)
    await until(lambda: vias(world) == [], "forwarding to the revoked host is gone")
    assert len(world.network.plans) == 1
    assert HEAD in world.hypervisor.machines
    world.part = msgspec.structs.replace(world.part, out=())
    world.realiser.kick(GRID)
    await until(lambda: vias(world) == ["192.0.2.2"], "it has another certificate")


async def test_where_the_policy_says_so_guests_are_stopped_and_their_disks_kept(
    world: HostWorld,
) -> None:
    world.want()
    await until(lambda: world.phases("head-1")[-1:] == [Phase.RUNNING], "the head runs")
    disks = dict(world.volumes.sizes)
    assert world.part is not None
    stopped = stopping(lambda _: world.part, lambda: True)(GRID)
    world.part = stopped
    world.realiser.kick(GRID)
    await until(lambda: HEAD not in world.hypervisor.machines, "it is stopped")
    await until(lambda: world.network.plans == {}, "the network is let go")
    assert world.volumes.sizes == disks


def test_only_what_runs_is_stopped_and_only_while_it_is_revoked(tmp_path: Path) -> None:
    world = HostWorld(tmp_path)
    world.realiser = type("Silent", (), {"kick": lambda *_: None})()  # type: ignore[assignment]
    world.want({"head-1": Power.SUSPENDED, "worker-1": Power.PAUSED})
    part, revoked = world.part, False

    def powers(of: Part | None) -> list[Power]:
        assert of is not None
        return [mine.wanted.power for mine in of.mine]

    policy = stopping(lambda grid: part if grid == GRID else None, lambda: revoked)
    assert powers(policy(GRID)) == [Power.SUSPENDED, Power.PAUSED]
    revoked = True
    assert powers(policy(GRID)) == [Power.SUSPENDED, Power.OFF]
    assert policy(machine_name(GRID, "x")) is None  # type: ignore[arg-type]
