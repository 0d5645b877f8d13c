"""A peer among others: which of them it hears, what it believes, and what goes on to the rest of the node."""

from random import Random

import msgspec
import pytest

from protocol.broadcast.broadcast import DetailAsked, Expired, Learnt
from protocol.broadcast.messages import BroadcastMessage, DetailAsk, Gossip
from protocol.membership.liveness import Health
from protocol.membership.membership import Membership
from protocol.membership.messages import Contact, Hello, Ping, Presence, Suspicion, greeting
from protocol.node.messages import FAMILIES
from protocol.peering.news import News
from protocol.peering.overlay import Overlay
from protocol.sim.keys import SimFederation, SimSealer, SimVerifier
from protocol.terms.effects import Effect, HangUp, Note, Persist, Quarantine
from protocol.terms.ids import KeyId, PeerId
from protocol.terms.reach import Reach
from protocol.trust.certificate import read_certificate
from protocol.trust.identity import Identity
from protocol.trust.record import Record, SignedRecord, sign_record
from protocol.trust.revocation import revoke
from protocol.wire.codec import encode
from protocol.wire.versions import SPOKEN, Span

NOW = 1_000_000.0
FED = SimFederation("fed", from_s=NOW - 86_400, until_s=NOW + 90 * 86_400)
ME, YOU, THIRD = (PeerId(FED.host("s1", name).key) for name in ("h1", "h2", "h3"))


def identity(name: str) -> Identity:
    return Identity(
        signer=FED.host("s1", name),
        verifier=SimVerifier(),
        sealer=SimSealer(FED.host("s1", name).key),
        chain=FED.host_chain("s1", name),
        federation=FED.key,
        name=name,
        site="s1",
        address=f"{name}:7000",
    )


def record(name: str, kind: str, body: bytes, about: str = "", scope: str = "s1") -> SignedRecord:
    signer = FED.host("s1", name)
    return sign_record(Record(signer.key, kind, about, 1, 1, body, 3600.0, scope), signer)


def presence(name: str, incarnation: int = 1, scope: str = "s1") -> SignedRecord:
    body = encode(Presence(FED.host_chain("s1", name), f"{name}:7000"))
    signer = FED.host("s1", name)
    return sign_record(
        Record(signer.key, "presence", "", incarnation, 1, body, 86_400.0, scope), signer
    )


def suspicion(by: str, of: PeerId, incarnation: int = 1, about: PeerId = THIRD) -> SignedRecord:
    return record(by, "suspicion", encode(Suspicion(of, incarnation)), about)


def revocation(name: str) -> SignedRecord:
    (certificate, *_) = FED.host_chain("s1", name)
    says = read_certificate(certificate)
    return revoke(says, "stolen", NOW, FED.site("s1"), FED.site_chain("s1"))


class Peer:
    """Host h1, which has begun and has a connection to h2."""

    def __init__(self) -> None:
        mine = Contact(ME, "s1", "h1:7000")
        self.membership = Membership(mine, Random(1), (), NOW)
        self.overlay = Overlay(
            identity("h1"),
            self.membership,
            lambda: (Reach.PUBLIC, ()),
            FAMILIES,
            {},
            Random(1),
            NOW,
        )
        self.overlay.begin(NOW)
        self.overlay.connected(YOU, NOW, accepted=True)

    def greeted(self, hello: Hello, sender: PeerId = YOU) -> list[Effect]:
        effects, news = self.overlay.greeted(sender, hello, NOW)
        assert news == []
        return effects

    def told(
        self, *records: SignedRecord, now: float = NOW
    ) -> tuple[list[Effect], list[Learnt | Expired | DetailAsked]]:
        return self.overlay.spread(YOU, Gossip(records), now)

    def health(self, of: PeerId) -> Health | None:
        return self.membership.liveness.health(of)

    @property
    def counts(self) -> dict[str, int]:
        return self.overlay.quarantines.counts


@pytest.fixture
def peer() -> Peer:
    """A peer that knows h2 by its Hello."""
    made = Peer()
    made.greeted(greeting(presence("h2")))
    return made


def notes(effects: list[Effect]) -> list[tuple[str, str]]:
    return [(e.kind, e.subject) for e in effects if isinstance(e, Note)]


def kept_presence(peer: Peer, owner: KeyId) -> SignedRecord | None:
    held = peer.overlay.broadcast.directory.get(owner, "presence")
    return held.signed if held is not None else None


def hang_ups(effects: list[Effect]) -> list[PeerId]:
    return [effect.peer for effect in effects if isinstance(effect, HangUp)]


# -- which peers it hears


def test_before_its_hello_nothing_else_is_heard() -> None:
    peer = Peer()
    assert peer.overlay.refused(YOU, Ping(1), 10, NOW) == []
    assert peer.counts == {"not-introduced": 1}
    assert peer.overlay.refused(YOU, greeting(presence("h2")), 10, NOW) is None
    peer.greeted(greeting(presence("h2")))
    assert peer.overlay.refused(YOU, Ping(1), 10, NOW) is None
    assert peer.overlay.refused(THIRD, Ping(1), 10, NOW) == [], "another has not shown its own"


def test_a_good_hello_makes_a_member() -> None:
    peer = Peer()
    effects = peer.greeted(greeting(presence("h2")))
    assert ("peer.joined", "h2") in notes(effects)
    assert peer.health(YOU) is Health.ALIVE
    assert peer.overlay.members.site(YOU) == peer.overlay.members.site(ME) == "s1"
    assert kept_presence(peer, KeyId(YOU)) == presence("h2")


def test_showing_anothers_presence_ends_the_connection() -> None:
    peer = Peer()
    effects = peer.greeted(greeting(presence("h3")))
    assert hang_ups(effects) == [YOU]
    assert notes(effects) == [("peer.refused", YOU)]
    assert peer.counts == {"hello-wrong-role": 1}
    assert peer.health(THIRD) is None, "nothing of it was believed"
    assert not peer.membership.links.introduced(YOU)


def test_a_version_that_is_not_spoken_ends_the_connection() -> None:
    peer = Peer()
    effects = peer.greeted(greeting(presence("h2"), Span(900, 901)))
    assert hang_ups(effects) == [YOU]
    assert notes(effects) == [("peer.refused", YOU)]
    assert peer.counts == {"hello-unknown-version": 1}
    assert peer.health(YOU) is None


def test_an_old_hello_takes_nothing_back(peer: Peer) -> None:
    peer.told(presence("h2", incarnation=5))
    peer.greeted(greeting(presence("h2")))
    assert peer.membership.known[YOU].incarnation == 5


def test_twenty_faults_are_beyond_patience(peer: Peer) -> None:
    for _ in range(19):
        assert peer.overlay.garbled(YOU, "malformed", NOW) == []
    effects = peer.overlay.garbled(YOU, "malformed", NOW)
    assert hang_ups(effects) == [YOU]
    assert Quarantine((YOU,)) in effects
    assert ("peer.quarantined", "h2") in notes(effects)
    assert effects.index(HangUp(YOU, "too many faults, the last: malformed")) < effects.index(
        Quarantine((YOU,))
    )
    assert peer.counts["malformed"] == 20
    assert peer.overlay.refused(YOU, greeting(presence("h2")), 10, NOW + 29.9) == []
    assert peer.counts["quarantined"] == 1
    assert peer.overlay.refused(YOU, greeting(presence("h2")), 10, NOW + 30.0) is None
    effects, _ = peer.overlay.tick(NOW + 30.0)
    assert Quarantine(()) in effects


def test_what_is_too_large_is_a_fault_of_its_sender(peer: Peer) -> None:
    assert peer.overlay.refused(YOU, Ping(1), 1 << 20, NOW) == []
    assert list(peer.counts) == ["oversized-membership"]
    assert peer.overlay.quarantines.faults(YOU) == 1


def test_a_newer_build_may_say_what_this_one_does_not_know() -> None:
    for newest, faults in ((99, 0), (SPOKEN.newest, 1)):
        peer = Peer()
        peer.greeted(greeting(presence("h2"), Span(1, newest)))
        peer.overlay.garbled(YOU, "unknown-type", NOW)
        assert peer.overlay.quarantines.faults(YOU) == faults
    newer = Peer()
    newer.greeted(greeting(presence("h2"), Span(1, 99)))
    newer.overlay.garbled(YOU, "malformed", NOW)
    assert newer.overlay.quarantines.faults(YOU) == 1, "but no garbage"
    newer.overlay.disconnected(YOU, NOW)
    newer.overlay.garbled(YOU, "unknown-type", NOW)
    assert newer.overlay.quarantines.faults(YOU) == 2, "it may come back as another build"


# -- what it believes


def test_a_record_counts_if_its_owner_is_a_member(peer: Peer) -> None:
    advert = record("h3", "advert", b"room")
    assert peer.told(advert) == ([], [])
    assert peer.overlay.broadcast.directory.get(KeyId(THIRD), "advert") is None
    peer.told(presence("h3"))
    _, news = peer.told(advert)
    assert [item.record.body for item in news if isinstance(item, Learnt)] == [b"room"]
    assert peer.told(advert)[1] == [], "once"


def test_a_presence_is_for_the_site_that_its_certificate_names(peer: Peer) -> None:
    peer.told(presence("h3", scope="s2"))
    assert peer.health(THIRD) is None
    assert peer.counts == {"presence-malformed": 1}


def test_a_record_that_was_altered_is_a_fault_of_its_bearer(peer: Peer) -> None:
    forged = msgspec.structs.replace(record("h2", "advert", b"room"), signature=b"x" * 64)
    assert peer.told(forged)[1] == []
    assert peer.overlay.quarantines.faults(YOU) == 1
    assert peer.counts == {"record": 1}


def test_a_body_that_cannot_be_read_is_counted_and_no_fault_of_its_bearer(peer: Peer) -> None:
    assert peer.told(record("h2", "suspicion", b"\xc1", about=THIRD)) == ([], [])
    assert peer.counts == {"record-body": 1}
    assert peer.overlay.quarantines.faults(YOU) == 0


def test_a_suspicion_counts_of_whom_it_is_named_after(peer: Peer) -> None:
    peer.told(presence("h3"))
    peer.told(suspicion("h2", of=ME))
    assert peer.health(THIRD) is Health.ALIVE
    assert peer.overlay.broadcast.incarnation == 1
    peer = Peer()
    peer.greeted(greeting(presence("h2")))
    peer.told(presence("h3"))
    effects, _ = peer.told(suspicion("h2", of=THIRD))
    assert peer.health(THIRD) is Health.SUSPECT
    assert ("peer.suspect", "h3") in notes(effects)


def test_a_suspicion_that_came_before_its_subject_counts_when_that_comes(peer: Peer) -> None:
    peer.told(suspicion("h2", of=THIRD))
    assert peer.health(THIRD) is None
    peer.told(presence("h3"))
    assert peer.health(THIRD) is Health.SUSPECT


def test_it_refutes_what_is_said_of_itself_on_disk_first(peer: Peer) -> None:
    effects, _ = peer.told(suspicion("h2", of=ME, about=ME))
    assert [type(effect) for effect in effects] == [Persist, Note]
    assert notes(effects) == [("peer.refuted", "h1")]
    assert peer.overlay.broadcast.incarnation == 2
    assert peer.told(suspicion("h2", of=ME, about=ME))[0] == [], "it is no news"


def test_among_too_many_a_peer_of_another_site_is_met_and_not_kept(peer: Peer) -> None:
    peer.membership.narrow(True, NOW)
    peer.overlay.broadcast.narrow("s1")
    far = FED.host("s2", "far")
    body = encode(Presence(FED.host_chain("s2", "far"), "far:7000"))
    shown = sign_record(Record(far.key, "presence", "", 1, 1, body, 86_400.0, "s2"), far)
    before = peer.overlay.changes
    effects, news = peer.told(shown)
    assert notes(effects) == [("peer.joined", "far")]
    assert news == []
    assert peer.overlay.broadcast.directory.get(far.key, "presence") is None
    assert peer.overlay.members.elsewhere(far.key) == shown, "what goes before its records"
    assert peer.overlay.members.site(far.key) == "s2"
    assert peer.overlay.changes > before


def test_it_goes_on_saying_that_it_is_there(peer: Peer) -> None:
    mine = kept_presence(peer, KeyId(ME))
    peer.overlay.tick(NOW + 21_599.0)
    assert kept_presence(peer, KeyId(ME)) == mine
    peer.overlay.tick(NOW + 21_600.0)
    assert kept_presence(peer, KeyId(ME)) != mine


# -- what goes on


def test_a_line_of_news_is_for_people(peer: Peer) -> None:
    effects, news = peer.told(record("h2", "news", encode(News("hello")), about="0"))
    assert effects == [Note("news", "h2", "hello")]
    assert news == [], "the rest of the node has no use for it"
    effects, _ = peer.told(record("h2", "news", b"", about="1"))
    assert effects == []


def test_a_question_for_detail_goes_on(peer: Peer) -> None:
    asked: BroadcastMessage = DetailAsk()
    assert peer.overlay.spread(YOU, asked, NOW) == ([], [DetailAsked(YOU)])


def test_a_record_that_ends_goes_on(peer: Peer) -> None:
    peer.told(record("h2", "advert", b"room"))
    _, news = peer.overlay.spread_due(NOW + 3599.0)
    assert news == []
    _, news = peer.overlay.spread_due(NOW + 3605.0)
    assert [
        (type(item), item.record.kind) for item in news if not isinstance(item, DetailAsked)
    ] == [(Expired, "advert")]


def test_a_revoked_peer_is_out_and_what_it_said_has_ended(peer: Peer) -> None:
    peer.told(record("h2", "advert", b"room"))
    before = peer.overlay.changes
    signed = revocation("h2")
    effects, news = peer.overlay.given(signed, NOW)
    assert hang_ups(effects) == [YOU]
    assert ("peer.expelled", "h2") in notes(effects)
    assert YOU not in peer.membership.known
    assert peer.overlay.members.site(YOU) == ""
    ended = {item.record.kind for item in news if isinstance(item, Expired)}
    assert ended == {"presence", "advert"}
    assert peer.overlay.changes > before, "when it is due may be another time"
    peer.overlay.connected(YOU, NOW, accepted=True)
    assert hang_ups(peer.greeted(greeting(presence("h2")))) == [YOU]
    assert peer.counts["hello-revoked"] == 1


def test_a_life_begins_with_the_revocations_on_disk() -> None:
    peer = Peer()
    effects, _ = peer.overlay.given(revocation("h2"), NOW)
    rows: dict[str, dict[str, bytes]] = {}
    for effect in effects:
        if isinstance(effect, Persist):
            for row in effect.rows:
                assert row.value is not None
                rows.setdefault(row.table, {})[row.key] = row.value
    mine = Contact(ME, "s1", "h1:7000")
    again = Overlay(
        identity("h1"),
        Membership(mine, Random(1), (), NOW),
        lambda: (Reach.PUBLIC, ()),
        FAMILIES,
        rows,
        Random(1),
        NOW,
    )
    again.begin(NOW)
    again.connected(YOU, NOW, accepted=True)
    effects, _ = again.greeted(YOU, greeting(presence("h2")), NOW)
    assert hang_ups(effects) == [YOU]


def test_a_lost_connection_may_change_through_whom_it_is_reached(peer: Peer) -> None:
    peer.overlay.disconnected(YOU, NOW + 1.0)
    deadline = peer.overlay.announcer.next_deadline()
    assert (deadline.at_s, deadline.why) == (NOW + 3.0, "presence")


def test_a_suspicion_that_cannot_be_read_takes_nothing_from_its_subjects_presence(
    peer: Peer,
) -> None:
    peer.told(record("h2", "suspicion", b"\xc1", about=THIRD))
    effects, _ = peer.told(presence("h3"))
    assert ("peer.joined", "h3") in notes(effects)
