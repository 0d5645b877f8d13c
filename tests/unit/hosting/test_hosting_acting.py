"""What a host does with its leases at others' word: an action on workspaces, another host's want of room."""

from random import Random

import msgspec
import pytest
from deciding import decided, decision, proposed, read_register
from negotiating import ADMIN, AUTHORITY, NOW, RIVAL, ROOM, A, B, C, record_of, shop

from protocol.capacity.ledger import Ledger
from protocol.contract.messages import Act, ActReply, LeaseAsk, LeaseReply
from protocol.contract.notices import Notice, placement
from protocol.contract.outcomes import Propose, RoomChanged
from protocol.grid.lifecycle import Phase, Power, Status, Wanted
from protocol.grid.model import LeaseTerms
from protocol.grid.record import GridState, LeaseChange, Register, grid_id
from protocol.hosting.lease import Lease
from protocol.hosting.lease_book import TABLE
from protocol.hosting.leases import Leases
from protocol.hosting.taking_up import Promise
from protocol.terms.effects import Effect, Note, Persist, Realise, Send
from protocol.terms.ids import GridId, PeerId, RequestId
from protocol.terms.limits import HALTED_EVERY_S
from protocol.trust.certificate import CLOCK_TOLERANCE_S
from protocol.trust.order import Action, SignedOrder, order_id
from protocol.trust.used import TABLE as USED
from protocol.trust.used import UsedOrders
from protocol.wire.codec import decode, encode

ORDER = ADMIN.up(shop(3, lease=LeaseTerms(best_effort=True)), NOW)
GRID = grid_id(ORDER)
RECORD = record_of(ORDER, {"web-1": A, "web-2": A, "web-3": B})
REQUEST = RequestId("r")


def carrying(yields: bool = True) -> tuple[Leases, Ledger]:
    """A carries web-1 and web-2, B the third."""
    ledger = Ledger(ROOM, NOW)
    leases = Leases(A, ledger, AUTHORITY, Random(1), {}, NOW)
    leases.decided(decided(RECORD), Promise(("web-1", "web-2"), yields=yields), NOW)
    for name in ("web-1", "web-2"):
        leases.progress(GRID, Status(name, Phase.RUNNING, "", NOW))
    return leases, ledger


def row_of(leases: Leases) -> Lease:
    row = leases.row(GRID)
    assert row is not None
    return row


def powers(leases: Leases) -> list[Power]:
    return [w.power for w in leases.wanted(GRID)]


def act(leases: Leases, order: SignedOrder, now: float = NOW, grid: GridId = GRID) -> list[Effect]:
    effects, outcomes = leases.act(B, Act(REQUEST, grid, order), now)
    assert outcomes == ([RoomChanged()] if len(effects) > 1 else [])
    return effects


def answer(effects: list[Effect]) -> ActReply:
    (sent,) = [effect for effect in effects if isinstance(effect, Send)]
    assert sent.peer == B, "who asked"
    assert isinstance(sent.message, ActReply)
    return sent.message


# -- acting on a workspace


def test_an_action_is_on_disk_then_answered_then_brought_about() -> None:
    leases, _ = carrying()
    effects = act(leases, ADMIN.order(Action.PAUSE, GRID, NOW, workspace="web-1"))
    save, reply, note, realise = effects
    assert isinstance(save, Persist)
    (table, key, value), used = [(row.table, row.key, row.value) for row in save.rows]
    assert used[0] == USED, "in the same write"
    assert (table, key) == (TABLE, GRID)
    assert value is not None
    assert decode(value, Lease) == row_of(leases), "what is remembered is what was saved"
    assert isinstance(reply, Send)
    assert (answer(effects).workspace, answer(effects).problem) == ("web-1", "")
    assert note == Note("workspace.pause", "shop/web-1")
    assert realise == Realise(GRID, REQUEST)
    assert row_of(leases).wanted == (
        Wanted("web-1", Power.PAUSED, 1),
        Wanted("web-2", Power.RUNNING, 1),
    )


def test_an_action_on_no_workspace_by_name_is_on_all_that_are_here() -> None:
    leases, _ = carrying()
    effects = act(leases, ADMIN.order(Action.PAUSE, GRID, NOW))
    assert powers(leases) == [Power.PAUSED, Power.PAUSED]
    assert Note("workspace.pause", "shop/*") in effects


def test_what_is_refused_changes_nothing() -> None:
    leases, _ = carrying()
    before = row_of(leases)
    forged = msgspec.structs.replace(ADMIN.order(Action.PAUSE, GRID, NOW), signature=b"x" * 64)
    for order, why in (
        (RIVAL.order(Action.PAUSE, GRID, NOW), "not to site s2's admin"),
        (forged, "bad-signature"),
        (ADMIN.order(Action.PAUSE, GRID, NOW, workspace="web-3"), "does not carry web-3"),
        (ADMIN.order(Action.RESUME, GRID, NOW, workspace="web-9"), "does not carry web-9"),
    ):
        effects = act(leases, order)
        assert len(effects) == 1, "an answer and no more"
        assert why in answer(effects).problem
    effects = act(leases, ADMIN.order(Action.PAUSE, GRID, NOW), grid=GridId("other"))
    assert answer(effects).problem == "this host does not carry that grid"
    assert row_of(leases) == before


def test_where_one_cannot_follow_none_does() -> None:
    leases, _ = carrying()
    act(leases, ADMIN.order(Action.SUSPEND, GRID, NOW, workspace="web-1"))
    before = row_of(leases)
    effects = act(leases, ADMIN.order(Action.PAUSE, GRID, NOW))
    assert answer(effects).problem == "web-1 is wanted suspended: pause does not apply"
    assert row_of(leases) == before


def test_an_order_is_acted_on_once_while_it_is_fresh() -> None:
    leases, _ = carrying()
    order = ADMIN.order(Action.RESTART, GRID, NOW)
    act(leases, order)
    effects = act(leases, order)
    assert (len(effects), answer(effects).problem) == (1, ""), "done already is done"
    assert [w.boot for w in row_of(leases).wanted] == [2, 2]


def test_an_order_is_remembered_until_it_is_fresh_no_longer() -> None:
    leases, _ = carrying()
    pause = ADMIN.order(Action.PAUSE, GRID, NOW)
    (save, *_), until_s = act(leases, pause), NOW + 600.0
    assert isinstance(save, Persist)
    rows = {row.key: row.value for row in save.rows if row.table == USED and row.value is not None}
    act(leases, ADMIN.order(Action.RESUME, GRID, NOW), now=NOW + 1.0)
    for used in (UsedOrders(rows, until_s - 1.0), UsedOrders(rows, until_s)):
        assert order_id(pause) in used
    assert len(act(leases, pause, now=until_s - 1.0)) == 1, "the answer, and nothing else"
    assert order_id(pause) not in UsedOrders(rows, until_s + CLOCK_TOLERANCE_S)


def test_what_a_build_before_remembered_in_the_lease_is_not_done_again() -> None:
    leases, _ = carrying()
    pause = ADMIN.order(Action.PAUSE, GRID, NOW)
    row = msgspec.structs.replace(row_of(leases), acted=((order_id(pause), NOW + 600.0),))
    leases.put(row)
    assert len(act(leases, pause)) == 1
    assert [w.power for w in row_of(leases).wanted] == [Power.RUNNING, Power.RUNNING]


# -- another host's want of room


def notice(hindered: tuple[str, ...], grid: GridId = GRID) -> Notice:
    return Notice(
        grid=grid,
        name="shop",
        owner=RECORD.owner,
        owner_site="s1",
        epoch=1,
        state=GridState.UP,
        stewards=(),
        placement=placement(()),
        addresses=(),
        mine=(),
        made_s=NOW,
        lease_s=60,
        hindered=hindered,
    )


def hears(leases: Leases, peer: PeerId, *clusters: str) -> list[Effect]:
    return leases.hindered(GRID, peer, notice(clusters))


def test_a_cluster_that_another_host_has_no_room_for_waits_here_too() -> None:
    leases, _ = carrying()
    save, note, realise = hears(leases, B, "web")
    assert isinstance(save, Persist)
    assert note == Note("grid.yields", "shop", "makes room: web", GRID)
    assert realise == Realise(GRID, GRID)
    assert row_of(leases).off == ("web",)
    assert powers(leases) == [Power.SUSPENDED, Power.SUSPENDED]
    assert [w.power for w in row_of(leases).wanted] == [Power.RUNNING] * 2, "as it was ordered"
    assert hears(leases, B, "web") == [], "it is no news"


def test_it_goes_on_when_that_host_has_room() -> None:
    leases, ledger = carrying()
    hears(leases, B, "web")
    ledger.advance(NOW + 60.0)
    effects = hears(leases, B)
    assert Note("grid.yields", "shop", "goes on", GRID) in effects
    assert row_of(leases).off == ()
    assert powers(leases) == [Power.RUNNING, Power.RUNNING]


def test_only_another_host_of_the_record_is_heard() -> None:
    leases, _ = carrying()
    for peer in (A, C):
        assert hears(leases, peer, "web") == []
        assert leases.preemption.off(GRID) == (), "nothing of it is kept"
    assert leases.hindered(GridId("other"), B, notice(("web",), GridId("other"))) == []
    assert leases.preemption.off(GridId("other")) == ()
    assert powers(leases) == [Power.RUNNING, Power.RUNNING]


def test_work_that_does_not_yield_waits_for_nobody() -> None:
    leases, _ = carrying(yields=False)
    assert hears(leases, B, "web") == []
    assert powers(leases) == [Power.RUNNING, Power.RUNNING]
    assert leases.preemption.off(GRID) == ()


# -- down, where too few stewards answer


def halt(leases: Leases, order: SignedOrder, now: float = NOW) -> tuple[list[Effect], str]:
    effects, _ = leases.act(B, Act(REQUEST, GRID, order), now)
    return effects, answer(effects).problem


def test_its_owner_stops_a_grid_on_disk_first_and_the_stewards_are_asked_for_its_end() -> None:
    leases, ledger = carrying()
    order = ADMIN.order(Action.DOWN, GRID, NOW)
    effects, problem = halt(leases, order)
    save, _, note, realise = effects
    assert isinstance(save, Persist)
    assert save.rows[0].value is not None
    assert decode(save.rows[0].value, Lease).halted == order
    assert problem == ""
    assert note == Note(
        "grid.halted", "shop", "down ordered, and stopped here; waits for 2 of 3 stewards", GRID
    )
    assert realise == Realise(GRID, REQUEST)
    assert powers(leases) == [Power.OFF, Power.OFF]
    assert halt(leases, order) == ([effects[1]], ""), "asking twice is asking once"
    _, outcomes = leases.tick(NOW)
    (question,) = [one for one in outcomes if isinstance(one, Propose)]
    ended = read_register(proposed(question, decision(Register(RECORD)))).record
    assert ended is not None
    assert (ended.state, ended.changes) == (GridState.DOWN, (order,))
    assert [one for one in leases.tick(NOW + 1)[1] if isinstance(one, Propose)] == []
    later = leases.tick(NOW + 2 * HALTED_EVERY_S)[1]
    assert len([one for one in later if isinstance(one, Propose)]) == 1, "again and again"
    again = Leases(A, ledger, AUTHORITY, Random(1), {GRID: save.rows[0].value}, NOW)
    assert powers(again) == [Power.OFF, Power.OFF], "a later life keeps it stopped"


def test_nothing_else_is_done_to_a_grid_that_was_ordered_down() -> None:
    leases, _ = carrying()
    halt(leases, ADMIN.order(Action.DOWN, GRID, NOW))
    why = "its owner ordered it down, which waits for its stewards"
    for action in (Action.RESUME, Action.RESTART, Action.RESTORE):
        assert halt(leases, ADMIN.order(action, GRID, NOW))[1] == why
    body = encode(LeaseChange(60))
    ask = LeaseAsk(REQUEST, GRID, ADMIN.order(Action.LEASE, GRID, NOW, body=body))
    (reply, *_), _ = leases.lengthen(B, ask, NOW)
    assert isinstance(reply, Send)
    assert reply.message == LeaseReply(REQUEST, why)


@pytest.mark.parametrize("way", ["rival", "forged", "stale", "older", "workspace"])
def test_nobody_but_its_owner_stops_a_grid_and_no_order_of_before(way: str) -> None:
    leases, _ = carrying()
    before, now = row_of(leases), NOW
    order = ADMIN.order(Action.DOWN, GRID, NOW)
    if way == "rival":
        order = RIVAL.order(Action.DOWN, GRID, NOW)
    elif way == "forged":
        order = msgspec.structs.replace(order, signature=b"x" * 64)
    elif way == "stale":
        now = NOW + 4000.0
    elif way == "older":
        order = ADMIN.order(Action.DOWN, GRID, NOW - CLOCK_TOLERANCE_S - 1)
    else:
        order = ADMIN.order(Action.TERMINATE, GRID, NOW, workspace="web-1")
    effects, problem = halt(leases, order, now)
    assert problem
    assert len(effects) == 1
    assert row_of(leases) == before
