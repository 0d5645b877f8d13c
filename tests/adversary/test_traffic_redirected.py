"""Where a host takes the traffic of its networks is its own word, newest first: nobody else leads it away."""

from random import Random

import msgspec
import pytest
from deciding import decided

from protocol.broadcast.messages import Gossip
from protocol.contract.messages import Decided
from protocol.grid.tunnel import TunnelEnd
from protocol.membership.messages import Presence
from protocol.node.events import Arrived, Probed
from protocol.sim.peer import SimPeer
from protocol.sim.people import grid_spec
from protocol.sim.world import World
from protocol.trust.record import DOMAIN, SignedRecord, read_record
from protocol.wire.codec import decode, encode

WITHIN_S = 20.0
MINE = TunnelEnd("203.0.113.66", 1450)
"""Where Mallory would have the traffic."""


class Scene:
    """A grid over two hosts: `one` sends to `other`, which moves once. Mallory keeps what she has seen."""

    def __init__(self) -> None:
        self.world = world = World(3, 5, 2)
        world.start_all()
        world.run(5.0)
        asked = world.peers[0]
        order = world.admins[asked.site].up(grid_spec("shop", 2), world.now_s)
        world.give(asked, order)
        assert world.run_until(lambda: len(self.carriers()) == 2, WITHIN_S)
        world.run(5.0)
        self.one, self.other = self.carriers()
        assert self.one.node is not None
        (row,) = self.one.node.host.leases.rows()
        self.record = row.record
        used = (*(host.peer for host in row.record.hosts), asked.id)
        self.mallory = next(peer for peer in world.peers if peer.id not in used)
        self.before = self.presence()
        self.first = self.end
        assert self.other.facts is not None
        self.other.facts = msgspec.structs.replace(self.other.facts, underlay="192.0.2.77")
        self.other.feed(Probed(self.other.facts))
        assert world.run_until(lambda: self.end.underlay == "192.0.2.77", WITHIN_S)
        self.moved = self.end

    def carriers(self) -> list[SimPeer]:
        return [p for p in self.world.peers if p.node is not None and p.node.host.leases.rows()]

    def presence(self) -> SignedRecord:
        """The presence of the host that is sent to, as everybody has it."""
        assert self.mallory.node is not None
        held = self.mallory.node.broadcast.directory.get(self.other.id, "presence")  # type: ignore[arg-type]
        assert held is not None
        return held.signed

    @property
    def end(self) -> TunnelEnd:
        """Where `one` sends what is for `other`."""
        assert self.one.node is not None
        (row,) = self.one.node.host.leases.rows()
        (told,) = row.ends
        return told.end

    def hears(self, signed: SignedRecord) -> None:
        self.one.feed(Arrived(self.mallory.id, Gossip((signed,)), ""))
        self.world.run(1.0)

    def restarts(self) -> None:
        """Mallory is heard first, before the host itself is."""
        self.one.crash()
        self.one.start()
        assert self.end == self.moved, "from its disk"
        self.world.run(2.0)

    def forged(self, **changes: object) -> SignedRecord:
        """The newest presence, newer still, with another end, as Mallory can sign it."""
        record = read_record(self.presence())
        body = encode(msgspec.structs.replace(decode(record.body, Presence), tunnel=MINE))
        newer = msgspec.structs.replace(
            record,
            body=body,
            incarnation=record.incarnation + 5,
            **changes,  # type: ignore[arg-type]
        )
        payload = encode(newer)
        return SignedRecord(payload, self.mallory.identity.signer.sign(DOMAIN, payload))


@pytest.fixture(scope="module")
def scene() -> Scene:
    return Scene()


def test_no_record_of_a_grid_says_where_a_host_is(scene: Scene) -> None:
    raw = msgspec.to_builtins(scene.record, builtin_types=(bytes,))
    for host in raw["hosts"]:
        host |= {"underlay": MINE.underlay, "mtu": MINE.mtu}
    raw["epoch"] += 1
    forged = decode(encode(raw), type(scene.record))
    said = Decided(decided(forged).certificate)
    scene.one.feed(Arrived(scene.mallory.id, said, ""))
    assert scene.end == scene.moved


def test_nobody_signs_a_presence_for_another(scene: Scene) -> None:
    scene.hears(scene.forged())
    scene.hears(scene.forged(owner=scene.mallory.id))
    assert scene.end == scene.moved


def test_no_bit_of_a_presence_can_be_changed(scene: Scene) -> None:
    genuine, dice = scene.presence(), Random(1)
    for _ in range(60):
        payload = bytearray(genuine.payload)
        payload[dice.randrange(len(payload))] ^= 1 << dice.randrange(8)
        scene.one.feed(
            Arrived(
                scene.mallory.id, Gossip((SignedRecord(bytes(payload), genuine.signature),)), ""
            )
        )
    scene.world.run(1.0)
    assert scene.end == scene.moved


def test_an_older_presence_leads_nothing_back_to_where_the_host_was() -> None:
    scene = Scene()
    assert scene.first != scene.moved
    scene.hears(scene.before)
    assert scene.end == scene.moved
    scene.other.crash()
    scene.restarts()
    scene.hears(scene.before)
    assert scene.end == scene.moved, "though this host has forgotten that there was a newer one"
    scene.other.start()
    scene.world.run(5.0)
    assert scene.end == scene.moved
