"""One node, started again from its disk now and then, among members and strangers that do anything at all.

What happens follows from bytes (choices.py). After every event: no exception has left the node, its invariants
hold, and whatever it wants to say is a frame that others can read.
"""

from random import Random
from typing import get_args

from anything import TEXTS, anything, revocation, signed_order
from choices import Choices
from golden.vectors import BODIES, all_vectors
from members import CHAINS, OURS, SIGNERS, START_S

from protocol.capacity.advert import HostFacts
from protocol.capacity.quantum import Quantum
from protocol.contract.messages import Decided, HoldAsk, HoldReply
from protocol.membership.messages import Presence, greeting
from protocol.membership.presence import KIND as PRESENCE
from protocol.node.events import (
    Arrived,
    Connected,
    Disconnected,
    Event,
    Garbled,
    NewsGiven,
    Readdressed,
    RecordGiven,
    Renewed,
    Started,
    Ticked,
)
from protocol.node.messages import Message
from protocol.node.node import Node
from protocol.node.snapshot import PeerView
from protocol.register.messages import Accept, Accepted, Prepare, Promise, StepAsk, ToAsker
from protocol.requesting.events import CancelAsked, OrderGiven, PlanAsked
from protocol.sim.keys import SimSealer, SimVerifier
from protocol.sim.people import grid_spec
from protocol.terms.effects import Persist, Send
from protocol.terms.ids import PeerId, RequestId
from protocol.trust.identity import Identity
from protocol.trust.record import Record, sign_record
from protocol.wire.codec import Malformed, decode, encode
from protocol.wire.envelope import pack, unpack

FACTS = HostFacts(Quantum(4000, 4 << 30, 1 << 30), "x86_64", "sim", "none", "", "10.0.0.1", True)
KINDS = sorted(get_args(Message), key=lambda kind: str(kind.__struct_config__.tag))
ABOUT_GRIDS = (StepAsk, Prepare, Accept, Decided, HoldAsk, *get_args(ToAsker), Promise, Accepted)
"""What says more of a grid than other messages do."""
FRAMES = [vector.data for vector in all_vectors() if vector.folder == "messages"]
STEPS_MOST = 120
PEERS = tuple(PeerId(signer.key) for signer in SIGNERS[1:])


def presence_record(number: int, incarnation: int) -> Record:
    """What one of the peers would say of itself."""
    said = encode(Presence(CHAINS[number], f"h{number + 1}:7000"))
    site = "s1" if number < 2 else "s2"
    return Record(SIGNERS[number].key, PRESENCE, "", incarnation, 1, said, 86400.0, site)


class World:
    """Feeds one node."""

    def __init__(self, data: bytes) -> None:
        self.choices = Choices(data)
        self.now_s = START_S
        self.rows: dict[str, dict[str, bytes]] = {}
        self.identity = Identity(
            signer=SIGNERS[0],
            verifier=SimVerifier(),
            sealer=SimSealer(SIGNERS[0].key),
            chain=CHAINS[0],
            federation=OURS.key,
            name="h1",
            site="s1",
            address="h1:7000",
        )
        self.start()
        if self.choices.below(4):
            for number, peer in enumerate(PEERS[:2], 1):
                self.feed(Connected(peer))
                record = presence_record(number, 1)
                self.feed(
                    self.arrived(peer, pack(greeting(sign_record(record, SIGNERS[number])), ""))
                )

    def start(self) -> None:
        """Begins the node from what is on its disk."""
        rows = {table: dict(each) for table, each in self.rows.items()}
        self.node = Node(self.identity, FACTS, (), (), rows, Random(1), self.now_s)
        self.feed(Started())

    def run(self) -> None:
        """Goes on until the bytes are used up."""
        for _ in range(STEPS_MOST):
            if self.choices.over:
                break
            if self.choices.below(24) == 23:
                self.start()
            else:
                self.feed(self.event())
        self.start()
        view = PeerView(self.node)
        for read in (view.peers, view.sites, view.grids):
            read(self.now_s)
        view.this_peer()

    def feed(self, event: Event) -> None:
        """Gives the node one event, and what it says to itself because of it."""
        waiting = [event]
        for _ in range(50):
            if not waiting:
                return
            effects = self.node.handle(waiting.pop(0), self.now_s)
            self.node.check()
            for effect in effects:
                if isinstance(effect, Persist):
                    self.write(effect)
                if isinstance(effect, Send):
                    if isinstance(effect.message, HoldReply) and effect.message.grant is not None:
                        self.choices.granted.append(effect.message.grant)
                    cause, message = unpack(pack(effect.message, effect.cause), Message)
                    if effect.peer == self.node.me:
                        waiting.append(Arrived(effect.peer, message, cause))

    def write(self, effect: Persist) -> None:
        """Has it on the node's disk."""
        for row in effect.rows:
            table = self.rows.setdefault(row.table, {})
            if row.value is None:
                table.pop(row.key, None)
            else:
                table[row.key] = row.value

    def event(self) -> Event:
        """Whatever comes next."""
        choices = self.choices
        peer = choices.one(PEERS)
        match choices.below(18):
            case 0:
                return Connected(peer)
            case 1:
                return Disconnected(peer, "gone")
            case 2 | 3:
                number = PEERS.index(peer) + 1
                record = presence_record(number, choices.one((1, 2, 3)))
                return self.arrived(peer, pack(greeting(sign_record(record, SIGNERS[number])), ""))
            case 4 | 5 | 6 | 7 | 8:
                return self.arrived(peer, self.said())
            case 9:
                return self.arrived(peer, self.broken())
            case 10:
                self.now_s += choices.one((0.0, 0.01, 0.5, 1.0, 3.0, 8.0, 60.0, 1000.0))
                return Ticked()
            case 11:
                return self.asked()
            case 15 | 16 | 17:
                return self.arrived(choices.one(PEERS[:2]), self.stated())
            case 12:
                return RecordGiven(revocation(choices))
            case 13:
                return Readdressed(
                    choices.one(("", "h9:7000", "h1:7000")), choices.one(("", "gone"))
                )
            case _:
                return Renewed(choices.one(CHAINS))

    def asked(self) -> Event:
        """Somebody here wants something."""
        choices = self.choices
        request = RequestId(f"r{choices.below(4)}")
        match choices.below(4):
            case 0:
                return PlanAsked(request, grid_spec(choices.one(TEXTS[3:6]), 1 + choices.below(3)))
            case 1:
                return CancelAsked(request)
            case 2:
                return NewsGiven("a line")
            case _:
                return OrderGiven(request, signed_order(choices))

    def said(self) -> bytes:
        """A frame with any message, whose fields are anything, or a genuine record of anybody, of any kind."""
        choices = self.choices
        message = anything(choices.one(KINDS), choices, BODIES)
        try:
            return pack(message, choices.one(("", "r1")))
        except (ValueError, OverflowError):
            return b""

    def stated(self) -> bytes:
        """A frame about a register or a hold, mostly true."""
        message = anything(self.choices.one(ABOUT_GRIDS), self.choices, BODIES)
        try:
            return pack(message, "r1")
        except (ValueError, OverflowError):
            return b""

    def broken(self) -> bytes:
        """A golden frame with some bytes changed, or noise."""
        choices = self.choices
        frame = bytearray(choices.one([b"", *FRAMES]))
        for _ in range(choices.below(4)):
            if frame:
                frame[choices.below(len(frame))] = choices.byte()
        return bytes(frame) + choices.take(20)

    def arrived(self, peer: PeerId, frame: bytes) -> Event:
        """The event by which the shell would tell that a frame came."""
        try:
            cause, message = unpack(frame, Message)
        except Malformed as error:
            return Garbled(peer, error.reason)
        return Arrived(peer, message, cause, len(frame))


def read_frame(data: bytes) -> None:
    """Checks that a frame is read or Malformed, and that what was read can be written and read again."""
    try:
        cause, message = unpack(data, Message)
    except Malformed:
        pass
    else:
        again = pack(message, cause)
        assert unpack(again, Message) == (cause, message)
    for kind in BODIES.values():
        try:
            value = decode(data, kind)
        except Malformed:
            continue
        assert decode(encode(value), kind) == value


def run_world(data: bytes) -> None:
    """Everything these bytes do to a node."""
    World(data).run()
