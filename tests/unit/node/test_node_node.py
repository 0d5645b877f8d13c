"""One node by itself: first words, strangers, rule breakers, writes that fail, and what it answers when."""

from random import Random

import msgspec
import pytest
from one_peer import (
    ADMIN,
    FACTS,
    NOW,
    OTHER,
    YOU,
    Alone,
    friends,
    hello,
    identity,
    node,
    sends,
    started,
)

from protocol.broadcast.messages import Gossip
from protocol.capacity.quantum import Quantum
from protocol.contract.messages import Decided, HoldAsk, HoldReply, Quote, QuoteAsk
from protocol.grid.record import GridState, grid_id, vni_of
from protocol.hosting.hold_row import HoldNotSaved
from protocol.membership.messages import Contact, Hello, Ping, Pong
from protocol.node.events import (
    Arrived,
    Connected,
    Disconnected,
    Event,
    Garbled,
    Probed,
    Started,
    Stopping,
    Ticked,
)
from protocol.node.node import Node
from protocol.node.snapshot import PeerView
from protocol.register.messages import StepAsk
from protocol.requesting.events import OrderGiven, PlanAsked
from protocol.requesting.request import RequestState, RequestView
from protocol.sim.keys import SimFederation
from protocol.sim.people import IMAGE, grid_spec
from protocol.terms.effects import Dial, Effect, HangUp, Note, Persist, Quarantine, Send, Untidied
from protocol.terms.ids import GridId, RequestId
from protocol.terms.limits import (
    ADDRESSES_SAVED_AFTER_S,
    AUDIT_EVERY_S,
    HOLD_S,
    PATIENCE,
    PRESENCE_EVERY_S,
    QUARANTINE_S,
)
from protocol.trust.order import Action
from protocol.trust.record import Record, sign_record
from protocol.wire.codec import encode
from protocol.wire.envelope import pack
from protocol.wire.limits import MAX_CAUSE_CHARACTERS


def test_its_incarnation_is_on_disk_before_it_is_said() -> None:
    effects = node().handle(Started(), NOW)
    first = effects[0]
    assert isinstance(first, Persist)
    assert first.otherwise is None
    assert first.rows[0].table == "self"
    value = first.rows[0].value
    assert value is not None
    again = started({"self": {"incarnation": value}})
    assert again.broadcast.incarnation == 2


def test_it_dials_whom_it_was_told_and_whom_it_knew() -> None:
    rows = {"peer": {YOU: b"h2:7000"}}
    third = identity("h3")
    peer = node(rows=rows, joins=(Contact(third.peer, third.site, third.address),))
    effects = peer.handle(Started(), NOW)
    assert [e for e in effects if isinstance(e, Dial)] == [
        Dial(third.peer, "h3:7000"),
        Dial(YOU, "h2:7000"),
    ]


def test_the_first_word_is_hello() -> None:
    peer = started()
    assert sends(peer.handle(Connected(YOU), NOW)) == ["Hello"]


def test_a_friend_is_known_saved_and_asked_to_be_a_neighbour() -> None:
    peer = started()
    peer.handle(Connected(YOU), NOW)
    effects = peer.handle(Arrived(YOU, hello(OTHER), ""), NOW)
    assert "Neighbour" in sends(effects)
    assert Note("peer.joined", "h2", "joined") in effects
    effects = peer.handle(Ticked(), NOW + ADDRESSES_SAVED_AFTER_S)
    saved = [e for e in effects if isinstance(e, Persist)]
    assert [(r.table, r.key, r.value) for e in saved for r in e.rows] == [("peer", YOU, b"h2:7000")]
    assert saved[0].otherwise == Untidied()
    assert [row.name for row in PeerView(peer).peers(NOW)] == ["h1", "h2"]


def test_nothing_is_heard_before_hello() -> None:
    peer = started()
    peer.handle(Connected(YOU), NOW)
    assert peer.handle(Arrived(YOU, Ping(1.0), ""), NOW) == []
    assert peer.quarantines.counts == {"not-introduced": 1}


STRANGERS = SimFederation("strangers", from_s=NOW - 1000, until_s=NOW + 1000)


@pytest.mark.parametrize(
    ("greeting", "reason"),
    [
        (hello(identity("h2", STRANGERS)), "wrong-federation"),
        (hello(identity("h3")), "wrong-role"),
        (
            msgspec.structs.replace(
                hello(OTHER),
                presence=msgspec.structs.replace(hello(OTHER).presence, signature=b"x" * 32),
            ),
            "bad-signature",
        ),
    ],
)
def test_who_cannot_show_who_it_is_is_hung_up_on(greeting: Hello, reason: str) -> None:
    peer = started()
    peer.handle(Connected(YOU), NOW)
    effects = peer.handle(Arrived(YOU, greeting, ""), NOW)
    assert [e.peer for e in effects if isinstance(e, HangUp)] == [YOU]
    assert [e.kind for e in effects if isinstance(e, Note)] == ["peer.refused"]
    assert peer.quarantines.counts == {f"hello-{reason}": 1}
    assert YOU not in peer.membership.known


def test_patience_ends() -> None:
    peer = friends()
    hung_up: list[Effect] = []
    faults = 0
    while not hung_up:
        faults += 1
        assert faults < 100
        hung_up = [
            e
            for e in peer.handle(Garbled(YOU, "garbage"), NOW)
            if isinstance(e, HangUp | Quarantine | Note)
        ]
    assert faults == 20
    assert [type(e) for e in hung_up] == [HangUp, Quarantine, Note]
    peer.check()


def flood(peer: Node, now: float) -> list[Effect]:
    """Sends pings until they are too many for too long. Answers the last effects."""
    for _ in range(100_000):
        effects = peer.handle(Arrived(YOU, Ping(1.0), "", 40), now)
        if any(isinstance(effect, Quarantine) for effect in effects):
            return effects
    raise AssertionError("nothing stops it")


def test_a_flood_is_dropped_counted_and_ends_in_quarantine() -> None:
    peer = friends()
    effects = flood(peer, NOW)
    assert [e for e in effects if not isinstance(e, HangUp)] == [
        Quarantine((YOU,)),
        Note("peer.quarantined", "h2", "for 30 s: flood-membership"),
    ]
    assert peer.quarantines.counts["flood-membership"] == PATIENCE
    (row,) = [row for row in PeerView(peer).peers(NOW) if row.peer == YOU]
    assert (row.quarantine_s, row.faults) == (QUARANTINE_S, PATIENCE)
    assert PeerView(peer).this_peer().quarantined == 1
    assert peer.handle(Arrived(YOU, hello(OTHER), "", 40), NOW) == []
    assert peer.quarantines.counts["quarantined"] == 1
    peer.check()


def test_a_quarantine_ends_and_the_peer_is_met_again() -> None:
    peer = friends()
    flood(peer, NOW)
    peer.handle(Disconnected(YOU, "hung up"), NOW)
    effects = peer.handle(Ticked(), NOW + QUARANTINE_S)
    assert Quarantine(()) in effects
    peer.handle(Connected(YOU), NOW + QUARANTINE_S)
    peer.handle(Arrived(YOU, hello(OTHER), "", 40), NOW + QUARANTINE_S)
    assert peer.membership.links.introduced(YOU)
    peer.check()


def test_a_quarantined_peers_records_come_through_others() -> None:
    peer = friends()
    third = identity("h3")
    peer.handle(Connected(third.peer), NOW)
    peer.handle(Arrived(third.peer, hello(third), ""), NOW)
    flood(peer, NOW)
    news = Record(OTHER.signer.key, "advert", "", 1, 2, encode(peer.host.advert(NOW)), 60.0)
    signed = sign_record(news, OTHER.signer)
    peer.handle(Arrived(third.peer, Gossip((signed,)), ""), NOW)
    assert peer.directory.adverts[YOU].advert == peer.host.advert(NOW)


def test_a_ping_is_answered_with_its_own_time() -> None:
    effects = friends().handle(Arrived(YOU, Ping(42.0), ""), NOW + 1)
    pongs = [e.message for e in effects if isinstance(e, Send) and isinstance(e.message, Pong)]
    assert pongs == [Pong(42.0, NOW + 1)]


def ask(order_now: float = NOW, *names: str) -> HoldAsk:
    order = ADMIN.up(grid_spec("shop", 3), order_now)
    grid = grid_id(order)
    vnis = (("lan", vni_of(grid, "lan")),)
    return HoldAsk(grid, order, names or ("web-1",), vnis, 8.0)


def test_what_may_fail_by_itself_goes_last() -> None:
    """A promise behind which other rooms' effects stood would take them with it."""
    peer = friends()
    effects = peer.handle(Arrived(YOU, ask(), ""), NOW + 40)
    at, *_ = [i for i, e in enumerate(effects) if isinstance(e, Persist) and e.otherwise]
    behind = effects[at + 1 :]
    assert len(effects[:at]) > 0, "an advert was due too"
    assert [type(e).__name__ for e in behind[:3]] == ["Audit", "Send", "Note"]
    assert [e for e in behind[3:] if not isinstance(e, Persist)] == [], "only tidying"
    assert isinstance(behind[1], Send)
    assert isinstance(behind[1].message, HoldReply)


def test_a_promise_that_cannot_be_written_is_taken_back() -> None:
    peer = friends()
    effects = peer.handle(Arrived(YOU, ask(), "why"), NOW)
    (write,) = [e for e in effects if isinstance(e, Persist)]
    assert isinstance(write.otherwise, HoldNotSaved)
    effects = peer.handle(write.otherwise, NOW)
    assert sends(effects) == ["HoldReply"]
    assert peer.host.ledger.free == FACTS.capacity
    peer.check()


def test_an_answer_carries_the_cause_of_what_it_answers() -> None:
    effects = friends().handle(Arrived(YOU, ask(), "request-9"), NOW)
    assert {e.cause for e in effects if isinstance(e, Send)} == {"request-9"}


def test_everything_asked_is_answered_also_nonsense() -> None:
    peer = started()
    stale = ADMIN.up(grid_spec("shop"), NOW - 5000)
    unknown = msgspec.structs.replace(
        grid_spec("shop").clusters[0], image=msgspec.structs.replace(IMAGE, digest="f" * 64)
    )
    events: dict[str, Event] = {
        "old": OrderGiven(RequestId("old"), stale),
        "image": PlanAsked(
            RequestId("image"), msgspec.structs.replace(grid_spec("shop"), clusters=(unknown,))
        ),
        "empty": PlanAsked(
            RequestId("empty"), msgspec.structs.replace(grid_spec("x"), clusters=())
        ),
    }
    answers = {}
    for name, event in events.items():
        peer.handle(event, NOW)
        view = peer.requester.requests.view(RequestId(name))
        assert view is not None
        answers[name] = (str(view.state), view.answer[0])
    assert answers["old"][1].endswith("issued 5000 s ago, valid for 600 s; sign it again")
    assert answers["image"][1] == "image tiny of cluster web is on no host"
    assert all(state == "failed" for state, _ in answers.values())


def test_alone_it_places_a_grid_on_itself() -> None:
    """Every role of the protocol on one peer: what it sends to itself comes back as messages."""
    peer = started()
    waiting: list[Event] = [OrderGiven(RequestId("r"), ADMIN.up(grid_spec("shop", 2), NOW))]
    now = NOW
    for _ in range(200):
        while waiting:
            for effect in peer.handle(waiting.pop(0), now):
                assert not (isinstance(effect, Send) and effect.peer != peer.me)
                if isinstance(effect, Send):
                    waiting.append(Arrived(peer.me, effect.message, effect.cause))  # type: ignore[arg-type]  # of Message
            peer.check()
        if len(peer.host.leases.rows()) == 1:
            break
        deadline = peer.next_deadline()
        assert deadline is not None
        now = max(now, deadline.at_s)
        waiting.append(Ticked())
    (row,) = peer.host.leases.rows()
    assert sorted(w.workspace for w in row.wanted) == ["web-1", "web-2"]
    assert now < NOW + 5
    peer.handle(Ticked(), now + 1)
    (seen,) = PeerView(peer).grids(now + 1)
    assert (seen.name, seen.state, seen.phases) == ("shop", "up", (("held", 2),))
    assert PeerView(peer).this_peer().carried == 1
    assert PeerView(peer).sites(now)[0].workspaces == 2


def test_a_host_that_was_probed_again_tells() -> None:
    peer = friends()
    peer.handle(Ticked(), NOW + 5)
    smaller = msgspec.structs.replace(FACTS, capacity=Quantum(1000, 1 << 30, 0))
    peer.handle(Probed(smaller), NOW + 10)
    held = peer.broadcast.directory.of_kind("advert")[0]
    assert peer.host.advert(NOW + 10).free == smaller.capacity
    assert held.received_s == NOW + 10


def test_it_says_again_that_it_is_there() -> None:
    peer = started()
    now, said = NOW, 0
    while now < NOW + 2 * PRESENCE_EVERY_S + 1:
        deadline = peer.next_deadline()
        assert deadline is not None
        now = max(now, deadline.at_s)
        before = peer.broadcast.directory.of_kind("presence")[0].received_s
        peer.handle(Ticked(), now)
        said += peer.broadcast.directory.of_kind("presence")[0].received_s != before
    assert said == 2


def test_goodbye_goes_to_neighbours_with_the_last_presence() -> None:
    peer = friends()
    peer.membership.view.add(Contact(YOU, "s1", OTHER.address), {})
    effects = peer.handle(Stopping(), NOW + 1)
    assert sends(effects)[:2] == ["Gossip", "Goodbye"]


def test_a_neighbour_that_is_lost_is_suspected_at_once() -> None:
    peer = friends()
    peer.membership.view.add(Contact(YOU, "s1", OTHER.address), {})
    peer.handle(Disconnected(YOU, "gone"), NOW + 1)
    assert str(peer.membership.liveness.health(YOU)) == "suspect"
    (suspicion,) = peer.broadcast.directory.of_kind("suspicion")
    assert suspicion.record.name == YOU


def test_a_host_that_was_not_probed_yet_joins_but_offers_nothing_and_makes_no_advert() -> None:
    peer = Node(identity("h1"), None, (), (), {}, Random(1), NOW)
    peer.handle(Started(), NOW)
    directory = peer.broadcast.directory
    assert directory.of_kind("presence")
    assert not directory.of_kind("advert")
    due = peer.next_deadline()
    assert due is not None
    assert due.at_s > NOW
    assert peer.host.offer().free == Quantum()
    peer.handle(Probed(FACTS), NOW + 1)
    assert len(directory.of_kind("advert")) == 1
    assert peer.host.offer().free == FACTS.capacity
    peer.check()


def test_what_a_peer_calls_its_request_never_makes_a_frame_impossible() -> None:
    """Found by fuzzing: it came back as a cause longer than a frame takes, and ended the daemon."""
    peer = friends()
    asked = Arrived(YOU, QuoteAsk(RequestId("x" * 5000), "s1"), "", 5100)
    sent = [
        e for e in peer.handle(asked, NOW) if isinstance(e, Send) and isinstance(e.message, Quote)
    ]
    assert [len(e.cause) for e in sent] == [MAX_CAUSE_CHARACTERS]
    for effect in sent:
        pack(effect.message, effect.cause)


def test_a_replayed_hello_takes_nothing_back() -> None:
    """Found by fuzzing: an older presence was believed over the newer one, and could not be expelled."""
    peer = friends()
    peer.handle(Arrived(YOU, hello(OTHER, 5), ""), NOW)
    peer.handle(Arrived(YOU, hello(OTHER, 2), ""), NOW)
    assert peer.membership.known[YOU].incarnation == 5
    peer.check()


# -- both sides of the work


def carrying() -> tuple[Alone, GridId]:
    """A peer that carries a grid it was asked for; the request still waits for it to be up."""
    alone = Alone(started())
    alone.feed(OrderGiven(RequestId("up"), ADMIN.up(grid_spec("shop", 2), NOW)))
    alone.until(lambda: alone.peer.host.leases.rows() != [], 5.0)
    assert view(alone, "up").stage == "building", "a commit's outcome is the requester's"
    alone.feed(Connected(YOU))
    alone.feed(Arrived(YOU, hello(OTHER), ""))
    (row,) = alone.peer.host.leases.rows()
    return alone, row.record.id


def view(alone: Alone, request: str) -> RequestView:
    found = alone.peer.requester.requests.view(RequestId(request))
    assert found is not None
    return found


def test_the_outcome_of_a_change_is_the_requesters_and_that_of_an_audit_the_hosts() -> None:
    """The host is not told what its own peer's request has brought about, and finds it out by itself."""
    alone, grid = carrying()
    alone.lost = (Decided,)
    alone.feed(OrderGiven(RequestId("down"), ADMIN.order(Action.DOWN, grid, alone.now)))
    assert view(alone, "down").stage == "hosts clear up"
    row = alone.peer.host.leases.row(grid)
    assert row is not None
    assert (row.record.state, row.record.epoch) == (GridState.UP, 1)

    def is_down() -> bool:
        row = alone.peer.host.leases.row(grid)
        return row is not None and row.record.state is GridState.DOWN

    alone.until(is_down, 2 * AUDIT_EVERY_S)


def test_the_outcome_of_a_vote_against_a_hold_is_the_hosts() -> None:
    alone = Alone(friends())
    alone.feed(Arrived(YOU, ask(), ""))
    assert alone.peer.host.ledger.free != FACTS.capacity
    alone.until(lambda: alone.peer.host.ledger.free == FACTS.capacity, 3 * HOLD_S)
    assert alone.now >= NOW + HOLD_S


def test_without_its_stewards_a_hold_stands_and_a_grid_is_only_stopped() -> None:
    """Nobody knows. So the host keeps the hold, and what its owner ordered down is stopped and not ended."""
    alone, grid = carrying()
    alone.feed(Arrived(YOU, ask(NOW, "web-2"), ""))
    free = alone.peer.host.ledger.free
    alone.lost = (StepAsk,)
    alone.feed(OrderGiven(RequestId("down"), ADMIN.order(Action.DOWN, grid, alone.now)))
    alone.until(lambda: view(alone, "down").state is RequestState.DONE, 60.0)
    stopped = "shop is stopped on h1; its end waits for 1 of 1 stewards"
    assert view(alone, "down").answer[0] == stopped
    alone.until(lambda: alone.now > NOW + 5 * HOLD_S, 60.0)
    assert alone.peer.host.ledger.free == free
    row = alone.peer.host.leases.row(grid)
    assert row is not None
    assert row.record.state is GridState.UP


def test_a_notice_of_who_carries_nothing_of_a_grid_concerns_neither_side_of_the_work() -> None:
    """The host asks no stewards, and the request does not take it for its answer."""
    alone, grid = carrying()
    alone.feed(Ticked())
    (mine,) = [heard.notice for heard in alone.peer.notices.about(grid).values()]
    ended = msgspec.structs.replace(mine, epoch=2, state=GridState.DOWN, mine=())
    record = Record(OTHER.signer.key, "grid", grid, 1, 2, encode(ended), 600.0)
    effects = alone.feed(Arrived(YOU, Gossip((sign_record(record, OTHER.signer),)), ""))
    assert view(alone, "up").answer == ()
    effects += alone.feed(Ticked())
    assert "LookAsk" not in sends(effects, alone.peer.me)
    assert list(alone.peer.notices.about(grid)) == [alone.peer.me]


def test_a_notice_is_of_the_grid_that_its_record_names() -> None:
    """Else one record that is told anew again and again, each time of another grid, would fill the memory."""
    alone, grid = carrying()
    alone.feed(Ticked())
    (mine,) = [heard.notice for heard in alone.peer.notices.about(grid).values()]
    for turn in range(2, 12):
        lie = msgspec.structs.replace(mine, grid=GridId(f"lie.{turn}"))
        record = Record(OTHER.signer.key, "grid", "any", 1, turn, encode(lie), 600.0)
        alone.feed(Arrived(YOU, Gossip((sign_record(record, OTHER.signer),)), ""))
    assert alone.peer.notices.grids() == [grid]
