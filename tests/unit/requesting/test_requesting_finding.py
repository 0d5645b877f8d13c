"""An order about a grid that is only told of waits to know which grid it is about, and not for ever."""

from deciding import decided
from negotiating import ADMIN, NOW, B, C, record_of, shop
from one_requester import Scene, notice_of

from protocol.contract.outcomes import ChangeGrid, ConfirmGrid, Propose
from protocol.grid.record import GridState
from protocol.requesting.request import RequestState
from protocol.terms.checking import FOUND_WITHIN_S
from protocol.terms.effects import Send
from protocol.terms.ids import PeerId
from protocol.terms.limits import BLIND_S
from protocol.trust.order import Action

RECORD = record_of(ADMIN.up(shop(2), NOW), {"web-1": B, "web-2": C})
MALLORY = PeerId("mallory")


def told() -> Scene:
    """Hosts tell of the grid, and nobody here has seen it decided."""
    scene = Scene()
    for peer in (B, C):
        scene.notice(peer, notice_of(RECORD, peer), confirmed=False)
    return scene


def test_it_goes_on_when_it_is_known() -> None:
    scene = told()
    down = ADMIN.order(Action.DOWN, RECORD.id, NOW)
    effects, (look,) = scene.order("down", down)
    assert effects == []
    assert isinstance(look, Propose)
    assert isinstance(look.purpose, ConfirmGrid)
    assert scene.view("down").stage == "asking what was decided"
    _, (ends,) = scene.requester.settled(look.purpose, decided(RECORD), NOW + 1)
    assert isinstance(ends, Propose)
    assert ends.purpose == ChangeGrid(scene.view("down").id)
    assert ends.stewards == RECORD.stewards
    again = scene.order("again", ADMIN.order(Action.DOWN, RECORD.id, NOW + 1))
    assert [o.purpose for o in again[1] if isinstance(o, Propose)] == [
        ChangeGrid(scene.view("again").id)
    ], "what is known needs no look"


def test_an_end_that_is_only_told_ends_no_order() -> None:
    scene = told()
    scene.notice(MALLORY, notice_of(RECORD, B, state=GridState.DOWN, epoch=10**9), confirmed=False)
    _, outcomes = scene.order("pause", ADMIN.order(Action.PAUSE, RECORD.id, NOW))
    look = outcomes[0]
    assert isinstance(look, Propose)
    assert isinstance(look.purpose, ConfirmGrid)
    effects, _ = scene.requester.settled(look.purpose, decided(RECORD), NOW + 1)
    assert [e.peer for e in effects if isinstance(e, Send)] == [B, C]


def test_after_a_while_it_goes_by_what_is_told_and_says_of_no_grid_that_there_is_none() -> None:
    scene = told()
    scene.notice(MALLORY, notice_of(RECORD, B, state=GridState.DOWN, epoch=10**9), confirmed=False)
    scene.order("down", ADMIN.order(Action.DOWN, RECORD.id, NOW))
    due = scene.requester.next_deadline()
    assert due is not None
    assert due.at_s <= NOW + FOUND_WITHIN_S
    assert scene.requester.tick(NOW + FOUND_WITHIN_S - 0.1)[1] == []
    _, (ends,) = scene.requester.tick(NOW + FOUND_WITHIN_S)
    assert isinstance(ends, Propose)
    assert ends.purpose == ChangeGrid(scene.view("down").id)
    assert scene.view("down").answer == ()


def test_a_peer_that_was_just_started_waits_a_moment_to_hear_of_the_grid() -> None:
    scene = Scene(born_s=NOW)
    scene.directory._blind_s = NOW + BLIND_S
    down = ADMIN.order(Action.DOWN, RECORD.id, NOW)
    assert scene.order("down", down) == ([], [])
    assert scene.view("down").state is RequestState.RUNNING
    scene.notices.put(B, notice_of(RECORD, B), NOW)
    _, (look,) = scene.requester.noticed(B, notice_of(RECORD, B), NOW + 0.1)
    assert isinstance(look, Propose)
    assert isinstance(look.purpose, ConfirmGrid)
    _, (ends,) = scene.requester.settled(look.purpose, decided(RECORD), NOW + 0.2)
    assert isinstance(ends, Propose)
    assert ends.purpose == ChangeGrid(scene.view("down").id)


def test_it_waits_so_only_for_a_moment() -> None:
    scene = Scene(born_s=NOW)
    scene.directory._blind_s = NOW + BLIND_S
    scene.order("down", ADMIN.order(Action.DOWN, RECORD.id, NOW))
    scene.requester.tick(NOW + BLIND_S)
    assert scene.line("down").startswith("there is no grid named ")


def test_what_is_known_to_be_over_is_no_grid() -> None:
    scene = told()
    _, (look,) = scene.order("down", ADMIN.order(Action.DOWN, RECORD.id, NOW))
    assert isinstance(look, Propose)
    assert isinstance(look.purpose, ConfirmGrid)
    import msgspec

    gone = msgspec.structs.replace(RECORD, state=GridState.DOWN, epoch=2)
    assert scene.requester.settled(look.purpose, decided(gone), NOW + 1) == ([], [])
    assert scene.line("down") == "there is no grid named shop"
