"""The intake: what the transport tells becomes the node's events.

Frames of a peer whose lane is full are not even looked into, since it costs more to read one than to send it.
"""

import contextlib
from collections.abc import Callable

from overlayd.loop.inbox import Inbox
from overlayd.ports.peer import Busy
from overlayd.ports.transport import Arrived as FrameArrived
from overlayd.ports.transport import Down, Refused, TransportEvent, Up
from overlayd.ports.transport import Knocked as TransportKnocked
from overlayd.ports.transport import Slept as TransportSlept
from overlayd.telemetry.logs import logger
from protocol.node.events import (
    Arrived,
    Connected,
    Disconnected,
    Garbled,
    Knocked,
    Slept,
    Undialled,
)
from protocol.node.messages import Message
from protocol.terms.ids import PeerId
from protocol.wire.codec import Malformed
from protocol.wire.envelope import unpack


class Intake:
    """Feeds one inbox from one transport."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self.sift: Callable[[Arrived], Arrived] = lambda arrived: arrived
        """Takes out what is taken from nobody."""

    def take(self, event: TransportEvent) -> None:
        """Takes one event of the transport."""
        match event:
            case Up(peer=peer, accepted=accepted):
                self._inbox.put(Connected(peer, accepted))
            case TransportKnocked(peer=peer, reached=reached):
                # Lost and counted if there is no room, since there will be another knock.
                with contextlib.suppress(Busy):
                    self._inbox.put(Knocked(peer, reached))
            case Down(peer=peer, why=why):
                self._inbox.put(Disconnected(peer, why))
            case TransportSlept(for_s=for_s):
                self._inbox.put(Slept(for_s))
            case FrameArrived(peer=peer) if self._inbox.is_full(peer):
                self._inbox.overrun(peer)
            case FrameArrived(peer=peer, frame=frame):
                self._read(peer, frame)
            case Refused(address=address, why=why, peer=peer, trouble=trouble):
                logger().debug("transport.refused", address=address, why=why)
                if peer is not None:
                    # Lost and counted if there is no room, since there will be another try.
                    with contextlib.suppress(Busy):
                        where = address.removeprefix("tcp://")
                        self._inbox.put(Undialled(peer, where, trouble))

    def _read(self, peer: PeerId, frame: bytes) -> None:
        try:
            cause, message = unpack(frame, Message)
        except Malformed as error:
            self._inbox.put(Garbled(peer, error.reason))
        except (
            Exception
        ) as error:  # a fault of ours, but nothing is changed yet, and it is about these bytes
            logger().error("frame.unreadable", peer=peer[:12], exc_info=error)
            self._inbox.put(Garbled(peer, "unreadable"))
        else:
            self._inbox.put(self.sift(Arrived(peer, message, cause, len(frame))))
