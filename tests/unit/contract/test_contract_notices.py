"""Notices put together: the newest of each host counts, for as long as the host stands for it."""

import msgspec
from negotiating import ADMIN, NOW, C, record_of, shop

from protocol.contract.notices import Notice, Notices, Placement, notice_of, placement
from protocol.grid.record import GridState
from protocol.terms.ids import GridId, KeyId, PeerId
from protocol.wire.codec import convert, encode, to_plain

A, B = PeerId("a"), PeerId("b")
ME, YOU = KeyId("me"), KeyId("you")


def notice(grid: str, epoch: int, state: GridState = GridState.UP, owner: KeyId = ME) -> Notice:
    return Notice(
        grid=GridId(grid),
        name="shop",
        owner=owner,
        owner_site="s1",
        epoch=epoch,
        state=state,
        stewards=(),
        placement=placement(()),
        addresses=(),
        mine=(),
        made_s=0.0,
        lease_s=60,
    )


def test_the_newest_word_counts() -> None:
    notices = Notices()
    notices.put(A, notice("g", 2, GridState.DOWN), 1.0)
    notices.put(B, notice("g", 1), 2.0)
    newest = notices.newest(GridId("g"))
    assert newest is not None
    assert newest.state is GridState.DOWN


def test_a_name_means_the_grid_that_is_up() -> None:
    notices = Notices()
    notices.put(A, notice("old", 5, GridState.DOWN), 1.0)
    notices.put(A, notice("new", 3), 2.0)
    notices.put(B, notice("theirs", 9, owner=YOU), 2.0)
    found = notices.named("shop", ME)
    assert found is not None
    assert found.grid == "new"
    by_id = notices.named("old")
    assert by_id is not None
    assert by_id.grid == "old"
    assert notices.named("shop", KeyId("nobody")) is None


def test_all_that_hosts_tell_of_one_grid_and_when_it_was_heard() -> None:
    notices = Notices()
    notices.put(A, notice("g", 1), 1.0)
    notices.put(B, notice("g", 2), 2.0)
    notices.put(B, notice("other", 7), 3.0)
    notices.put(A, notice("g", 3), 4.0)
    heard = notices.about(GridId("g"))
    assert {peer: (h.notice.epoch, h.received_s) for peer, h in heard.items()} == {
        A: (3, 4.0),
        B: (2, 2.0),
    }
    assert notices.about(GridId("nothing")) == {}


def test_of_two_grids_that_are_up_the_newest_is_meant() -> None:
    """It is told by when they were made."""
    notices = Notices()
    for number, (grid, epoch, made_s) in enumerate((("a", 9, 1.0), ("b", 3, 2.0), ("c", 2, 3.0))):
        told = msgspec.structs.replace(notice(grid, epoch), made_s=made_s)
        notices.put(A, told, float(number))
        found = notices.named("shop")
        assert found is not None
        assert found.grid == grid


def test_what_a_record_says_of_a_grid_before_its_hosts_do() -> None:
    spec = shop(2, lease_s=3600)
    record = record_of(ADMIN.up(spec, NOW), {"web-1": C, "web-2": C}, epoch=3)
    told = notice_of(record, spec)
    assert (told.grid, told.name, told.epoch, told.state) == (record.id, "shop", 3, GridState.UP)
    assert (told.owner, told.owner_site) == (ADMIN.signer.key, "s1")
    assert (told.stewards, told.placed) == (record.stewards, (("web-1", C), ("web-2", C)))
    assert (told.addresses, told.mine) == ((), ()), "nobody has made anything yet"
    assert (told.made_s, told.lease_s) == (0.0, 3600)


def test_what_a_notice_leaves_out() -> None:
    """An earlier version tells of a lease without its times: it is over, and nothing of it is kept."""
    plain = to_plain(notice("g", 1))
    for key in ("starts_s", "ends_s", "kept_until_s", "hindered"):
        del plain[key]
    heard = convert(plain, Notice)
    assert (heard.starts_s, heard.ends_s, heard.kept_until_s, heard.hindered) == (0.0, 0.0, 0.0, ())


def test_nobody_stands_for_it_any_more() -> None:
    notices = Notices()
    notices.put(A, notice("g", 1), 1.0)
    notices.drop(B, GridId("g"))
    assert notices.grids() == ["g"]
    notices.drop(A, GridId("g"))
    assert notices.grids() == []
    assert notices.newest(GridId("g")) is None


def test_a_host_that_died_before_the_end_of_its_grid_does_not_have_it_up_again() -> None:
    """The others' last word on it ends after a while, and the dead one's would stand for a day."""
    there = placement([("web-1", A), ("web-2", B)])
    dead = msgspec.structs.replace(notice("g", 1), placement=there)
    down = msgspec.structs.replace(notice("g", 2, GridState.DOWN), placement=there)
    notices = Notices()
    notices.put(B, dead, NOW)
    notices.put(A, down, NOW)
    notices.put(C, down, NOW)
    notices.drop(C, GridId("g"))
    newest = notices.newest(GridId("g"))
    assert newest is not None, "a host that is not of the grid ends nothing"
    assert B in notices.about(GridId("g"))
    notices.drop(A, GridId("g"))
    assert notices.newest(GridId("g")) is None
    notices.put(B, dead, NOW)
    assert notices.newest(GridId("g")) == dead, "it may tell of itself again"


def test_a_placement_is_small_and_says_the_same_in_the_same_order() -> None:
    hosts = [PeerId(f"{number:02}" + 41 * "p") for number in range(32)]
    pairs = tuple((f"box-{number}", hosts[number % 32]) for number in range(1, 513))
    told = placement(pairs)
    assert told.pairs() == pairs
    assert len(encode(told)) < 2500, "512 workspaces on 32 hosts"


def test_a_placement_may_lack_workspaces_and_has_clusters_in_order() -> None:
    pairs = (("web-2", B), ("web-5", C), ("db-1", B), ("my-db-1", C))
    assert placement(pairs).pairs() == pairs
    assert placement(()).pairs() == ()


def test_a_place_that_is_no_hosts_places_nothing() -> None:
    hostile = Placement((B,), (("web", (7, 0, -3)),))
    assert hostile.pairs() == (("web-2", B),)
