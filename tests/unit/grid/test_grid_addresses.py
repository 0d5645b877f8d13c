"""Addresses: one each, inside the network, and kept when the grid changes elsewhere."""

from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from protocol.grid.addresses import Card, capacity, gateway, plan
from protocol.grid.model import ClusterSpec, GridSpec, ImageRef, NetworkSpec


def cluster(name: str, count: int, *networks: str) -> ClusterSpec:
    return ClusterSpec(name, count, ImageRef("guest"), 250, 128 << 20, networks=networks)


def grid(cidr: str, *counts: int) -> GridSpec:
    clusters = tuple(cluster(f"c{n}", count, "lan") for n, count in enumerate(counts))
    return GridSpec("g", clusters, networks=(NetworkSpec("lan", cidr),))


@st.composite
def grids(draw: st.DrawFn) -> GridSpec:
    """A grid with one network that its workspaces fit into, now and then exactly."""
    prefix = draw(st.integers(20, 30))
    block = draw(st.integers(0, (1 << (prefix - 8)) - 1))
    network = IPv4Network(((10 << 24) + (block << (32 - prefix)), prefix))
    left = min(capacity(network), 1024)
    counts: list[int] = []
    while left and len(counts) < 4:
        counts.append(draw(st.integers(1, left) | st.just(left)))
        left -= counts[-1]
    return grid(str(network), *counts)


@given(grids())
def test_every_workspace_has_an_address_of_its_own_inside_the_network(spec: GridSpec) -> None:
    network = IPv4Network(spec.networks[0].cidr)
    cards = plan(spec)
    addresses = {IPv4Address(card.address) for card in cards}
    assert len(addresses) == len(cards) == sum(c.count for c in spec.clusters)
    reserved = {
        network.network_address,
        network.broadcast_address,
        IPv4Address(gateway(str(network))),
    }
    assert all(address in network for address in addresses)
    assert not addresses & reserved
    assert {card.prefix for card in cards} == {network.prefixlen}


@given(grids(), st.data())
def test_shrinking_or_dropping_the_last_cluster_moves_nobody(
    spec: GridSpec, data: st.DataObject
) -> None:
    last = spec.clusters[-1]
    keep = data.draw(st.integers(0, last.count - 1))
    clusters = spec.clusters[:-1] + ((replace(last, count=keep),) if keep else ())
    before = plan(spec)
    assert plan(replace(spec, clusters=clusters)) == before[: len(before) - last.count + keep]


@given(grids())
def test_what_is_no_address_does_not_move_one(spec: GridSpec) -> None:
    changed = tuple(
        replace(c, cpus_milli=9, provides=(c.name,), requires=("c0",)) for c in spec.clusters
    )
    assert plan(replace(spec, clusters=changed)) == plan(spec)


def test_the_first_workspace_is_tenth() -> None:
    assert plan(grid("10.42.0.0/24", 2))[:2] == (
        Card("c0-1", "lan", "10.42.0.10", 24),
        Card("c0-2", "lan", "10.42.0.11", 24),
    )


@pytest.mark.parametrize(
    ("cidr", "count", "last_octets"),
    [
        ("10.0.0.0/30", 1, [2]),
        ("10.0.0.0/29", 5, [2, 3, 4, 5, 6]),
        ("10.0.0.0/28", 13, [10, 11, 12, 13, 14, 2, 3, 4, 5, 6, 7, 8, 9]),
    ],
)
def test_small_networks_are_used_to_the_last_address(
    cidr: str, count: int, last_octets: list[int]
) -> None:
    cards = plan(grid(cidr, count))
    assert [int(card.address.rpartition(".")[2]) for card in cards] == last_octets


def test_a_full_network_is_an_error_and_not_a_wrong_address() -> None:
    with pytest.raises(ValueError, match=r"10\.0\.0\.0/29 holds 5 workspaces"):
        plan(grid("10.0.0.0/29", 6))


def test_only_clusters_on_a_network_are_counted_there() -> None:
    spec = GridSpec(
        "g",
        (cluster("a", 1, "x", "y"), cluster("b", 1, "y"), cluster("c", 1)),
        networks=(NetworkSpec("x", "10.1.0.0/24"), NetworkSpec("y", "10.2.0.0/24")),
    )
    assert [(card.workspace, card.network, card.address) for card in plan(spec)] == [
        ("a-1", "x", "10.1.0.10"),
        ("a-1", "y", "10.2.0.10"),
        ("b-1", "y", "10.2.0.11"),
    ]


def test_the_gateway_is_the_first_host() -> None:
    assert gateway("10.42.0.0/24") == "10.42.0.1"
