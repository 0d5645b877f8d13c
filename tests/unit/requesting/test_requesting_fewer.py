"""A grid that may be smaller than asked: as many as are held, never fewer than its `min`."""

import msgspec
import pytest
from deciding import proposed as carried_out
from negotiating import (
    ADMIN,
    AUTHORITY,
    MIB,
    NAMES,
    NOW,
    A,
    B,
    C,
    asks,
    granted,
    placing,
    quote,
    record_of,
    refused,
    shop,
)

from protocol.capacity.quantum import Quantum
from protocol.contract.messages import HoldAsk
from protocol.contract.outcomes import Propose
from protocol.grid.record import GridRecord, grid_id
from protocol.requesting.placing import Placing
from protocol.terms.effects import Effect
from protocol.terms.ids import PeerId
from protocol.terms.limits import ROUNDS
from protocol.terms.refusal import Constraint, Refusal
from protocol.trust.order import SignedOrder
from protocol.trust.signing import Untrusted

TWO = Quantum(4000, 256 * MIB, 0)
"""Room for two workspaces of 128 MiB."""
NONE = Quantum(4000, 64 * MIB, 0)
FULL = Refusal(Constraint.MEMORY, "beta", asked=128 * MIB, available=0)


def order(count: int, minimum: int) -> SignedOrder:
    spec = shop(count)
    (cluster,) = spec.clusters
    cluster = msgspec.structs.replace(cluster, minimum=minimum)
    return ADMIN.up(msgspec.structs.replace(spec, clusters=(cluster,)), NOW)


def asked(request: Placing, rooms: dict[PeerId, Quantum]) -> dict[PeerId, HoldAsk]:
    request.start(NOW)
    effects: list[Effect] = []
    for peer in NAMES:
        effects, _ = request.quote(peer, quote(peer, rooms[peer]), NOW)
    return asks(effects)


def answered(
    request: Placing, holds: dict[PeerId, HoldAsk], no: tuple[PeerId, ...]
) -> list[object]:
    """Gives every host's reply, a refusal for those in `no`. Answers what is proposed in the end."""
    proposed: list[object] = []
    while holds:
        later: dict[PeerId, HoldAsk] = {}
        for peer, ask in holds.items():
            reply = refused(ask, FULL) if peer in no else granted(peer, ask)
            effects, outcomes = request.hold_reply(peer, reply, NOW)
            later |= asks(effects)
            proposed += outcomes
        holds = later
    return proposed


def record(proposed: list[object]) -> GridRecord:
    (proposal,) = proposed
    assert isinstance(proposal, Propose)
    made = carried_out(proposal).register.record
    assert made is not None
    return made


def test_as_many_as_there_is_room_for() -> None:
    request = placing(order(8, 2))
    holds = asked(request, {A: TWO, B: TWO, C: NONE})
    assert sum(len(ask.workspaces) for ask in holds.values()) == 4
    made = record(answered(request, holds, ()))
    assert [a.workspace for a in made.assignments] == ["web-1", "web-2", "web-3", "web-4"]
    assert request.view().story[-1].text == "4 of 8 held; committing with 3 stewards"


def test_who_refuses_makes_it_smaller() -> None:
    request = placing(order(8, 2))
    made = record(answered(request, asked(request, {A: TWO, B: TWO, C: NONE}), no=(B,)))
    assert made.carriers() == (A,)
    assert len(made.assignments) == 2
    assert request._attempt.rounds <= ROUNDS


def test_fewer_than_the_fewest_are_let_go() -> None:
    request = placing(order(8, 3))
    assert answered(request, asked(request, {A: TWO, B: TWO, C: NONE}), no=(B,)) == []
    assert request.view().stage == "backing off"


def test_fewer_than_the_fewest_is_said_at_once() -> None:
    request = placing(order(8, 5))
    assert asked(request, {A: TWO, B: TWO, C: NONE}) == {}
    view = request.view()
    assert view.answer == (
        "cannot place 4 of 8 web (at least 5): each needs 0.5 cpus, 128 MiB",
        "  2 hosts hold 4 of the 8 workspaces",
        "  3 hosts lack memory; the nearest, gamma, by 64 MiB",
        "  would work: count 4 of web, now",
        "  would work: memory 84M for web, now",
    )
    assert view.why is not None
    assert [m.cluster for m in view.why.missing] == ["web"]


def test_hosts_believe_no_record_of_fewer_than_was_ordered() -> None:
    signed = order(8, 3)
    three = record_of(signed, {"web-1": A, "web-4": A, "web-8": B}, grid_id(signed))
    AUTHORITY.vouch(three, None, NOW)
    two = record_of(signed, {"web-1": A, "web-4": A}, grid_id(signed))
    with pytest.raises(Untrusted, match="fewer than 3 of web"):
        AUTHORITY.vouch(two, None, NOW)
