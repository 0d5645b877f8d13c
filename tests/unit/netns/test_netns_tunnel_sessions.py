"""Sessions: no counter is used twice under a key, whatever is told in whatever order."""

import msgspec
import pytest

from netns.tunnel import sessions as module
from netns.tunnel.sessions import Sessions
from netns.tunnel.tables import (
    COUNTER_END,
    SESSION_RECEIVES_S,
    SESSION_SENDS_S,
    Peers,
    SealedPeer,
    Session,
)

NOW_S = 1_000.0


def session(number: int, made_s: float = NOW_S) -> Session:
    return Session(number, number + 100, bytes([number] * 32), bytes([number + 100] * 32), made_s)


def peers(*told: Session, name: str = "b", keep: bool = False, address: str = "192.0.2.2") -> Peers:
    return Peers(1, (SealedPeer(name, address, 7790, told, keep),))


def told(table: Peers) -> Sessions:
    made = Sessions()
    made.replace(table, NOW_S)
    return made


def test_the_first_session_that_may_send_sends() -> None:
    made = told(peers(session(2), session(1)))
    live = made.peers["b"]
    assert [one.index for one in live.sessions] == [2, 1]
    first = live.sending(NOW_S)
    assert first is not None
    assert first.index == 2
    first.counter = COUNTER_END
    second = live.sending(NOW_S)
    assert second is not None
    assert second.index == 1


def test_a_session_ends_with_its_last_counter_and_with_its_age() -> None:
    live = told(peers(session(1))).peers["b"]
    only = live.sessions[0]
    only.counter = COUNTER_END - 1
    assert live.sending(NOW_S) is only
    assert live.state(NOW_S).packets_left == 1
    only.counter = COUNTER_END
    assert live.sending(NOW_S) is None
    only.counter = 0
    assert live.sending(NOW_S + SESSION_SENDS_S - 1) is only
    assert live.sending(NOW_S + SESSION_SENDS_S) is None
    assert only.may_receive(NOW_S + SESSION_SENDS_S)
    assert not only.may_receive(NOW_S + SESSION_RECEIVES_S)


def test_a_session_made_in_the_future_is_as_old_as_its_telling() -> None:
    live = told(peers(session(1, made_s=NOW_S + 1e9))).peers["b"]
    assert live.sending(NOW_S + SESSION_SENDS_S) is None


def test_a_session_told_again_goes_on() -> None:
    made = told(peers(session(1)))
    made.by_index[1].counter = 77
    made.by_index[1].window.take(5)
    made.replace(peers(session(2), session(1)), NOW_S)
    assert made.by_index[1].counter == 77
    assert not made.by_index[1].window.is_fresh(5)
    assert made.peers["b"].sessions[1] is made.by_index[1]


def test_a_session_that_has_ended_does_not_begin_again() -> None:
    made = told(peers(session(1)))
    made.replace(peers(session(2)), NOW_S)
    with pytest.raises(ValueError, match="session 1 has ended, and cannot begin again"):
        made.replace(peers(session(1)), NOW_S)
    assert list(made.by_index) == [2], "nothing was changed"
    made.replace(peers(session(1)), NOW_S + SESSION_SENDS_S)
    assert made.peers["b"].sending(NOW_S + SESSION_SENDS_S) is None, "too old by then"


def test_keys_do_not_move_to_another_index_or_peer() -> None:
    made = told(peers(session(1)))
    with pytest.raises(ValueError, match="session 9 has the keys of session 1"):
        made.replace(peers(msgspec.structs.replace(session(1), index=9)), NOW_S)
    with pytest.raises(ValueError, match="session 1 has the keys of session 1"):
        made.replace(peers(session(1), name="c"), NOW_S)


def test_a_peer_that_is_kept_keeps_its_sessions_behind_the_told_ones() -> None:
    made = told(peers(session(1)))
    made.by_index[1].counter = 9
    made.replace(peers(keep=True), NOW_S)
    assert made.by_index[1].counter == 9
    made.replace(peers(session(2), keep=True), NOW_S)
    assert [one.index for one in made.peers["b"].sessions] == [2, 1]
    made.replace(peers(session(2)), NOW_S)
    assert list(made.by_index) == [2]


def test_a_kept_session_is_not_pushed_out_by_another_of_its_index() -> None:
    made = told(peers(session(1)))
    other = msgspec.structs.replace(session(3), index=1)
    with pytest.raises(ValueError, match="session 1 is another one, which is to be kept"):
        made.replace(peers(other, keep=True), NOW_S)
    made.replace(peers(other), NOW_S)
    assert made.by_index[1].peer_index == 103


def test_a_peer_stays_where_it_was_heard_until_it_is_told_to_be_elsewhere() -> None:
    made = told(peers(session(1)))
    made.peers["b"].endpoint = ("198.51.100.9", 5)
    made.replace(peers(session(2), session(1)), NOW_S)
    assert made.peers["b"].endpoint == ("198.51.100.9", 5)
    made.replace(peers(session(2), address="192.0.2.7"), NOW_S)
    assert made.peers["b"].endpoint == ("192.0.2.7", 7790)


def test_a_peer_that_is_told_no_more_is_gone_with_its_sessions() -> None:
    made = told(peers(session(1)))
    made.replace(Peers(2), NOW_S)
    assert made.peers == {}
    assert made.by_index == {}


def test_sessions_that_ended_are_remembered_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ENDED_MAX", 2)
    made = told(peers(session(1)))
    made.replace(peers(session(2)), NOW_S)
    with pytest.raises(ValueError, match="more than 2 sessions in ten minutes"):
        made.replace(peers(session(3)), NOW_S)
    made.replace(peers(session(3, NOW_S + SESSION_SENDS_S)), NOW_S + SESSION_SENDS_S)
    assert list(made.by_index) == [3]
