"""A policy travels as the site's own record, and every way in which one is not believed."""

from typing import Any

import msgspec
import pytest
from some_policies import NOW_S, OTHER, OURS, SITE, STAR, STAR_TERMS, VERIFIER, policy

from protocol.policy.policy_record import check_policy, sign_policy
from protocol.policy.site_policy import NAMED_MOST, PortSpan, SitePolicy, VoTerms
from protocol.sim.keys import SimFederation, SimSigner
from protocol.terms.ids import Digest, KeyId
from protocol.trust.record import SignedRecord, newer, read_record, sign_record
from protocol.trust.signing import Untrusted
from protocol.wire.codec import encode

STRANGER = SimFederation("theirs", from_s=1000.0, until_s=3000.0)
HOST = OURS.host("ams", "h2")


def checked(signed: SignedRecord) -> SitePolicy:
    return check_policy(signed, OURS.key, VERIFIER)


def changed(
    signer: SimSigner = SITE, *, body: dict[str, Any] | None = None, **record: Any
) -> SignedRecord:
    """The policy with changes, signed by somebody, even when no honest signer would."""
    said = msgspec.structs.replace(policy(), **(body or {}))
    was = read_record(sign_policy(policy(), SITE))
    fields: dict[str, Any] = {"owner": signer.key, "body": encode(said), **record}
    return sign_record(msgspec.structs.replace(was, **fields), signer)


def test_what_a_site_signed_is_read_as_it_was() -> None:
    assert checked(sign_policy(policy(), SITE)) == policy()


def test_of_two_the_one_with_the_greater_number_replaces_the_other() -> None:
    older, later = (read_record(sign_policy(policy(number), SITE)) for number in (3, 4))
    assert older.key == later.key
    assert newer(later, older)
    assert not newer(older, later)


TWICE = (STAR_TERMS, msgspec.structs.replace(STAR_TERMS, name="again"))
WRONG = {
    "another site's": (
        changed(OTHER, body={"chain": OURS.site_chain("fra")}),
        "site fra signed a policy of ams",
    ),
    "another site's, with the right chain": (changed(OTHER), "signs no policy"),
    "a host's": (changed(HOST, body={"chain": OURS.host_chain("ams", "h2")}), "signs no policy"),
    "a stranger's": (
        changed(STRANGER.site("ams"), body={"chain": STRANGER.site_chain("ams")}),
        "wrong-federation",
    ),
    "without a chain": (changed(body={"chain": ()}), "broken-chain"),
    "made before its site was": (changed(body={"made_at_s": 100.0}), "not-yet-valid"),
    "made after its site was": (changed(body={"made_at_s": NOW_S + 5000.0}), "expired"),
    "under another number": (changed(sequence=9), "another number"),
    "of another life": (changed(incarnation=1), "kind or name"),
    "under another name": (changed(name="x"), "kind or name"),
    "of another kind": (changed(kind="advert"), "kind or name"),
    "number 0": (changed(body={"number": 0}, sequence=0), "1 at least"),
    "no key": (changed(body={"vos": (VoTerms("star", KeyId("9f3c")),)}), "64 hexadecimal"),
    "no name": (changed(body={"vos": (VoTerms("St ar", STAR),)}), "DNS label"),
    "a key twice": (changed(body={"vos": TWICE}), "twice"),
    "ports backwards": (
        changed(body={"vos": (VoTerms("star", STAR, expose=(PortSpan(9, 8),)),)}),
        "ends before",
    ),
    "too many images": (
        changed(body={"vos": (VoTerms("star", STAR, images=(Digest("a"),) * (NAMED_MOST + 1)),)}),
        "malformed",
    ),
}


@pytest.mark.parametrize("name", list(WRONG))
def test_it_is_not_believed(name: str) -> None:
    signed, why = WRONG[name]
    with pytest.raises(Untrusted, match=why):
        checked(signed)


def test_an_altered_one_is_not_believed() -> None:
    signed = sign_policy(policy(), SITE)
    altered = signed.payload.replace(b"star", b"cms!")
    with pytest.raises(Untrusted, match="bad-signature"):
        checked(SignedRecord(altered, signed.signature))


def test_what_everybody_would_refuse_is_not_signed() -> None:
    with pytest.raises(ValueError, match="twice"):
        sign_policy(policy(1, *TWICE), SITE)
    long = tuple(Digest(f"{n:064x}") for n in range(NAMED_MOST))
    many = tuple(VoTerms(f"v{n}", KeyId(f"{n:064x}"), images=long) for n in range(10))
    with pytest.raises(ValueError, match="at most 32 are accepted"):
        sign_policy(policy(1, *many), SITE)
