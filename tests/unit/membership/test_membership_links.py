"""Connections as a conversation: nothing is said before both have shown who they are."""

from protocol.membership.links import Links
from protocol.membership.messages import Goodbye, Ping
from protocol.membership.presence import Known
from protocol.terms.effects import Dial, HangUp, Send
from protocol.terms.ids import PeerId
from protocol.terms.limits import (
    DIRECT_WITHIN_S,
    HELLO_WITHIN_S,
    IDLE_LINK_S,
    PARTLY_WITHIN_S,
    QUEUED_PER_PEER,
    SEEK_EVERY_S,
    UNDIALLED_S,
)
from protocol.terms.reach import Reach

YOU = PeerId("you")
HELLO, WORD = Goodbye(), Send(YOU, Ping(1.0))
WHERE = "10.0.0.1:7000"


def met(now: float = 0.0, *, standing: bool = False) -> Links:
    """A connection that is introduced."""
    links = Links()
    if standing:
        links.stand(YOU, WHERE, now)
    else:
        links.route(WORD, WHERE, now)
    assert links.up(YOU, HELLO, now) == [Send(YOU, HELLO)]
    assert links.introduce(YOU, now) == ([] if standing else [WORD])
    return links


def test_what_is_said_first_waits_for_the_introduction() -> None:
    links = Links()
    assert links.route(WORD, WHERE, 0.0) == [Dial(YOU, WHERE)]
    assert links.route(WORD, WHERE, 0.1) == [], "it is dialled already"
    assert links.up(YOU, HELLO, 0.2) == [Send(YOU, HELLO)]
    assert links.route(WORD, WHERE, 0.3) == [], "connected is not introduced"
    assert links.introduce(YOU, 0.4) == [WORD] * 3
    assert links.route(WORD, WHERE, 0.5) == [WORD]
    assert links.dropped == 0


def test_nobody_knows_where() -> None:
    links = Links()
    assert links.route(WORD, None, 0.0) == []
    assert links.dropped == 1
    assert links.next_deadline() is None


def test_the_queue_is_bounded_and_loses_the_oldest() -> None:
    links = Links()
    for number in range(QUEUED_PER_PEER + 3):
        links.route(Send(YOU, Ping(float(number))), WHERE, 0.0)
    links.up(YOU, HELLO, 0.1)
    waiting = links.introduce(YOU, 0.2)
    assert len(waiting) == QUEUED_PER_PEER
    assert waiting[0] == Send(YOU, Ping(3.0))
    assert links.dropped == 3


def test_an_errand_ends_after_a_silence() -> None:
    links = met()
    links.used(YOU, 10.0)
    assert links.tick(10.0 + IDLE_LINK_S - 0.1) == []
    assert links.tick(10.0 + IDLE_LINK_S) == [HangUp(YOU, "idle")]
    assert links.view(YOU) is None


def test_a_neighbours_connection_stands() -> None:
    links = met(standing=True)
    assert links.tick(1000.0) == []
    links.release(YOU, 1000.0)
    assert links.tick(1000.0 + IDLE_LINK_S) == [HangUp(YOU, "idle")]


def test_who_does_not_introduce_itself_is_hung_up_on() -> None:
    links = Links()
    links.up(YOU, HELLO, 0.0)
    assert links.tick(HELLO_WITHIN_S) == [HangUp(YOU, "not introduced in time")]
    assert not links.introduced(YOU)


def test_a_neighbour_that_does_not_introduce_itself_is_dialled_again() -> None:
    links = Links()
    links.stand(YOU, WHERE, 0.0)
    links.up(YOU, HELLO, 0.0)
    assert links.tick(HELLO_WITHIN_S) == [HangUp(YOU, "not introduced in time")]
    assert links.stand(YOU, WHERE, HELLO_WITHIN_S) == [Dial(YOU, WHERE)]


def test_an_address_where_nobody_answers_is_given_up() -> None:
    links = Links()
    links.reach(YOU, WHERE, 0.0)
    assert links.tick(HELLO_WITHIN_S) == [HangUp(YOU, "does not answer")]
    assert links.reach(YOU, WHERE, 6.0) == [Dial(YOU, WHERE)]


def test_after_a_loss_everything_begins_again() -> None:
    links = met(standing=True)
    links.down(YOU, 1.0)
    assert not links.introduced(YOU)
    assert links.route(WORD, WHERE, 1.0) == [], "the transport dials on by itself"
    assert links.up(YOU, HELLO, 2.0) == [Send(YOU, HELLO)]
    assert links.introduce(YOU, 2.1) == [WORD]


def test_round_trips_are_smoothed() -> None:
    links = met()
    links.measured(YOU, 0.080)
    links.measured(YOU, 0.160)
    links.measured(YOU, -1.0)
    view = links.view(YOU)
    assert view is not None
    assert abs(view.round_trip_s - 0.090) < 1e-9


# Peers that do not answer, or are not to be dialled: sought through a relay.


def test_who_does_not_answer_in_time_is_sought_and_dialled_on() -> None:
    links = Links()
    assert links.route(WORD, WHERE, 0.0) == [Dial(YOU, WHERE)]
    assert links.seeking(DIRECT_WITHIN_S - 0.1) == []
    due = links.next_deadline()
    assert due is not None
    assert due.at_s == DIRECT_WITHIN_S
    assert links.seeking(DIRECT_WITHIN_S) == [YOU]
    assert links.undialled(YOU, DIRECT_WITHIN_S)
    assert links.seeking(DIRECT_WITHIN_S + 0.1) == [], "once in a while is enough"
    assert links.seeking(DIRECT_WITHIN_S + SEEK_EVERY_S) == [YOU]


def test_who_did_not_answer_lately_is_sought_at_once() -> None:
    links = Links()
    links.route(WORD, WHERE, 0.0)
    links.seeking(DIRECT_WITHIN_S)
    links.close(YOU, "does not answer")
    assert links.route(WORD, WHERE, 10.0) == [Dial(YOU, WHERE)]
    assert links.seeking(10.0) == [YOU]
    links.close(YOU, "does not answer")
    links.route(WORD, WHERE, 10.0 + UNDIALLED_S)
    assert links.seeking(10.0 + UNDIALLED_S) == [], "that is forgotten"


def test_without_an_address_it_is_sought_and_not_dialled() -> None:
    links = Links()
    assert links.route(WORD, "", 0.0) == []
    assert links.seeking(0.0) == [YOU]
    assert not links.dialled(YOU)
    assert not links.undialled(YOU, 0.0)
    assert links.stand(YOU, "", 0.1) == [], "it is sought already"


def test_a_path_is_a_connection_until_a_direct_one_takes_over() -> None:
    links = Links()
    links.route(WORD, "", 0.0)
    assert links.up(YOU, HELLO, 1.0, relayed=True) == [Send(YOU, HELLO)]
    assert links.seeking(100.0) == []
    assert links.introduce(YOU, 1.1) == [WORD]
    assert links.route(WORD, "", 1.2) == [WORD]
    assert (links.relayed(YOU), links.direct(YOU), links.directs()) == (True, False, [])
    assert links.dial(YOU, WHERE, 2.0) == [Dial(YOU, WHERE)]
    assert links.dial(YOU, WHERE, 2.0) == []
    assert links.up(YOU, HELLO, 3.0, accepted=True) == [Send(YOU, HELLO)]
    assert (links.relayed(YOU), links.direct(YOU), links.directs()) == (False, True, [YOU])
    assert links.accepted(YOU)
    assert links.up(YOU, HELLO, 3.1, relayed=True) == [], "what was sought has come of itself"
    assert links.direct(YOU)


def test_a_path_that_is_over_is_sought_again_when_it_is_wanted() -> None:
    links = Links()
    links.stand(YOU, "", 0.0)
    links.up(YOU, HELLO, 0.5, relayed=True)
    links.introduce(YOU, 0.6)
    links.down(YOU, 9.0)
    assert not links.relayed(YOU)
    assert links.stand(YOU, "", 9.1) == []
    assert links.seeking(9.1) == [YOU]


def test_a_moment_for_a_relays_sake_is_direct_or_not_at_all() -> None:
    links = Links()
    assert links.reach(YOU, WHERE, 0.0, direct=True) == [Dial(YOU, WHERE)]
    assert links.seeking(HELLO_WITHIN_S - 0.1) == []
    other = Links()
    other.reach(YOU, WHERE, 0.0)
    assert other.seeking(DIRECT_WITHIN_S) == [YOU]


def known(incarnation: int, reach: Reach, address: str = WHERE) -> Known:
    return Known(YOU, "you", "s", address, incarnation, False, 1e9, reach)


def test_what_a_peer_says_anew_is_tried_anew() -> None:
    links = Links()
    links.route(WORD, WHERE, 0.0)
    links.seeking(DIRECT_WITHIN_S)
    before = known(1, Reach.PUBLIC)
    links.moved(before, known(1, Reach.PUBLIC))
    assert links.undialled(YOU, DIRECT_WITHIN_S), "nothing new"
    links.moved(before, known(2, Reach.RELAYED))
    assert not links.undialled(YOU, DIRECT_WITHIN_S)
    links.close(YOU, "x")
    links.route(WORD, WHERE, 10.0)
    assert links.seeking(10.0 + PARTLY_WITHIN_S) == [YOU], "some cannot dial it: do not wait long"


def test_who_is_near() -> None:
    links = Links()
    assert links.near(YOU, WHERE, 0.0)
    assert not links.near(YOU, "", 0.0)
    links.route(WORD, WHERE, 0.0)
    links.seeking(DIRECT_WITHIN_S)
    assert not links.near(YOU, WHERE, DIRECT_WITHIN_S)
    links.up(YOU, HELLO, 4.0)
    links.introduce(YOU, 4.0)
    assert links.near(YOU, "", 4.0), "it has a connection, whoever made it"
