"""What a VO revokes is refused at once and after a restart, and harms nobody but its own members."""

from random import Random

import msgspec
import pytest
from organisation import Organisation

from protocol.capacity.advert import HostFacts
from protocol.capacity.quantum import Quantum
from protocol.membership.messages import Presence, greeting
from protocol.node.events import Arrived, Connected, RecordGiven, Started
from protocol.node.node import Node
from protocol.node.snapshot import PeerView
from protocol.policy.policy_record import sign_policy
from protocol.policy.site_policy import SitePolicy, VoTerms
from protocol.sim.keys import SimFederation, SimSealer, SimVerifier
from protocol.sim.people import Person
from protocol.terms.effects import Effect, Note, Persist
from protocol.terms.ids import KeyId, PeerId
from protocol.trust.grants import Grants, read_grant
from protocol.trust.identity import Identity
from protocol.trust.order import Action
from protocol.trust.record import Record, SignedRecord, read_record, sign_record
from protocol.trust.revocation import revoke_grant, revoke_member
from protocol.trust.signing import Reason, Untrusted
from protocol.wire.codec import encode

NOW = 1_000_000.0
DAY_S = 86400.0
FACTS = HostFacts(Quantum(4000, 4 << 30, 0), "x86_64", "sim", "none", "", "10.0.0.1", True)
FED = SimFederation("ours", from_s=0.0, until_s=9e9)
STAR = Organisation("star", from_s=0.0, until_s=9e9)
CMS = Organisation("cms", from_s=0.0, until_s=9e9)
ANA, ANA_KEY = STAR.grant("ana"), STAR.key_of("ana").key
YOU = PeerId(FED.host("ams", "h2").key)
Rows = dict[str, dict[str, bytes]]


def node_of(rows: Rows) -> Node:
    signer = FED.host("ams", "h1")
    chain, sealer = FED.host_chain("ams", "h1"), SimSealer(signer.key)
    me = Identity(signer, SimVerifier(), sealer, chain, FED.key, "h1", "ams", "h1:7000")
    node = Node(me, FACTS, (), (), rows, Random(1), NOW)
    node.handle(Started(), NOW)
    return node


def policy(number: int, *vos: Organisation) -> SignedRecord:
    terms = tuple(VoTerms(vo.name, vo.signer.key) for vo in vos)
    site = FED.site("ams")
    return sign_policy(SitePolicy("ams", number, NOW, FED.site_chain("ams"), vos=terms), site)


def give(node: Node, signed: SignedRecord, rows: Rows | None = None) -> list[str]:
    """What it notes. `rows` becomes what is on disk after it."""
    effects: list[Effect] = node.handle(RecordGiven(signed), NOW)
    for effect in effects if rows is not None else ():
        for row in effect.rows if isinstance(effect, Persist) else ():
            if row.value is not None and rows is not None:
                rows.setdefault(row.table, {})[row.key] = row.value
    return [f"{e.kind} {e.subject}" for e in effects if isinstance(e, Note)]


def refused(
    node: Node, grants: Grants, vo: Organisation = STAR, member: str = "ana"
) -> Reason | None:
    """Why the node takes no new order of a member; None if it does."""
    person = Person(vo.key_of(member), (), grants, Random(2))
    try:
        node.authority.order(person.order(Action.DOWN, "demo", NOW), NOW, fresh=True)
    except Untrusted as error:
        return error.reason
    return None


def left(key: KeyId = ANA_KEY, vo: Organisation = STAR) -> SignedRecord:
    return revoke_member(vo.name, key, "", "left", NOW, vo.signer)


@pytest.mark.parametrize(
    "revoked", [left(), revoke_grant(read_grant(ANA[0]), "left", NOW, STAR.signer)]
)
def test_what_a_vo_revokes_is_refused_at_once_and_after_a_restart(revoked: SignedRecord) -> None:
    rows: Rows = {}
    node = node_of({})
    give(node, policy(1, STAR), rows)
    assert refused(node, ANA) is None
    (note,) = give(node, revoked, rows)
    assert note.startswith("grant.revoked ")
    assert refused(node, ANA) is Reason.REVOKED
    assert give(node, revoked) == [], "said once"
    again = node_of(rows)
    assert refused(again, ANA) is Reason.REVOKED
    assert len(again.broadcast.directory.of_kind("vo-revocation")) == 1, "and it is handed on"
    node.check()
    again.check()


def test_a_vo_that_nobody_admits_fills_no_directory() -> None:
    """Anybody makes keys, and a directory is kept by everybody."""
    node = node_of({})
    give(node, policy(1, CMS))
    for number in range(50):
        stranger = Organisation(f"vo{number}", from_s=0.0, until_s=9e9)
        assert give(node, left(vo=stranger)) == []
    assert give(node, left()) == []
    assert node.broadcast.directory.of_kind("vo-revocation") == []
    assert len(node.certificates.revocations) == 0


def test_one_that_was_heard_before_its_vo_was_admitted_is_taken_when_it_comes_again() -> None:
    node = node_of({})
    give(node, left())
    give(node, policy(1, STAR))
    assert refused(node, ANA) is None
    give(node, left())
    assert refused(node, ANA) is Reason.REVOKED


def test_a_vo_takes_nothing_from_another_vo_and_a_member_nothing_from_its_vo() -> None:
    node = node_of({})
    give(node, policy(1, STAR, CMS))
    bo = STAR.grant("bo", under=ANA, by="ana")
    give(node, left(vo=CMS))
    for said in (left(), revoke_grant(read_grant(ANA[0]), "", NOW, STAR.signer)):
        forged = sign_record(_owned(said, STAR.key_of("ana").key), STAR.key_of("ana"))
        assert give(node, forged) == []
    assert refused(node, ANA) is None
    assert refused(node, bo, member="bo") is None


def test_a_host_whose_key_a_vo_revokes_stays_a_member() -> None:
    node = node_of({})
    give(node, policy(1, STAR))
    said = encode(Presence(FED.host_chain("ams", "h2"), "h2:7000"))
    signer = FED.host("ams", "h2")
    shown = sign_record(Record(signer.key, "presence", "", 1, 1, said, DAY_S, "ams"), signer)
    give(node, left(KeyId(YOU)))
    assert not node.overlay.is_out(YOU, "ams"), "nor before it is met"
    node.handle(Connected(YOU), NOW)
    node.handle(Arrived(YOU, greeting(shown), ""), NOW)
    assert [row.name for row in PeerView(node).peers(NOW)] == ["h1", "h2"]
    assert not node.overlay.is_out(YOU, "ams")


def _owned(signed: SignedRecord, owner: KeyId) -> Record:
    """The record in the name of another owner."""
    return msgspec.structs.replace(read_record(signed), owner=owner)
