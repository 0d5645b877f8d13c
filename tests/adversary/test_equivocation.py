"""A steward that says "nothing accepted" and had accepted: who meets both tells all, and it is out.

Nobody else can be put out: not by a proof that is made up, and not for having lost a disk.
"""

import msgspec
import pytest
from lying_member import HONEST_SITE, OTHER_SITE, Attacked, peer_id, presence, says, signer
from one_peer import FED

from protocol.grid.decision import Ballot, acceptance, promise
from protocol.grid.equivocation import Accusation, Equivocation
from protocol.grid.record import GridRecord, order_part
from protocol.grid.statement import Statement, Word
from protocol.grid.steps import Finish
from protocol.node.events import Arrived
from protocol.node.rows import PeerRow
from protocol.node.snapshot import PeerView
from protocol.peering.equivocators import name_of
from protocol.register.messages import Prepare, Promise, StepAsk
from protocol.sim.peer import SimPeer
from protocol.sim.people import grid_spec
from protocol.sim.world import World
from protocol.terms.effects import Send
from protocol.terms.ids import PeerId, StoreId
from protocol.trust.order import read_order
from protocol.trust.record import SignedRecord
from protocol.wire.codec import encode

WITHIN_S = 60.0
KEY, STORE = "a" * 20, StoreId("1" * 16)
LIFE_S = 86_400.0


class Scene:
    """A grid that is up, a steward of it that lies, and one that is asked for a step."""

    def __init__(self) -> None:
        self.world = world = World(5, 7, 2)
        world.start_all()
        world.run(5.0)
        self.admin = world.admins[world.peers[0].site]
        order = self.admin.up(grid_spec("shop", 2), world.now_s)
        world.give(world.peers[0], order)
        assert world.run_until(lambda: len(self.carriers()) == 2, WITHIN_S)
        world.run(5.0)
        (row,) = _node(self.carriers()[0]).host.leases.rows()
        self.record: GridRecord = row.record
        assert row.certificate is not None
        self.certificate = row.certificate
        self.key = order_part(self.record.id)
        first, *_ = stewards = [world.by_id[peer] for peer in self.record.stewards]
        votes = dict(self.certificate.votes)
        self.liar = next(p for p in stewards if p.id in votes and p is not first)
        self.asked = first
        self.store = read_order(order).store_of(self.liar.id)

    def carriers(self) -> list[SimPeer]:
        return [p for p in self.world.peers if p.node is not None and p.node.host.leases.rows()]

    def lie(self) -> None:
        """The steward that is asked for a step is promised, by one that accepted, that it never did."""
        ask = StepAsk("ask", self.key, Finish(), evidence=self.certificate)
        self.asked.feed(Arrived(self.carriers()[0].id, ask, ""))
        _, _, effects = self.asked.story[-1]
        (prepare,) = [
            e.message
            for e in effects
            if isinstance(e, Send) and e.peer == self.liar.id and isinstance(e.message, Prepare)
        ]
        payload = promise(self.key, prepare.ballot, None, b"", store=self.store)
        signature = self.liar.identity.signer.sign("promise", payload)
        word = Promise(
            register=self.key,
            ballot=prepare.ballot,
            accepted=None,
            value=b"",
            signature=signature,
        )
        self.asked.feed(Arrived(self.liar.id, word, ""))

    def others(self) -> list[SimPeer]:
        return [p for p in self.world.peers if p is not self.liar and p.node is not None]

    def row(self, peer: SimPeer) -> PeerRow:
        rows = PeerView(_node(peer)).peers(self.world.now_s)
        return next(row for row in rows if row.peer == self.liar.id)

    def is_out(self) -> bool:
        return all(self.liar.id not in _node(p).membership.known for p in self.others())


def _node(peer: SimPeer):  # type: ignore[no-untyped-def]
    assert peer.node is not None
    return peer.node


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_a_steward_that_lies_is_out_everywhere_and_after_a_restart(scene: Scene) -> None:
    before = [
        _node(p).host.leases.rows()[0].record for p in scene.carriers() if p is not scene.liar
    ]
    scene.liar.crash()
    scene.lie()
    assert scene.world.run_until(scene.is_out, 10.0)
    for peer in scene.others():
        assert peer.notes["peer.equivocated"] == 1
        peer.crash()
        peer.start()
    scene.world.run(20.0)
    for peer in scene.others():
        row = scene.row(peer)
        assert (row.health, row.name, row.store) == ("out", scene.liar.name, scene.store)
        assert "a promise that it had accepted nothing" in row.lied
        why = _node(peer).overlay.past.out.why(scene.liar.id, scene.store)
        assert "let in with another one" in why
    carriers = [p for p in scene.carriers() if p is not scene.liar]
    assert [_node(p).host.leases.rows()[0].record for p in carriers] == before
    down = scene.admin.order("down", "shop", scene.world.now_s)  # type: ignore[arg-type]
    scene.world.give(scene.asked, down)
    assert scene.world.run_until(lambda: not any(p.machines.there for p in carriers), WITHIN_S)


def test_who_was_restored_and_told_takes_another_store_and_is_back(scene: Scene) -> None:
    """The proof cannot tell a liar from a disk of last week. What that promised is void; the host goes on."""
    scene.lie()
    out = scene.world.run_until(lambda: scene.liar.notes["store.renewed"] == 1, 30.0)
    assert out, "it is shown the proof by whoever it speaks with"

    def back() -> bool:
        known = [_node(p).membership.known.get(scene.liar.id) for p in scene.others()]
        return all(k is not None and k.store not in ("", scene.store) for k in known)

    assert scene.world.run_until(back, WITHIN_S)
    assert scene.row(scene.asked).lied, "what was proven stays to be seen"
    for peer in scene.world.peers:
        peer.crash()
        peer.start()
    assert scene.world.run_until(back, WITHIN_S)
    assert scene.liar.notes["store.renewed"] == 1


# -- proofs that are none


def statement(word: Word, payload: bytes, name: str, site: str) -> Statement:
    return Statement(word, payload, signer(name, site).sign(str(word), payload))


def pair(
    name: str, site: str, store: StoreId = STORE, terms: tuple[int, int] = (0, 0)
) -> tuple[Statement, Statement]:
    """What that host signs when it lies."""
    me = peer_id(name, site)
    accepted = acceptance(KEY, Ballot(0, me), b"value", terms[0], store=store)
    promised = promise(KEY, Ballot(1, me), None, b"", terms[1], store)
    return (
        statement(Word.ACCEPTANCE, accepted, name, site),
        statement(Word.PROMISE, promised, name, site),
    )


def accusing(
    whom: PeerId,
    one: Statement,
    other: Statement,
    chain: tuple[str, str] = ("n1", HONEST_SITE),
    about: str | None = None,
    number: int = 1,
) -> SignedRecord:
    """Mallory publishes that."""
    proof = Equivocation(whom, one, other)
    body = encode(Accusation(proof, FED.host_chain(chain[1], chain[0])))
    name = about if about is not None else name_of(proof)
    return says("mallory", OTHER_SITE, "equivocation", body, name, number, LIFE_S)


def forged() -> dict[str, SignedRecord]:
    victim = peer_id("n1", HONEST_SITE)
    mine, theirs = pair("mallory", OTHER_SITE), pair("n1", HONEST_SITE)
    later = acceptance(KEY, Ballot(4, victim), b"value", store=STORE)
    other_store = pair("n1", HONEST_SITE, StoreId("2" * 16))
    return {
        "her own statements": accusing(victim, *mine),
        "one of each": accusing(victim, theirs[0], mine[1]),
        "one statement twice": accusing(victim, theirs[0], theirs[0]),
        "what was accepted after the promise": accusing(
            victim, statement(Word.ACCEPTANCE, later, "n1", HONEST_SITE), theirs[1]
        ),
        "two stores, as of a lost disk": accusing(victim, theirs[0], other_store[1]),
        "two sets, in the second of which it accepted nothing yet": accusing(
            victim, *pair("n1", HONEST_SITE, terms=(0, 1))
        ),
        "no store": accusing(victim, *pair("n1", HONEST_SITE, StoreId("")), about="x." + "1" * 16),
        "another's certificates": accusing(victim, *theirs, chain=("n2", HONEST_SITE)),
        "another name": accusing(victim, *theirs, about="0" * 16 + ".0"),
        "noise": says("mallory", OTHER_SITE, "equivocation", b"\xc1", "x", 1, LIFE_S),
        "nothing": says("mallory", OTHER_SITE, "equivocation", b"", "x", 1, LIFE_S),
    }


@pytest.mark.parametrize("how", forged())
def test_nobody_is_put_out_by_what_proves_nothing(how: str) -> None:
    attacked, victim = Attacked(), peer_id("n1", HONEST_SITE)
    attacked.tells(presence("n1", HONEST_SITE))
    for _ in range(2):
        attacked.tells(forged()[how])
        assert attacked.node.membership.known[victim].name == "n1"
        assert attacked.node.overlay.past.out.all() == []
        assert attacked.kept("equivocation") == 0
        assert "equivocation" not in attacked.rows
        attacked.restart()
        attacked.tells(presence("n1", HONEST_SITE, 2))


@pytest.mark.parametrize("term", [0, 3])
def test_a_proof_counts_whoever_brings_it_and_survives_a_restart(term: int) -> None:
    attacked, victim = Attacked(), peer_id("n1", HONEST_SITE)
    attacked.tells(presence("n1", HONEST_SITE))
    attacked.tells(accusing(victim, *pair("n1", HONEST_SITE, terms=(term, term))))
    assert victim not in attacked.node.membership.known
    attacked.restart()
    attacked.tells(presence("n1", HONEST_SITE, 2))
    assert victim not in attacked.node.membership.known, "it names no store: that is the old one"
    assert attacked.counts["presence-equivocated"] >= 1


def test_two_stores_that_lied_keep_a_key_out() -> None:
    attacked, victim = Attacked(), peer_id("n1", HONEST_SITE)
    attacked.tells(presence("n1", HONEST_SITE))
    stores = [StoreId("1" * 16), StoreId("2" * 16)]
    for number, store in enumerate(stores):
        attacked.tells(accusing(victim, *pair("n1", HONEST_SITE, store), number=number + 1))
    for _ in range(2):
        out = attacked.node.overlay.past.out
        assert len(out.all()) == 2
        assert "2 of its stores" in out.why(victim, StoreId("3" * 16))
        attacked.restart()


def test_what_is_remembered_of_liars_is_bounded_by_site(monkeypatch: pytest.MonkeyPatch) -> None:
    """A site that lets its hosts lie, one after the other, fills its own share and pushes out no other's."""
    monkeypatch.setattr("protocol.peering.equivocators.EQUIVOCATORS_PER_SITE", 5)
    attacked, victim = Attacked(), peer_id("n1", HONEST_SITE)
    attacked.tells(accusing(victim, *pair("n1", HONEST_SITE)))
    for number in range(20):
        name = f"m{number}"
        liar = peer_id(name, OTHER_SITE)
        chain = (name, OTHER_SITE)
        attacked.now += 1.0
        attacked.tells(accusing(liar, *pair(name, OTHER_SITE), chain, number=number + 2))
        attacked.node.overlay.past.out.check()
    for _ in range(2):
        out = attacked.node.overlay.past.out
        assert len(out.all()) == 6
        assert out.why(victim, STORE)
        attacked.restart()
    assert len(attacked.rows["equivocation"]) == 6


def test_nobody_is_made_to_take_another_store_by_what_it_did_not_sign() -> None:
    """A Hello that reminds it of what another said, or of what nobody did."""
    attacked = Attacked()
    me = attacked.node.identity
    store = attacked.node.overlay.past.store.id
    other = presence("n1", HONEST_SITE, 1 << 40)
    key = signer("h1", "s1").key
    assert me.signer.key == key
    from protocol.membership.messages import greeting

    mine = presence("h1", "s1", 1 << 40)
    forged_mine = msgspec.structs.replace(mine, signature=b"\0" * 32)
    for yours in (
        other,
        forged_mine,
        accusing(peer_id("n1", HONEST_SITE), *pair("n1", HONEST_SITE)),
    ):
        attacked.says(greeting(presence("mallory", OTHER_SITE), yours=yours))
        assert attacked.node.overlay.past.store.id == store
    attacked.restart()
    assert attacked.node.overlay.past.store.id == store
    assert attacked.node.broadcast.incarnation < 1 << 40
