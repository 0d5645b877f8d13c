"""A grid's disks here: made once, and each gone with what it belongs to."""

from host_world import GRID, HostWorld, until, up

from protocol.grid.lifecycle import Phase, Power

VOLUME = f"{GRID}.data"


async def test_one_that_goes_takes_its_own_disk_along(world: HostWorld) -> None:
    await up(world)
    world.want({"head-1": Power.GONE, "worker-1": Power.RUNNING})
    await until(lambda: world.phase("head-1") == (Phase.GONE, ""), "the head is gone")
    assert list(world.volumes.sizes) == [VOLUME]
    assert not world.cleared


async def test_a_volume_stays_though_the_last_workspace_here_was_terminated(
    world: HostWorld,
) -> None:
    await up(world)
    world.want(dict.fromkeys(("head-1", "worker-1"), Power.GONE))
    await until(lambda: world.cleared, "nothing runs any more")
    assert list(world.volumes.sizes) == [VOLUME]
    world.told.clear()
    world.want(dict.fromkeys(("head-1", "worker-1"), Power.GONE), up=False)
    await until(lambda: world.cleared, "the grid is down")
    assert world.volumes.sizes == {}


async def test_a_volume_that_was_ordered_deleted_goes_though_others_run(world: HostWorld) -> None:
    await up(world)
    world.want({"head-1": Power.GONE, "worker-1": Power.RUNNING}, keeps=False)
    await until(lambda: world.phase("head-1") == (Phase.GONE, ""), "the head is gone")
    assert world.volumes.sizes == {}
    assert world.phase("worker-1") == (Phase.RUNNING, "")
