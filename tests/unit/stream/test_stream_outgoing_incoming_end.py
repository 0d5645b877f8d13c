"""Two ends of a stream over a way that loses, repeats, delays: what arrives is what was sent, or a reason."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pair import Pair

from protocol.stream.end import End
from protocol.stream.limits import (
    STREAM_BEAT_S,
    STREAM_FIRST_WINDOW_BYTES,
    STREAM_PIECE_BYTES,
    STREAM_SILENT_S,
    STREAM_SMALL_PIECES,
    STREAM_WINDOW_BYTES,
)
from protocol.stream.messages import Flow, StreamClose, StreamCredit, StreamData, Why
from protocol.stream.outgoing import Overrun

STEPS = st.one_of(
    st.tuples(st.just("write"), st.booleans(), st.integers(1, 3 * STREAM_PIECE_BYTES)),
    st.tuples(st.just("read"), st.booleans(), st.just(0)),
    st.tuples(st.just("carry"), st.booleans(), st.integers(1, 20)),
    st.tuples(st.just("drop"), st.booleans(), st.integers(1, 20)),
    st.tuples(st.just("again"), st.booleans(), st.integers(1, 5)),
    st.tuples(st.just("swap"), st.booleans(), st.just(0)),
    st.tuples(st.just("pass"), st.booleans(), st.integers(1, 3000)),
    st.tuples(st.just("end"), st.booleans(), st.just(0)),
)


def test_what_is_written_at_one_end_comes_out_of_the_other() -> None:
    pair = Pair()
    pair.write(0, b"a request")
    pair.settle()
    assert pair.got[1] == b"a request"
    pair.write(1, b"an answer")
    pair.settle()
    assert pair.got[0] == b"an answer"


def test_a_direction_that_ended_leaves_the_other_as_it_is() -> None:
    pair = Pair()
    pair.write(0, b"all of it")
    pair.end(0)
    pair.settle()
    assert (pair.got[1], pair.eof[1], pair.eof[0]) == (b"all of it", True, False)
    pair.write(1, b"x" * 3_000_000)
    pair.settle()
    assert len(pair.got[0]) == 3_000_000
    assert [end.over for end in pair.ends] == [None, None]
    pair.end(1)
    pair.settle()
    assert [end.over and end.over.why for end in pair.ends] == [None, None]
    assert all(end.over is not None for end in pair.ends)


@settings(deadline=None, max_examples=150)
@given(st.lists(STEPS, max_size=60))
def test_whatever_is_lost_on_the_way_nothing_is_lost_of_the_bytes(
    steps: list[tuple[str, bool, int]],
) -> None:
    pair = Pair()
    for what, side, amount in steps:
        pair.step(what, int(side), amount)
        pair.check()
    pair.end(0)
    pair.end(1)
    pair.settle()
    assert pair.got[1] == pair.put[0]
    assert pair.got[0] == pair.put[1]
    assert all(end.over is not None and end.over.why is None for end in pair.ends)


def test_what_is_not_read_stops_the_sender_at_the_window() -> None:
    pair = Pair()
    while pair.ends[0].room:
        pair.write(0, b"x" * min(pair.ends[0].room, STREAM_PIECE_BYTES))
        pair.carry(0, 100)
        pair.carry(1, 100)
    pair.check()
    assert pair.ends[0].room == 0
    assert len(pair.ends[1].take()) == STREAM_FIRST_WINDOW_BYTES
    assert len(pair.put[0]) <= STREAM_FIRST_WINDOW_BYTES + STREAM_WINDOW_BYTES


def test_small_pieces_are_joined_while_others_are_on_their_way() -> None:
    pair = Pair()
    for _ in range(1000):
        pair.write(0, b"k")
    assert len(pair.way[0]) == STREAM_SMALL_PIECES
    pair.settle()
    assert pair.got[1] == b"k" * 1000


def test_a_window_that_was_closed_opens_though_the_credit_was_lost() -> None:
    pair = Pair()
    pair.write(0, b"x" * 2 * STREAM_FIRST_WINDOW_BYTES)
    pair.carry(0, 100)
    pair.read(1)
    pair.way[1].clear()
    pair.settle()
    assert pair.got[1] == pair.put[0]


def test_an_end_that_has_nothing_to_say_says_that_it_is_there() -> None:
    pair = Pair()
    pair.now += STREAM_BEAT_S
    pair.tick(0)
    (beat,) = pair.way[0]
    assert isinstance(beat, StreamCredit)


def test_an_end_that_is_not_heard_is_given_up_and_told_so() -> None:
    pair = Pair()
    pair.now += STREAM_SILENT_S
    pair.tick(0)
    assert pair.ends[0].over is not None
    assert pair.ends[0].over.why is Why.SILENT
    assert isinstance(pair.way[0][-1], StreamClose)


def test_a_close_ends_both_with_its_reason() -> None:
    pair = Pair()
    pair.way[0].extend(pair.ends[0].close(Why.ENDED, "its lease ended", pair.now))
    pair.carry(0, 1)
    over = pair.ends[1].over
    assert over is not None
    assert (over.why, over.detail) == (Why.ENDED, "its lease ended")
    assert pair.ends[1].close(Why.RESET, "", pair.now) == []
    assert pair.ends[0].handle(StreamData("s", True, 0, b"late"), pair.now) == []


BEYOND = STREAM_FIRST_WINDOW_BYTES


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        ([StreamData("s", False, BEYOND - 1, b"xx")], "beyond its credit"),
        ([StreamData("s", False, 1 << 61, b"x")], "beyond its credit"),
        ([StreamCredit("s", False, 1, 10)], "never sent"),
        (
            [StreamData("s", False, 0, b"ab", last=True), StreamData("s", False, 2, b"c")],
            "beyond its own end",
        ),
        (
            [StreamData("s", False, 0, b"ab"), StreamData("s", False, 0, b"a", last=True)],
            "ends before",
        ),
        (
            [
                StreamData("s", False, 0, b"ab", last=True),
                StreamData("s", False, 0, b"a", last=True),
            ],
            "beyond its own end",
        ),
    ],
)
def test_an_end_that_breaks_the_rules_ends_the_stream(messages: list[Flow], said: str) -> None:
    end = End("s", True, 0.0)
    for message in messages[:-1]:
        end.handle(message, 0.0)
    with pytest.raises(Overrun, match=said):
        end.handle(messages[-1], 0.0)
    assert end.over is not None
    assert end.over.why is Why.BROKEN
    end.check()
