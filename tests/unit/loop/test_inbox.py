"""The inbox is bounded, fair between peers, and choosy: gossip goes first, negotiation last."""

import asyncio

import pytest

from overlayd.loop.inbox import LANE, LANE_BYTES, ROOM, Inbox
from overlayd.ports.peer import Busy
from protocol.broadcast.messages import Announce, Graft
from protocol.contract.messages import QuoteAsk
from protocol.node.events import Arrived, Connected, Disconnected, Event, Garbled, Ticked
from protocol.terms.ids import PeerId, RequestId

PEER, OTHER, THIRD = (PeerId(letter * 64) for letter in "abc")


def ask(peer: PeerId = PEER, number: int = 0, size_bytes: int = 0) -> Arrived:
    return Arrived(peer, QuoteAsk(RequestId(f"r{number}"), "ams"), "", size_bytes)


ANNOUNCE = Arrived(PEER, Announce(()), "")
GRAFT = Arrived(PEER, Graft(()), "")


def filled(count: int, peer: PeerId = PEER) -> Inbox:
    inbox = Inbox()
    for number in range(count):
        inbox.put(ask(peer, number))
    return inbox


def drained(inbox: Inbox) -> list[Event]:
    events = []
    while (event := inbox.pop()) is not None:
        events.append(event)
    assert len(inbox) == 0
    return events


def test_first_in_first_out_by_peer() -> None:
    inbox = Inbox()
    events = [Connected(PEER), ask(), Garbled(PEER, "garbage"), Disconnected(PEER, "gone")]
    for event in events:
        inbox.put(event)
    assert drained(inbox) == events
    assert inbox.pop() is None


def test_each_peer_has_its_turn_and_this_host_every_second_one() -> None:
    inbox = filled(1000)
    inbox.put(ask(OTHER))
    inbox.put(Ticked())
    inbox.put(Ticked())
    assert [inbox.pop() for _ in range(6)] == [
        Ticked(),
        ask(number=0),
        Ticked(),
        ask(OTHER),
        ask(number=1),
        ask(number=2),
    ]


def test_one_peer_fills_its_lane_and_no_other() -> None:
    inbox = filled(LANE + 5)
    assert len(inbox) == LANE
    assert inbox.is_full(PEER)
    assert inbox.dropped == {"lane-full": 5}
    inbox.put(ask(OTHER))
    assert not inbox.is_full(OTHER)
    assert [inbox.pop(), inbox.pop()] == [ask(), ask(OTHER)]
    inbox.put(ask())
    assert inbox.dropped == {"lane-full": 5}


def test_a_lane_is_full_of_bytes_too() -> None:
    inbox = Inbox()
    inbox.put(ask(size_bytes=LANE_BYTES))
    inbox.put(ask())
    assert inbox.dropped == {"lane-full": 1}
    inbox.pop()
    inbox.put(ask())
    assert len(inbox) == 1


@pytest.mark.parametrize(("event", "room"), [(ANNOUNCE, LANE // 4), (GRAFT, LANE // 2)])
def test_gossip_is_dropped_and_counted_long_before_it_is_full(event: Arrived, room: int) -> None:
    inbox = filled(room - 1)
    inbox.put(event)
    assert len(inbox) == room
    inbox.put(event)
    assert len(inbox) == room
    assert inbox.dropped == {"gossip": 1}


def test_connections_that_come_and_go_are_never_lost() -> None:
    inbox = filled(LANE)
    inbox.put(Disconnected(PEER, "gone"))
    assert drained(inbox)[-1] == Disconnected(PEER, "gone")


def test_when_all_is_full_the_longest_lane_gives_way() -> None:
    inbox = filled(LANE)
    for number in range(ROOM):
        inbox.put(ask(PeerId(f"{number % 8:064x}")))
    assert len(inbox) == ROOM
    before = inbox.dropped["evicted"]
    inbox.put(ask(THIRD))
    assert len(inbox) == ROOM
    assert inbox.dropped["evicted"] == before + 1
    assert ask(THIRD) in drained(inbox)


def test_this_host_is_told_when_it_asks_too_much() -> None:
    inbox = Inbox()
    for _ in range(ROOM // 2):
        inbox.put(Ticked())
    with pytest.raises(Busy):
        inbox.put(Ticked())
    assert inbox.dropped == {"Ticked": 1}
    inbox.put(ask())
    inbox.pop()
    inbox.put(Ticked())


async def test_waiting_ends_with_an_event_or_a_wake() -> None:
    inbox = Inbox()
    waiting = asyncio.create_task(inbox.wait())
    await asyncio.sleep(0)
    assert not waiting.done()
    inbox.put(Ticked())
    await asyncio.wait_for(waiting, 5)
    waiting = asyncio.create_task(inbox.wait())
    await asyncio.sleep(0)
    inbox.wake()
    await asyncio.wait_for(waiting, 5)
