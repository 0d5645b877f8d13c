"""What guests say of themselves: kept on disk, about one start, and told on."""

from random import Random

import msgspec
import pytest
from deciding import decided
from negotiating import ADMIN, AUTHORITY, NOW, REQUEST, ROOM, A, record_of, shop

from protocol.capacity.ledger import Ledger
from protocol.contract.messages import Act
from protocol.contract.told import Notices
from protocol.grid.lifecycle import Phase, Status, Word
from protocol.grid.record import grid_id
from protocol.hosting.events import GuestSaid
from protocol.hosting.guest_words import GuestWords
from protocol.hosting.lease import Lease
from protocol.hosting.lease_book import TABLE
from protocol.hosting.leases import Leases
from protocol.hosting.part import part_of
from protocol.hosting.taking_up import Promise
from protocol.terms.effects import Effect, Note, Persist, Realise, Untidied
from protocol.trust.order import Action
from protocol.wire.codec import decode, encode

ORDER = ADMIN.up(shop(2), NOW)
GRID = grid_id(ORDER)
RECORD = record_of(ORDER, {"web-1": A, "web-2": A})
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"
READY = GuestSaid(GRID, "web-1", 1, (KEY,))


def carrying(rows: dict[str, bytes] | None = None) -> Leases:
    leases = Leases(A, Ledger(ROOM, NOW), AUTHORITY, Random(1), rows or {}, NOW)
    if rows is None:
        leases.decided(decided(RECORD), Promise(("web-1", "web-2")), NOW)
    return leases


def words(leases: Leases) -> dict[str, Word | None]:
    part = part_of(leases, Notices(), GRID)
    assert part is not None
    return {mine.workspace.name: mine.word for mine in part.mine}


def notes(effects: list[Effect]) -> list[tuple[str, str, str]]:
    return [(e.kind, e.subject, e.detail) for e in effects if isinstance(e, Note)]


def test_a_word_is_on_disk_told_and_has_the_shell_look_again() -> None:
    leases = carrying()
    effects, outcomes = GuestWords(leases).said(READY)
    assert words(leases) == {"web-1": Word("web-1", 1, (KEY,)), "web-2": None}
    assert notes(effects) == [("workspace.ready", "shop/web-1", "")]
    assert Realise(GRID, GRID) in effects
    assert outcomes == []
    (saved,) = [e for e in effects if isinstance(e, Persist)]
    assert saved.otherwise == Untidied(), "a full disk ends no daemon"
    (row,) = saved.rows
    assert row.table == TABLE
    assert row.value is not None
    assert words(carrying({GRID: row.value}))["web-1"] == Word("web-1", 1, (KEY,)), "a later life"


def test_the_same_word_again_is_nothing() -> None:
    leases = carrying()
    said = GuestWords(leases)
    said.said(READY)
    assert said.said(READY) == ([], [])
    bare = msgspec.structs.replace(READY, host_keys=())
    assert said.said(bare) == ([], []), "it is known by the keys that it named before"


@pytest.mark.parametrize(
    "event",
    [
        msgspec.structs.replace(READY, boot=2),
        msgspec.structs.replace(READY, workspace="web-3"),
        msgspec.structs.replace(READY, grid="elsewhere"),
        msgspec.structs.replace(READY, taken_back=True),
    ],
)
def test_a_word_of_no_start_that_is_wanted_is_passed_over(event: GuestSaid) -> None:
    leases = carrying()
    assert GuestWords(leases).said(event) == ([], [])
    assert words(leases) == {"web-1": None, "web-2": None}


def test_a_problem_is_told_and_mended_by_the_next_word() -> None:
    leases = carrying()
    said = GuestWords(leases)
    said.said(READY)
    effects, _ = said.said(GuestSaid(GRID, "web-1", 1, (), "no database"))
    assert notes(effects) == [("workspace.problem", "shop/web-1", "no database")]
    assert words(leases)["web-1"] == Word("web-1", 1, (KEY,), "no database")
    effects, _ = said.said(READY)
    assert notes(effects) == [("workspace.ready", "shop/web-1", "")]


def test_keys_that_come_after_the_word_are_kept_and_no_news() -> None:
    leases = carrying()
    said = GuestWords(leases)
    said.said(GuestSaid(GRID, "web-1", 1))
    effects, _ = said.said(READY)
    assert notes(effects) == []
    assert words(leases)["web-1"] == Word("web-1", 1, (KEY,))


def test_a_restart_begins_without_a_word_and_so_does_a_guest_that_takes_it_back() -> None:
    leases = carrying()
    said = GuestWords(leases)
    said.said(READY)
    said.said(msgspec.structs.replace(READY, workspace="web-2"))
    said.said(msgspec.structs.replace(READY, workspace="web-2", taken_back=True))
    assert words(leases)["web-2"] is None
    order = ADMIN.order(Action.RESTART, GRID, NOW, workspace="web-1")
    leases.act(A, Act(REQUEST, GRID, order), NOW)
    assert words(leases)["web-1"] is None
    said.said(msgspec.structs.replace(READY, boot=2))
    row = leases.row(GRID)
    assert row is not None
    assert row.words == (Word("web-1", 2, (KEY,)),), "the word of the first start is not kept"


def test_its_keys_go_with_each_of_its_phases() -> None:
    leases = carrying()
    said = GuestWords(leases)
    said.said(READY)
    for phase in (Phase.RUNNING, Phase.READY, Phase.PAUSED):
        assert said.with_keys(GRID, Status("web-1", phase)).host_keys == (KEY,)
    assert said.with_keys(GRID, Status("web-2", Phase.READY)).host_keys == ()
    assert said.with_keys(GRID, Status("web-1", Phase.READY, boot=2)).host_keys == ()


def test_a_row_of_before_there_were_words_is_read() -> None:
    row = carrying().row(GRID)
    assert row is not None
    plain = msgspec.to_builtins(row, builtin_types=(bytes,))
    del plain["words"]
    assert msgspec.convert(plain, Lease) == row == decode(encode(row), Lease)
