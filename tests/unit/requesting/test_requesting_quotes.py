"""Quotes and held plans a peer keeps: bounded, each for its time, over restarts."""

from protocol.requesting.proposal import TABLE, Proposal, ProposalNotSaved
from protocol.requesting.quotes import Quotes
from protocol.requesting.request import Planned, RequestState
from protocol.requesting.requests import Requests, answered
from protocol.sim.people import grid_spec
from protocol.terms.effects import Effect, Persist, Row, Send
from protocol.terms.ids import PeerId, RequestId
from protocol.terms.limits import PROPOSALS_KEPT
from protocol.wire.codec import encode

NOW = 1_000_000.0
HOST = PeerId("b" * 64)


def proposal(number: int, until_s: float = NOW + 600, held: bool = False) -> Proposal:
    row = Planned("web-1", "beta", "s2", HOST, 500, 1 << 27, "tiny", True)
    return Proposal(
        id=RequestId(f"quote-{number}"),
        spec=grid_spec(f"shop-{number}", 1),
        site="s1",
        made_s=NOW + number,
        until_s=until_s,
        placement=(row,),
        offers=(),
        held=f"{number}.0" if held else "",
        key=f"owner/shop-{number}" if held else "",
    )


def kept(*proposals: Proposal) -> tuple[Quotes, Requests, dict[str, bytes]]:
    """Quotes that keep these proposals, with what is on disk then."""
    requests, disk = Requests(), {}
    made = Quotes(requests)
    for one in proposals:
        view = answered(one.id, "quote", one.spec.name, (), NOW)
        requests.refused(view)
        write(disk, made.keep(one))
    return made, requests, disk


def write(disk: dict[str, bytes], effects: list[Effect]) -> None:
    for effect in effects:
        for row in effect.rows if isinstance(effect, Persist) else ():
            assert row.table == TABLE
            disk.pop(row.key, None)
            if row.value is not None:
                disk[row.key] = row.value


def releases(effects: list[Effect]) -> int:
    return sum(isinstance(effect, Send) for effect in effects)


def test_beyond_the_bound_the_oldest_quote_goes_and_no_held_plan() -> None:
    first = proposal(0, held=True)
    made, _, disk = kept(first, *(proposal(n) for n in range(1, PROPOSALS_KEPT + 3)))
    ids = [one.id for one in made.all()]
    assert len(ids) == len(disk) == PROPOSALS_KEPT
    assert ids[:2] == ["quote-0", "quote-4"]


def test_they_end_with_their_time() -> None:
    made, requests, disk = kept(proposal(1, NOW + 10), proposal(2, NOW + 20, held=True))
    deadline = made.next_deadline()
    assert deadline is not None
    assert deadline.at_s == NOW + 10
    write(disk, made.tick(NOW + 10))
    assert list(disk) == ["quote-2"]
    effects = made.tick(NOW + 20)
    write(disk, effects)
    assert (disk, releases(effects)) == ({}, 0), "hosts let go by themselves"
    view = requests.view(RequestId("quote-2"))
    assert view is not None
    assert (view.state, view.answer[0]) == (
        RequestState.DONE,
        "its time is up: nothing is held any more",
    )
    assert made.next_deadline() is None


def test_after_a_restart_what_is_left_of_them_stands() -> None:
    _, _, disk = kept(proposal(1, NOW + 10), proposal(2), proposal(3, held=True))
    requests = Requests()
    again = Quotes(requests)
    write(disk, again.resume(dict(disk), NOW + 30))
    assert [one.id for one in again.all()] == ["quote-2", "quote-3"]
    assert sorted(disk) == ["quote-2", "quote-3"]
    states = {view.id: view.state for view in requests.views()}
    assert states["quote-3"] is RequestState.HELD
    effects = again.cancel(RequestId("quote-3"))
    assert releases(effects) == 1
    write(disk, effects)
    assert list(disk) == ["quote-2"]
    assert again.cancel(RequestId("quote-3")) == []


def test_one_that_another_build_wrote_is_gone_and_stops_nothing() -> None:
    _, _, disk = kept(proposal(1), proposal(2))
    disk["quote-1"] = encode(Row(TABLE, "of another shape", None))
    again = Quotes(Requests())
    write(disk, again.resume(dict(disk), NOW + 30))
    assert [one.id for one in again.all()] == ["quote-2"]
    assert list(disk) == ["quote-2"]


def test_what_cannot_be_kept_is_let_go_and_said() -> None:
    made, requests, _ = kept(proposal(1, held=True))
    effects, _ = made.not_saved(ProposalNotSaved(RequestId("quote-1")), NOW)
    assert releases(effects) == 1
    view = requests.view(RequestId("quote-1"))
    assert view is not None
    assert view.state is RequestState.FAILED
    assert view.answer == (
        "cannot keep a plan of shop-1: this peer's store has no room to keep it",
    )
    assert made.all() == []


def test_a_held_plan_is_found_by_owner_and_name() -> None:
    made, _, _ = kept(proposal(1), proposal(2, held=True))
    assert made.holding("owner/shop-1") is None
    assert made.holding("owner/shop-2") == made.get(RequestId("quote-2"))
    assert not made.full
