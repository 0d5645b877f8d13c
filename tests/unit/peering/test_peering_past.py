"""A Hello brings what the other end remembers of this peer. If its disk has less, that was restored."""

from random import Random

import msgspec
import pytest

from protocol.broadcast.messages import Records
from protocol.grid.decision import Ballot, acceptance
from protocol.grid.equivocation import Accusation, Equivocation
from protocol.grid.statement import Statement, Word
from protocol.membership.membership import Membership
from protocol.membership.messages import Contact, Hello, Presence, greeting
from protocol.node.messages import FAMILIES
from protocol.peering.equivocators import KIND, name_of
from protocol.peering.overlay import Overlay
from protocol.sim.keys import SimFederation, SimSealer, SimVerifier
from protocol.terms.effects import Effect, Persist, Send
from protocol.terms.ids import PeerId, StoreId
from protocol.terms.ranges import NUMBER_MOST
from protocol.terms.reach import Reach
from protocol.trust.identity import Identity
from protocol.trust.record import Record, SignedRecord, read_record, sign_record
from protocol.wire.codec import encode

NOW = 1_000_000.0
FED = SimFederation("fed", from_s=NOW - 86_400, until_s=NOW + 90 * 86_400)
ME, YOU, THIRD = (PeerId(FED.host("s1", name).key) for name in ("h1", "h2", "h3"))
STORE = StoreId("0123456789abcdef")


def presence(
    name: str, incarnation: int = 1, process: str = "before", store: str = ""
) -> SignedRecord:
    said = Presence(
        FED.host_chain("s1", name), f"{name}:7000", process=process, store=StoreId(store)
    )
    signer = FED.host("s1", name)
    whole = Record(signer.key, "presence", "", incarnation, 1, encode(said), 86_400.0, "s1")
    return sign_record(whole, signer)


def lie(name: str, store: StoreId = STORE) -> Equivocation:
    signer = FED.host("s1", name)
    me = PeerId(signer.key)

    def said(value: bytes) -> Statement:
        payload = acceptance("a" * 20, Ballot(1, me), value, store=store)
        return Statement(Word.ACCEPTANCE, payload, signer.sign("acceptance", payload))

    return Equivocation(me, said(b"one"), said(b"two"))


def proof(name: str, store: StoreId = STORE, by: str = "h2") -> SignedRecord:
    signer, proven = FED.host("s1", by), lie(name, store)
    body = encode(Accusation(proven, FED.host_chain("s1", name)))
    return sign_record(Record(signer.key, KIND, name_of(proven), 1, 2, body, 86_400.0), signer)


class Peer:
    """Host h1 in its fourth life, which has a connection to h2."""

    def __init__(self) -> None:
        signer = FED.host("s1", "h1")
        chain, sealer = FED.host_chain("s1", "h1"), SimSealer(signer.key)
        me = Identity(signer, SimVerifier(), sealer, chain, FED.key, "h1", "s1", "h1:7000")
        self.membership = Membership(Contact(ME, "s1", "h1:7000"), Random(1), (), NOW)
        rows = {"self": {"incarnation": (3).to_bytes(8, "big"), "store": STORE.encode()}}
        around = lambda: (Reach.PUBLIC, ())  # noqa: E731
        self.overlay = Overlay(me, self.membership, around, FAMILIES, rows, Random(1), NOW)
        self.overlay.begin(NOW)
        self.overlay.connected(YOU, NOW, accepted=True)

    def greeted(self, yours: SignedRecord | None) -> list[Effect]:
        effects, _ = self.overlay.greeted(YOU, greeting(presence("h2"), yours=yours), NOW)
        return effects

    @property
    def store(self) -> StoreId:
        return self.overlay.past.store.id


@pytest.mark.parametrize("incarnation", [4, 9])
def test_a_presence_that_this_disk_does_not_remember_costs_it_its_store(incarnation: int) -> None:
    peer = Peer()
    first, *_ = peer.greeted(presence("h1", incarnation))
    assert peer.store != STORE
    assert isinstance(first, Persist), "on disk before anything else"
    assert first.rows[0].value == peer.store.encode()
    assert peer.overlay.broadcast.incarnation == incarnation + 1


def test_a_presence_beyond_which_there_is_no_number_is_not_outbid() -> None:
    """Whoever says it has this host's key as well. It ended the daemon."""
    peer = Peer()
    before = peer.overlay.broadcast.incarnation
    peer.greeted(presence("h1", NUMBER_MOST))
    assert peer.overlay.broadcast.incarnation == before


def test_what_it_remembers_itself_costs_nothing() -> None:
    peer = Peer()
    peer.greeted(presence("h1", 3))
    peer.greeted(None)
    held = peer.overlay.past.yours(ME)
    assert held is not None
    assert peer.greeted(held) == []
    assert peer.store == STORE
    assert peer.overlay.broadcast.incarnation == 4


def test_the_proof_that_its_store_lied_costs_it_the_store_once() -> None:
    peer = Peer()
    peer.greeted(proof("h1"))
    another = peer.store
    assert another != STORE
    peer.greeted(proof("h1"))
    assert peer.store == another, "that is about the old one"


@pytest.mark.parametrize(
    "yours",
    [
        pytest.param(presence("h2", 99), id="of another"),
        pytest.param(proof("h3"), id="against another"),
        pytest.param(
            msgspec.structs.replace(presence("h1", 99), signature=b"x" * 32), id="not signed"
        ),
        pytest.param(SignedRecord(b"\xc1", b""), id="noise"),
    ],
)
def test_what_is_not_its_own_is_the_senders_fault(yours: SignedRecord) -> None:
    peer = Peer()
    peer.greeted(yours)
    assert peer.store == STORE
    assert peer.overlay.quarantines.faults(YOU) == 1


def test_a_peer_is_reminded_of_its_newest_presence_or_of_the_proof() -> None:
    peer = Peer()
    peer.greeted(None)
    effects = peer.overlay.connected(YOU, NOW)
    (hello,) = [e.message for e in effects if isinstance(e, Send)]
    assert isinstance(hello, Hello)
    assert hello.yours == presence("h2")
    assert peer.overlay.past.yours(THIRD) is None
    peer.overlay.accuse(lie("h2"), NOW)
    assert YOU not in peer.membership.known, "it is out"
    held = peer.overlay.broadcast.directory.named(KIND, name_of(lie("h2")))
    assert [peer.overlay.past.yours(YOU)] == [one.signed for one in held]


def test_who_lied_and_has_another_store_since_is_reminded_of_its_presence_again() -> None:
    peer = Peer()
    peer.greeted(None)
    peer.overlay.accuse(lie("h2"), NOW)
    back = presence("h2", 5, store="fedcba9876543210")
    peer.overlay.greeted(YOU, greeting(back), NOW)
    assert YOU in peer.membership.known, "it is let in with another store"
    assert peer.overlay.past.yours(YOU) == back, "its next disk may be a backup, too"


def test_a_proof_is_over_with_its_certificate() -> None:
    peer = Peer()
    peer.greeted(None)
    peer.overlay.accuse(lie("h2"), NOW)
    peer.overlay.tick(NOW + 89 * 86_400)
    assert peer.overlay.past.out.why(YOU, STORE)
    peer.overlay.tick(NOW + 91 * 86_400)
    assert peer.overlay.past.out.why(YOU, STORE) == ""


def test_a_lie_of_a_peer_whose_certificate_has_ended_is_nobodys_fault_here() -> None:
    peer = Peer()
    peer.greeted(None)
    assert peer.overlay.accuse(lie("h2"), NOW + 91 * 86_400) == ([], [])
    assert not peer.overlay.broadcast.directory.of_kind(KIND), "nobody would believe it"


def test_who_can_prove_a_lie_tells_it_once_and_never_against_itself() -> None:
    peer = Peer()
    peer.greeted(None)
    effects, _ = peer.overlay.accuse(lie("h1"), NOW)
    assert effects == []
    for _ in range(3):
        peer.overlay.accuse(lie("h2"), NOW)
    assert len(peer.overlay.past.out.all()) == 1
    effects, _ = peer.overlay.accuse(lie("h3"), NOW)
    assert effects == [], "whose certificates it does not know"


def test_what_it_proved_in_an_earlier_life_stands_as_it_was_said() -> None:
    """Nobody else would take it back: what proves nothing is not kept. So directories would stay different."""
    for proven in (proof("h2", by="h1"), proof("h3", by="h1")):
        peer = Peer()
        peer.greeted(None)
        peer.overlay.spread(YOU, Records((proven,)), NOW)
        (held,) = peer.overlay.broadcast.directory.named(KIND, read_record(proven).name)
        assert held.signed == proven
        assert len(peer.overlay.past.out.all()) == 1, "also if it had forgotten it"
        assert peer.overlay.broadcast.incarnation == 4
    assert YOU in peer.membership.known
    peer.overlay.check()


def test_what_it_signed_that_proves_nothing_is_not_kept() -> None:
    peer, signer = Peer(), FED.host("s1", "h1")
    peer.greeted(None)
    noise = sign_record(Record(signer.key, KIND, "noise", 1, 2, b"\xc1", 86_400.0), signer)
    peer.overlay.spread(YOU, Records((noise,)), NOW)
    assert peer.overlay.past.out.all() == []
