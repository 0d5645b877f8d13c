"""What the transport tells becomes events; frames of a peer whose lane is full are not looked into."""

import msgspec
import pytest

from overlayd.loop import intake as module
from overlayd.loop.inbox import LANE, OVERRUN, ROOM, Inbox
from overlayd.loop.intake import Intake
from overlayd.ports.transport import Arrived as FrameArrived
from overlayd.ports.transport import Down, Refused, Up
from overlayd.ports.transport import Knocked as FrameKnocked
from overlayd.ports.transport import Slept as FrameSlept
from protocol.membership.messages import Ping
from protocol.node.events import Arrived, Connected, Disconnected, Garbled, Knocked, Slept, Ticked
from protocol.terms.ids import PeerId
from protocol.wire.envelope import pack

PEER = PeerId("a" * 64)
FRAME = pack(Ping(1.0), "why")


def test_what_came_of_a_knock_is_told_unless_there_is_no_room() -> None:
    inbox = Inbox()
    intake = Intake(inbox)
    intake.take(FrameKnocked(PEER, True))
    intake.take(Up(PEER, accepted=True))
    assert [inbox.pop(), inbox.pop()] == [Knocked(PEER, True), Connected(PEER, accepted=True)]
    for _ in range(ROOM):
        intake.take(FrameKnocked(PEER, False))
    assert len(inbox) < ROOM
    assert inbox.dropped["Knocked"] > 0


def test_having_slept_goes_before_everything() -> None:
    inbox = Inbox()
    intake = Intake(inbox)
    intake.take(Down(PEER, "silent"))
    inbox.put(Ticked())
    intake.take(FrameSlept(9.0))
    assert [inbox.pop() for _ in range(3)] == [Slept(9.0), Disconnected(PEER, "silent"), Ticked()]


def test_each_becomes_its_event() -> None:
    inbox = Inbox()
    intake = Intake(inbox)
    for told in (
        Up(PEER),
        FrameArrived(PEER, FRAME),
        FrameArrived(PEER, b"\xc1"),
        Refused("tcp://192.0.2.1:1", "nobody listens there"),
        Down(PEER, "gone"),
    ):
        intake.take(told)
    assert [inbox.pop() for _ in range(5)] == [
        Connected(PEER),
        Arrived(PEER, Ping(1.0), "why", len(FRAME)),
        Garbled(PEER, "garbage"),
        Disconnected(PEER, "gone"),
        None,
    ]


def test_frames_of_a_full_lane_are_not_read_and_become_faults() -> None:
    inbox = Inbox()
    intake = Intake(inbox)
    for _ in range(LANE + 2 * OVERRUN + 7):
        intake.take(FrameArrived(PEER, b"\xc1"))
    assert len(inbox) == LANE
    assert inbox.dropped == {"lane-full": 2 * OVERRUN + 7}
    unread = Garbled(PEER, "flood-unread")
    assert [inbox.pop() for _ in range(3)] == [unread, unread, Garbled(PEER, "garbage")]
    assert len(inbox) == LANE - 1


def test_bytes_that_cannot_even_be_refused_are_held_against_who_sent_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(*_: object) -> None:
        raise RecursionError

    monkeypatch.setattr(module, "unpack", fails)
    inbox = Inbox()
    Intake(inbox).take(FrameArrived(PEER, FRAME))
    assert inbox.pop() == Garbled(PEER, "unreadable")


def test_what_is_taken_from_nobody_is_taken_out() -> None:
    inbox = Inbox()
    intake = Intake(inbox)
    intake.sift = lambda arrived: msgspec.structs.replace(arrived, cause="sifted")
    intake.take(FrameArrived(PEER, FRAME))
    assert inbox.pop() == Arrived(PEER, Ping(1.0), "sifted", len(FRAME))
