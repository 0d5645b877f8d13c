"""Records that a member changed: it saw the genuine one, and has a valid host certificate and nobody's key.

An attempt costs it one message. It never costs others anything: what they carry, and what they hold, stays as
it was, also after a restart, and the owner still ends the grid.
"""

from collections.abc import Callable
from functools import partial

import msgspec
import pytest
from deciding import Steward

from protocol.contract.messages import Decided, HoldAsk, HoldRelease, HoldReply
from protocol.contract.outcomes import AuditLease, VoidHold
from protocol.grid.decision import Ballot, Certificate, check_certificate, sign_acceptance
from protocol.grid.grant import HoldGrant, SignedGrant, sign_grant
from protocol.grid.record import (
    Assignment,
    GridRecord,
    GridState,
    HostRef,
    Register,
    grid_id,
    register_key,
    vni_of,
)
from protocol.node.events import Arrived
from protocol.sim.keys import SimVerifier
from protocol.sim.peer import SimPeer
from protocol.sim.people import grid_spec
from protocol.sim.world import World
from protocol.terms.effects import Effect, Send
from protocol.terms.refusal import Constraint
from protocol.trust.order import Action, read_order
from protocol.trust.signing import Untrusted
from protocol.wire.codec import encode

WITHIN_S = 30.0


def as_decided(record: GridRecord) -> Certificate:
    """The record as if all its stewards had lied: mallory cannot have that, and gains nothing by it."""
    order = record.order
    key, value, stewards = register_key(order), encode(Register(record)), record.stewards
    ballot = Ballot(1 << 20, stewards[0])
    sign, stores = (
        partial(sign_acceptance, register=key, ballot=ballot, value=value),
        read_order(order).store_of,
    )
    votes = tuple((s, sign(Steward(s), store=stores(s))) for s in stewards)
    return Certificate(key, ballot, value, votes)


class Scene:
    """A grid over two hosts, and a member that is none of them."""

    def __init__(self) -> None:
        self.world = world = World(3, 5, 2)
        world.start_all()
        world.run(5.0)
        self.asked = world.peers[0]
        self.admin = world.admins[self.asked.site]
        world.give(self.asked, self.admin.up(grid_spec("shop", 2), world.now_s))
        assert world.run_until(lambda: len(self.carriers()) == 2, WITHIN_S)
        world.run(10.0)
        self.one, self.other = self.carriers()
        self.record = self.carried(self.one)
        used = (*(host.peer for host in self.record.hosts), self.asked.id)
        self.mallory = next(peer for peer in world.peers if peer.id not in used)

    def carriers(self) -> list[SimPeer]:
        return [p for p in self.world.peers if p.node is not None and p.node.host.leases.rows()]

    def carried(self, peer: SimPeer) -> GridRecord:
        assert peer.node is not None
        (row,) = peer.node.host.leases.rows()
        return row.record

    def tell(self, record: GridRecord) -> None:
        """Mallory tells both hosts, and then it comes out of the register, as if stewards had said it."""
        for peer in (self.one, self.other):
            peer.feed(Arrived(self.mallory.id, Decided(as_decided(record)), ""))
            node = peer.node
            assert node is not None
            now = self.world.now_s
            try:
                said = check_certificate(as_decided(record), SimVerifier())
            except Untrusted:
                continue
            for purpose in (AuditLease(self.record.id), VoidHold(self.record.id)):
                effects, _ = node.host.settled(purpose, said, now)
                assert not any(isinstance(e, Send) for e in effects)

    def unharmed(self) -> None:
        for peer in (self.one, self.other):
            assert self.carried(peer) == self.record
            assert peer.node is not None
            wanted = peer.node.host.leases.wanted(self.record.id)
            assert [w.power for w in wanted] == ["running"]

    def restart(self) -> None:
        for peer in (self.one, self.other):
            peer.crash()
            peer.start()
        self.world.run(10.0)


@pytest.fixture(scope="module")
def scene() -> Scene:
    return Scene()


def newer(scene: Scene, **changes: object) -> GridRecord:
    return msgspec.structs.replace(scene.record, epoch=scene.record.epoch + 1, **changes)  # type: ignore[arg-type]


def herself(scene: Scene) -> HostRef:
    return HostRef(scene.mallory.id, "mallory", scene.mallory.site)


def her_grant(scene: Scene, *names: str) -> SignedGrant:
    """Of what nobody asked her to hold, signed by herself all the same."""
    ids = tuple(vni for _, vni in scene.record.vnis)
    grant = HoldGrant(scene.record.id, names, ids, scene.record.start_s)
    return sign_grant(grant, scene.mallory.identity.signer)


def adds_herself(scene: Scene) -> GridRecord:
    record = scene.record
    return newer(
        scene,
        hosts=(*record.hosts, herself(scene)),
        assignments=(*record.assignments, Assignment("web-3", scene.mallory.id)),
        grants=(*record.grants, her_grant(scene, "web-3")),
    )


def takes_a_workspace(scene: Scene) -> GridRecord:
    record = scene.record
    return newer(
        scene,
        hosts=(record.hosts[0], herself(scene)),
        assignments=(record.assignments[0], Assignment("web-2", scene.mallory.id)),
        grants=(record.grants[0], her_grant(scene, "web-2")),
    )


def swaps_hosts(scene: Scene) -> GridRecord:
    one, other = scene.record.assignments
    swapped = (Assignment(one.workspace, other.host), Assignment(other.workspace, one.host))
    return newer(scene, assignments=swapped)


def places_twice(scene: Scene) -> GridRecord:
    one, other = scene.record.assignments
    return newer(scene, assignments=(one, other, Assignment(one.workspace, other.host)))


def renames_hosts(scene: Scene) -> GridRecord:
    hosts = tuple(msgspec.structs.replace(h, name="elsewhere") for h in scene.record.hosts)
    return newer(scene, hosts=hosts)


def changes_network_ids(scene: Scene) -> GridRecord:
    return newer(scene, vnis=tuple((name, vni ^ 1) for name, vni in scene.record.vnis))


def changes_the_start(scene: Scene) -> GridRecord:
    return newer(scene, start_s=scene.world.now_s + 3600)


def names_stewards(scene: Scene) -> GridRecord:
    return newer(scene, stewards=(scene.mallory.id,))


def raises_the_epoch(scene: Scene) -> GridRecord:
    return msgspec.structs.replace(scene.record, epoch=10**9)


def ends_it(scene: Scene) -> GridRecord:
    return newer(scene, state=GridState.DOWN)


def drops_the_grants(scene: Scene) -> GridRecord:
    return newer(scene, grants=())


FORGERIES = (
    adds_herself, takes_a_workspace, swaps_hosts, places_twice, renames_hosts, changes_network_ids,
    changes_the_start, names_stewards, raises_the_epoch, ends_it, drops_the_grants,
)  # fmt: skip


@pytest.mark.parametrize("forge", FORGERIES)
def test_what_is_carried_stays_as_it_is(scene: Scene, forge: Callable[[Scene], GridRecord]) -> None:
    scene.tell(forge(scene))
    scene.unharmed()


def test_after_a_restart_nothing_has_changed_and_the_owner_still_ends_it() -> None:
    scene = Scene()
    for forge in FORGERIES:
        scene.tell(forge(scene))
    scene.restart()
    scene.unharmed()
    for forge in FORGERIES:
        scene.tell(forge(scene))
    scene.unharmed()
    down = scene.admin.order(Action.DOWN, scene.record.id, scene.world.now_s)
    scene.world.give(scene.asked, down)
    assert scene.world.run_until(lambda: scene.carriers() == [], WITHIN_S)


class Held:
    """Two hosts that hold a workspace each for the peer that was asked; nothing is decided yet."""

    def __init__(self) -> None:
        self.world = world = World(5, 5, 2)
        world.start_all()
        world.run(5.0)
        self.asked, self.one, self.other, self.mallory, _ = world.peers
        self.admin = world.admins[self.asked.site]
        self.order = self.admin.up(grid_spec("shop", 2), world.now_s)
        self.before, self.grid = (grid_id(self.order, attempt) for attempt in (0, 1))
        self.vnis = (("lan", vni_of(self.grid, "lan")),)
        self.placed = {"web-1": self.one, "web-2": self.other}
        self.grants = tuple(self.hold(name, peer) for name, peer in self.placed.items())
        self.record = self.drawn(self.grants)

    def ask(self, workspace: str) -> HoldAsk:
        return HoldAsk(self.grid, self.order, (workspace,), self.vnis, 8.0)

    def hold(self, workspace: str, peer: SimPeer) -> SignedGrant:
        reply = self.answered(peer, self.ask(workspace))
        assert reply.held == (workspace,)
        assert reply.grant is not None
        return reply.grant

    def answered(self, peer: SimPeer, ask: HoldAsk) -> HoldReply:
        assert peer.node is not None
        effects: list[Effect] = []
        peer.feed(Arrived(self.asked.id, ask, ""))
        _, _, effects = peer.story[-1]
        (reply,) = [
            e.message for e in effects if isinstance(e, Send) and isinstance(e.message, HoldReply)
        ]
        return reply

    def drawn(self, grants: tuple[SignedGrant, ...]) -> GridRecord:
        return GridRecord(
            id=self.grid,
            name="shop",
            owner=self.admin.signer.key,
            owner_site=self.asked.site,
            epoch=1,
            state=GridState.UP,
            order=self.order,
            stewards=read_order(self.order).stewards,
            hosts=tuple(HostRef(p.id, p.name, p.site) for p in self.placed.values()),
            assignments=tuple(Assignment(n, p.id) for n, p in self.placed.items()),
            vnis=self.vnis,
            grants=grants,
        )

    def tell(self, sender: SimPeer, record: GridRecord) -> None:
        for peer in self.placed.values():
            peer.feed(Arrived(sender.id, Decided(as_decided(record)), ""))

    def still_holds(self) -> None:
        for name, peer in self.placed.items():
            assert peer.node is not None
            row = peer.node.host.holds.row(self.grid)
            assert row is not None
            assert row.workspaces == (name,)
            assert peer.node.host.leases.rows() == []

    def would_carry(self) -> None:
        """The genuine record is believed. In the simulation no steward has decided it, so it is not told."""
        for peer in self.placed.values():
            node = peer.node
            assert node is not None
            assert node.host.holds.fault(self.asked.id, self.record, peer.id) == ""
            assert node.authority.vouch(self.record, None, self.world.now_s).name == "shop"


@pytest.fixture(scope="module")
def held() -> Held:
    return Held()


def granted(
    held: Held, peer: SimPeer, signer: SimPeer | None = None, **changes: object
) -> SignedGrant:
    """A grant of what `peer` holds with some of it changed, signed by `signer` in its name."""
    name = next(n for n, p in held.placed.items() if p is peer)
    plain = HoldGrant(held.grid, (name,), tuple(vni for _, vni in held.vnis))
    changed = msgspec.structs.replace(plain, **changes)  # type: ignore[arg-type]
    signed = sign_grant(changed, (signer or peer).identity.signer)
    return msgspec.structs.replace(signed, host=peer.id)


def flipped(signed: SignedGrant, bit: int) -> SignedGrant:
    """With one bit of its payload or signature the other way."""
    both = bytearray(signed.payload + signed.signature)
    both[bit // 8] ^= 1 << bit % 8
    size = len(signed.payload)
    return SignedGrant(signed.host, bytes(both[:size]), bytes(both[size:]))


def untrue(held: Held) -> dict[str, GridRecord]:
    """Records that even the peer which was asked cannot have carried out."""
    one, other = held.grants
    mine = granted(held, held.other, held.mallory)
    record = held.record
    moved = msgspec.structs.replace(record.assignments[1], host=held.one.id)
    return {
        "another signed it": held.drawn((one, mine)),
        "of an older attempt": held.drawn((one, granted(held, held.other, grid=held.before))),
        "other network ids": held.drawn((one, granted(held, held.other, vnis=(7,)))),
        "another start": held.drawn((one, granted(held, held.other, start_s=1.0))),
        "more than is placed": held.drawn(
            (one, granted(held, held.other, workspaces=("web-1", "web-2")))
        ),
        "one is missing": held.drawn((one,)),
        "one comes twice": held.drawn((one, one)),
        "none": held.drawn(()),
        "in another order": held.drawn((other, one)),
        "ids that nobody granted": msgspec.structs.replace(record, vnis=(("lan", 7),)),
        "a start that nobody granted": msgspec.structs.replace(record, start_s=1.0),
        "all on one host": msgspec.structs.replace(
            record, assignments=(record.assignments[0], moved)
        ),
        "a host more": msgspec.structs.replace(
            record, hosts=(*record.hosts, HostRef(held.mallory.id, "m", held.mallory.site))
        ),
    }


def test_what_is_held_becomes_nothing_but_what_all_hosts_granted(held: Held) -> None:
    for why, record in untrue(held).items():
        held.tell(held.asked, record)
        held.still_holds()
        assert held.one.notes["record.refused"] > 0, why


def test_no_bit_of_a_grant_can_be_changed(held: Held) -> None:
    one, other = held.grants
    bits = 8 * len(other.payload + other.signature)
    for bit in range(0, bits, 7):
        held.tell(held.asked, held.drawn((one, flipped(other, bit))))
    held.still_holds()


def test_only_the_peer_that_had_it_held_decides_or_lets_go(held: Held) -> None:
    held.tell(held.mallory, held.record)
    for name, peer in held.placed.items():
        peer.feed(Arrived(held.mallory.id, HoldRelease(held.grid, (name,)), ""))
        peer.feed(Arrived(held.mallory.id, held.ask(name), ""))
    held.still_holds()


@pytest.mark.parametrize(
    "vnis",
    [
        (),
        (("lan", 0),),
        (("lan", 1 << 24),),
        (("wan", 5),),
        (("lan", 5), ("lan", 6)),
        (("lan", -1),),
    ],
)
def test_network_ids_that_no_network_can_have_are_not_held(
    held: Held, vnis: tuple[tuple[str, int], ...]
) -> None:
    order = held.admin.up(grid_spec("bazaar", 2), held.world.now_s)
    ask = HoldAsk(grid_id(order), order, ("web-1",), vnis, 8.0)
    reply = held.answered(held.one, ask)
    assert (reply.held, reply.grant) == ((), None)
    assert [refusal.constraint for _, refusal in reply.refused] == [Constraint.NETWORK_ID]


def test_after_a_restart_what_is_held_is_what_was_granted_still() -> None:
    held = Held()
    for record in untrue(held).values():
        held.tell(held.asked, record)
    for peer in held.placed.values():
        peer.crash()
        peer.start()
    held.world.run(2.0)
    held.still_holds()
    for record in untrue(held).values():
        held.tell(held.asked, record)
    held.tell(held.mallory, held.record)
    held.still_holds()
    assert [held.hold(name, peer) for name, peer in held.placed.items()] == list(held.grants)
    held.would_carry()


@pytest.mark.parametrize("state", list(GridState))
def test_a_grid_that_had_the_name_before_ends_none_that_has_it_now(state: GridState) -> None:
    """Its record was genuine once. A lying steward shows it again, of a greater epoch."""
    scene = Scene()
    world, before = scene.world, scene.record
    world.give(scene.asked, scene.admin.order(Action.DOWN, before.id, world.now_s))
    assert world.run_until(lambda: scene.carriers() == [], WITHIN_S)
    world.run(5.0)
    world.give(scene.asked, scene.admin.up(grid_spec("shop", 2), world.now_s))
    assert world.run_until(lambda: len(scene.carriers()) == 2, WITHIN_S)
    world.run(10.0)
    scene.one, scene.other = scene.carriers()
    scene.record = scene.carried(scene.one)
    again = msgspec.structs.replace(
        before, epoch=10**6, state=state, stewards=scene.record.stewards
    )
    scene.tell(again)
    scene.unharmed()
    scene.restart()
    scene.tell(again)
    scene.unharmed()
