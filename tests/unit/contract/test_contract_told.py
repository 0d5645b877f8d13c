"""Notices put together: the newest of each host counts, for as long as the host stands for it."""

import msgspec
from negotiating import NOW, C
from telling import ME, notice

from protocol.contract.notices import placement
from protocol.contract.told import KnownGrid, Notices
from protocol.grid.record import GridState
from protocol.terms.checking import GRIDS_KNOWN
from protocol.terms.ids import GridId, KeyId, PeerId

A, B = PeerId("a"), PeerId("b")
YOU = KeyId("you")


def test_the_newest_word_counts() -> None:
    notices = Notices()
    notices.put(A, notice("g", 2, GridState.DOWN), 1.0)
    notices.put(B, notice("g", 1), 2.0)
    newest = notices.newest(GridId("g"))
    assert newest is not None
    assert newest.state is GridState.DOWN


def test_an_order_means_the_grid_of_its_owner_or_of_its_site() -> None:
    notices = Notices()
    notices.put(A, notice("old.0", 5, GridState.DOWN), 1.0)
    notices.put(A, notice("new.0", 3), 2.0)
    found = notices.meant("new", ME)
    assert found is not None
    assert found.grid == "new.0"
    assert notices.meant("shop", ME) is None, "it names no grid by its name"
    assert notices.meant("old", YOU) is None
    heirs = notices.meant("old", YOU, "s1")
    assert heirs is not None
    assert heirs.grid == "old.0"


def test_a_notice_that_names_no_site_is_of_nobody_who_names_none() -> None:
    notices = Notices()
    nameless = msgspec.structs.replace(notice("old.0", 5), owner_site="")
    notices.put(A, nameless, 1.0)
    assert notices.meant("old", YOU) is None


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


def known(grid: str, epoch: int, *hosts: PeerId, state: GridState = GridState.UP) -> KnownGrid:
    return KnownGrid(notice(grid, epoch, state), hosts)


def test_of_what_is_known_only_its_hosts_are_heard_and_none_of_them_on_what_was_decided() -> None:
    notices = Notices()
    notices.put(C, notice("g", 10**9, GridState.DOWN, owner=YOU), 1.0)
    assert notices.newest(GridId("g")) == notice("g", 10**9, GridState.DOWN, owner=YOU), "hearsay"
    notices.know(known("g", 2, A, B))
    assert notices.newest(GridId("g")) is None, "none of its hosts tells of it"
    timed = msgspec.structs.replace(notice("g", 7, GridState.DOWN), made_s=3.0, ends_s=9.0)
    notices.put(A, timed, 2.0)
    newest = notices.newest(GridId("g"))
    assert newest is not None
    assert (newest.owner, newest.epoch, newest.state) == (ME, 2, GridState.UP)
    assert (newest.made_s, newest.ends_s) == (3.0, 9.0)
    assert list(notices.about(GridId("g"))) == [A]
    assert notices.grids() == ["g"]


def test_an_older_decision_changes_nothing() -> None:
    notices = Notices()
    notices.put(A, notice("g", 1), 1.0)
    notices.know(known("g", 4, A, state=GridState.DOWN))
    notices.know(known("g", 3, A))
    newest = notices.newest(GridId("g"))
    assert newest is not None
    assert (newest.epoch, newest.state) == (4, GridState.DOWN)


def test_what_is_told_alike_is_one_claim_and_what_is_known_leaves_only_later_ones() -> None:
    notices = Notices()
    for peer in (A, B):
        notices.put(peer, notice("g", 3), 1.0)
    notices.put(C, notice("g", 9), 1.0)
    claims = notices.claims(GridId("g"))
    assert [(claim.tellers, claim.epoch) for claim in claims] == [((A, B, C), 9)]
    decided = msgspec.structs.replace(notice("g", 9), decision=b"d" * 32)
    notices.put(C, decided, 1.0)
    assert [claim.tellers for claim in notices.claims(GridId("g"))] == [(A, B), (C,)]
    notices.know(known("g", 3, A, B))
    assert notices.claims(GridId("g")) == [], "C is no host of it"
    notices.put(A, notice("g", 4, GridState.DOWN), 2.0)
    (later,) = notices.claims(GridId("g"))
    assert (later.tellers, later.epoch) == ((A,), 4)


def test_a_later_word_that_was_taken_back_unchecked_is_still_to_be_checked() -> None:
    """Else what ended while nobody asked would be shown again for as long as one of its hosts tells of it."""
    notices = Notices()
    notices.know(known("g", 3, A, B))
    notices.put(A, notice("g", 4, GridState.DOWN), 1.0)
    notices.put(B, notice("g", 3), 1.0)
    notices.drop(A, GridId("g"))
    (claim,) = notices.claims(GridId("g"))
    assert claim.tellers == (A, B)
    notices.know(known("g", 4, A, B, state=GridState.DOWN))
    assert notices.claims(GridId("g")) == []


def test_no_host_takes_away_what_others_tell_of_a_grid_that_is_known_to_be_up() -> None:
    notices = Notices()
    there = placement([("web-1", A), ("web-2", B)])
    for peer, epoch, state in ((A, 1, GridState.UP), (B, 9, GridState.DOWN)):
        told = msgspec.structs.replace(notice("g", epoch, state), placement=there)
        notices.put(peer, told, 1.0)
    notices.drop(B, GridId("g"))
    assert notices.newest(GridId("g")) is None
    assert notices.told("shop") == ["g"], "who asks has it checked all the same"
    notices.know(known("g", 1, A, B))
    assert list(notices.about(GridId("g"))) == [A]


def test_what_is_known_is_bounded_and_what_is_carried_here_stays() -> None:
    notices = Notices()
    notices.know(msgspec.structs.replace(known("mine", 1, A), own=True))
    for number in range(GRIDS_KNOWN + 5):
        notices.know(known(f"g{number}", 1, A))
    assert notices.confirmed(GridId("mine"))
    assert not notices.confirmed(GridId("g0"))
    assert notices.confirmed(GridId(f"g{GRIDS_KNOWN + 4}"))
