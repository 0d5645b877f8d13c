"""What a host tells everybody: when something changed, not too often, and for how long it stands."""

from random import Random

from deciding import decided, ending, read_register
from negotiating import ADMIN, AUTHORITY, FEDERATION, NOW, ROOM, B, committed, record_of, shop

from protocol.capacity.advert import Advert, HostFacts, ImageLabel
from protocol.contract.notices import Notice
from protocol.grid.lifecycle import Phase, Status
from protocol.grid.record import GridRecord, GridState, grid_id
from protocol.hosting.host import Host
from protocol.hosting.publishing import Publishing
from protocol.hosting.surroundings import Alone
from protocol.hosting.taking_up import Promise
from protocol.sim.keys import SimSealer, SimVerifier
from protocol.terms.coordinate import NOWHERE, Coordinate
from protocol.terms.effects import Deadline
from protocol.terms.ids import Digest, GridId, PeerId
from protocol.trust.identity import Identity
from protocol.trust.order import Action
from protocol.wire.codec import decode

DAY_S = 86_400.0
ME = PeerId(FEDERATION.host("s1", "h1").key)
FACTS = HostFacts(ROOM, "x86_64", "sim", "none", "", "10.0.0.1", True)
ORDER = ADMIN.up(shop(2, lease_s=3600), NOW)
GRID = grid_id(ORDER)


def placed_here() -> GridRecord:
    """web-1 at this host, web-2 at B."""
    return record_of(ORDER, {"web-1": ME, "web-2": B})


RECORD = placed_here()


class Moving(Alone):
    """The surroundings of a host that is elsewhere now and then."""

    place = NOWHERE

    def here(self) -> Coordinate:
        """Where it is now."""
        return self.place


class World:
    """A host that carries web-1, and what it publishes."""

    def __init__(self, facts: HostFacts | None = FACTS, carries: bool = False) -> None:
        me = Identity(
            signer=FEDERATION.host("s1", "h1"),
            verifier=SimVerifier(),
            sealer=SimSealer(ME),
            chain=FEDERATION.host_chain("s1", "h1"),
            federation=FEDERATION.key,
            name="h1",
            site="s1",
            address="h1:7000",
        )
        self.surroundings = Moving()
        self.host = Host(me, facts, (), AUTHORITY, Random(1), {}, NOW, self.surroundings)
        if carries:
            self.host.leases.decided(decided(RECORD), Promise(("web-1",)), NOW)
        self.publishing = Publishing(self.host)

    def told(self, now: float) -> list[str]:
        """The names of what is published now, `advert` for the advert."""
        return [said.name or said.kind for said in self.publishing.pop_due(now)]

    def notice(self, now: float) -> tuple[Notice, float]:
        """The notice that is published now, and for how long it stands."""
        self.publishing.due(GRID)
        (said,) = [said for said in self.publishing.pop_due(now) if said.kind == "grid"]
        assert said.notice == decode(said.body, Notice), "what this peer heeds is what others do"
        return said.notice, said.ttl_s


# -- adverts


def test_a_host_that_was_not_probed_has_nothing_to_say() -> None:
    world = World(facts=None)
    assert world.publishing.next_deadline() is None
    world.publishing.room_changed()
    assert world.told(NOW) == []
    world.host.probed(FACTS)
    assert world.told(NOW) == ["advert"]


def test_the_advert_is_the_hosts_word_and_stands_for_an_hour() -> None:
    world = World()
    (said,) = world.publishing.pop_due(NOW)
    assert (said.kind, said.name, said.ttl_s, said.notice) == ("advert", "", 3600.0, None)
    assert decode(said.body, Advert) == world.host.advert(NOW)


def test_without_a_change_it_is_said_again_after_twenty_minutes() -> None:
    world = World()
    assert world.told(NOW) == ["advert"]
    assert world.publishing.next_deadline() == Deadline(NOW + 1200.0, "advert")
    assert world.told(NOW + 1199.9) == []
    assert world.told(NOW + 1200.0) == ["advert"]


def test_a_change_of_room_is_told_at_most_once_a_second() -> None:
    world = World()
    world.told(NOW)
    world.publishing.room_changed()
    world.publishing.room_changed()
    assert world.publishing.next_deadline() == Deadline(NOW + 1.0, "advert")
    assert world.told(NOW + 0.999) == []
    assert world.told(NOW + 1.0) == ["advert"]
    assert world.told(NOW + 2.0) == [], "once"
    world.publishing.room_changed()
    assert world.told(NOW + 50.0) == ["advert"], "at once, after a while"


def test_a_move_is_told_if_it_is_far_and_not_more_than_every_ten_minutes() -> None:
    world = World()
    world.told(NOW)
    world.surroundings.place = Coordinate((0.5, *NOWHERE.at[1:]), 0.0, 0.1)
    assert not world.publishing.moved(NOW + 599.9)
    assert world.told(NOW + 599.9) == []
    assert world.publishing.moved(NOW + 600.0)
    assert world.told(NOW + 600.0) == ["advert"]
    assert not world.publishing.moved(NOW + 1200.0), "it is where it said"


def test_a_small_move_is_not_told() -> None:
    world = World()
    world.told(NOW)
    for far_s, tells in ((0.019, False), (0.02, False), (0.021, True)):
        world.surroundings.place = Coordinate((far_s, *NOWHERE.at[1:]), 0.0, 0.1)
        assert world.publishing.moved(NOW + 600.0) is tells


def test_the_height_of_both_ends_is_no_distance() -> None:
    world = World()
    world.surroundings.place = Coordinate(NOWHERE.at, 0.3, 0.1)
    world.told(NOW)
    world.surroundings.place = Coordinate((0.019, *NOWHERE.at[1:]), 0.4, 0.1)
    assert not world.publishing.moved(NOW + 600.0)
    world.surroundings.place = Coordinate((0.021, *NOWHERE.at[1:]), 0.4, 0.1)
    assert world.publishing.moved(NOW + 600.0)


def test_a_host_that_is_somewhere_before_it_was_probed_has_moved_and_says_so_then() -> None:
    world = World(facts=None)
    world.surroundings.place = Coordinate((0.5, *NOWHERE.at[1:]), 0.0, 0.1)
    assert world.publishing.moved(NOW)
    assert world.told(NOW) == []
    world.host.probed(FACTS)
    assert world.told(NOW) == ["advert"]
    assert not world.publishing.moved(NOW + 600.0)


# -- notices


def test_a_notice_is_told_when_due_and_at_most_four_times_a_second() -> None:
    world = World(carries=True)
    world.told(NOW)
    world.publishing.due(GRID)
    world.publishing.due(GRID)
    assert world.told(NOW) == [GRID]
    assert world.told(NOW + 1.0) == [], "once"
    world.publishing.due(GRID)
    assert world.told(NOW + 1.0) == [GRID]
    world.publishing.due(GRID)
    assert world.publishing.next_deadline() == Deadline(NOW + 1.25, "notice")
    assert world.told(NOW + 1.249) == []
    assert world.told(NOW + 1.25) == [GRID]


def test_of_a_grid_that_it_never_carried_it_has_nothing_to_tell() -> None:
    world = World()
    world.told(NOW)
    world.publishing.due(GridId("never"))
    assert world.told(NOW) == []


def test_what_a_notice_says() -> None:
    world = World(carries=True)
    world.host.leases.progress(GRID, Status("web-1", Phase.RUNNING, "", NOW))
    notice, ttl_s = world.notice(NOW)
    assert (notice.grid, notice.name, notice.owner_site, notice.epoch) == (GRID, "shop", "s1", 1)
    assert (notice.owner, notice.state) == (RECORD.owner, GridState.UP)
    assert notice.stewards == RECORD.stewards
    assert notice.placed == (("web-1", ME), ("web-2", B))
    assert [status.workspace for status in notice.mine] == ["web-1"], "its own only"
    assert notice.lease_s == 3600
    assert (notice.made_s, notice.starts_s, notice.ends_s) == (NOW, NOW, NOW + 3600.0)
    assert notice.kept_until_s == NOW + 3600.0 + DAY_S
    assert ttl_s == 3600.0 + DAY_S + DAY_S, "a day longer than anything of it is kept"


def test_a_notice_stands_a_day_longer_than_what_is_kept() -> None:
    world = World(carries=True)
    row = world.host.leases.row(GRID)
    assert row is not None
    assert world.notice(row.kept_until_s - 1.0)[1] == DAY_S + 1.0
    assert world.notice(row.kept_until_s + 500.0)[1] == DAY_S, "and never less than that"


def test_the_last_notice_stands_for_ten_minutes_and_is_the_last() -> None:
    world = World(carries=True)
    down = ADMIN.order(Action.DOWN, GRID, NOW)
    ended = read_register(ending(GRID, down)(committed(RECORD))).record
    assert ended is not None
    world.host.leases.decided(decided(ended), Promise(), NOW)
    world.host.leases.progress(GRID, Status("web-1", Phase.GONE, "", NOW))
    world.host.leases.cleared(GRID)
    notice, ttl_s = world.notice(NOW)
    assert ttl_s == 600.0
    assert notice.state is GridState.DOWN
    assert [status.phase for status in notice.mine] == [Phase.GONE]
    world.publishing.due(GRID)
    assert world.told(NOW + 10.0) == [], "it is forgotten"


def test_a_notice_names_who_logs_in_to_workspaces_here_as_their_image_says() -> None:
    world = World(carries=True)
    assert world.notice(NOW)[0].logins == ()
    digest = Digest(shop(2).clusters[0].image.digest)
    world.host.images_changed((ImageLabel("web", digest, 1, default_user="debian"),))
    assert world.notice(NOW + 60)[0].logins == (("web-1", "debian"),)
