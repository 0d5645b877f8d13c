"""What a host makes of others' presences: who may pass on, who is hidden, and where nothing is sent."""

from types import SimpleNamespace

import pytest
from msgspec.structs import replace

from protocol.grid.tunnel import TunnelEnd
from protocol.membership.liveness import Health
from protocol.membership.presence import Known
from protocol.node.tunnel_around import TunnelAround, elsewhere
from protocol.terms.ids import PeerId
from protocol.terms.reach import Reach
from protocol.terms.sealed import TunnelPlace

ME, PARTNER = PeerId("a" * 64), PeerId("b" * 64)
OWN = "10.0.0.1"


def known(letter: str, site: str, reach: Reach = Reach.PUBLIC, lends: int = 1_000) -> Known:
    end = TunnelEnd(f"10.0.0.{ord(letter)}", 1450, 7700, None, lends)
    peer = PeerId(letter * 64)
    return Known(peer, letter, site, "", 3, False, 1.0, reach, tunnel=end)


class World:
    """This host at site `home`, its partner at `far`."""

    def __init__(self) -> None:
        partner = known("b", "far", Reach.NAT)
        self.known = {PARTNER: partner}
        self.dead: set[PeerId] = set()
        self.out: set[PeerId] = set()
        self.reach = Reach.NAT
        health = lambda p: Health.DEAD if p in self.dead else Health.ALIVE  # noqa: E731
        membership = SimpleNamespace(known=self.known, liveness=SimpleNamespace(health=health))
        identity = SimpleNamespace(peer=ME, site="home")
        self.around = TunnelAround(
            identity,  # type: ignore[arg-type]  # what of it is looked at
            membership,  # type: ignore[arg-type]
            lambda: self.reach,
            lambda: OWN,
            lambda peer: peer not in self.out,
        )

    def add(self, *others: Known) -> None:
        self.known.update({other.peer: other for other in others})

    def relays(self) -> str:
        return "".join(peer[0] for peer in self.around.relays(PARTNER))


@pytest.fixture
def world() -> World:
    return World()


def test_who_may_pass_on_is_public_alive_and_lends(world: World) -> None:
    world.add(known("r", "else"), known("n", "else", Reach.NAT), known("z", "else", lends=0))
    world.add(known("d", "else"), known("o", "else"))
    world.dead.add(PeerId("d" * 64))
    world.out.add(PeerId("o" * 64))
    mute = known("m", "else")
    assert mute.tunnel is not None
    world.add(replace(mute, tunnel=replace(mute.tunnel, port=0)))
    own = known("w", "else")
    assert own.tunnel is not None
    world.add(replace(own, tunnel=replace(own.tunnel, underlay=OWN)))
    assert world.relays() == "r"


def test_those_at_either_site_come_first_and_others_by_the_pair(world: World) -> None:
    world.add(*(known(letter, "else") for letter in "pqrs"), known("h", "home"), known("f", "far"))
    order = world.relays()
    assert set(order[:2]) == {"h", "f"}
    assert sorted(order[2:]) == list("pqrs")
    assert world.relays() == order


def test_only_two_that_nobody_dials_at_different_sites_are_hidden(world: World) -> None:
    assert world.around.are_hidden(PARTNER)
    world.reach = Reach.PUBLIC
    assert not world.around.are_hidden(PARTNER)
    world.reach = Reach.RELAYED
    world.add(known("b", "home", Reach.NAT))
    assert not world.around.are_hidden(PARTNER), "they are neighbours"
    assert not world.around.are_hidden(PeerId("x" * 64)), "nobody knows it"


def test_where_another_host_cannot_be(world: World) -> None:
    for address in (OWN, "127.0.0.9", "255.255.255.255", "224.0.0.1", "0.0.0.0", "a.name"):
        assert not world.around.may_be_at(TunnelPlace(address, 7700))
    assert world.around.may_be_at(TunnelPlace("198.51.100.7", 7700))
    assert elsewhere(None, OWN) is None


def test_what_is_not_known_is_nowhere(world: World) -> None:
    assert world.around.place(PARTNER) == TunnelPlace("10.0.0.98", 7700)
    assert world.around.life(PARTNER) == 3
    assert world.around.place(PeerId("x" * 64)) is None
    assert world.around.life(PeerId("x" * 64)) == 0
