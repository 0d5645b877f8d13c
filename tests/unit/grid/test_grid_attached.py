"""Which addresses are left for hosts that are attached, and which networks take them in."""

from attached_world import AttachedWorld
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from protocol.grid.addresses import plan
from protocol.grid.attached import Attached, barred, candidates, is_free
from protocol.grid.model import Encryption, NetworkSpec
from protocol.grid.record import GridState
from protocol.sim.people import grid_spec
from protocol.terms.ids import PeerId

CIDR = "10.42.0.0/24"
PEERS = st.text("0123456789abcdef", min_size=64, max_size=64).map(PeerId)


@given(PEERS, st.integers(16, 30))
def test_all_that_are_tried_are_free_and_no_workspaces_while_there_are_others(
    peer: PeerId, prefix: int
) -> None:
    cidr = f"10.42.0.0/{prefix}"
    spec = grid_spec("shop", 1)
    spec = replace(spec, networks=(NetworkSpec("lan", cidr),))
    taken = [card.address for card in plan(spec)]
    tried = list(candidates(cidr, peer, taken))
    assert all(is_free(address, cidr, taken) for address in tried)
    assert len(tried) == len(dict.fromkeys(tried)) <= 128
    assert tried or prefix >= 30, "the smallest range holds a gateway and a workspace"


def test_two_hosts_begin_at_their_own_and_each_at_the_same_again() -> None:
    one, other = PeerId("1" * 64), PeerId("2" * 64)
    first = next(candidates(CIDR, one, ()))
    assert first == next(candidates(CIDR, one, ())) != next(candidates(CIDR, other, ()))
    assert int(first.rpartition(".")[2]) > 254 - 64, "workspaces come from the other end"


def test_what_is_no_address_as_it_is_written_is_not_free() -> None:
    assert is_free("10.42.0.200", CIDR, ())
    for text in ("10.42.0.200 ", "10.42.0.1", "10.42.0.0", "10.42.0.255", "10.42.1.7", "", "::1"):
        assert not is_free(text, CIDR, ())
    assert not is_free("10.42.0.200", CIDR, ["10.42.0.200"])


def test_nobody_else_has_its_name() -> None:
    """No workspace, whose names end in numbers, and no host whose key begins alike."""
    one = Attached("lan", PeerId("0123456789" + "a" * 54), "10.42.0.200", "ams")
    other = Attached("lan", PeerId("0123456789" + "b" * 54), "10.42.0.201", "ams")
    assert one.name == "attached-10-42-0-200-host" != other.name


def test_networks_that_take_nobody_in() -> None:
    made = AttachedWorld().record
    cards = plan(grid_spec("shop", 3))
    spec = replace(grid_spec("shop", 1), networks=(NetworkSpec("lan", CIDR),))
    assert barred("lan", made, spec, cards) == ""
    none = "shop has no network wan"
    assert barred("wan", made, spec, cards) == f"{none}; would work: shop/lan"
    assert barred("wan", made, replace(spec, networks=()), cards) == none
    plain = replace(spec, networks=(NetworkSpec("lan", CIDR, Encryption.NONE),))
    assert "is not sealed" in barred("lan", made, plain, cards)
    assert barred("lan", replace(made, state=GridState.DOWN), spec, cards) == "shop is down"
