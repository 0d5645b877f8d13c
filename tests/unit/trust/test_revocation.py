"""What each signer may revoke, and every way in which a revocation is not believed."""

from typing import Any

import msgspec
import pytest

from protocol.sim.keys import SimFederation, SimSigner, SimVerifier
from protocol.terms.ids import KeyId
from protocol.trust.certificate import Chain, SignedCertificate, read_certificate
from protocol.trust.record import MAX_TTL_S, Record, SignedRecord, read_record, sign_record
from protocol.trust.revocation import (
    KIND,
    Revocation,
    Revocations,
    check_revocation,
    covered,
    name_of,
    revoke,
)
from protocol.trust.signing import Untrusted
from protocol.wire.codec import encode

NOW_S = 2000.0
OURS = SimFederation("ours", from_s=1000.0, until_s=3000.0)
SITE, OTHER = OURS.site("ams"), OURS.site("fra")
HOST_CERT, SITE_CERT = OURS.host_chain("ams", "h1")
SITE_CHAIN = OURS.site_chain("ams")


def checked(signed: SignedRecord) -> Revocation:
    return check_revocation(signed, OURS.key, SimVerifier())


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
