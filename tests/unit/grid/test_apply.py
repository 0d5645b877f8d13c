"""What an order to apply makes of a grid: who comes, goes, stays, and where each is on its networks."""

import msgspec
import pytest

from protocol.grid.addresses import plan, seated
from protocol.grid.apply import Manner, delta, places_after, places_of
from protocol.grid.model import ClusterSpec, GridSpec, ImageRef, NetworkSpec

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
