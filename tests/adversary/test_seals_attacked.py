"""Members, and stewards that were replaced or lie, that hand a grid's register to whom nobody chose.

A grid has had one of its stewards replaced. Each attack is told to whole peers in virtual time; nothing of it
may be on their disks, and after a restart everything is as before too.
"""

from collections.abc import Iterator

import msgspec
import pytest

from protocol.contract.messages import Decided
from protocol.grid.decision import (
    Ballot,
    Certificate,
    Decision,
    check_certificate,
    heirs_of,
    seal_of,
    sign_acceptance,
)
from protocol.grid.record import GridRecord, GridState, Register, order_part, register_key
from protocol.grid.seal import Closing, Seal
from protocol.grid.steps import Finish, Replace, apply, opened
from protocol.hosting.lease import Lease
from protocol.node import replacing
from protocol.node.events import Arrived
from protocol.node.messages import Message
from protocol.node.node import Node
from protocol.node.snapshot import PeerView
from protocol.peering.quarantine import Quarantines
from protocol.register.messages import Accept, Prepare, Sealed, StepAsk
from protocol.sim.peer import SimPeer
from protocol.sim.people import grid_spec
from protocol.sim.world import World
from protocol.terms.effects import Note
from protocol.terms.ids import PeerId, StoreId, digest_of
from protocol.trust.certificate import Chain
from protocol.trust.order import Action
from protocol.wire.codec import encode

WITHIN_S = 120.0


class Scene:
    """A grid whose third steward died and was replaced; and a member of a site that is no part of it."""

    def __init__(self) -> None:
        self.world = world = World(5, 12, 4)
        world.start_all()
        world.run(5.0)
        self.asked = world.peers[0]
        self.admin = world.admins[self.asked.site]
        self.order = self.admin.up(grid_spec("shop", 2), world.now_s)
        world.give(self.asked, self.order)
        assert world.run_until(lambda: len(self.carriers()) == 2, WITHIN_S)
        world.run(5.0)
        self.record: GridRecord = _row(self.carriers()[0]).record
        self.key = order_part(self.record.id)
        self.first = self.record.stewards
        carriers = self.record.carriers()
        self.gone = world.by_id[next(p for p in reversed(self.first) if p not in carriers)]
        self.gone.crash()
        assert world.run_until(self.replaced, WITHIN_S)
        self.gone.start()
        world.run(30.0)
        self.register = self.shown().register
        self.stewards = [world.by_id[peer] for peer in self.register.stewards]
        sites = {self.admin_site, *(world.by_id[p].site for p in carriers)}
        used = {*carriers, *self.first, *self.register.stewards}
        self.mallory = next(p for p in world.peers if p.id not in used and p.site not in sites)
        self.before = self.standing()

    @property
    def admin_site(self) -> str:
        return self.asked.site

    def carriers(self) -> list[SimPeer]:
        return [p for p in self.world.peers if p.node is not None and p.node.host.leases.rows()]

    def replaced(self) -> bool:
        return all(self.gone.id not in _row(p).stewards for p in self.carriers())

    def shown(self) -> Decision:
        """The decision that a carrier has on disk."""
        certificate = _row(self.carriers()[0]).certificate
        assert certificate is not None
        return check_certificate(certificate, self.asked.identity.verifier)

    def standing(self) -> object:
        """What carriers and stewards, of before too, have of it, and what everybody sees. Not by which ballot:
        anybody may have what is decided decided again."""
        keep = dict.fromkeys((*self.first, *self.register.stewards, self.mallory.id))
        kept = {p: _kept(self.world.by_id[p], self.key) for p in keep}
        rows = [(_row(p).record, _row(p).stewards) for p in self.carriers()]
        view = PeerView(_node(self.asked))
        grids = [(g.name, g.state, g.epoch, g.stewards) for g in view.grids(self.world.now_s)]
        return kept, rows, grids

    def tell(self, to: SimPeer, message: Message, by: SimPeer | None = None) -> None:
        """She says that, or another. Faults so far are forgotten: there may be many like her."""
        quarantines, fresh = _node(to).overlay.quarantines, Quarantines()
        fresh.counts = quarantines.counts
        vars(quarantines).update(vars(fresh))
        to.feed(Arrived((by or self.mallory).id, message, ""))

    def tell_all(self, message: Message, by: SimPeer | None = None) -> None:
        for peer in dict.fromkeys((*self.carriers(), *self.stewards, self.gone)):
            if by is None or peer is not by:
                self.tell(peer, message, by)

    def unharmed(self) -> None:
        self.world.run(5.0)
        assert self.standing() == self.before
        for peer in dict.fromkeys((*self.carriers(), *self.stewards, self.gone)):
            peer.crash()
            peer.start()
        self.world.run(30.0)
        assert self.standing() == self.before, "after a restart too"

    # -- what liars can sign

    def signed(self, register: Register, by: tuple[PeerId, ...], round_: int = 1000) -> Certificate:
        value, ballot = encode(register), Ballot(round_, by[0])
        key, term, heirs = self.key, register.term, heirs_of(register)
        votes = []
        for peer in by:
            signer = self.world.by_id[peer].identity.signer
            store = register.seats.store_of(peer)
            votes.append((peer, sign_acceptance(signer, key, ballot, value, term, heirs, store)))
        return Certificate(key, ballot, value, tuple(votes))

    def seal(self, register: Register, by: tuple[PeerId, ...], heirs: tuple[PeerId, ...]) -> Seal:
        """What these would have signed if they had closed the register so."""
        closed, stores = self.closing(heirs), self.stores(heirs)
        certificate = self.signed(msgspec.structs.replace(register, closed=closed), by)
        digest = digest_of(certificate.value)
        return Seal(heirs, certificate.ballot, digest, certificate.votes, stores)

    def closing(self, heirs: tuple[PeerId, ...], chain: Chain = ()) -> Closing:
        return Closing(heirs, chain, self.stores(heirs))

    def stores(self, of: tuple[PeerId, ...]) -> tuple[StoreId, ...]:
        return tuple(_node(self.world.by_id[peer]).overlay.past.store.id for peer in of)

    def down(self, register: Register) -> Register:
        """The grid ended by its owner's order, so that nothing but its stewards is wrong."""
        order = self.admin.order(Action.DOWN, self.record.id, self.world.now_s)
        record = msgspec.structs.replace(
            self.record, epoch=self.record.epoch + 1, state=GridState.DOWN, changes=(order,)
        )
        return msgspec.structs.replace(register, record=record)


def _node(peer: SimPeer) -> Node:
    assert peer.node is not None
    return peer.node


def _row(peer: SimPeer) -> Lease:
    return _node(peer).host.leases.rows()[0]


def _kept(peer: SimPeer, key: str) -> object:
    kept = _node(peer).registers.acceptor.get(key)
    if kept is None:
        return None
    return kept.register.record, kept.register.first, [seal.heirs for seal in kept.slot.seals]


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(replacing, "STEWARD_GONE_S", 20.0)
        patched.setattr(replacing, "SEAL_LOOK_EVERY_S", 5.0)
        yield Scene()


def test_a_seal_that_a_minority_signed_moves_nobody(scene: Scene) -> None:
    """One steward of each set lies, and Mallory with it."""
    mallory, (one, *_) = scene.mallory.id, scene.register.stewards
    before = Register(scene.record)
    for register, liar in [(before, scene.first[0]), (scene.register, one)]:
        keepers = register.keepers
        heirs = tuple(mallory if p == scene.gone.id or p == keepers[-1] else p for p in keepers)
        for by in [(liar,), (liar, mallory), (mallory,), (liar, liar)]:
            seals = (*register.seals, scene.seal(register, by, heirs))
            scene.tell_all(Sealed("", scene.key, scene.order, seals))
            scene.tell_all(StepAsk("x", scene.key, Finish(), scene.order, None, seals))
            ballot = Ballot(2000, mallory)
            prepare = Prepare(register=scene.key, ballot=ballot, order=scene.order, seals=seals)
            scene.tell_all(prepare)
            began = msgspec.structs.replace(register, seals=seals)
            scene.tell_all(Accept(register=scene.key, ballot=ballot, value=encode(began)))
            scene.tell_all(Decided(scene.signed(scene.down(began), (liar, mallory))))
    scene.unharmed()


def test_a_seal_of_another_register_moves_nobody(scene: Scene) -> None:
    """Mallory is a steward of a grid of her own, with friends of hers. Their seals are true."""
    rival = scene.world.admins[scene.mallory.site]
    friends = tuple(p.id for p in scene.world.peers if p.site == scene.mallory.site)
    rival.stewards, was = (lambda: friends), rival.stewards
    mine = rival.up(grid_spec("shop", 2), scene.world.now_s)
    rival.stewards = was
    heirs = (*friends[:-1], scene.first[0])
    key, scene.key = scene.key, register_key(mine)
    seal = scene.seal(Register(None, 1, (), mine), friends, heirs)
    scene.key = key
    for order in (mine, scene.order):
        scene.tell_all(Sealed("", key, order, (seal,)))
        scene.tell_all(StepAsk("x", key, Finish(), order, None, (seal,)))
        ballot = Ballot(2000, scene.mallory.id)
        scene.tell_all(Prepare(register=key, ballot=ballot, order=order, seals=(seal,)))
    scene.unharmed()


def test_nobody_has_a_steward_replaced_by_asking(scene: Scene) -> None:
    chain = scene.world.federation.host_chain(scene.admin_site, scene.asked.name)
    for gone in scene.register.stewards:
        stores = scene.stores((scene.mallory.id, scene.asked.id))
        step = Replace(gone, scene.mallory.id, scene.mallory.identity.chain, stores[0])
        honest = Replace(gone, scene.asked.id, chain, stores[1])
        for by in (scene.mallory, scene.gone, *scene.stewards):
            for each in (step, honest):
                scene.tell_all(StepAsk("x", scene.key, each, scene.order), by)
    scene.unharmed()


def test_a_steward_that_lies_names_no_strangers(scene: Scene) -> None:
    """It proposes to be followed by Mallory, or has Mallory follow another; the others do not accept that."""
    liar = scene.stewards[0]
    gone = scene.stewards[-1].id
    for chain in (scene.mallory.identity.chain, (), liar.identity.chain):
        (store,) = scene.stores((scene.mallory.id,))
        closed = apply(Replace(gone, scene.mallory.id, chain, store), scene.register, 0.0)
        assert closed.closed is not None
        accept = Accept(register=scene.key, ballot=Ballot(3000, liar.id), value=encode(closed))
        scene.tell_all(accept, liar)
    heirs = (liar.id, scene.mallory.id, scene.gone.id)
    everybody = scene.closing(heirs, scene.mallory.identity.chain)
    closed = msgspec.structs.replace(scene.register, closed=everybody)
    scene.tell_all(
        Accept(register=scene.key, ballot=Ballot(3000, liar.id), value=encode(closed)), liar
    )
    scene.unharmed()


def test_stewards_that_were_replaced_end_nothing(scene: Scene) -> None:
    """A majority of the first set lies together after it was replaced: with the owner's own order even."""
    two = (scene.gone.id, next(p for p in scene.first if p != scene.gone.id))
    ended = scene.signed(scene.down(Register(scene.record)), two)
    assert check_certificate(ended, scene.asked.identity.verifier), "it proves itself"
    scene.tell_all(Decided(ended))
    scene.tell_all(StepAsk("x", scene.key, Finish(), scene.order, ended))
    scene.unharmed()


def test_of_two_heirs_the_one_that_is_known_stays(scene: Scene) -> None:
    """The same two sign that Mallory follows one of them, and with her decide that the grid is down."""
    other = next(p for p in scene.first if p != scene.gone.id)
    last = next(p for p in scene.first if p not in (scene.gone.id, other))
    heirs = tuple(scene.mallory.id if p == last else p for p in scene.first)
    closed = msgspec.structs.replace(
        Register(scene.record), closed=scene.closing(heirs, scene.mallory.identity.chain)
    )
    certificate = scene.signed(closed, (scene.gone.id, other))
    fork = check_certificate(certificate, scene.asked.identity.verifier)
    seals = (seal_of(fork),)
    ended = scene.signed(scene.down(opened(closed, seals)), (scene.gone.id, scene.mallory.id))
    assert check_certificate(ended, scene.asked.identity.verifier), "it proves itself"
    noted: list[str] = []
    was = scene.world.noted

    def listen(peer: SimPeer, note: Note) -> None:
        noted.append(f"{note.kind}: {note.detail}")
        was(peer, note)

    scene.world.noted = listen  # type: ignore[method-assign]
    for shown in (certificate, ended):
        scene.tell_all(Decided(shown))
        scene.tell_all(StepAsk("x", scene.key, Finish(), scene.order, shown))
    scene.tell_all(Sealed("", scene.key, scene.order, seals))
    ballot = Ballot(4000, scene.mallory.id)
    scene.tell_all(Prepare(register=scene.key, ballot=ballot, order=scene.order, seals=seals))
    scene.world.noted = was  # type: ignore[method-assign]
    assert any("replaced by two different sets" in line for line in noted), "and its owner is told"
    scene.unharmed()


def test_the_grid_is_its_owners_still(scene: Scene) -> None:
    """Last: whatever was tried, `down` at any peer ends it."""
    down = scene.admin.order(Action.DOWN, scene.record.id, scene.world.now_s)
    scene.world.give(scene.mallory, down)
    assert scene.world.run_until(lambda: not scene.carriers(), WITHIN_S)
