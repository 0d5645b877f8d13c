"""The inbox is bounded and choosy: gossip goes first, negotiation last."""

import asyncio

import pytest

from overlayd.loop.inbox import ROOM, Inbox
from overlayd.ports.peer import Busy
from protocol.broadcast.messages import Announce, Graft
from protocol.negotiation.messages import QuoteAsk
from protocol.node.events import Arrived, Ticked
from protocol.terms.ids import PeerId, RequestId

PEER = PeerId("a" * 64)
ASK = Arrived(PEER, QuoteAsk(RequestId("r"), "ams"), "")
ANNOUNCE = Arrived(PEER, Announce(()), "")
GRAFT = Arrived(PEER, Graft(()), "")


def filled(count: int) -> Inbox:
    inbox = Inbox()
    for _ in range(count):
        inbox.put(Ticked())
    return inbox


def test_first_in_first_out() -> None:
    inbox = Inbox()
    inbox.put(ASK)
    inbox.put(Ticked())
    assert [inbox.pop(), inbox.pop(), inbox.pop()] == [ASK, Ticked(), None]


@pytest.mark.parametrize(("event", "room"), [(ANNOUNCE, ROOM // 4), (GRAFT, ROOM // 2)])
def test_gossip_is_dropped_and_counted_long_before_it_is_full(event: Arrived, room: int) -> None:
    inbox = filled(room - 1)
    inbox.put(event)
    assert len(inbox) == room
    inbox.put(event)
    assert len(inbox) == room
    assert inbox.dropped == {"gossip": 1}


def test_negotiation_has_room_to_the_last_and_then_is_refused() -> None:
    inbox = filled(ROOM - 1)
    inbox.put(ASK)
    with pytest.raises(Busy):
        inbox.put(ASK)
    assert len(inbox) == ROOM
    assert inbox.dropped == {"Arrived": 1}
    inbox.pop()
    inbox.put(ASK)


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
