"""Allowances, patience, quarantine: each with its bound; and a node that keeps to them."""

from typing import get_args

import pytest

from protocol.broadcast.messages import Compare, Gossip
from protocol.membership.messages import Hello, Ping
from protocol.node.messages import FAMILIES, ImageAsk, Message
from protocol.peering.quarantine import Quarantines
from protocol.register.messages import Prepare
from protocol.terms.effects import Note, Quarantine
from protocol.terms.ids import PeerId
from protocol.terms.limits import (
    ALLOWANCES,
    PATIENCE,
    PATIENCE_WINDOW_S,
    PEERS_WATCHED,
    QUARANTINE_FORGIVEN_S,
    QUARANTINE_MOST_S,
    QUARANTINE_S,
    REASONS_COUNTED,
)

OVER = "its quarantine is over"
A, B = PeerId("a" * 64), PeerId("b" * 64)


def quarantine(standing: Quarantines, peer: PeerId, now: float) -> float:
    """Makes faults until patience ends. Answers how long the quarantine lasts."""
    assert [standing.lower(peer, now) for _ in range(PATIENCE)] == [*[False] * (PATIENCE - 1), True]
    standing.check()
    return standing.left_s(peer, now)


@pytest.mark.parametrize("family", ALLOWANCES)
def test_a_burst_is_allowed_and_then_a_rate(family: str) -> None:
    standing, allowance = Quarantines(), ALLOWANCES[family]
    burst = [standing.fault(A, family, 100, 0.0) for _ in range(allowance.burst + 3)]
    assert burst == [""] * allowance.burst + [f"flood-{family}"] * 3
    later_s = 2.5 / allowance.per_s
    assert [standing.fault(A, family, 100, later_s) for _ in range(3)] == [
        "",
        "",
        f"flood-{family}",
    ]
    assert standing.fault(B, family, 100, 0.0) == "", "another's messages are another's"
    standing.check()


def test_one_family_leaves_the_others_alone() -> None:
    standing = Quarantines()
    while not standing.fault(A, "comparison", 10, 0.0):
        pass
    assert standing.fault(A, "membership", 10, 0.0) == ""


def test_a_message_has_the_size_of_its_family_at_most() -> None:
    most = ALLOWANCES["membership"].frame_bytes
    assert Quarantines().fault(A, "membership", most, 0.0) == ""
    assert Quarantines().fault(A, "membership", most + 1, 0.0) == "oversized-membership"


@pytest.mark.parametrize(
    ("kind", "family"),
    [
        (Hello, "hello"),
        (Ping, "membership"),
        (Gossip, "broadcast"),
        (Compare, "comparison"),
        (Prepare, "register"),
        (ImageAsk, "bulk"),
    ],
)
def test_a_message_belongs_to_the_room_that_owns_it(kind: type, family: str) -> None:
    assert FAMILIES[kind] == family


def test_every_message_counts_against_an_allowance_of_its_own() -> None:
    assert set(FAMILIES) == set(get_args(Message))
    assert set(FAMILIES.values()) <= set(ALLOWANCES)


def test_quarantines_double_up_to_a_bound_and_end_by_time() -> None:
    standing, now, lasted = Quarantines(), 0.0, []
    for _ in range(10):
        lasts_s = quarantine(standing, A, now)
        lasted.append(lasts_s)
        deadline = standing.next_deadline()
        assert deadline is not None
        assert deadline.at_s == now + lasts_s
        assert standing.quarantined == (A,)
        assert not standing.lower(A, now), "it is out already"
        assert standing.tick(now + lasts_s - 0.1) == []
        now += lasts_s
        assert standing.tick(now) == [Quarantine(()), Note("peer.readmitted", A, OVER)]
        assert standing.quarantined == ()
    assert lasted[:3] == [QUARANTINE_S, 2 * QUARANTINE_S, 4 * QUARANTINE_S]
    assert lasted[-1] == QUARANTINE_MOST_S
    now += QUARANTINE_FORGIVEN_S
    assert quarantine(standing, A, now) == QUARANTINE_S
    assert standing.faults(A) == 11 * PATIENCE + 10


def test_few_faults_are_forgiven() -> None:
    standing = Quarantines()
    for minute in range(50):
        now = minute * PATIENCE_WINDOW_S
        assert not any(standing.lower(A, now) for _ in range(PATIENCE - 1))


def test_memory_is_bounded_and_keeps_the_quarantined() -> None:
    standing = Quarantines()
    quarantine(standing, A, 0.0)
    for number in range(PEERS_WATCHED + 100):
        standing.fault(PeerId(f"{number:064x}"), "membership", 1, 0.0)
    standing.check()
    assert standing.quarantined == (A,)
    for number in range(REASONS_COUNTED + 50):
        standing.count(f"reason-{number}")
    standing.check()
    assert standing.counts["other"] == 50
