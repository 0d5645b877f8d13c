"""The interpreter: carries out effects, in order, and decides nothing.

A Persist is awaited before anything behind it. If the store refuses, what is behind it does not happen, and
its `otherwise` is the next event. Without one the process must end, because the node's memory is ahead of the
disk, and a start from the disk makes them equal again.
"""

from collections import Counter
from typing import Protocol, assert_never

from overlayd.loop.doorway import Forwards, Kicked, Served
from overlayd.ports.clock import Clock
from overlayd.ports.store import Put, Store, StoreError
from overlayd.ports.transport import Transport
from overlayd.telemetry.events import EventRing
from overlayd.telemetry.lines import LINES, LINES_PER_S, PEERS, shown_note
from overlayd.telemetry.logs import logger
from protocol.node.events import Arrived, Event
from protocol.terms.allowance import Allowance
from protocol.terms.effects import (
    Attach,
    Audit,
    Dial,
    Effect,
    HandOver,
    HangUp,
    Knock,
    Note,
    Persist,
    Probing,
    Quarantine,
    Realise,
    Sealed,
    Send,
)
from protocol.terms.ids import PeerId
from protocol.wire.envelope import pack


class Audits(Protocol):
    """What decisions about orders go to."""

    async def take(self, audit: Audit) -> None:
        """It is on the disk when this returns, if what was decided must not be said before."""


class Interpreter:
    """The one interpreter of a process. It has no state but counters, and how much was told of each peer."""

    def __init__(
        self,
        me: PeerId,
        transport: Transport,
        store: Store,
        realiser: Kicked,
        bulk: Served,
        forwarder: Forwards,
        ring: EventRing,
        clock: Clock,
        auditing: Audits,
    ) -> None:
        self._me, self._transport, self._store = me, transport, store
        self._realiser, self._bulk, self._ring, self._clock = realiser, bulk, ring, clock
        self._forwarder, self._auditing = forwarder, auditing
        self._lines = Allowance(LINES, LINES_PER_S, PEERS)
        self.of: PeerId | None = None
        """Whose words the effects follow from, whose lines they are; None if nobody's. The driver says."""
        self.counts: Counter[str] = Counter()

    async def carry_out(self, effects: list[Effect]) -> list[Event]:
        """Carries out all effects, in order. Answers the events that follow at once: messages of this peer to
        itself, and what to do about a write that failed. Raises StoreError if there is nothing to do."""
        follow: list[Event] = []
        for effect in effects:
            match effect:
                case Persist(rows=rows, otherwise=otherwise):
                    puts = [Put(row.table, row.key, row.value) for row in rows]
                    try:
                        await self._store.write(puts, must=otherwise is None)
                    except StoreError as error:
                        self.counts["store-refused"] += 1
                        logger().error("store.refused", error=str(error))
                        if otherwise is None:
                            raise
                        follow.append(otherwise)  # type: ignore[arg-type]  # one of Event, by contract
                        return follow
                case Send(peer=peer, message=message, cause=cause) if peer == self._me:
                    follow.append(Arrived(peer, message, cause))  # type: ignore[arg-type]  # of Message
                case Send():
                    self._send(effect)
                case Dial(peer=peer, address=address):
                    self._transport.dial(peer, f"tcp://{address}")
                case Knock(peer=peer, address=address):
                    self._transport.knock(peer, f"tcp://{address}")
                case HangUp(peer=peer, why=why, parting=parting):
                    logger().debug("hang-up", peer=peer[:12], why=why)
                    self._transport.hang_up(peer, parting=parting)
                case Quarantine(peers=peers):
                    self._transport.deny(frozenset(peers))
                case Note():
                    self._tell(effect)
                case Realise(grid=grid, cause=cause):
                    self._realiser.kick(grid, cause)
                case HandOver(peer=peer, message=message, cause=cause):
                    self._bulk.take(peer, message, cause)
                case Sealed():
                    self._forwarder.seal(effect)
                case Probing():
                    self._forwarder.probe_paths(effect)
                case Attach():
                    self._forwarder.attach(effect)
                case Audit():
                    await self._auditing.take(effect)
                case _:
                    assert_never(effect)
        return follow

    def _tell(self, effect: Note) -> None:
        now = self._clock.now()
        if self.of is not None and not self._lines.take(self.of, now):
            self.counts["notes-over-budget"] += 1
            return
        note = shown_note(effect)
        self._ring.add(note, now)
        logger().info(note.kind, subject=note.subject, detail=note.detail, cause=note.cause)

    def _send(self, send: Send) -> None:
        try:
            frame = pack(send.message, send.cause, send.version)
        except (ValueError, OverflowError) as error:
            # A bug of ours, or a peer made this one say more than a frame holds. Only this message is lost.
            self.counts["not-sendable"] += 1
            logger().error("send.impossible", peer=send.peer[:12], error=str(error))
            return
        if not self._transport.send(send.peer, frame):
            self.counts["not-sent"] += 1
