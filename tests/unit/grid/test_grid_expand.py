"""Workspaces: their names, what each needs, and the order they start in."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.grid.expand import providers, start_order, workspaces
from protocol.grid.model import (
    ClusterSpec,
    GridSpec,
    ImageRef,
    Mount,
    Restart,
    VolumeSpec,
    Workspace,
)


def cluster(
    name: str, count: int = 1, provides: tuple[str, ...] = (), requires: tuple[str, ...] = ()
) -> ClusterSpec:
    return ClusterSpec(
        name, count, ImageRef("guest"), 250, 128 << 20, provides=provides, requires=requires
    )


def test_a_workspace_has_everything_its_cluster_says() -> None:
    mounts = (Mount("a", "/a"), Mount("b", "/b"))
    spec = GridSpec(
        "g",
        (
            msgspec.structs.replace(
                cluster("head", provides=("nfs",), requires=("dns",)),
                image=ImageRef("i", "d"),
                cpus_milli=500,
                memory_bytes=7,
                networks=("lan",),
                mounts=mounts,
                scratch_bytes=1000,
                disk_bytes=5000,
                console_bytes=30,
                restart=Restart.NEVER,
                stop_within_s=5,
                user_data="ab" * 32,
                max_cpus_milli=2000,
                max_memory_bytes=9,
            ),
            cluster("dns", provides=("dns",)),
        ),
        volumes=(VolumeSpec("a", 100), VolumeSpec("b", 20), VolumeSpec("unused", 3)),
    )
    assert workspaces(spec)[1] == Workspace(
        name="head-1",
        cluster="head",
        index=1,
        cpus_milli=500,
        memory_bytes=7,
        disk_bytes=6150,
        image=ImageRef("i", "d"),
        networks=("lan",),
        mounts=mounts,
        scratch_bytes=1000,
        requires=("dns",),
        root_bytes=5000,
        restart=Restart.NEVER,
        stop_within_s=5,
        user_data="ab" * 32,
        console_bytes=30,
        max_cpus_milli=2000,
        max_memory_bytes=9,
    )


def test_providers_start_before_those_that_require_them_else_in_file_order() -> None:
    spec = GridSpec(
        "g",
        (
            cluster("web", requires=("db", "cache")),
            cluster("lone", count=2),
            cluster("db", provides=("db",)),
            cluster("cache-1", provides=("cache",), requires=("db",)),
            cluster("cache-2", provides=("cache",)),
        ),
    )
    assert [w.name for w in workspaces(spec)] == [
        "lone-1",
        "lone-2",
        "db-1",
        "cache-1-1",
        "cache-2-1",
        "web-1",
    ]
    assert providers(spec)["web"] == ("db", "cache-1", "cache-2")


def test_a_cycle_is_an_error() -> None:
    spec = GridSpec(
        "g",
        (
            cluster("a", provides=("a",), requires=("b",)),
            cluster("b", provides=("b",), requires=("a",)),
            cluster("c"),
        ),
    )
    with pytest.raises(ValueError, match="these clusters wait for each other: a, b"):
        start_order(spec)


@given(st.lists(st.tuples(st.integers(1, 5), st.sets(st.integers(0, 7))), max_size=8))
def test_every_workspace_once_and_after_all_it_requires(
    shape: list[tuple[int, set[int]]],
) -> None:
    # Cluster n may require any with a higher number, so there is no cycle and file order is wrong.
    clusters = tuple(
        cluster(
            f"c{n}",
            count,
            provides=(f"s{n}",),
            requires=tuple(f"s{m}" for m in sorted(needs) if n < m < len(shape)),
        )
        for n, (count, needs) in enumerate(shape)
    )
    spec = GridSpec("g", clusters)
    order = [workspace.name for workspace in workspaces(spec)]
    assert sorted(order) == sorted(
        f"c{n}-{i + 1}" for n, (c, _) in enumerate(shape) for i in range(c)
    )
    place = {name: position for position, name in enumerate(order)}
    for waiting, waited_for in providers(spec).items():
        for other in waited_for:
            last = max(place[w.name] for w in workspaces(spec) if w.cluster == other)
            assert last < place[f"{waiting}-1"]
