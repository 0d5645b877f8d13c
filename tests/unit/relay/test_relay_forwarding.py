"""A relay passes on within its limits, in turn, and says what it cannot."""

from hypothesis import given, settings
from hypothesis import strategies as st
from relay_world import NOW, Surroundings, peer_id

from protocol.relay.bucket import Bucket
from protocol.relay.forwarding import Forwarding
from protocol.relay.messages import Relayed, Unrelayed
from protocol.relay.outcomes import Spoilt
from protocol.terms.effects import Effect, Send
from protocol.terms.ids import PeerId
from protocol.terms.limits import (
    CALLS,
    RELAYED_BURST,
    RELAYED_BYTES_PER_S,
    RELAYED_BYTES_PER_S_ALL,
    RELAYED_PER_S,
    RELAYED_QUEUE_BYTES,
)
from protocol.terms.reach import Reach
from protocol.terms.site_limits import CALLS_OF_SITE

FROM, TO, RELAY, NEXT = (peer_id(name) for name in ("from", "to", "relay", "next"))


class Post:
    """A relay with a neighbour FROM, and TO unless said otherwise."""

    def __init__(self, *connected: PeerId) -> None:
        self.around = Surroundings()
        self.around.connected = list(connected or (FROM, TO))
        self.forwarding = Forwarding(RELAY, "s", self.around)
        self.now = NOW

    def give(
        self,
        size: int = 100,
        *,
        by: PeerId = FROM,
        to: PeerId = TO,
        hops: int = 1,
        ttl_ms: int = 5000,
    ) -> list[Effect]:
        message = Relayed(to, by, hops, ttl_ms, b"x" * size)
        effects, outcomes = self.forwarding.take(by, message, self.now)
        assert outcomes == []
        self.forwarding.check()
        return effects

    def pass_time(self, seconds: float) -> list[Effect]:
        end_s, effects = self.now + seconds, []
        while (due := self.forwarding.next_deadline()) is not None and due.at_s <= end_s:
            assert due.at_s > self.now or not effects, "a deadline does not move"
            self.now = max(self.now, due.at_s)
            effects += self.forwarding.tick(self.now)
            self.forwarding.check()
        self.now = end_s
        return effects


def to_peer(effects: list[Effect], peer: PeerId) -> list[Relayed]:
    return [
        e.message
        for e in effects
        if isinstance(e, Send) and e.peer == peer and isinstance(e.message, Relayed)
    ]


def test_what_is_for_a_neighbour_goes_to_it_as_it_came() -> None:
    post = Post()
    assert post.give() == [Send(TO, Relayed(TO, FROM, 0, 5000, b"x" * 100))]
    assert post.forwarding.counts["messages"] == 1
    assert post.forwarding.counts["bytes"] > 100
    assert post.forwarding.next_deadline() is None


def test_a_second_relay_is_used_only_if_the_origin_allows_it() -> None:
    post = Post(FROM, NEXT)
    post.around.tell(TO, Reach.NAT, NEXT, site="elsewhere")
    assert post.give(hops=2) == [Send(NEXT, Relayed(TO, FROM, 1, 5000, b"x" * 100))]
    assert post.give(hops=1) == [Send(FROM, Unrelayed(TO))]
    assert post.forwarding.counts["dropped-no-way"] == 1


def test_a_second_relay_sends_nothing_back_to_where_it_came_from() -> None:
    """Nor does it answer an origin it does not know to be one."""
    post = Post(FROM, NEXT)
    post.around.tell(TO, Reach.NAT, NEXT, site="elsewhere")
    other = peer_id("other")
    effects, outcomes = post.forwarding.take(NEXT, Relayed(TO, other, 1, 5000, b"x"), NOW)
    assert (effects, outcomes) == ([], [])


def test_who_breaks_a_rule_of_relaying_is_blamed() -> None:
    post = Post()
    other = peer_id("other")
    for message in (
        Relayed(TO, FROM, 0, 1000, b"x"),
        Relayed(TO, other, 2, 1000, b"x"),
        Relayed(FROM, other, 1, 1000, b"x"),
        Relayed(TO, TO, 1, 1000, b"x"),
    ):
        effects, outcomes = post.forwarding.take(FROM, message, NOW)
        assert effects == []
        assert [type(outcome) for outcome in outcomes] == [Spoilt]
    post.forwarding.check()


def test_a_destination_that_can_be_dialled_is_called_once_and_waited_for() -> None:
    post = Post(FROM)
    post.around.tell(TO)
    assert post.give() == []
    assert post.give() == []
    assert post.around.called == [TO]
    post.around.connected.append(TO)
    sent = post.forwarding.introduced(TO, post.now + 1.5)
    assert [message.ttl_ms for message in to_peer(sent, TO)] == [3500, 3500]
    post.forwarding.check()


def test_a_call_that_nobody_answers_is_told_to_who_asked() -> None:
    post = Post(FROM)
    post.around.tell(TO)
    post.give(ttl_ms=2000)
    assert post.pass_time(1.9) == []
    assert post.pass_time(0.2) == [Send(FROM, Unrelayed(TO))]
    assert post.forwarding.next_deadline() is None


def test_a_peer_behind_another_nat_is_not_called() -> None:
    post = Post(FROM)
    post.around.tell(TO, Reach.NAT, site="elsewhere")
    assert post.give() == [Send(FROM, Unrelayed(TO))]
    assert post.around.called == []


def test_calls_are_bounded() -> None:
    post = Post(FROM)
    sites = CALLS // CALLS_OF_SITE
    for number in range(CALLS + 3):
        to, by = peer_id(f"p{number}"), peer_id(f"n{number % sites}")
        post.around.connected.append(by)
        post.around.tell(by, site=f"s{number % sites}")
        post.around.tell(to)
        post.give(1, by=by, to=to)
    assert post.forwarding.counts["dropped-calls-full"] == 3


def test_too_many_messages_are_dropped_and_counted() -> None:
    post = Post()
    sent = [post.give(1) for _ in range(int(RELAYED_BURST) + 7)]
    assert sum(bool(effects) for effects in sent) == RELAYED_BURST
    assert post.forwarding.dropped == {FROM: 7}
    post.now += 1.0
    assert sum(bool(post.give(1)) for _ in range(1000)) == RELAYED_PER_S


def test_too_many_bytes_wait_and_what_has_no_room_is_dropped() -> None:
    post = Post()
    size = 256 << 10
    sent = [effect for _ in range(20) for effect in post.give(size)]
    assert len(sent) * size <= RELAYED_BYTES_PER_S < (len(sent) + 1) * size + 1000 * 20
    waiting = 20 - len(sent) - post.forwarding.dropped[FROM]
    assert 0 < waiting * size <= RELAYED_QUEUE_BYTES
    later = post.pass_time(1.5)
    assert len(later) == waiting
    assert all(message.ttl_ms < 5000 for message in to_peer(later, TO))


def test_what_waits_too_long_is_dropped() -> None:
    post = Post()
    for _ in range(12):
        post.give(256 << 10, ttl_ms=300)
    later = post.pass_time(2.0)
    assert len(later) <= 3
    assert post.forwarding.counts["dropped-too-late"] >= 2
    assert post.forwarding.next_deadline() is None


def test_a_flood_of_one_leaves_the_others_their_turn() -> None:
    post = Post()
    flooders = [peer_id(f"flooder-{number}") for number in range(6)]
    quiet = peer_id("quiet")
    post.around.connected += [*flooders, quiet]
    for _ in range(16):
        for flooder in flooders:
            post.give(250 << 10, by=flooder)
    assert post.forwarding.next_deadline() is not None
    got = to_peer(post.give(2000, by=quiet) + post.pass_time(0.2), TO)
    assert [message.origin for message in got].count(quiet) == 1
    assert quiet not in post.forwarding.dropped


def test_all_together_stay_below_what_a_relay_gives() -> None:
    post = Post()
    many = [peer_id(f"p{number}") for number in range(12)]
    post.around.connected += many
    size, sent = 500 << 10, 0
    for _ in range(30):
        for peer in many:
            sent += len(to_peer(post.give(size, by=peer), TO))
        sent += len(to_peer(post.pass_time(0.1), TO))
    assert sent * size <= RELAYED_BYTES_PER_S_ALL * (1 + 3.0)
    assert sent * size >= RELAYED_BYTES_PER_S_ALL * 3.0


def test_who_is_gone_leaves_nothing_behind() -> None:
    post = Post(FROM, NEXT)
    post.around.tell(TO)
    post.give()
    for _ in range(20):
        post.give(256 << 10, to=NEXT)
    post.forwarding.lost(FROM)
    post.forwarding.check()
    assert post.forwarding.next_deadline() is None
    assert post.forwarding.dropped == {}
    assert post.forwarding.introduced(TO, NOW) == []


@settings(max_examples=100, deadline=None)
@given(
    st.floats(1.0, 1e7),
    st.floats(1.0, 1e7),
    st.lists(st.tuples(st.floats(0.0, 10.0), st.floats(0.0, 2e7)), max_size=50),
)
def test_no_stretch_of_time_lets_more_through_than_burst_and_rate(
    rate: float, burst: float, asks: list[tuple[float, float]]
) -> None:
    bucket, now = Bucket(rate, burst, NOW), NOW
    taken: list[tuple[float, float]] = []
    for wait_s, amount in asks:
        now += wait_s
        due_s = bucket.when(amount, now)
        assert due_s >= now
        if bucket.take(amount, now):
            assert due_s == now
            taken.append((now, amount))
        elif amount <= burst:
            assert due_s > now
            assert bucket.has(amount, due_s)
            now = due_s
    for first, (begin_s, _) in enumerate(taken):
        passed = 0.0
        for at_s, amount in taken[first:]:
            passed += amount
            allowed = burst + rate * (at_s - begin_s + 1e-5)
            assert passed <= allowed * (1 + 1e-9)
