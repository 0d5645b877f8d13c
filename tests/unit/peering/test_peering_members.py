"""Whose records are kept, and what is known of peers whose records are not."""

from random import Random

from protocol.membership.membership import Membership
from protocol.membership.messages import Contact, Presence
from protocol.membership.outcomes import Changed
from protocol.peering.certificates import Certificates
from protocol.peering.equivocators import Equivocators
from protocol.peering.members import Members
from protocol.peering.quarantine import Quarantines
from protocol.peering.site_policies import SitePolicies
from protocol.policy.policy_record import sign_policy
from protocol.policy.site_policy import SitePolicy
from protocol.sim.keys import SimFederation, SimSealer, SimVerifier
from protocol.terms.ids import KeyId, PeerId
from protocol.trust.identity import Identity
from protocol.trust.record import Record, SignedRecord, read_record, sign_record
from protocol.wire.codec import encode

NOW = 1_000_000.0
FED = SimFederation("fed", from_s=NOW - 86_400, until_s=NOW + 90 * 86_400)
ME = PeerId(FED.host("s1", "h1").key)


class World:
    def __init__(self) -> None:
        signer = FED.host("s1", "h1")
        chain, sealer = FED.host_chain("s1", "h1"), SimSealer(signer.key)
        me = Identity(signer, SimVerifier(), sealer, chain, FED.key, "h1", "s1", "h1:7000")
        self.membership = Membership(Contact(ME, "s1", "h1:7000"), Random(1), (), NOW)
        self.faults = Quarantines()
        certificates = Certificates(me, {}, NOW)
        liars, policies = Equivocators(me, {}, NOW), SitePolicies(me, {})
        self.members = Members(ME, self.membership, certificates, self.faults, liars, policies)


def presence(site: str, name: str, scope: str = "") -> tuple[Record, SignedRecord]:
    signer = FED.host(site, name)
    body = encode(Presence(FED.host_chain(site, name), f"{name}:7000"))
    record = Record(signer.key, "presence", "", 1, 1, body, 86_400.0, scope or site)
    return record, sign_record(record, signer)


def test_a_record_is_kept_of_a_member_alone() -> None:
    world = World()
    shown, signed = presence("s2", "far")
    advert = Record(shown.owner, "advert", "", 1, 2, b"", 60.0, "s2")
    assert not world.members.admits(advert, NOW)
    world.members.met(shown, signed, NOW)
    assert world.members.admits(advert, NOW), "at once, whatever has yet to follow from it"


def test_a_presence_of_another_scope_than_its_certificates_site_is_counted_and_not_believed() -> (
    None
):
    world = World()
    shown, signed = presence("s2", "far", scope="s1")
    assert not world.members.admits(shown, NOW)
    world.members.met(shown, signed, NOW)
    assert world.members.elsewhere(shown.owner) is None
    assert world.members.pop_outcomes() == []
    assert world.faults.counts == {"presence-malformed": 2}


def test_a_presence_is_believed_as_long_as_its_certificate_lasts() -> None:
    shown, _ = presence("s2", "far")
    assert World().members.admits(shown, NOW + 90 * 86_400 - 1)
    late = World()
    assert not late.members.admits(shown, NOW + 90 * 86_400 + 1)
    assert late.faults.counts == {"presence-expired": 1}


def test_what_follows_from_a_presence_met_elsewhere_is_told_once() -> None:
    world = World()
    shown, signed = presence("s2", "far")
    world.members.met(shown, signed, NOW)
    assert [type(outcome) for outcome in world.members.pop_outcomes()] == [Changed]
    assert world.members.pop_outcomes() == []
    assert world.members.met_elsewhere == 1
    assert world.members.site(PeerId(shown.owner)) == "s2"
    assert world.members.site(ME) == "s1"


def test_presences_of_peers_that_are_known_no_more_are_let_go() -> None:
    world = World()
    shown = [presence("s2", f"far{number}") for number in range(5)]
    for record, signed in shown[:3]:
        world.members.met(record, signed, NOW)
    for record, _ in shown[:3]:
        del world.membership.known[PeerId(record.owner)]
    world.members.met(*shown[3], NOW)
    left = [record.owner for record, _ in shown if world.members.elsewhere(KeyId(record.owner))]
    assert left == [shown[3][0].owner]


def test_a_policy_is_kept_of_a_site_and_of_nobody_else() -> None:
    world, site = World(), FED.site("s1")
    made = SitePolicy("s1", 1, NOW, FED.site_chain("s1"))
    assert world.members.admits(read_record(sign_policy(made, site)), NOW)
    theirs = sign_policy(made, FED.site("s2"))
    assert not world.members.admits(read_record(theirs), NOW)
    assert world.faults.counts["policy-wrong-role"] == 1
