"""What an order to apply makes of a grid: who comes, goes, stays, and where each is on its networks."""

import msgspec
import pytest

from protocol.grid.addresses import plan, seated
from protocol.grid.apply import Manner, delta, places_after, places_of
from protocol.grid.model import (
    ClusterSpec,
    DeviceCount,
    Driver,
    GridSpec,
    ImageRef,
    Mount,
    NetworkSpec,
    VolumeSpec,
)

LAN = NetworkSpec("lan", "10.0.0.0/28")
WORKER = ClusterSpec(
    "worker",
    3,
    ImageRef("guest", "0" * 64),
    1000,
    1 << 30,
    networks=("lan",),
    max_memory_bytes=2 << 30,
)
HEAD = msgspec.structs.replace(WORKER, name="head", count=1)


def grid(*clusters: ClusterSpec) -> GridSpec:
    return GridSpec("star", clusters, networks=(LAN,))


def test_what_stays_is_not_named_among_what_comes_and_goes() -> None:
    old = grid(HEAD, WORKER)
    new = grid(HEAD, msgspec.structs.replace(WORKER, count=4, memory_bytes=2 << 30))
    found = delta(["head-1", "worker-1", "worker-3"], old, new)
    assert found.added == ("worker-2", "worker-4")
    assert found.changed == (("worker-1", Manner.LIVE), ("worker-3", Manner.LIVE))
    assert (found.gone, found.same) == ((), ("head-1",))
    assert delta(["head-1", "worker-1"], old, grid(HEAD)).gone == ("worker-1",)


def test_a_grid_that_was_never_changed_is_seated_as_its_addresses_are_counted() -> None:
    spec = grid(HEAD, WORKER)
    assert seated(spec, places_of(spec)) == plan(spec)
    assert [places.positions for places in places_of(spec)] == [(0,), (1, 2, 3)]


def test_who_stays_keeps_its_seat_and_who_comes_takes_the_first_free() -> None:
    old = grid(HEAD, WORKER)
    new = grid(msgspec.structs.replace(HEAD, count=2), msgspec.structs.replace(WORKER, count=2))
    places = {s.cluster: s.positions for s in places_after(places_of(old), new)}
    assert places == {"head": (0, 3), "worker": (1, 2)}


def test_a_network_that_is_full_says_so() -> None:
    with pytest.raises(ValueError, match="holds 13 workspaces"):
        places_after((), grid(msgspec.structs.replace(WORKER, count=14)))


def sized(**said: object) -> GridSpec:
    return grid(msgspec.structs.replace(WORKER, **said))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changed", "manner"),
    [
        ({}, Manner.SAME),
        ({"labels": ("gpu",), "stop_within_s": 60, "provides": ("x",)}, Manner.SAME),
        ({"image": ImageRef("by-another-name", "0" * 64)}, Manner.SAME),
        ({"cpus_milli": 500}, Manner.LIVE),
        ({"cpus_milli": 2000}, Manner.RESTART),
        ({"memory_bytes": 1 << 29}, Manner.LIVE),
        ({"console_bytes": 1 << 20}, Manner.LIVE),
        ({"networks": ()}, Manner.RESTART),
        ({"devices": (DeviceCount("gpu", 1),)}, Manner.RESTART),
        ({"disk_bytes": 3 << 30}, Manner.RESTART),
        ({"scratch_bytes": 2 << 30}, Manner.RESTART),
        ({"disk_bytes": 1 << 30}, Manner.REBUILD),
        ({"scratch_bytes": 0}, Manner.REBUILD),
        ({"image": ImageRef("guest", "1" * 64)}, Manner.REBUILD),
        ({"user_data": "2" * 64, "cpus_milli": 2000}, Manner.REBUILD),
        ({"driver": Driver.LXC}, Manner.REBUILD),
    ],
)
def test_what_stays_is_changed_in_the_mildest_way(
    changed: dict[str, object], manner: Manner
) -> None:
    old = sized(disk_bytes=2 << 30, scratch_bytes=1 << 30)
    new = sized(**{"disk_bytes": 2 << 30, "scratch_bytes": 1 << 30, **changed})
    found = delta(["worker-1", "worker-2", "worker-3"], old, new)
    names = tuple(f"worker-{n}" for n in (1, 2, 3))
    if manner is Manner.SAME:
        assert (found.same, found.changed) == (names, ())
    else:
        assert found.changed == tuple((name, manner) for name in names)


def test_a_larger_volume_needs_another_start_of_who_mounts_it() -> None:
    db = msgspec.structs.replace(WORKER, name="db", count=1, mounts=(Mount("data", "/srv"),))
    old, new = (
        msgspec.structs.replace(grid(HEAD, db), volumes=(VolumeSpec("data", size << 30),))
        for size in (1, 2)
    )
    assert delta(["head-1", "db-1"], old, new).changed == (("db-1", Manner.RESTART),)


def test_who_is_left_out_goes_or_stays_gone() -> None:
    found = delta(["worker-1", "worker-2"], grid(WORKER), grid(WORKER), ("worker-1", "worker-3"))
    assert (found.added, found.gone, found.same) == ((), ("worker-1",), ("worker-2",))
    clusters = grid(HEAD)
    assert delta(["worker-1"], grid(WORKER), clusters).added == ("head-1",)


def test_a_cluster_that_shrinks_and_grows_again_does_not_take_the_places_of_others() -> None:
    both = grid(msgspec.structs.replace(HEAD, count=2), WORKER)
    less = places_after(places_of(both), grid(HEAD, WORKER))
    assert {s.cluster: s.positions for s in less} == {"head": (0,), "worker": (2, 3, 4)}
    more = places_after(less, grid(msgspec.structs.replace(HEAD, count=3), WORKER))
    assert {s.cluster: s.positions for s in more} == {"head": (0, 1, 5), "worker": (2, 3, 4)}
