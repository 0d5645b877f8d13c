"""Connections as a conversation: nothing is said before both have shown who they are."""

from protocol.membership.links import Links
from protocol.membership.messages import Goodbye, Ping
from protocol.terms.effects import Dial, HangUp, Send
from protocol.terms.ids import PeerId
from protocol.terms.limits import HELLO_WITHIN_S, IDLE_LINK_S, QUEUED_PER_PEER

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
