"""What scripts/bench change makes of a grid, reads of a store, and says of its figures."""

import argparse
import io
from pathlib import Path

import pytest
from benches.change import (
    CHANGES,
    Sent,
    Took,
    bytes_out,
    decided_bytes,
    further,
    register_lines,
    table_of,
)
from federation.launch import Host
from rich.console import Console

from overlayd.adapters.sqlite_store import SqliteStore
from overlayd.ports.store import Put
from protocol.grid.apply import Manner, delta
from protocol.grid.check import problems
from protocol.grid.expand import workspaces
from protocol.grid.model import ClusterSpec, GridSpec, ImageRef
from protocol.hosting.lease_book import TABLE
from protocol.node.snapshot import PeerView
from protocol.sim.people import grid_spec
from protocol.sim.world import World
from protocol.wire.codec import encode

SPEC = GridSpec("bench", (ClusterSpec("n", 64, ImageRef("guest", "0" * 64), 100, 64 << 20, 64),))
OPTIONS = argparse.Namespace(daemons=32, workspaces=64)


def test_each_change_is_what_its_row_says() -> None:
    spec, sizes = SPEC, []
    for make in CHANGES.values():
        placed = [workspace.name for workspace in workspaces(spec)]
        new = make(spec)
        assert not problems(new)
        found = delta(placed, spec, new)
        sizes.append((len(found.added), len(found.gone), len(found.changed)))
        assert {manner for _, manner in found.changed} <= {Manner.LIVE}
        spec = new
    assert list(CHANGES) == ["+1", "-1", "+16", "-16", "cpus of all"]
    assert sizes == [(1, 0, 0), (0, 1, 0), (16, 0, 0), (0, 16, 0), (0, 0, 64)]


def test_it_is_changed_further_one_more_and_one_less() -> None:
    assert list(further(5, 8)) == ["+1", "-1", "+1"]
    assert list(further(5, 5)) == list(further(5, 2)) == []


def test_what_a_daemon_has_sent_is_read_from_its_metrics() -> None:
    text = "# TYPE overlayd_bytes_out gauge\noverlayd_bytes_in 3.0\noverlayd_bytes_out 1.5e+06\n"
    assert bytes_out(text) == 1_500_000


async def test_a_decision_is_weighed_while_its_daemon_has_the_store(tmp_path: Path) -> None:
    world = World(3, 1, 1)
    world.start_all()
    world.run(5.0)
    (peer,) = world.peers
    world.give(peer, world.admins[peer.site].up(grid_spec("shop", 1), world.now_s))
    world.run(20.0)
    assert peer.node is not None
    (lease,) = peer.node.host.leases.rows()
    standing = PeerView(peer.node).standing(lease.record.id)
    assert standing is not None
    assert lease.certificate is not None
    (tmp_path / "state").mkdir()
    store, host = SqliteStore(tmp_path / "state"), Host("h1", "ams", "127.0.0.1", tmp_path)
    await store.open()
    assert decided_bytes(host, standing) is None
    await store.write([Put(TABLE, lease.record.id, encode(lease))])
    size = decided_bytes(host, standing)
    await store.close()
    assert size is not None
    assert 0 < size - len(lease.certificate.value) < 1000


def test_changes_stand_beside_the_up_of_the_same_run() -> None:
    runs = [
        [Took("up", 0.9, 2.0), Took("+1", 0.1, 0.4, 0.02)],
        [Took("up", 1.1, 3.0), Took("+1", 0.5, 0.6, 0.04)],
    ]
    out = io.StringIO()
    Console(file=out, width=110).print(table_of(runs, [0.5, 1.5], OPTIONS))
    up, one = (
        [cell.strip() for cell in line.strip("│ \n").split("│")]
        for line in out.getvalue().splitlines()
        if line.startswith("│")
    )
    assert up[:7] == ["up", "2", "", "1.00", "1.10", "2.50", "3.00"]
    assert one == ["+1", "2", "0.03", "0.30", "0.50", "0.50", "0.60", "worst 0.3", "SHORT"]
    with pytest.raises(IndexError):
        table_of([[]], [], OPTIONS)


def test_the_register_is_told_from_up_to_the_last_change_and_idling_is_left_out() -> None:
    names = ["up", *CHANGES, "+1", "-1"]
    run = [Took(name, 0.1, 0.2, 0.0, 1000 * (n + 1)) for n, name in enumerate(names)]
    said = register_lines(run, [Sent(1000, 10), Sent(50_000, 20, 2)])
    assert said == [
        "[change] decided: 1,000 bytes after up, 8,000 after 7 changes, most 8,000",
        "[change] decided after each: "
        "up 1,000, +1 2,000, -1 3,000, +16 4,000, -16 5,000, cpus of all 6,000",
        "[change] all peers send 24,000 bytes for a change by one, beside 100 a second when idle",
    ]
    assert len(register_lines(run, [Sent(1000, 10)])) == 2
