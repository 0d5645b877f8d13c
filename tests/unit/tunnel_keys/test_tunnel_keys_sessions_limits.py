"""The sessions with one partner: which is used, and when each ends."""

from protocol.terms.sealed import Cipher, SealedSession, Secret
from protocol.tunnel_keys.limits import (
    AGAIN_S,
    ASK_ANEW_S,
    HANDOVER_S,
    REKEY_S,
    RETIRED_S,
    SESSION_S,
    SESSIONS_MOST,
)
from protocol.tunnel_keys.sessions import NEVER, Sessions

NOW = 1000.0


def session(index: int, made_s: float = NOW) -> SealedSession:
    secret = Secret(bytes([index]) * 32)
    return SealedSession(index, index + 100, secret, secret, made_s, Cipher.AES_256_GCM)


def order(sessions: Sessions) -> list[int]:
    sessions.check()
    return [row.index for row in sessions.rows]


def test_what_the_other_may_not_have_is_not_sent_by() -> None:
    held = Sessions()
    held.open_by(session(1))
    assert order(held) == [1], "there is no other"
    assert held.settle(1, NOW)
    held.open_by(session(2))
    held.open_by(session(3))
    assert order(held) == [1, 3, 2]
    held.changed = False
    assert held.settle(3, NOW)
    assert (order(held), held.changed) == ([1, 3, 2], False)
    assert held.next_s() == NOW + HANDOVER_S
    held.tick(NOW + HANDOVER_S)
    assert (order(held), held.changed) == ([3, 1, 2], True)
    assert held.next_s() == NOW + HANDOVER_S + RETIRED_S
    held.tick(held.next_s())
    assert order(held) == [3]


def test_what_the_others_forwarder_may_not_have_yet_is_not_sent_by() -> None:
    """Its daemon has the keys first. What comes before it has told them is dropped."""
    held = Sessions()
    held.send_by(session(1))
    held.settle(1, NOW)
    held.send_by(session(2))
    assert order(held) == [1, 2]
    held.tick(NOW + HANDOVER_S - 0.1)
    held.settle(2, NOW + HANDOVER_S - 0.1)
    assert order(held) == [1, 2]
    held.tick(NOW + HANDOVER_S)
    assert order(held) == [2, 1]
    held.send_by(session(3, NOW + 1.0))
    held.send_by(session(4, NOW + 1.0))
    assert order(held) == [2, 4, 3], "the one in use is not pushed out"
    held.tick(NOW + 1.0 + HANDOVER_S)
    assert order(held)[0] == 4


def test_what_the_other_has_is_sent_by() -> None:
    held = Sessions()
    for index in range(1, 6):
        held.send_by(session(index))
    assert order(held) == [5, 4, 3]
    assert len(held) == SESSIONS_MOST


def test_the_one_in_use_is_not_pushed_out_by_those_that_may_come() -> None:
    held = Sessions()
    held.send_by(session(1))
    held.settle(1, NOW)
    for index in range(2, 9):
        held.open_by(session(index))
    assert order(held) == [1, 8, 7]


def test_settling_twice_ends_nothing_sooner_and_what_is_not_there_is_not_settled() -> None:
    held = Sessions()
    held.send_by(session(1))
    held.settle(1, NOW)
    held.changed = False
    assert held.settle(1, NOW + 1.0)
    assert not held.settle(7, NOW)
    assert not held.changed
    assert held.next_s() == NOW + SESSION_S


def test_each_ends_after_ten_minutes() -> None:
    held = Sessions()
    held.send_by(session(1))
    held.send_by(session(2, NOW + 5.0))
    held.changed = False
    held.tick(NOW + SESSION_S - 0.1)
    assert not held.changed
    held.tick(NOW + SESSION_S)
    assert order(held) == [2]
    assert held.changed
    assert held.newest_s == NOW + 5.0
    held.tick(NOW + 10_000.0)
    assert held.next_s() == NEVER
    assert held.newest_s == -NEVER


def test_limits_leave_time_to_try_again() -> None:
    assert RETIRED_S < REKEY_S < ASK_ANEW_S < SESSION_S / 2
    assert ASK_ANEW_S + 4 * max(AGAIN_S) < SESSION_S
