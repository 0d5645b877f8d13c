"""What each signer may revoke, and every way in which a revocation is not believed."""

from typing import Any

import msgspec
import pytest
from organisation import Organisation

from protocol.sim.keys import SimFederation, SimSigner, SimVerifier
from protocol.terms.ids import KeyId
from protocol.trust.certificate import Chain, SignedCertificate, check_chain, read_certificate
from protocol.trust.grants import Grants, check_grants, read_grant
from protocol.trust.record import MAX_TTL_S, Record, SignedRecord, read_record, sign_record
from protocol.trust.revocation import (
    KIND,
    Revocation,
    Revocations,
    check_revocation,
    covered,
    name_of,
    revoke,
    revoke_grant,
    revoke_member,
)
from protocol.trust.signing import Reason, Untrusted
from protocol.wire.codec import encode

NOW_S = 2000.0
OURS = SimFederation("ours", from_s=1000.0, until_s=3000.0)
SITE, OTHER = OURS.site("ams"), OURS.site("fra")
HOST_CERT, SITE_CERT = OURS.host_chain("ams", "h1")
SITE_CHAIN = OURS.site_chain("ams")


def checked(signed: SignedRecord) -> Revocation:
    return check_revocation(signed, OURS.key, SimVerifier(), ())


def made(
    signed: SignedCertificate = HOST_CERT, signer: SimSigner = SITE, chain: Chain = SITE_CHAIN
) -> SignedRecord:
    return revoke(read_certificate(signed), "stolen", NOW_S, signer, chain)


def changed(
    signer: SimSigner, *, body: dict[str, Any] | None = None, **record: Any
) -> SignedRecord:
    """The revocation with changes, signed again by somebody, even when no honest signer would."""
    was = read_record(made())
    revocation = msgspec.structs.replace(
        msgspec.msgpack.decode(was.body, type=Revocation), **(body or {})
    )
    fields: dict[str, Any] = {"owner": signer.key, "body": encode(revocation), **record}
    return sign_record(msgspec.structs.replace(was, **fields), signer)


def test_a_site_revokes_its_host() -> None:
    revocation = checked(made())
    says = read_certificate(HOST_CERT)
    assert (revocation.issuer, revocation.serial) == (SITE.key, says.serial)
    assert (revocation.what, revocation.reason) == ("host ams/h1", "stolen")
    assert revocation.until_s == says.not_after_s


@pytest.mark.parametrize(("signed", "what"), [(HOST_CERT, "host ams/h1"), (SITE_CERT, "site ams")])
def test_the_federation_revokes_anything(signed: SignedCertificate, what: str) -> None:
    assert checked(made(signed, OURS.root, ())).what == what


def test_nobody_makes_one_for_what_is_not_theirs() -> None:
    with pytest.raises(ValueError, match="what it signed itself"):
        made(signer=OTHER, chain=OURS.site_chain("fra"))
    with pytest.raises(ValueError, match="ended by itself"):
        revoke(read_certificate(HOST_CERT), "", 3000.0, SITE, SITE_CHAIN)
    with pytest.raises(ValueError, match="a reason"):
        revoke(read_certificate(HOST_CERT), "x" * 201, NOW_S, SITE, SITE_CHAIN)


STRANGER = SimFederation("theirs", from_s=1000.0, until_s=3000.0)
HOST = OURS.host("ams", "h2")
WRONG = {
    "another site's": (
        changed(OTHER, body={"chain": OURS.site_chain("fra")}),
        "it did not sign",
    ),
    "another site's, with the right chain": (changed(OTHER), "may not revoke"),
    "a host's": (changed(HOST, body={"chain": OURS.host_chain("ams", "h2")}), "may not revoke"),
    "a stranger's": (
        changed(STRANGER.site("ams"), body={"chain": STRANGER.site_chain("ams")}),
        "wrong-federation",
    ),
    "without a chain": (changed(SITE, body={"chain": ()}), "broken-chain"),
    "made before its site was": (changed(SITE, body={"at_s": 100.0}), "not-yet-valid"),
    "under another name": (changed(SITE, name="0123.4567"), "name is another"),
    "of another kind": (changed(SITE, kind="advert"), "name is another"),
    "too many words": (changed(SITE, body={"reason": "x" * 500}), "words"),
}


@pytest.mark.parametrize("name", list(WRONG))
def test_it_is_not_believed(name: str) -> None:
    signed, why = WRONG[name]
    with pytest.raises(Untrusted, match=why):
        checked(signed)


def test_what_is_no_revocation_inside_is_malformed() -> None:
    record = Record(SITE.key, KIND, "a.b", 0, 1, b"\xc0", 60.0)
    with pytest.raises(Untrusted, match="malformed"):
        checked(sign_record(record, SITE))


def test_a_forged_signature_is_not_believed() -> None:
    forged = msgspec.structs.replace(made(), signature=bytes(32))
    with pytest.raises(Untrusted, match="bad-signature"):
        checked(forged)


def test_sites_cannot_revoke_each_other_by_serial() -> None:
    """Serials are the issuer's to choose, so a revocation is of an issuer's serial."""
    known = Revocations()
    revocation = checked(made())
    assert known.add(revocation)
    assert not known.add(revocation)
    assert (SITE.key, revocation.serial) in known
    assert (OTHER.key, revocation.serial) not in known
    assert name_of(SITE.key, "00") != name_of(OTHER.key, "00")


def test_it_is_forgotten_when_the_certificate_has_ended_by_itself() -> None:
    known = Revocations()
    revocation = checked(made())
    known.add(revocation)
    assert known.forget_ended(2999.0) == []
    assert known.forget_ended(3000.0) == [revocation]
    assert len(known) == 0
    assert (KeyId(SITE.key), revocation.serial) not in known


def test_its_record_is_named_by_issuer_and_serial_and_lives_as_long_as_the_certificate() -> None:
    record = read_record(made())
    says = read_certificate(HOST_CERT)
    assert record.key == (SITE.key, "revocation", f"{SITE.key[:16]}.{says.serial}")
    assert record.ttl_s == says.not_after_s - NOW_S
    assert (record.incarnation, record.sequence) == (0, 2000)


def test_a_certificate_that_ends_later_than_any_record_is_revoked_all_the_same() -> None:
    says = msgspec.structs.replace(read_certificate(HOST_CERT), not_after_s=NOW_S + 2 * MAX_TTL_S)
    signed = revoke(says, "stolen", NOW_S, SITE, SITE_CHAIN)
    assert read_record(signed).ttl_s == MAX_TTL_S
    assert checked(signed).until_s == says.not_after_s


def test_a_reason_has_up_to_two_hundred_characters() -> None:
    reason = "x" * 200
    signed = revoke(read_certificate(HOST_CERT), reason, NOW_S, SITE, SITE_CHAIN)
    assert checked(signed).reason == reason


def test_a_reason_and_what_it_is_of_have_four_hundred_characters_together() -> None:
    what = "host " + "y" * 195
    assert checked(changed(SITE, body={"what": what, "reason": "x" * 200})).what == what
    with pytest.raises(Untrusted, match="malformed: revocation: its words are too many"):
        checked(changed(SITE, body={"what": what, "reason": "x" * 201}))


def test_a_reason_is_printable() -> None:
    with pytest.raises(ValueError, match="printable"):
        revoke(read_certificate(HOST_CERT), "a\x1b[2J", NOW_S, SITE, SITE_CHAIN)


def test_those_that_matter_come_in_the_order_they_were_added() -> None:
    known = Revocations()
    revocations = [
        checked(made(signed, OURS.root, ()))
        for signed in (SITE_CERT, HOST_CERT, OURS.host_chain("ams", "h0")[0])
    ]
    for revocation in revocations:
        known.add(revocation)
    assert list(known) == revocations
    assert len(known) == 3


def test_it_says_whose_certificate_it_was_unless_that_is_not_known() -> None:
    says = read_certificate(HOST_CERT)
    assert checked(made()).subject == says.subject
    unknown = msgspec.structs.replace(says, subject=SITE.key)
    assert checked(revoke(unknown, "", NOW_S, SITE, SITE_CHAIN)).subject == ""


def test_a_key_and_a_site_of_a_revoked_certificate_are_known_until_it_would_have_ended() -> None:
    host, site = read_certificate(HOST_CERT), read_certificate(SITE_CERT)
    known = Revocations()
    assert not known.concerns(host.subject, "ams")
    known.add(checked(made()))
    known.add(checked(changed(SITE, body={"serial": "ab" * 8}, name=name_of(SITE.key, "ab" * 8))))
    assert known.concerns(host.subject, "fra")
    assert not known.concerns(OTHER.key, "ams")
    known.add(checked(made(SITE_CERT, OURS.root, ())))
    assert known.concerns(OTHER.key, "ams")
    assert len(known.forget_ended(site.not_after_s)) == 3
    assert not known.concerns(host.subject, "ams")


def test_all_certificates_of_a_key_by_its_issuer_go_until_all_revocations_have_ended() -> None:
    host = read_certificate(HOST_CERT)
    key, known = (SITE.key, f"key {host.subject}"), Revocations()
    first = checked(made())
    later = checked(
        changed(
            SITE, body={"serial": "ab" * 8, "until_s": 5000.0}, name=name_of(SITE.key, "ab" * 8)
        )
    )
    assert covered(first) == ((SITE.key, host.serial), key)
    known.add(first)
    known.add(later)
    assert key in known
    assert known.get(key) is first
    assert (OTHER.key, key[1]) not in known
    assert known.forget_ended(3000.0) == [first]
    assert known.get(key) is later
    known.discard(later)
    assert key not in known
    assert known.get(key) is None
    nobody = msgspec.structs.replace(first, subject=KeyId(""))
    assert covered(nobody) == ((SITE.key, host.serial),)


# -- by a virtual organisation

STAR = Organisation("star", from_s=1000.0, until_s=3000.0)
ANA = STAR.grant("ana")
BO = STAR.grant("bo", under=ANA, by="ana")
ANA_KEY, BO_KEY = STAR.key_of("ana").key, STAR.key_of("bo").key


def of_grant(grants: Grants = ANA, signer: SimSigner = STAR.signer) -> SignedRecord:
    return revoke_grant(read_grant(grants[-1]), "left", NOW_S, signer)


def of_member(key: KeyId = ANA_KEY, signer: SimSigner = STAR.signer) -> SignedRecord:
    return revoke_member("star", key, "ana", "left", NOW_S, signer)


def of_vo(signed: SignedRecord, *admitted: KeyId) -> Revocation:
    return check_revocation(signed, OURS.key, SimVerifier(), admitted or (STAR.signer.key,))


def refused(grants: Grants, *revoked: SignedRecord) -> bool:
    """Whether a chain is not believed because of what is revoked."""
    known = Revocations()
    for signed in revoked:
        known.add(of_vo(signed))
    try:
        check_grants(grants, NOW_S, SimVerifier(), revoked=known)
    except Untrusted as error:
        return error.reason is Reason.REVOKED
    return False


def test_a_vo_takes_back_a_grant_and_what_was_passed_on_under_it() -> None:
    said = of_vo(of_grant())
    assert (said.what, said.vo, said.subject) == ("grant to ana of VO star", "star", "")
    assert said.until_s == read_grant(ANA[0]).not_after_s
    assert refused(ANA, of_grant())
    assert refused(BO, of_grant())
    another = STAR.grant("ana", serial="0123456789abcdef")
    assert not refused(another, of_grant()), "one grant is not all that ana has"
    assert not refused(STAR.grant("bo"), of_grant())


def test_a_vo_revokes_a_member_with_all_that_it_has_for_good() -> None:
    assert of_vo(of_member()).what == "member ana of VO star"
    assert refused(ANA, of_member())
    assert refused(STAR.grant("ana", serial="0123456789abcdef"), of_member())
    assert refused(BO, of_member())
    assert refused(BO, of_member(BO_KEY)), "whoever passed it on"
    assert not refused(ANA, of_member(BO_KEY))
    assert of_vo(of_member()).until_s == NOW_S + MAX_TTL_S


def test_a_vo_takes_nothing_from_another_vo() -> None:
    cms = Organisation("cms", from_s=1000.0, until_s=3000.0)
    theirs = revoke_member("cms", ANA_KEY, "", "", NOW_S, cms.signer)
    known = Revocations()
    known.add(of_vo(theirs, cms.signer.key))
    check_grants(ANA, NOW_S, SimVerifier(), revoked=known)


def test_what_is_not_a_vos_to_revoke_is_not_made() -> None:
    with pytest.raises(ValueError, match="VO star takes back what it gave itself"):
        of_grant(BO)
    with pytest.raises(ValueError, match="VO star takes back what it gave itself"):
        of_grant(BO, STAR.key_of("ana"))
    with pytest.raises(ValueError, match="does not revoke itself"):
        of_member(STAR.signer.key)
    with pytest.raises(ValueError, match="ended by itself"):
        revoke_grant(read_grant(ANA[0]), "", 3000.0, STAR.signer)
    with pytest.raises(ValueError, match="a reason"):
        revoke_member("star", ANA_KEY, "", "x" * 201, NOW_S, STAR.signer)


def altered(signed: SignedRecord, signer: SimSigner, **body: Any) -> SignedRecord:
    """A VO's revocation with changes, under a name that fits, signed by somebody."""
    was = read_record(signed)
    said = msgspec.structs.replace(msgspec.msgpack.decode(was.body, type=Revocation), **body)
    name = name_of(said.issuer, said.serial)
    fields = {"owner": signer.key, "body": encode(said), "name": name}
    return sign_record(msgspec.structs.replace(was, **fields), signer)


MEMBER = STAR.key_of("ana")
NOT_A_VOS = {
    "a member's of its parent": (altered(of_grant(), MEMBER), "with that VO's key"),
    "a member's in its own name": (altered(of_grant(), MEMBER, issuer=ANA_KEY), "no site admits"),
    "a site's": (altered(of_grant(), SITE), "with that VO's key"),
    "the federation's": (altered(of_grant(), OURS.root), "with that VO's key"),
    "of the VO itself": (
        altered(of_member(), STAR.signer, subject=STAR.signer.key, serial=STAR.signer.key[:32]),
        "of no VO's grant or member",
    ),
    "named after another": (altered(of_member(), STAR.signer, subject=BO_KEY), "not named after"),
    "of a VO without a name": (altered(of_grant(), STAR.signer, vo="A b"), "of no VO's grant"),
    "of a certificate": (altered(of_grant(), STAR.signer, vo=""), "record.s name is another"),
}


@pytest.mark.parametrize("name", list(NOT_A_VOS))
def test_it_is_not_believed_of_a_vo(name: str) -> None:
    signed, why = NOT_A_VOS[name]
    with pytest.raises(Untrusted, match=why):
        of_vo(signed)


def test_a_vo_that_no_site_admits_revokes_nothing() -> None:
    with pytest.raises(Untrusted, match="no site admits a VO of key"):
        of_vo(of_grant(), ANA_KEY)


def test_a_host_that_a_vo_names_stays_what_it_is() -> None:
    """A VO chooses whom it calls its member, and what the revocation says in words."""
    known = Revocations()
    host = read_certificate(HOST_CERT).subject
    one = altered(of_member(host), STAR.signer, what="site ams")
    assert known.add(of_vo(one))
    assert not known.concerns(host, "ams")
    check_chain(OURS.host_chain("ams", "h1"), OURS.key, NOW_S, SimVerifier(), revoked=known)
    known.discard(of_vo(one))
    assert len(known) == 0
    assert not known.concerns(host, "ams")
