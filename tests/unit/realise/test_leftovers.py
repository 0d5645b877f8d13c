"""Files of machines that are gone go at the start, and no other."""

from pathlib import Path

from overlayd.fakes.compute import FakeCompute
from overlayd.fakes.seeds import FakeSeeds
from overlayd.ports.seeds import Seed
from overlayd.realise.leftovers import clear_files
from overlayd.realise.paths import Paths, machine_name
from protocol.terms.ids import GridId

HERE, GONE = GridId("here.0"), GridId("gone.0")


async def test_seeds_and_consoles_of_strays_go(tmp_path: Path) -> None:
    seeds, paths, compute = FakeSeeds(), Paths(tmp_path), FakeCompute()
    await clear_files(compute, seeds, paths.consoles, set())
    paths.consoles.mkdir()
    for grid in (HERE, GONE):
        await seeds.ensure(machine_name(grid, "n-1"), Seed("id", "n-1"))
        log, socket = paths.console(grid, "n-1")
        for path in (log, log.with_name(f"{log.name}.1"), socket, paths.agent(grid, "n-1")):
            path.touch()
    roots = [paths.consoles / f"{machine_name(grid, 'n-1')}.root" for grid in (HERE, GONE)]
    for root in roots:
        root.mkdir()
    await clear_files(compute, seeds, paths.consoles, {machine_name(HERE, "n-1")})
    assert compute.hypervisor.forgotten == [machine_name(GONE, "n-1")]
    assert await seeds.observe() == (machine_name(HERE, "n-1"),)
    assert all(root.is_dir() for root in roots), "containers' own"
    kept = sorted(path for path in paths.consoles.iterdir() if path not in roots)
    assert kept == sorted(paths.console_files(HERE, "n-1"))
    assert len(kept) == 4
