"""A quote is kept and taken up: exactly its placement, or what has moved."""

from random import Random

import msgspec
from negotiating import (
    ADMIN,
    AUTHORITY,
    MIB,
    NAMES,
    NOW,
    REQUEST,
    ROOM,
    SITES,
    Around,
    asks,
    granted,
    known,
    quote,
    refused,
    said,
    shop,
)

from protocol.capacity.quantum import Quantum
from protocol.contract.messages import HoldAsk
from protocol.contract.outcomes import Propose
from protocol.requesting.placing import Placing
from protocol.requesting.proposal import Proposal
from protocol.requesting.quoting import Quoting
from protocol.requesting.redeeming import Redeeming
from protocol.requesting.request import Moved, RequestState
from protocol.terms.effects import Effect
from protocol.terms.ids import PeerId
from protocol.terms.limits import HOLD_REPLY_WITHIN_S, PROPOSAL_S, QUOTE_WITHIN_S
from protocol.terms.refusal import Constraint, Refusal

LATER = NOW + 100
FULL = Quantum(200, 64 * MIB, 0)


def world(*peers: PeerId) -> Around:
    return Around(lambda: known(*peers))


def proposal(count: int = 2, memory_mib: int = 128) -> Proposal:
    """The proposal that a round of quotes among A, B and C comes to."""
    spec = shop(count, memory_mib)
    around = world()
    deployment = AUTHORITY.draft(spec, "s1")
    quoting = Quoting(REQUEST, deployment, holds=False)
    request = Placing(REQUEST, deployment, None, around, Random(3), NOW, quoting)
    request.start(NOW)
    for peer in NAMES:
        request.quote(peer, quote(peer), NOW)
    view = request.view()
    assert (view.kind, view.state, view.until_s) == ("quote", RequestState.DONE, NOW + PROPOSAL_S)
    (made,) = around.kept
    assert made.placement == view.placement
    return made


def taking(of: Proposal, *peers: PeerId) -> Placing:
    order = ADMIN.up(of.spec, LATER)
    deployment = AUTHORITY.deployment(order, LATER, fresh=True)
    around, policy = world(*peers), Redeeming(deployment, of)
    return Placing(REQUEST, deployment, order, around, Random(8), LATER, policy)


def quoted(
    request: Placing, rooms: dict[PeerId, Quantum] | None = None, silent: tuple[PeerId, ...] = ()
) -> dict[PeerId, HoldAsk]:
    """Gives the quotes of all hosts that are not silent. Answers the holds that are asked for."""
    asked = [effect.peer for effect in request.start(LATER)]  # type: ignore[union-attr]
    effects: list[Effect] = []
    for peer in asked:
        if peer not in silent:
            effects, _ = request.quote(peer, quote(peer, (rooms or {}).get(peer, ROOM)), LATER)
    if silent:
        effects, _ = request.tick(LATER + QUOTE_WITHIN_S)
    return asks(effects)


def by_host(of: Proposal) -> dict[PeerId, tuple[str, ...]]:
    placed = of.placed
    return {p: tuple(n for n in placed if placed[n] == p) for p in dict.fromkeys(placed.values())}


def test_a_quote_says_what_its_hosts_offered_and_nothing_of_others() -> None:
    made = proposal()
    assert sorted(offer.peer for offer in made.offers) == sorted(set(made.placed.values()))
    assert all(offer.free == ROOM for offer in made.offers)
    assert made.spec == shop()


def test_exactly_those_hosts_are_asked_and_it_is_committed() -> None:
    for count in (2, 3, 7):
        made = proposal(count)
        request = taking(made)
        holds = quoted(request)
        assert {peer: ask.workspaces for peer, ask in holds.items()} == by_host(made)
        outcomes: list[object] = []
        for peer, ask in holds.items():
            effects, more = request.hold_reply(peer, granted(peer, ask), LATER)
            assert effects == []
            outcomes += more
        assert [type(outcome) for outcome in outcomes] == [Propose]


def test_less_room_that_is_still_enough_has_not_moved() -> None:
    made = proposal()
    less = dict.fromkeys(NAMES, Quantum(500, 128 * MIB, 0))
    assert set(quoted(taking(made), less)) == set(by_host(made))


def test_a_host_with_less_room_is_named_with_how_many_fewer_fit() -> None:
    made = proposal(6)
    host, names = next((p, names) for p, names in by_host(made).items() if len(names) == 2)
    request = taking(made)
    assert quoted(request, {host: Quantum(4000, 128 * MIB, 0)}) == {}
    view = request.view()
    assert view.state is RequestState.FAILED
    detail = "has 7 fewer 0.5cpu/128M now: 1 fits, 2 were to go there"
    assert view.moved == (Moved(NAMES[host], SITES[host], names, Constraint.MEMORY, detail),)
    assert view.answer[:2] == (
        "cannot make shop as quoted 1.7 min ago (request-1): the world moved",
        f"  {NAMES[host]} {detail} ({', '.join(names)})",
    )
    assert view.answer[2].startswith("  would work: `overlayctl plan --quote` again; it fits now: ")
    assert sorted(row.workspace for row in view.placement) == [f"web-{n}" for n in range(1, 7)]


def test_a_host_that_is_gone_and_one_that_is_silent() -> None:
    made = proposal(3)
    gone, silent, there = by_host(made)
    request = taking(made, silent, there)
    assert quoted(request, silent=(silent,)) == {}
    assert {(one.host, one.detail) for one in request.view().moved} == {
        (NAMES[gone], "is not there any more"),
        (NAMES[silent], "gave no answer in time"),
    }


def test_what_fits_nowhere_any_more_is_explained() -> None:
    made = proposal(2)
    request = taking(made)
    assert quoted(request, dict.fromkeys(NAMES, FULL)) == {}
    answer = request.view().answer
    assert "cannot place 2 of 2 web: each needs 0.5 cpus, 128 MiB" in answer
    assert request.view().placement == ()
    assert answer[-1] == "  would work: `overlayctl plan --quote` again when there is more room"


def test_a_hold_that_is_refused_is_not_asked_for_elsewhere() -> None:
    made = proposal()
    request = taking(made)
    holds = quoted(request)
    (first, ask), (second, other) = holds.items()
    request.hold_reply(first, granted(first, ask), LATER)
    no = Refusal(Constraint.MEMORY, NAMES[second], asked=128 * MIB, available=64 * MIB)
    effects, outcomes = request.hold_reply(second, refused(other, no), LATER)
    assert said(effects) == [(NAMES[first], "HoldRelease")]
    assert outcomes == []
    (moved,) = request.view().moved
    assert (moved.host, moved.constraint) == (NAMES[second], Constraint.MEMORY)
    assert moved.detail == "lacks memory now: asked 128 MiB, free 64 MiB"
    third = next(NAMES[p] for p in NAMES if p not in holds)
    assert third in request.view().answer[-1], "where it fits now"


def test_a_hold_that_is_not_answered_is_let_go_with_the_rest() -> None:
    made = proposal()
    request = taking(made)
    holds = quoted(request)
    (first, ask), (second, _) = holds.items()
    request.hold_reply(first, granted(first, ask), LATER)
    effects, _ = request.tick(LATER + HOLD_REPLY_WITHIN_S)
    assert sorted(said(effects)) == sorted((NAMES[p], "HoldRelease") for p in (first, second))
    assert [one.detail for one in request.view().moved] == ["gave no answer in time"]


def test_a_name_that_is_only_held_is_tried_again_on_the_same_hosts() -> None:
    made = proposal()
    request = taking(made)
    busy = Refusal(Constraint.CONTENDED, "beta", detail="shop is held")
    for peer, ask in quoted(request).items():
        request.hold_reply(peer, refused(ask, busy), LATER)
    deadline = request.next_deadline()
    assert request.view().stage == "backing off"
    assert deadline is not None
    effects, _ = request.tick(deadline.at_s)
    for peer in NAMES:
        effects, _ = request.quote(peer, quote(peer), deadline.at_s)
    assert {peer: ask.workspaces for peer, ask in asks(effects).items()} == by_host(made)


def test_a_label_that_is_gone() -> None:
    spec = shop()
    cluster = msgspec.structs.replace(spec.clusters[0], labels=("ssd",))
    made = msgspec.structs.replace(
        proposal(), spec=msgspec.structs.replace(spec, clusters=(cluster,))
    )
    request = taking(made)
    assert quoted(request) == {}
    assert {one.detail for one in request.view().moved} == {"has changed: it has no label ssd"}
