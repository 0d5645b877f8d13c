"""When a peer wants to be woken: a kept answer is never late, and rooms are asked only when it may be."""

from collections.abc import Callable
from typing import cast

import msgspec
import pytest
from one_peer import ADMIN, FACTS, NOW, OTHER, YOU, friends, hello, identity

from protocol.broadcast.messages import Compare, Gossip, Prune
from protocol.capacity.advert import Advert
from protocol.hosting.host import Host
from protocol.hosting.publishing import Publishing
from protocol.membership.messages import Ping, Pong
from protocol.node.deadlines import Deadlines
from protocol.node.events import (
    Arrived,
    Connected,
    Disconnected,
    Event,
    Garbled,
    NewsGiven,
    Probed,
    Say,
    Slept,
    Started,
    Stopping,
    Ticked,
)
from protocol.node.messages import ImageAsk
from protocol.node.node import Node
from protocol.node.registers import Registers
from protocol.node.site_summaries import SiteSummaries
from protocol.node.tunnel_partners import TunnelPartners
from protocol.peering.overlay import Overlay
from protocol.relay.relay import Relay
from protocol.requesting.events import OrderGiven
from protocol.requesting.requester import Requester
from protocol.sim.people import grid_spec
from protocol.terms.effects import Deadline, Dial, Effect, HangUp, Note, Persist, Send
from protocol.terms.ids import Digest, RequestId
from protocol.terms.limits import HELLO_WITHIN_S
from protocol.trust.identity import Identity
from protocol.trust.record import Record, SignedRecord, sign_record
from protocol.wire.codec import encode

UPKEEP = ("overlay", "relay", "site_summaries")
WORK = ("registers", "host", "requester", "publishing", "tunnel_partners")
PING = Arrived(YOU, Ping(1.0), "")
WORD: list[Effect] = [Send(YOU, Ping(1.0))]


class Room:
    """A room that wants to be woken, and counts how often it is asked when."""

    def __init__(self, name: str, at_s: float | None) -> None:
        self.name, self.at_s = name, at_s
        self.asked = 0

    def next_deadline(self) -> Deadline | None:
        self.asked += 1
        return Deadline(self.at_s, self.name) if self.at_s is not None else None


class OverlayRoom(Room):
    """The overlay, beside which broadcast is asked by itself."""

    def __init__(self) -> None:
        super().__init__("overlay", NOW + 100)
        self.changes = 0
        self.broadcast = Room("broadcast", None)


class Rooms:
    """All of a node, where nothing is due for long, and its deadlines, asked for once."""

    def __init__(self) -> None:
        self.overlay = OverlayRoom()
        self.rooms = {"overlay": self.overlay, "broadcast": self.overlay.broadcast} | {
            name: Room(name, NOW + 100) for name in (*UPKEEP[1:], *WORK)
        }
        self.deadlines = Deadlines(
            cast(Overlay, self.overlay),
            cast(Relay, self.rooms["relay"]),
            cast(SiteSummaries, self.rooms["site_summaries"]),
            cast(Registers, self.rooms["registers"]),
            cast(Host, self.rooms["host"]),
            cast(Requester, self.rooms["requester"]),
            cast(Publishing, self.rooms["publishing"]),
            cast(TunnelPartners, self.rooms["tunnel_partners"]),
        )
        self.deadlines.first()
        self.asked()

    def asked(self) -> list[str]:
        """The rooms that were asked since this was called last."""
        asked = [name for name, room in self.rooms.items() if room.asked]
        for room in self.rooms.values():
            room.asked = 0
        return asked

    def asks(self) -> list[str]:
        """The rooms that are asked for the next deadline."""
        self.deadlines.first()
        return self.asked()


# -- what is asked, and when


@pytest.mark.parametrize("name", [*UPKEEP, *WORK, "broadcast"])
def test_the_first_of_all_rooms_is_next(name: str) -> None:
    rooms = Rooms()
    rooms.rooms[name].at_s = NOW + 7
    rooms.deadlines.upkept()
    rooms.deadlines.worked()
    assert rooms.deadlines.first() == Deadline(NOW + 7, name)


def test_rooms_with_nothing_to_do_are_not_waited_for() -> None:
    rooms = Rooms()
    for name in (*WORK, "overlay", "relay"):
        rooms.rooms[name].at_s = None
    rooms.deadlines.upkept()
    rooms.deadlines.worked()
    assert rooms.deadlines.first() == Deadline(NOW + 100, "site_summaries")
    assert not rooms.deadlines.work_due(NOW + 1000)


@pytest.mark.parametrize(
    "event",
    [
        PING,
        Arrived(YOU, Pong(1.0, NOW), ""),
        Arrived(YOU, Gossip(()), ""),
        Arrived(YOU, Prune(), ""),
        Arrived(YOU, Compare((), False), ""),
        Ticked(),
    ],
)
def test_after_what_is_quiet_only_broadcast_is_asked(event: Event) -> None:
    rooms = Rooms()
    rooms.deadlines.event(event)
    assert not rooms.deadlines.said(WORD, WORD, relayed=False)
    assert rooms.asks() == ["broadcast"]


@pytest.mark.parametrize(
    "event",
    [
        Connected(YOU),
        Disconnected(YOU, "gone"),
        Garbled(YOU, "garbage"),
        Slept(3.0),
        Started(),
        Arrived(YOU, hello(OTHER), ""),
        Arrived(YOU, ImageAsk("session", Digest("0" * 64), 0, 1), ""),
    ],
)
def test_after_anything_else_the_upkeep_is_asked_once(event: Event) -> None:
    rooms = Rooms()
    rooms.deadlines.event(event)
    assert rooms.asks() == ["overlay", "broadcast", "relay", "site_summaries"]
    assert rooms.asks() == ["broadcast"]


def test_the_upkeep_is_asked_when_it_was_done_or_others_are_believed_otherwise() -> None:
    rooms = Rooms()
    rooms.deadlines.upkept()
    assert rooms.asks() == ["overlay", "broadcast", "relay", "site_summaries"]
    rooms.overlay.changes += 1
    assert rooms.asks() == ["overlay", "broadcast", "relay", "site_summaries"]
    assert rooms.asks() == ["broadcast"]


def test_the_work_is_asked_once_it_was_touched() -> None:
    rooms = Rooms()
    rooms.deadlines.worked()
    assert rooms.asks() == ["broadcast", *WORK]
    assert rooms.asks() == ["broadcast"]


@pytest.mark.parametrize(
    ("effects", "sent", "relayed"),
    [
        pytest.param(WORD, [Dial(YOU, "h2:7000"), *WORD], False, id="dialled"),
        pytest.param(WORD, [], False, id="waits"),
        pytest.param(WORD, [Dial(YOU, "h2:7000")], False, id="waits-for-a-dial"),
        pytest.param([Persist(())], [Persist(())], False, id="written"),
        pytest.param(WORD, WORD, True, id="relayed"),
    ],
)
def test_what_took_a_connection_to_say_asks_the_upkeep(
    effects: list[Effect], sent: list[Effect], relayed: bool
) -> None:
    rooms = Rooms()
    rooms.deadlines.event(PING)
    assert rooms.deadlines.said(effects, sent, relayed=relayed)
    assert rooms.asks() == ["overlay", "broadcast", "relay", "site_summaries"]


def test_what_is_only_told_asks_nobody() -> None:
    rooms = Rooms()
    told: list[Effect] = [*WORD, Note("peer.joined", "h2")]
    assert not rooms.deadlines.said(told, told, relayed=False)
    assert rooms.asks() == ["broadcast"]


def test_either_half_is_due_when_its_own_deadline_has_come() -> None:
    rooms = Rooms()
    rooms.rooms["relay"].at_s, rooms.rooms["host"].at_s = NOW + 7, NOW + 9
    rooms.deadlines.upkept()
    rooms.deadlines.worked()
    rooms.deadlines.first()
    due = {
        at_s: (rooms.deadlines.upkeep_due(NOW + at_s), rooms.deadlines.work_due(NOW + at_s))
        for at_s in (6, 7, 8, 9)
    }
    assert due == {6: (False, False), 7: (True, False), 8: (True, False), 9: (True, True)}


# -- never late


@pytest.mark.parametrize("name", [*UPKEEP, *WORK])
def test_a_room_that_is_due_sooner_than_it_was_asked_for_is_noticed(name: str) -> None:
    rooms = Rooms()
    rooms.deadlines.event(PING)
    rooms.rooms[name].at_s = NOW + 7
    assert rooms.deadlines.first().at_s == NOW + 100, "deliberately late"
    with pytest.raises(AssertionError):
        rooms.deadlines.check()


def test_work_where_there_was_none_is_noticed() -> None:
    rooms = Rooms()
    for name in WORK:
        rooms.rooms[name].at_s = None
    rooms.deadlines.worked()
    rooms.deadlines.check()
    rooms.rooms["host"].at_s = NOW + 1000
    with pytest.raises(AssertionError):
        rooms.deadlines.check()


@pytest.mark.parametrize("name", [*UPKEEP, *WORK])
def test_too_early_is_right(name: str) -> None:
    rooms = Rooms()
    rooms.rooms[name].at_s = NOW + 7
    rooms.deadlines.upkept()
    rooms.deadlines.worked()
    rooms.deadlines.first()
    rooms.rooms[name].at_s = NOW + 1000
    rooms.deadlines.check()
    assert rooms.deadlines.first() == Deadline(NOW + 7, name)


def test_what_was_told_is_not_late() -> None:
    rooms = Rooms()
    rooms.deadlines.event(Connected(YOU))
    rooms.rooms["relay"].at_s = NOW + 7
    rooms.deadlines.worked()
    rooms.rooms["requester"].at_s = NOW + 3
    rooms.deadlines.check()
    assert rooms.deadlines.first().at_s == NOW + 3


# -- of a whole node


def fresh(peer: Node) -> Deadline:
    """What all rooms answer now."""
    return Deadlines(
        peer.overlay,
        peer.relay,
        peer.site_summaries,
        peer.registers,
        peer.host,
        peer.requester,
        peer.publishing,
        peer.tunnel_partners,
    ).first()


def step(peer: Node, event: Event, now: float) -> list[Effect]:
    effects = peer.handle(event, now)
    peer.check()
    assert peer.next_deadline().at_s <= fresh(peer).at_s, event
    return effects


def until(peer: Node, now: float, end_s: float, found: Callable[[list[Effect]], bool]) -> float:
    """Wakes the peer at each deadline until it does what is sought. Answers when that was."""
    while now < end_s:
        now = max(now, peer.next_deadline().at_s)
        if found(step(peer, Ticked(), now)):
            return now
    raise AssertionError(f"not by {end_s}")


def advert_of(of: Identity, advert: Advert) -> SignedRecord:
    record = Record(of.signer.key, "advert", "", 1, 2, encode(advert), 60.0, scope=of.site)
    return sign_record(record, of.signer)


def test_whatever_happens_to_a_node_it_is_not_woken_late() -> None:
    peer, now = friends(), NOW
    third = identity("h3", site="s2")
    news = hello(third).presence
    order = ADMIN.up(grid_spec("shop", 3), NOW)
    everything: list[Event] = [
        PING,
        Arrived(YOU, Gossip((news,)), ""),
        Arrived(YOU, Gossip((advert_of(OTHER, peer.host.advert(NOW)),)), ""),
        OrderGiven(RequestId("r"), order),
        PING,
        Say(third.peer, ImageAsk("session", Digest("0" * 64), 0, 1)),
        Arrived(YOU, Compare((), True), ""),
        Garbled(YOU, "garbage"),
        NewsGiven("hello"),
        Probed(msgspec.structs.replace(FACTS, capacity=FACTS.capacity + FACTS.capacity)),
        PING,
        Slept(3.0),
        Disconnected(YOU, "gone"),
        Connected(YOU),
        Arrived(YOU, hello(OTHER, 2), ""),
        Stopping(),
    ]
    for event in everything:
        step(peer, event, now)
        for _ in range(3):
            now = max(now, peer.next_deadline().at_s)
            step(peer, Ticked(), now)
    assert now > NOW


def test_a_stranger_that_connects_has_to_introduce_itself_in_time() -> None:
    peer = friends()
    stranger = identity("h4").peer
    step(peer, Connected(stranger, accepted=True), NOW)
    assert until(peer, NOW, NOW + 60, lambda es: any(isinstance(e, HangUp) for e in es)) == (
        NOW + HELLO_WITHIN_S
    )
