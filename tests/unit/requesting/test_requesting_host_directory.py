"""What a requester has heard of hosts: which it may ask, which keep a name, and when it has yet to hear."""

from random import Random

import msgspec

from protocol.capacity.advert import UNPROBED, Advert, ImageLabel
from protocol.capacity.quantum import Quantum
from protocol.contract.notices import Notice, placement
from protocol.contract.told import Notices
from protocol.grid.lifecycle import Phase, Status
from protocol.grid.model import GridSpec
from protocol.grid.record import GridState
from protocol.membership.membership import Membership
from protocol.membership.messages import Contact
from protocol.membership.presence import Known
from protocol.requesting.host_directory import HostDirectory
from protocol.requesting.shortlist import Candidate
from protocol.sim.keys import SimFederation, SimSealer, SimVerifier
from protocol.sim.people import grid_spec
from protocol.terms.ids import GridId, KeyId, PeerId
from protocol.trust.identity import Identity

NOW = 1_000_000.0
FED = SimFederation("fed", from_s=NOW - 1000, until_s=NOW + 1_000_000)
ME = PeerId(FED.host("s1", "h0").key)
A, B, C, D = (PeerId(name) for name in "abcd")
OWNER = KeyId("owner")
GRID = GridId("grid-1")
SPEC = grid_spec("shop", 1)
DIGEST = SPEC.clusters[0].image.digest


class World:
    """Host h0 at site s1, and what it has heard."""

    def __init__(self, expects: bool = True) -> None:
        me = Identity(
            signer=FED.host("s1", "h0"),
            verifier=SimVerifier(),
            sealer=SimSealer(FED.host("s1", "h0").key),
            chain=FED.host_chain("s1", "h0"),
            federation=FED.key,
            name="h0",
            site="s1",
            address="h0:7000",
        )
        self.membership = Membership(Contact(ME, "s1", "h0:7000"), Random(1), (), NOW)
        self.notices = Notices()
        self.hosts = HostDirectory(me, self.membership, self.notices, expects, NOW)

    def knows(self, peer: PeerId, site: str, name: str = "", incarnation: int = 1) -> None:
        known = Known(peer, name or f"h-{peer}", site, "", incarnation, False, NOW + 1e6)
        self.membership.present(known, NOW)

    def loses(self, peer: PeerId) -> None:
        known = self.membership.known[peer]
        self.membership.present(msgspec.structs.replace(known, left=True), NOW)

    def advertises(
        self, peer: PeerId, cpus: int = 1000, mib: int = 1024, images: tuple[ImageLabel, ...] = ()
    ) -> bool:
        free = Quantum(cpus, mib << 20, 0)
        return self.hosts.advertised(peer, Advert(UNPROBED, free, (), images, 0), NOW)

    def notice(self, peer: PeerId, stewards: tuple[PeerId, ...] = (), boot: int = 1) -> None:
        said = Notice(
            grid=GRID,
            name="shop",
            owner=OWNER,
            owner_site="s1",
            epoch=1,
            state=GridState.UP,
            stewards=stewards,
            placement=placement(()),
            addresses=(),
            mine=(Status(f"on-{peer}", Phase.RUNNING, boot=boot),),
            made_s=NOW,
            lease_s=60,
        )
        self.notices.put(peer, said, NOW)

    def names(self) -> list[str]:
        return [candidate.name for candidate in self.hosts.candidates()]


# -- adverts


def test_an_advert_is_of_interest_if_it_has_more_room() -> None:
    world = World()
    assert world.advertises(A), "the first"
    assert not world.advertises(A), "as before"
    assert not world.advertises(A, mib=512)
    assert world.advertises(A, mib=513), "than it told last"
    assert world.advertises(A, cpus=1001, mib=1), "of anything"


def test_live_hosts_that_have_advertised_may_be_asked_and_this_one_first() -> None:
    world = World()
    assert world.hosts.candidates() == (Candidate(ME, "h0", "s1"),)
    for peer, site in ((A, "s1"), (B, "s2"), (C, "s2")):
        world.knows(peer, site)
    world.advertises(A, mib=100)
    world.advertises(B, mib=200)
    world.advertises(D)
    me, first, second = world.hosts.candidates()
    assert me.told is None, "its own word is better than its advert"
    assert [(c.peer, c.name, c.site) for c in (first, second)] == [
        (A, "h-a", "s1"),
        (B, "h-b", "s2"),
    ]
    assert first.told is not None
    assert first.told.free.memory_bytes == 100 << 20
    world.loses(A)
    assert world.names() == ["h0", "h-b"]


def test_what_may_be_asked_follows_what_is_heard() -> None:
    world = World()
    world.knows(A, "s1")
    world.advertises(A, mib=100)
    assert world.hosts.candidates()[1] is world.hosts.candidates()[1], "read once"
    world.advertises(A, mib=50)
    told = world.hosts.candidates()[1].told
    assert told is not None
    assert told.free.memory_bytes == 50 << 20
    world.knows(A, "s2", name="renamed", incarnation=2)
    moved = world.hosts.candidates()[1]
    assert (moved.name, moved.site) == ("renamed", "s2")
    assert moved.told is not None
    assert (moved.told.host, moved.told.site) == ("renamed", "s2")


def test_narrow_it_keeps_adverts_of_its_own_site() -> None:
    world = World()
    world.knows(A, "s1")
    world.knows(B, "s2")
    for peer in (A, B, C):
        world.advertises(peer)
    world.hosts.narrow("s1")
    assert list(world.hosts.adverts) == [A]
    assert world.hosts.narrowed


# -- blindness


def test_alone_it_has_nobody_to_hear_of() -> None:
    assert not World(expects=False).hosts.blind(NOW)


def test_a_moment_after_its_start_it_has_yet_to_hear() -> None:
    world = World()
    assert world.hosts.blind(NOW), "it knows of others, and has met none"
    world.knows(A, "s1")
    world.knows(B, "s2")
    world.advertises(A)
    assert world.hosts.blind(NOW + 1.999), "B has not said what it has"
    assert not world.hosts.blind(NOW + 2.0), "it waits no longer"
    world.advertises(B)
    assert not world.hosts.blind(NOW), "it has heard of all"


def test_narrow_it_does_not_wait_for_all_hosts() -> None:
    world = World()
    world.knows(A, "s1")
    assert world.hosts.blind(NOW)
    world.hosts.narrow("s1")
    assert not world.hosts.blind(NOW)


def test_it_believes_itself_alive() -> None:
    world = World()
    assert world.hosts.alive(ME)
    assert not world.hosts.alive(A)
    world.knows(A, "s1")
    assert world.hosts.alive(A)
    world.loses(A)
    assert not world.hosts.alive(A)


# -- guards of names


def test_three_guard_a_name_the_same_for_everybody() -> None:
    world = World()
    for number in range(12):
        world.knows(PeerId(f"p{number}"), f"s{number % 3 + 1}")
    for name in range(20):
        assert len(set(world.hosts.guards(f"{OWNER}/grid-{name}"))) == 3
    assert len({world.hosts.guards(f"{OWNER}/grid-{n}") for n in range(20)}) > 10, "spread"


# -- grids and images


def test_its_hosts_tell_in_which_start_a_workspace_is() -> None:
    world = World()
    assert world.hosts.boots(GRID) == {}
    world.notice(A, boot=2)
    world.notice(B, boot=5)
    assert world.hosts.boots(GRID) == {"on-a": 2, "on-b": 5}


def unknown(world: World, here: tuple[ImageLabel, ...] = (), spec: GridSpec = SPEC) -> str:
    return "\n".join(world.hosts.unknown_image(spec, here, NOW + 10.0))


def test_an_image_that_no_host_has_is_said() -> None:
    world = World()
    assert "would work: one of those there are (none yet)" in unknown(world)
    other = ImageLabel("debian", "00" * 32, 1)
    world.advertises(A, images=(other, other))
    said = unknown(world)
    assert f"image {SPEC.clusters[0].image.name} of cluster" in said
    assert "(debian)" in said, "each once"


def test_an_image_that_some_host_has_is_no_reason() -> None:
    label = ImageLabel("any-name", DIGEST, 1)
    world = World()
    assert unknown(world, here=(label,)) == ""
    world.advertises(A, images=(label,))
    assert unknown(world) == ""


def test_where_not_all_hosts_are_known_no_image_is_missing() -> None:
    blind, narrow = World(), World()
    assert blind.hosts.unknown_image(SPEC, (), NOW) == ()
    narrow.hosts.narrow("s1")
    assert unknown(narrow) == ""
