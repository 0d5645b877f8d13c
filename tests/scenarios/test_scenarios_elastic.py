"""Every file of an elastic grid's life is true, in a simulated federation."""

import re
from pathlib import Path

import msgspec
import pytest
from elastic import FOLDER, Event, lives, load_life

from protocol.capacity.quantum import Quantum
from protocol.grid.history import history
from protocol.grid.model import GridSpec, LeaseTerms
from protocol.grid.record import GridRecord, GridState
from protocol.sim.elastics import elastic
from protocol.sim.people import MIB, grid_spec
from protocol.sim.quiet import newest_records
from protocol.sim.run import JOIN_WITHIN_S, knows_all, settle
from protocol.sim.world import World
from protocol.trust.order import Action

ONE = Quantum(1000, 1 << 30, 8 << 30)
WITHIN_S = 300.0


@pytest.mark.parametrize("path", lives(), ids=lambda p: str(p.relative_to(FOLDER).with_suffix("")))
def test_life(path: Path) -> None:
    life = load_life(path)
    told = Told(life.hosts)
    for event in life.story:
        told.follow(event)
    settle(told.world)


class Told:
    """A federation in which that happens."""

    def __init__(self, hosts: int) -> None:
        self.world = world = World(4, hosts, 3, capacity=ONE)
        world.start_all()
        assert world.run_until(lambda: knows_all(world), JOIN_WITHIN_S)
        world.run(5.0)
        self.admin = world.admins["s1"]
        self.saved: dict[tuple[str, str], None] = {}

    def follow(self, event: Event) -> None:
        """Lets it happen, or looks whether it is so."""
        world = self.world
        for name, said in event.up.items():
            spec = self.spec(name, str(said))
            self.give(self.admin.up(spec, world.now_s))
            assert world.run_until(lambda n=name: self.record(n) is not None, 30.0), name
        if event.down:
            self.give(self.admin.order(Action.DOWN, event.down, world.now_s))
            assert world.run_until(lambda: self.record(event.down) is None, 30.0)
        if event.terminate:
            grid, _, name = event.terminate.partition("/")
            self.give(self.admin.order(Action.TERMINATE, grid, world.now_s, workspace=name))
            assert world.run_until(lambda: name not in self.names(grid), 30.0)
        self.pass_time(event.waits_s)
        for grid, names in event.has.items():
            assert self.becomes(grid, names), (grid, self.names(grid), self.runs(grid))
            record = self.record(grid)
            assert record is not None
            assert not event.by or history(record)[-1].by.startswith(event.by)
        assert event.saved in (-1, len(self.saved)), self.saved

    def spec(self, name: str, said: str) -> GridSpec:
        """`2`, `1..4` or `2 in 400 s`."""
        if found := re.fullmatch(r"(\d+)\.\.(\d+)", said):
            return elastic(name, int(found[1]), int(found[2]))
        count, _, within = said.partition(" in ")
        lease, lease_s = LeaseTerms(), 3600
        if within:
            start_s = self.world.now_s + float(within.removesuffix(" s"))
            lease, lease_s = LeaseTerms(start_s=start_s, grace_s=0), 100
        spec = grid_spec(name, int(count), cpus_milli=1000, lease_s=lease_s, lease=lease)
        (cluster,) = spec.clusters
        cluster = msgspec.structs.replace(cluster, memory_bytes=512 * MIB)
        return msgspec.structs.replace(spec, clusters=(cluster,))

    def give(self, order: object) -> None:
        self.world.give(self.world.peers[0], order)  # type: ignore[arg-type]

    def record(self, name: str) -> GridRecord | None:
        up = [r for r in newest_records(self.world) if r.name == name and r.state is GridState.UP]
        return up[0] if up else None

    def names(self, name: str) -> list[str]:
        record = self.record(name)
        return sorted(record.placed) if record is not None else []

    def runs(self, name: str) -> list[str]:
        record = self.record(name)
        machines = [m for peer in self.world.peers for m in peer.machines.there.items()]
        return sorted(
            workspace
            for (grid, workspace), machine in machines
            if record is not None and grid == record.id and not machine.saved
        )

    def becomes(self, name: str, names: list[str]) -> bool:
        until_s = self.world.now_s + WITHIN_S
        while self.world.now_s < until_s:
            if self.names(name) == names == self.runs(name):
                return True
            self.pass_time(1.0)
        return False

    def pass_time(self, seconds: float) -> None:
        """Looks each second who is saved to disk."""
        until_s = self.world.now_s + seconds
        while self.world.now_s < until_s:
            self.world.run(min(1.0, until_s - self.world.now_s))
            for peer in self.world.peers:
                saved = {key: None for key, m in peer.machines.there.items() if m.saved}
                self.saved |= saved  # type: ignore[arg-type]
