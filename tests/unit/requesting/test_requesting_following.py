"""What follows a decided change: when it is done, and the words about changes that others made."""

from random import Random

import msgspec
from deciding import decided
from negotiating import FEDERATION, NOW, A, B, C, grants_of, record_of, shop
from one_requester import notice_of

from protocol.contract.messages import DecidedAck
from protocol.grid.apply import attempts_in
from protocol.grid.grant import HoldGrant, sign_grant
from protocol.grid.lifecycle import Phase
from protocol.grid.next_epoch import Added, applied_to
from protocol.grid.record import ApplyTerms, GridRecord, apply_terms
from protocol.membership.liveness import Health
from protocol.requesting.change import Change
from protocol.requesting.following import Followed, already, changed_since
from protocol.requesting.request import RequestState
from protocol.requesting.silence import Silence
from protocol.sim.people import Admin
from protocol.terms.ids import GridId, PeerId, RequestId
from protocol.trust.order import SignedOrder, read_order

OWNER = Admin(FEDERATION, "s1", Random(10), lambda: (A, B, C))
ORDER = OWNER.up(shop(2), NOW)
RECORD = record_of(ORDER, {"web-1": A, "web-2": B})
FEWER = OWNER.apply(shop(1), 1, NOW)


class Hears:
    def __init__(self, *silent: PeerId) -> None:
        self.silent = silent

    def name(self, peer: PeerId) -> str:
        return {A: "alpha", B: "beta", C: "gamma"}[peer]

    def silence(self, peer: PeerId, now: float) -> Silence | None:
        return Silence(Health.DEAD, NOW - 125.0) if peer in self.silent else None


def applied(order: SignedOrder, before: GridRecord = RECORD) -> GridRecord:
    terms = apply_terms(read_order(order))
    return applied_to(before, shop(2), order, terms, Added(GridId("attempt")))


def followed(*silent: PeerId) -> Followed:
    record = applied(FEWER)
    change = Change(RECORD, shop(2), ApplyTerms(shop(1), 1))
    said: list[str] = []
    return Followed(
        RequestId("r"),
        decided(record),
        record,
        change,
        lambda at_s, line: said.append(line),
        Hears(*silent),
        NOW,
    )


def test_it_waits_for_what_goes_and_for_hosts_that_are_heard() -> None:
    change = followed()
    assert change.verdict(NOW) is None
    change.noticed(B, notice_of(RECORD, B, Phase.ENDING, epoch=2), NOW)
    assert change.verdict(NOW) is None
    change.noticed(B, notice_of(RECORD, B, Phase.GONE, epoch=2), NOW)
    assert change.verdict(NOW) is None, "alpha has not said that it knows"
    for peer in (A, B):
        change.acknowledged(peer, DecidedAck(RECORD.id, 2), NOW)
    verdict = change.verdict(NOW)
    assert verdict is not None
    assert verdict.lines == ["shop is changed (-1 web): 1 workspace on 1 host, epoch 2"]


def test_a_host_that_is_not_heard_is_waited_for_by_nobody() -> None:
    change = followed(B)
    change.acknowledged(A, DecidedAck(RECORD.id, 2), NOW)
    verdict = change.verdict(NOW)
    assert verdict is not None
    assert verdict.state is RequestState.DONE
    assert verdict.lines[1:] == [
        "  host beta (web-2) was not heard for 2 min",
        "  what is left on it is cleared when it is back",
    ]


def test_an_acknowledgement_of_an_earlier_epoch_says_nothing() -> None:
    change = followed(B)
    change.acknowledged(A, DecidedAck(RECORD.id, 1), NOW)
    assert change.verdict(NOW) is None


def test_a_grid_that_is_taken_down_meanwhile_is_no_success() -> None:
    change = followed()
    down = msgspec.structs.replace(applied(FEWER), epoch=3, state="down")
    change.audited(decided(down), NOW)
    verdict = change.verdict(NOW)
    assert verdict is not None
    assert verdict.state is RequestState.FAILED


def test_what_changed_since_is_said_with_who_and_when() -> None:
    lines = changed_since(applied(FEWER), 1, NOW + 12)
    assert lines[:2] == ["shop is at epoch 2, the order was for 1", "  -1 web by s1, 12 s ago"]
    assert already(applied(FEWER), ORDER, NOW) == []


def test_an_order_that_was_carried_out_before_another_is_told_so() -> None:
    twice = OWNER.apply(shop(2), 2, NOW + 5)
    first = applied(FEWER)
    terms = apply_terms(read_order(twice))
    record = applied_to(first, shop(1), twice, terms, Added(GridId("b"), {"web-2": B}))
    lines = already(record, FEWER, NOW + 6)
    assert lines[:2] == [
        "this order has changed shop already, in epoch 2; since then:",
        "  +1 web by s1, 1 s ago",
    ]
    assert already(record, twice, NOW + 6) == [], "it stands, or another of the same moment does"


def test_the_attempts_that_hosts_granted_were_decided() -> None:
    assert attempts_in(RECORD) == ()
    grant = sign_grant(HoldGrant(RECORD.id, ("web-1",), (1,), 0.0, "", GridId("one")), _Key())
    record = msgspec.structs.replace(RECORD, grants=(grant, *grants_of(RECORD.id, {}, ())))
    assert attempts_in(record) == ("one",)


class _Key:
    key = A

    def sign(self, domain: str, payload: bytes) -> bytes:
        return b""
