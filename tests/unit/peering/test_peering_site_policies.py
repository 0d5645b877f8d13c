"""The newest policy of a site is believed, by all peers alike, and after a restart no older one."""

from random import Random

from protocol.capacity.advert import HostFacts
from protocol.capacity.quantum import Quantum
from protocol.node.events import RecordGiven, Started
from protocol.node.node import Node
from protocol.policy.policy_record import KIND, sign_policy
from protocol.policy.site_policy import SitePolicy, VoTerms
from protocol.sim.keys import SimFederation, SimSealer, SimSigner, SimVerifier
from protocol.terms.effects import Effect, Note, Persist
from protocol.trust.identity import Identity
from protocol.trust.record import SignedRecord

NOW = 2000.0
FACTS = HostFacts(Quantum(4000, 4 << 30, 0), "x86_64", "sim", "none", "", "10.0.0.1", True)
FED = SimFederation("ours", from_s=0.0, until_s=9e9)
SITE = FED.site("ams")
STAR, CMS = SimSigner("star").key, SimSigner("cms").key
Rows = dict[str, dict[str, bytes]]


def node_of(rows: Rows) -> Node:
    signer = FED.host("ams", "h1")
    chain, sealer = FED.host_chain("ams", "h1"), SimSealer(signer.key)
    me = Identity(signer, SimVerifier(), sealer, chain, FED.key, "h1", "ams", "h1:7000")
    node = Node(me, FACTS, (), (), rows, Random(1), NOW)
    node.handle(Started(), NOW)
    return node


def policy(number: int, *vos: VoTerms) -> SignedRecord:
    return sign_policy(SitePolicy("ams", number, NOW, FED.site_chain("ams"), vos=vos), SITE)


def give(node: Node, signed: SignedRecord, rows: Rows | None = None) -> list[str]:
    """What is said of a policy that is given. `rows` becomes what is on disk after it."""
    effects: list[Effect] = node.handle(RecordGiven(signed), NOW)
    for effect in effects if rows is not None else ():
        for row in effect.rows if isinstance(effect, Persist) else ():
            if row.value is not None and rows is not None:
                rows.setdefault(row.table, {})[row.key] = row.value
    return [e.detail for e in effects if isinstance(e, Note) and e.kind == "policy.learnt"]


def newest(node: Node) -> int:
    said = node.overlay.policies.of(SITE.key)
    return said.number if said is not None else 0


def test_a_newer_policy_replaces_the_one_before_and_an_older_one_does_not() -> None:
    node = node_of({})
    assert newest(node) == 0
    assert give(node, policy(2, VoTerms("star", STAR))) == ["number 2, lets in 1 organisation"]
    assert give(node, policy(1, VoTerms("cms", CMS))) == []
    assert newest(node) == 2
    assert STAR in node.overlay.policies
    assert CMS not in node.overlay.policies
    assert give(node, policy(3)) == ["number 3, lets in 0 organisations"]
    assert STAR not in node.overlay.policies
    node.check()


def test_it_is_on_disk_and_after_a_restart_no_older_one_is_believed() -> None:
    rows: Rows = {}
    give(node_of({}), policy(2, VoTerms("star", STAR)), rows)
    again = node_of(rows)
    assert newest(again) == 2
    assert [held.record.sequence for held in again.broadcast.directory.of_kind(KIND)] == [2]
    assert give(again, policy(1)) == []
    assert newest(again) == 2
    # A row that somebody has spoilt is left out.
    spoilt = {"policy": {SITE.key: b"x" + rows["policy"][SITE.key][1:]}}
    assert newest(node_of(spoilt)) == 0
