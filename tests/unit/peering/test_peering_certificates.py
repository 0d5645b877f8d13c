"""A node and peers that are members no more: revoked, ended, renewed; and its own certificate."""

from random import Random

import msgspec

from protocol.broadcast.messages import Gossip
from protocol.capacity.advert import HostFacts
from protocol.capacity.quantum import Quantum
from protocol.membership.messages import Presence, greeting
from protocol.node.events import Arrived, Connected, RecordGiven, Renewed, Started, Ticked
from protocol.node.node import Node, Rows
from protocol.node.snapshot import PeerView
from protocol.requesting.events import OrderGiven
from protocol.sim.keys import SimFederation, SimSealer, SimVerifier
from protocol.sim.people import Admin, grid_spec
from protocol.terms.effects import Effect, HangUp, Note, Persist, Row
from protocol.terms.ids import PeerId, RequestId
from protocol.terms.limits import CERTIFICATE_NAG_S, CERTIFICATE_WARN_S
from protocol.trust.certificate import Chain, read_certificate
from protocol.trust.identity import Identity
from protocol.trust.record import Record, SignedRecord, sign_record
from protocol.trust.revocation import revoke
from protocol.wire.codec import decode, encode

NOW = 1_000_000.0
DAY_S = 86400.0
FED = SimFederation("fed", from_s=NOW - DAY_S, until_s=NOW + 90 * DAY_S)
FACTS = HostFacts(Quantum(4000, 4 << 30, 0), "x86_64", "sim", "none", "", "10.0.0.1", True)
YOU = PeerId(FED.host("s1", "h2").key)
GONE = "its certificate was revoked"


def chain_of(name: str, *, serial: str = "", until_s: float | None = None) -> Chain:
    return FED.host_chain("s1", name, serial=serial, until_s=until_s)


def identity(name: str, chain: Chain | None = None) -> Identity:
    return Identity(
        signer=FED.host("s1", name),
        verifier=SimVerifier(),
        sealer=SimSealer(FED.host("s1", name).key),
        chain=chain or chain_of(name),
        federation=FED.key,
        name=name,
        site="s1",
        address=f"{name}:7000",
    )


def presence(chain: Chain, name: str = "h2", incarnation: int = 1) -> SignedRecord:
    said = encode(Presence(chain, f"{name}:7000"))
    signer = FED.host("s1", name)
    return sign_record(
        Record(signer.key, "presence", "", incarnation, 1, said, 86400.0, "s1"), signer
    )


def advert(incarnation: int = 1) -> SignedRecord:
    said = encode(node_of().host.advert())
    signer = FED.host("s1", "h2")
    return sign_record(Record(signer.key, "advert", "", incarnation, 2, said, 3600.0), signer)


def node_of(rows: Rows | None = None, chain: Chain | None = None) -> Node:
    return Node(identity("h1", chain), FACTS, (), (), rows or {}, Random(1), NOW)


def met(chain: Chain | None = None, rows: Rows | None = None) -> Node:
    """A node that knows h2, and its advert."""
    node = node_of(rows)
    node.handle(Started(), NOW)
    meet(node, presence(chain or chain_of("h2")), NOW)
    node.handle(Arrived(YOU, Gossip((advert(),)), ""), NOW)
    return node


def meet(node: Node, shown: SignedRecord, now: float) -> list[Effect]:
    node.handle(Connected(YOU), now)
    return node.handle(Arrived(YOU, greeting(shown), ""), now)


def revocation(of: Chain, *, by_site: bool = True) -> SignedRecord:
    signer = FED.site("s1") if by_site else FED.root
    chain = FED.site_chain("s1") if by_site else ()
    return revoke(read_certificate(of[0]), "stolen", NOW, signer, chain)


def notes(effects: list[Effect], kind: str) -> list[Note]:
    return [e for e in effects if isinstance(e, Note) and e.kind == kind]


def names(node: Node) -> list[str]:
    return [row.name for row in PeerView(node).peers(NOW)]


def test_a_revoked_member_is_out_at_once_with_all_it_said() -> None:
    node = met()
    assert YOU in node.directory.adverts
    effects = node.handle(RecordGiven(revocation(chain_of("h2"))), NOW)
    assert HangUp(YOU, GONE, parting=True) in effects
    assert [note.subject for note in notes(effects, "certificate.revoked")] == ["host s1/h2"]
    assert notes(effects, "peer.expelled") == [Note("peer.expelled", "h2", GONE)]
    assert names(node) == ["h1"]
    assert YOU not in node.directory.adverts
    left = [held.record for held in node.broadcast.directory.of_kind("presence")]
    assert YOU not in [record.owner for record in left]
    node.check()


def test_it_is_kept_on_disk_and_holds_after_a_restart() -> None:
    node = met()
    effects = node.handle(RecordGiven(revocation(chain_of("h2"))), NOW)
    rows: Rows = {}
    for effect in effects:
        for row in effect.rows if isinstance(effect, Persist) else ():
            if row.value is not None:
                rows.setdefault(row.table, {})[row.key] = row.value
            else:
                assert row == Row("peer", YOU, None), "it is no peer to start from any more"
    again = node_of(rows)
    again.handle(Started(), NOW)
    assert again.broadcast.directory.of_kind("revocation"), "and it is handed on from there"
    meet(again, presence(chain_of("h2")), NOW)
    assert again.quarantines.counts["hello-revoked"] == 1
    assert names(again) == ["h1"]


def test_any_member_may_carry_it() -> None:
    node = met()
    signed = revocation(chain_of("h3"))
    node.handle(Arrived(YOU, Gossip((signed,)), ""), NOW)
    assert len(node.certificates.revocations) == 1
    node.handle(Arrived(YOU, Gossip((presence(chain_of("h3"), "h3"),)), ""), NOW)
    assert names(node) == ["h1", "h2"], "h3 is not believed, whoever brings its presence"
    assert node.quarantines.counts == {"presence-revoked": 1}


def test_a_revocation_is_not_forgotten_by_a_clock_that_does_not_count() -> None:
    node, late_s = met(), NOW + 400 * DAY_S
    node.handle(RecordGiven(revocation(chain_of("h2"))), NOW)
    certificates = node.certificates
    certificates.tick(late_s, sure=False)
    assert len(certificates.revocations) == 1
    certificates.tick(late_s)
    assert len(certificates.revocations) == 0


def test_nobody_revokes_what_is_not_theirs() -> None:
    node = met()
    host = FED.host("s1", "h3")
    says = msgspec.structs.replace(read_certificate(chain_of("h2")[0]), issuer=host.key)
    forged = revoke(says, "I say so", NOW, host, FED.host_chain("s1", "h3"))
    node.handle(Arrived(YOU, Gossip((forged,)), ""), NOW)
    assert node.quarantines.counts == {"revocation-wrong-role": 1}
    assert names(node) == ["h1", "h2"]


def test_a_revoked_site_is_out_with_its_hosts_and_its_orders() -> None:
    node = met()
    order = Admin(FED, "s1", Random(1)).up(grid_spec("star"), NOW)
    effects = node.handle(RecordGiven(revocation(FED.site_chain("s1"), by_site=False)), NOW)
    assert HangUp(YOU, GONE, parting=True) in effects
    node.handle(OrderGiven(RequestId("r"), order), NOW)
    view = node.requester.requests.view(RequestId("r"))
    assert view is not None
    assert "was revoked" in view.answer[0]


def test_a_revoked_key_does_not_belong_again_with_another_certificate() -> None:
    node = met()
    node.handle(RecordGiven(revocation(chain_of("h2"))), NOW)
    meet(node, presence(chain_of("h2", serial="ab" * 8), incarnation=2), NOW)
    assert names(node) == ["h1"]
    assert node.quarantines.counts["hello-revoked"] == 1
    assert not node.membership.links.introduced(YOU)


def test_a_peer_whose_key_was_revoked_does_not_renew_itself() -> None:
    node = node_of()
    node.handle(Started(), NOW)
    node.handle(RecordGiven(revocation(chain_of("h1"))), NOW)
    (note,) = notes(
        node.handle(Renewed(chain_of("h1", serial="ef" * 8)), NOW), "certificate.refused"
    )
    assert "its key, was revoked" in note.detail
    assert node.certificates.revoked is not None


def test_a_connection_ends_with_its_certificate() -> None:
    ends_s = NOW + 100.0
    node = met(chain_of("h2", until_s=ends_s))
    before = node.handle(Ticked(), ends_s - 0.5)
    assert notes(before, "peer.expelled") == []
    deadline = node.certificates.next_deadline()
    assert deadline.at_s == ends_s
    after = node.handle(Ticked(), ends_s)
    assert notes(after, "peer.expelled") == [
        Note("peer.expelled", "h2", "its certificate has ended")
    ]
    assert [e.peer for e in after if isinstance(e, HangUp)] == [YOU]
    meet(node, presence(chain_of("h2", until_s=ends_s)), ends_s)
    assert node.quarantines.counts["hello-expired"] == 1


def test_who_renews_in_time_stays() -> None:
    ends_s = NOW + 100.0
    node = met(chain_of("h2", until_s=ends_s))
    renewed = presence(chain_of("h2", serial="cd" * 8), incarnation=2)
    node.handle(Arrived(YOU, Gossip((renewed,)), ""), NOW + 50.0)
    assert notes(node.handle(Ticked(), ends_s), "peer.expelled") == []
    (row,) = [row for row in PeerView(node).peers(ends_s) if row.peer == YOU]
    assert row.certificate_s == FED.until_s - ends_s
    assert row.serial == "cd" * 8


def test_it_takes_up_a_new_certificate_and_shows_it() -> None:
    node = node_of(chain=chain_of("h1", until_s=NOW + DAY_S))
    node.handle(Started(), NOW)
    incarnation = node.broadcast.incarnation
    better = chain_of("h1", serial="ef" * 8)
    effects = node.handle(Renewed(better), NOW)
    assert notes(effects, "certificate.renewed") == [
        Note("certificate.renewed", "h1", "it ends in 90 d")
    ]
    held = node.broadcast.directory.get(FED.host("s1", "h1").key, "presence")
    assert held is not None
    assert decode(held.record.body, Presence).chain == better
    assert held.record.incarnation == incarnation + 1
    assert node.announcer.hello(NOW).presence == held.signed


def test_it_does_not_take_up_what_is_not_its_own() -> None:
    node = node_of()
    node.handle(Started(), NOW)
    for chain, why in (
        (chain_of("h2"), "another key"),
        (chain_of("h1", until_s=NOW - 1), "expired"),
        (FED.site_chain("s1"), "another key"),
        ((), "broken-chain"),
    ):
        (note,) = notes(node.handle(Renewed(chain), NOW), "certificate.refused")
        assert why in note.detail
        assert node.identity.chain == chain_of("h1")


def test_it_warns_before_its_certificate_ends_and_again_each_day() -> None:
    ends_s = NOW + 90 * DAY_S
    node = node_of()
    node.handle(Started(), NOW)
    warned = ends_s - CERTIFICATE_WARN_S
    assert notes(node.handle(Ticked(), warned - 1), "certificate.ending") == []
    (note,) = notes(node.handle(Ticked(), warned), "certificate.ending")
    assert "ends in 14 d; overlayctl host renew s1 h1" in note.detail
    assert notes(node.handle(Ticked(), warned + 1), "certificate.ending") == []
    assert notes(node.handle(Ticked(), warned + CERTIFICATE_NAG_S), "certificate.ending")
    (over,) = notes(node.handle(Ticked(), ends_s + 1), "certificate.ended")
    assert "nobody believes this peer" in over.detail
