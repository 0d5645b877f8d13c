"""IPv6 of a grid's networks follows from what all hosts have."""

from ipaddress import IPv4Network, IPv6Address, IPv6Network

from hypothesis import given
from hypothesis import strategies as st

from netns import model
from protocol.grid.model import SIX_AUTO, NetworkSpec
from protocol.grid.six import PREFIX_BITS, address6, cidr6_of
from protocol.terms.ids import GridId

GRID = GridId("0e413f64c7dd8b1c833a.0-771b1c")


def of(cidr6: str, grid: GridId = GRID, name: str = "lan") -> str:
    return cidr6_of(NetworkSpec(name, "10.42.0.0/24", cidr6=cidr6), grid)


def test_a_network_has_what_it_says_or_what_follows_from_its_grid() -> None:
    assert of("") == ""
    assert of("fd42::/64") == "fd42::/64"
    assert of(SIX_AUTO) == "fd53:cfc6:cbba:3c52::/64", "hosts of every build come to the same"


def test_networks_and_grids_have_prefixes_of_their_own() -> None:
    found = {of(SIX_AUTO, GridId(grid), name) for grid in ("a", "b") for name in ("lan", "wan")}
    assert len(found) == 4
    for cidr6 in found:
        assert IPv6Network(cidr6).subnet_of(IPv6Network("fd00::/8"))
        assert IPv6Network(cidr6).prefixlen == PREFIX_BITS == model.PREFIX6_BITS


@given(st.integers(0, (1 << 24) - 1), st.integers(0, (1 << 64) - 1))
def test_a_member_has_its_ipv4_address_behind_the_prefix_on_every_layer(
    place: int, prefix: int
) -> None:
    address, cidr6 = str(IPv4Network("10.0.0.0/8")[place]), f"{IPv6Address(prefix << 64)}/64"
    six = address6(cidr6, address)
    assert IPv6Address(six).packed == prefix.to_bytes(8) + bytes(4) + bytes(
        (10, *place.to_bytes(3))
    )
    assert model.address6(cidr6, address) == six
