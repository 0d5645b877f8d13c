"""Probes between two forwarders: what is answered, what an answer says, and what is not answered."""

import time
from collections.abc import Iterator

import pytest
from tunnel_sides import LOOPS, Side, drained, sealed, session, udp

from netns.tunnel.counters import counters
from netns.tunnel.frame import inner_header
from netns.tunnel.orders import Refusal, SendProbes
from netns.tunnel.probes import ECHOES_PER_S, UNDER_WAY_MAX, WAITS_S, Came, Probes
from netns.tunnel.tables import (
    PROBE_BYTES_MAX,
    PROBE_BYTES_MIN,
    PROBES_MAX,
    Probe,
    ProbeAnswer,
    SealedPeer,
    Session,
    check_probes,
)

HERE, THERE = ("192.0.2.1", 7700), ("198.51.100.7", 31_000)


class End:
    """The probes of one forwarder, without sockets."""

    def __init__(self) -> None:
        self.count = counters()
        self.probes = Probes(self.count)

    def came(
        self, plain: bytes, source: tuple[str, int] = HERE, now_s: float = 1.0
    ) -> bytes | None:
        return self.probes.came(Came("b", source, plain[8:36]), now_s)

    def counted(self) -> dict[str, int]:
        return {reason.value: count for reason, count in self.count.items() if count}


@pytest.fixture
def ends() -> tuple[End, End]:
    return End(), End()


@pytest.mark.parametrize("size_bytes", [PROBE_BYTES_MIN, 1_472, PROBE_BYTES_MAX])
def test_an_answer_says_where_the_probe_came_from_and_is_no_larger(
    size_bytes: int, ends: tuple[End, End]
) -> None:
    near, far = ends
    plain = near.probes.probe(Probe("b", 7, size_bytes), 1.0)
    assert len(plain) + 32 == size_bytes
    reply = far.came(plain, THERE)
    assert reply is not None
    assert len(reply) + 32 == PROBE_BYTES_MIN
    assert near.came(reply, HERE, 1.25) is None
    assert near.probes.pop_answers() == (ProbeAnswer("b", 7, 0.25, *HERE, *THERE),)
    assert near.probes.pop_answers() == ()


def test_an_answer_that_was_not_asked_for_is_none(ends: tuple[End, End]) -> None:
    near, far = ends
    reply = far.came(near.probes.probe(Probe("b", 7), 1.0))
    other = far.came(near.probes.probe(Probe("c", 8), 1.0))
    assert reply is not None
    assert other is not None
    near.came(other)
    near.came(reply, now_s=1.0 + WAITS_S + 0.1)
    near.came(reply)
    near.came(b"\0" * 8 + b"\x03" + bytes(27))
    assert near.probes.pop_answers() == ()
    assert near.counted() == {"in-unasked": 4}


def test_a_peer_is_answered_so_often_a_second(ends: tuple[End, End]) -> None:
    near, far = ends
    plain = near.probes.probe(Probe("b", 7), 1.0)
    answers = [far.came(plain, now_s=5.0 + at / 1000) for at in range(ECHOES_PER_S + 50)]
    assert [reply is None for reply in answers] == [False] * ECHOES_PER_S + [True] * 50
    assert far.probes.came(Came("another", HERE, plain[8:36]), 5.5) is not None
    assert far.came(plain, now_s=6.0) is not None
    assert far.counted() == {"in-probes-too-many": 50}


def test_what_is_kept_is_bounded(ends: tuple[End, End]) -> None:
    near, far = ends
    replies = [
        far.came(near.probes.probe(Probe("b", number), 1.0), now_s=number // 50 + 1.0)
        for number in range(UNDER_WAY_MAX + 100)
    ]
    for reply in replies:
        assert reply is not None
        near.came(reply, now_s=1.5)
    assert len(near.probes.pop_answers()) == UNDER_WAY_MAX
    assert near.counted() == {"in-unasked": 100}, "the oldest are forgotten"


def test_probes_that_make_no_sense_are_refused() -> None:
    for wrong, words in (
        (Probe("b", 1, PROBE_BYTES_MIN - 1), "67 bytes are not in 68..65507"),
        (Probe("b", 1, PROBE_BYTES_MAX + 1), "65508 bytes"),
        (Probe("b", -1), "64 bits"),
        (Probe("b", 1, 68, "nowhere", 1), "not an address"),
        (Probe("b", 1, 68, "::ffff:192.0.2.1", 1), "not an address"),
        (Probe("b", 1, 68, "2001:DB8::1", 1), "not an address"),
        (Probe("b", 1, 68, "192.0.2.1", 0), "port 0"),
    ):
        with pytest.raises(ValueError, match=words):
            check_probes([wrong])
    with pytest.raises(ValueError, match="at once are more"):
        check_probes([Probe("b", number) for number in range(PROBES_MAX + 1)])


@pytest.fixture(params=[(c, f) for c in (False, True) for f in LOOPS], ids=str)
def sides(request: pytest.FixtureRequest) -> Iterator[tuple[Side, Side]]:
    """Two forwarders that are each other's peer."""
    native, family = request.param
    with udp(family) as handle:
        near, far = Side(native, handle), Side(native, handle)
    there = Session(101, 1, session(1).receive_key, session(1).send_key, time.monotonic())
    near.tell(SealedPeer("far", *far.at, (session(1),)), 2)
    far.tell(SealedPeer("far", *near.at, (there,)), 2)
    yield near, far
    near.close()
    far.close()


def asked(side: Side, *probes: Probe) -> tuple[ProbeAnswer, ...]:
    answer = side.forwarder.answer(SendProbes(1, probes), [])
    assert answer.refusal is None, answer.words
    return answer.answers


def test_a_probe_comes_back_and_nobody_can_tell_it_from_a_frame(sides: tuple[Side, Side]) -> None:
    near, far = sides
    assert asked(near, Probe("far", 9, 900), Probe("silent", 9), Probe("nobody", 9)) == ()
    far.turn()
    near.turn()
    (answer,) = asked(near)
    assert (answer.peer, answer.number) == ("far", 9)
    assert (answer.address, answer.port) == far.at
    assert (answer.seen_address, answer.seen_port) == near.at
    assert 0.0 <= answer.round_trip_s < WAITS_S
    assert asked(near) == ()
    counts = near.told()[0]
    assert (counts["sent"], counts["probes"], counts["out-no-session"]) == (1, 1, 2)
    assert near.written() == far.written() == []


def test_a_probe_goes_where_it_is_told_and_moves_its_sender_there(
    sides: tuple[Side, Side],
) -> None:
    near, far = sides
    told = far.forwarder.state().peers[0]
    far.tell(SealedPeer(told.peer, "192.0.2.9", 9, (), keep=True), 3)
    asked(near, Probe("far", 1, 68, *far.at))
    far.turn()
    assert far.told()[1][0][1:3] == near.at


def test_a_probe_for_another_instance_is_refused(sides: tuple[Side, Side]) -> None:
    answer = sides[0].forwarder.answer(SendProbes(2, (Probe("far", 1),)), [])
    assert answer.refusal is Refusal.OTHER_INSTANCE


def test_what_is_too_short_for_a_probe_is_none(sides: tuple[Side, Side]) -> None:
    near, _ = sides
    with udp() as handle:
        near.from_socket([sealed(1, 0, inner_header(0, 0, 0, 0) + bytes(27))], handle)
        near.from_socket([sealed(1, 1, inner_header(0, 0, 0, 0) + b"\1" + bytes(27))], handle)
        (reply,) = drained(handle)
    assert len(reply) == PROBE_BYTES_MIN
    counts = near.told()[0]
    assert (counts["in-malformed"], counts["probes"]) == (1, 1)
