"""`overlayd recover`: what it says, that it asks, and that it ends and deletes nothing by itself."""

import asyncio
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hosting_world import GRID, One
from typer.testing import CliRunner

from netns.model import NetworkPlan
from overlayd import commands, recovering
from overlayd.adapters.sqlite_store import SqliteStore, own
from overlayd.fakes.compute import FakeCompute, FakeHypervisor
from overlayd.fakes.network import FakeNetwork
from overlayd.fakes.volumes import FakeVolumes
from overlayd.ports.compute import KernelBoot, LostMachine, Machine, MachineState
from overlayd.ports.store import Put, StoreBusy, StoreError, Tables
from overlayd.ports.volumes import VolumeError
from overlayd.realise.paths import machine_name
from protocol.hosting.keepsake import keepsake_of
from protocol.terms.ids import GridId

MACHINE = machine_name(GRID, "web-1")
LATER = 1_800_000_000.0
PAGES = 400
"""Rows enough that a table has many pages."""


class Scene:
    """A host whose daemon is down: its store, its machines, its disks."""

    def __init__(self, state: Path) -> None:
        self.state, self.said = state, [""]
        self.hypervisor, self.network, self.volumes = (
            FakeHypervisor(),
            FakeNetwork("tag"),
            FakeVolumes(),
        )
        self.one = One()
        self.one.leases()
        (row,) = self.one.host.leases.rows()
        self.machine = Machine(
            name=MACHINE, uuid="6f3f6b1e-1111-4222-8333-444455556666", title="shop/web-1", grid=GRID,
            epoch=1, boot=1, vcpus=1, cpu_milli=500, memory_bytes=1 << 26,
            boots=KernelBoot("", "", ""), seed="", workspace="web-1", keepsake=keepsake_of(row),
        )  # fmt: skip
        self.hypervisor.machines[MACHINE] = self.machine
        self.hypervisor.states[MACHINE] = MachineState.RUNNING

    def host(self) -> recovering.Host:
        return recovering.Host(self.state, FakeCompute(self.hypervisor), self.network, self.volumes)

    async def _write(self, tables: Tables) -> None:
        store = SqliteStore(self.state)
        await store.open()
        await store.write([Put(t, k, v) for t, rows in tables.items() for k, v in rows.items()])
        await store.close()

    def write(self, **more: dict[str, bytes]) -> None:
        """A store as the daemon left it."""
        tables = self.one.rows | {"self": {"incarnation": (7).to_bytes(8, "big")}} | more
        asyncio.run(self._write(tables))

    def rows(self) -> Tables:
        """What the next daemon loads."""

        async def load() -> Tables:
            store = SqliteStore(self.state)
            await store.open()
            try:
                return await store.load()
            finally:
                await store.close()

        return asyncio.run(load())

    def recover(self, agree: bool | None = None) -> int:
        """What it answers; a person says yes, no, or cannot be asked."""
        self.said.clear()
        asked = None if agree is None else lambda _: bool(agree)
        return recovering.recover(Path("d.toml"), asked, self.said.append, "stamp", LATER)

    def forget(self, grid: str = GRID, disks: bool = False, agree: bool | None = True) -> int:
        self.said.clear()
        asked = None if agree is None else lambda _: bool(agree)
        return recovering.forget(Path("d.toml"), grid, disks, asked, self.said.append)

    @property
    def path(self) -> Path:
        return self.state / "store.sqlite"

    def damage(self, at: int, more: int = 4096) -> None:
        """Somebody else's bytes in the middle of it."""
        content = bytearray(self.path.read_bytes())
        content[at : at + more] = b"\xa5" * more
        self.path.write_bytes(content)


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    made = Scene(tmp_path)
    monkeypatch.setattr(recovering, "load_daemon", lambda path: path)
    monkeypatch.setattr(recovering, "host_of", lambda config: made.host())
    yield made
    assert MACHINE not in made.hypervisor.states or made.hypervisor.starts == []


def test_a_whole_store_needs_nothing(scene: Scene) -> None:
    scene.write()
    before = scene.path.read_bytes()
    assert scene.recover(agree=True) == 0
    assert scene.said == [
        f"{scene.path}: whole",
        "  can be read: 1 grid, 1 self, 1 used",
        f"shop ({GRID}): in the store",
        f"  machine {MACHINE} runs",
    ]
    assert scene.path.read_bytes() == before


def test_a_store_that_is_gone_is_made_anew_and_says_who_will_be_asked(scene: Scene) -> None:
    asyncio.run(scene.volumes.ensure("elsewhere.0.data", 1 << 24, "data"))
    assert scene.recover() == 1
    assert scene.said == [
        f"{scene.path}: it is not there",
        "  can be read: nothing",
        f"shop ({GRID}): not in the store; kept, and its stewards are asked: "
        + ", ".join(steward[:16] for steward in scene.one.record().stewards),
        f"  machine {MACHINE} runs",
        "elsewhere.0: not in the store; kept until other peers say who its stewards are",
        "  disk elsewhere.0.data of 16 MiB",
        "nothing was changed; `overlayd recover --yes` does it",
    ]
    assert not scene.path.exists()
    assert scene.recover(agree=True) == 0
    assert int.from_bytes(scene.rows()["self"]["incarnation"], "big") == int(LATER)
    assert scene.hypervisor.states == {MACHINE: MachineState.RUNNING}
    assert list(scene.volumes.sizes) == ["elsewhere.0.data"]


@pytest.mark.parametrize("at", [4096, 3 * 4096, 40 * 4096])
def test_of_a_damaged_store_what_can_be_read_is_kept_and_the_rest_moved_aside(
    scene: Scene, at: int
) -> None:
    filling = {f"{number:04}": bytes(500) for number in range(PAGES)}
    scene.write(news=filling)
    scene.damage(at)
    damaged = scene.path.read_bytes()
    with pytest.raises(StoreError, match="`overlayd recover` says what can be read of it"):
        scene.rows()
    assert scene.recover() == 1
    assert scene.path.read_bytes() == damaged, "only looked at"
    assert scene.recover(agree=False) == 1
    assert scene.path.read_bytes() == damaged
    assert scene.recover(agree=True) == 0
    aside = scene.state / "store.sqlite.damaged-stamp"
    assert aside.read_bytes() == damaged, "nothing of it is lost"
    assert scene.said[-2:] == [
        f"the old store is {aside}",
        "done; start the daemon, which asks the stewards, and look at `overlayctl ps`",
    ]
    rows = scene.rows()
    assert int.from_bytes(rows["self"]["incarnation"], "big") == int(LATER)
    assert set(rows.get("news", {}).items()) <= set(filling.items())
    if at > 4096:
        assert len(rows["news"]) > PAGES // 4
    assert scene.recover() == 0


def test_a_file_that_is_no_store_is_moved_aside(scene: Scene) -> None:
    scene.path.write_bytes(b"somebody's letter" * 1000)
    with pytest.raises(StoreError, match="overlayd recover"):
        scene.rows()
    assert scene.recover(agree=True) == 0
    assert scene.said[0] == f"{scene.path}: file is not a database"
    assert scene.recover() == 0


def test_rows_that_make_no_sense_are_left_out(scene: Scene) -> None:
    """SQLite checks its own structure, and knows nothing of what a value means."""
    scene.write(grid={"g": b"\xc1"}, steward={"r": b"\xc1"})
    assert scene.recover(agree=True) == 0
    assert "  left out: 2 rows that make no sense" in scene.said
    assert sorted(scene.rows()) == ["self", "used"]


def test_one_of_another_layout_is_moved_aside_too(scene: Scene) -> None:
    scene.write()
    with sqlite3.connect(scene.path) as db:
        db.execute("pragma user_version = 9")
    assert scene.recover(agree=True) == 0
    assert scene.said[0] == f"{scene.path}: it has layout 9, this overlayd knows 1"
    assert list(scene.rows()["grid"]) == [GRID]


def test_killed_between_two_steps_it_goes_on(scene: Scene) -> None:
    scene.write()
    whole = scene.path.rename(scene.state / "store.sqlite.new")
    assert scene.recover() == 0
    assert scene.said[0] == f"{scene.path}: an earlier recover was cut short; it is whole now"
    assert list(scene.rows()["grid"]) == [GRID]
    assert not whole.exists()


def test_while_a_daemon_runs_it_does_nothing(scene: Scene) -> None:
    async def beside_a_daemon() -> None:
        store = SqliteStore(scene.state)
        await store.open()
        try:
            with pytest.raises(StoreBusy, match="belongs to a running process"):
                await asyncio.to_thread(scene.recover, True)
            with pytest.raises(StoreBusy):
                await asyncio.to_thread(scene.forget)
        finally:
            await store.close()

    asyncio.run(beside_a_daemon())
    assert scene.hypervisor.states == {MACHINE: MachineState.RUNNING}


def test_no_daemon_starts_while_a_person_is_asked_and_the_store_is_replaced(scene: Scene) -> None:
    daemons = []

    def thinks(_: str) -> bool:
        try:
            os.close(own(scene.state / "store.lock"))
        except StoreBusy:
            daemons.append("refused")
        else:
            daemons.append("started")
        return True

    assert recovering.recover(Path("d.toml"), thinks, scene.said.append, "stamp", LATER) == 0
    assert daemons == ["refused"]


def test_disks_that_cannot_be_looked_at_are_told_in_a_line(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.write()
    errors = (OSError(5, "Input/output error", "volumes"), VolumeError("no volume is named so"))
    for error in errors:

        async def observe(error: Exception = error) -> dict[str, int]:
            raise error

        monkeypatch.setattr(scene.volumes, "observe", observe)
        done = CliRunner().invoke(commands.app, ["recover"])
        assert (done.exit_code, done.stderr) == (1, f"overlayd: {error}\n")


def unknown(scene: Scene) -> None:
    """The store knows nothing of what runs; there is a disk and a network of it."""
    asyncio.run(scene.volumes.ensure(f"{GRID}.data", 1 << 24, "data"))
    plan = NetworkPlan(
        network=f"{GRID}.lan", owner_tag="tag", vni=1, cidr="10.0.0.0/24", gateway="10.0.0.1",
        mtu=1450, underlay="192.0.2.1", domain="shop", epoch=1, ports=(), neighbours=(),
    )  # fmt: skip
    asyncio.run(scene.network.ensure(plan))


def test_forgetting_says_what_ends_and_asks_first(scene: Scene) -> None:
    unknown(scene)
    for agree in (False, None):
        assert scene.forget(disks=True, agree=agree) == 1
        assert scene.said == [
            f"ends machine {MACHINE}, which runs",
            f"removes network {GRID}.lan",
            f"deletes disk {GRID}.data of 16 MiB",
            "nothing was changed",
        ]
        assert scene.hypervisor.states == {MACHINE: MachineState.RUNNING}
        assert list(scene.volumes.sizes) == [f"{GRID}.data"]


def test_disks_stay_unless_their_deletion_is_asked_for(scene: Scene) -> None:
    unknown(scene)
    assert scene.forget() == 0
    kept = f"keeps disk {GRID}.data of 16 MiB, which stays: --delete-volumes deletes it"
    assert kept in scene.said
    assert (scene.hypervisor.machines, scene.network.plans) == ({}, {})
    assert list(scene.volumes.sizes) == [f"{GRID}.data"]
    with pytest.raises(recovering.Unrecovered, match=r"nothing of .* is here .*; kept: disk"):
        scene.forget()
    assert scene.forget(disks=True) == 0
    assert scene.volumes.sizes == {}


def test_disks_that_a_lost_machine_may_write_to_are_not_deleted(scene: Scene) -> None:
    unknown(scene)
    scene.hypervisor.machines.clear()
    scene.hypervisor.states.clear()
    scene.hypervisor.lost[MACHINE] = LostMachine(MACHINE, 4711, 1000, 64 << 20)
    with pytest.raises(recovering.Unrecovered, match=r"process 4711 runs .*`kill 4711` ends it"):
        scene.forget(disks=True)
    assert list(scene.volumes.sizes) == [f"{GRID}.data"]
    assert list(scene.network.plans) == [f"{GRID}.lan"]
    scene.hypervisor.lost.clear()
    assert scene.forget(disks=True) == 0
    assert scene.volumes.sizes == {}


def test_to_forget_no_grid_is_not_to_recover(scene: Scene) -> None:
    done = CliRunner().invoke(commands.app, ["recover", "--yes", "--forget", ""])
    assert (done.exit_code, done.stderr) == (
        1, "overlayd: --forget takes a grid's id; `overlayd recover` lists those that are here\n",
    )  # fmt: skip
    assert not scene.path.exists()


def test_what_is_carried_is_not_forgotten(scene: Scene) -> None:
    scene.write()
    with pytest.raises(recovering.Unrecovered, match="`overlayctl down shop` ends it"):
        scene.forget()
    assert scene.hypervisor.states == {MACHINE: MachineState.RUNNING}


def test_of_another_grid_nothing_is_touched(scene: Scene) -> None:
    with pytest.raises(recovering.Unrecovered, match=r"nothing of other\.0 is here"):
        scene.forget(GridId("other.0"), disks=True)
    assert scene.hypervisor.states == {MACHINE: MachineState.RUNNING}


def test_without_a_hypervisor_or_disks_only_the_store_is_looked_at(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = recovering.Host(scene.state, None, scene.network, None)
    monkeypatch.setattr(recovering, "host_of", lambda config: bare)
    assert scene.recover(agree=True) == 0
    with pytest.raises(recovering.Unrecovered):
        scene.forget()


def test_the_command(scene: Scene) -> None:
    run = CliRunner().invoke
    unsure = run(commands.app, ["recover"])
    assert (unsure.exit_code, unsure.stdout.splitlines()[-1]) == (
        1, "nothing was changed; `overlayd recover --yes` does it",
    )  # fmt: skip
    assert run(commands.app, ["recover", "--yes"]).exit_code == 0
    assert run(commands.app, ["recover"]).exit_code == 0
    missing = run(commands.app, ["recover", "--forget", "other.0"])
    assert (missing.exit_code, missing.stderr) == (
        1, "overlayd: nothing of other.0 is here that could be ended\n",
    )  # fmt: skip
    assert run(commands.app, ["recover", "--yes", "--forget", GRID]).exit_code == 0
    assert scene.hypervisor.machines == {}


def test_a_machine_of_an_older_build_says_less(scene: Scene) -> None:
    scene.hypervisor.machines[MACHINE] = msgspec.structs.replace(scene.machine, keepsake=b"")
    scene.recover()
    assert (
        f"{GRID}: not in the store; kept until other peers say who its stewards are" in scene.said
    )
