"""Federation signs site, site signs host; anything else is refused with its reason."""

from typing import Any

import msgspec
import pytest

from protocol.sim.keys import SimFederation, SimSigner, SimVerifier
from protocol.trust.certificate import (
    CLOCK_TOLERANCE_S,
    DOMAIN,
    Chain,
    Principal,
    Role,
    SignedCertificate,
    check_chain,
    names_of,
    read_certificate,
    sign_certificate,
)
from protocol.trust.signing import Reason, Untrusted
from protocol.wire.codec import encode

FROM_S, NOW_S, UNTIL_S = 1000.0, 2000.0, 3000.0
OURS = SimFederation("ours", from_s=FROM_S, until_s=UNTIL_S)
OTHER = SimFederation("other", from_s=FROM_S, until_s=UNTIL_S)
SITE, HOST = OURS.site("ams"), OURS.host("ams", "h1")
(SITE_CERT,) = OURS.site_chain("ams")
HOST_CERT = OURS.host_chain("ams", "h1")[0]


def check(chain: Chain, now_s: float = NOW_S, **options: Any) -> Principal:
    return check_chain(chain, OURS.key, now_s, SimVerifier(), **options)


def changed(signed: SignedCertificate, signer: SimSigner, **changes: Any) -> SignedCertificate:
    """The certificate with changes, signed again, even when no honest signer would."""
    payload = encode(msgspec.structs.replace(read_certificate(signed), **changes))
    return SignedCertificate(payload=payload, signature=signer.sign(DOMAIN, payload))


def test_a_host_and_its_site_are_who_they_say() -> None:
    host, site = map(names_of, map(read_certificate, (HOST_CERT, SITE_CERT)))
    assert host == (
        (SITE.key, read_certificate(HOST_CERT).serial),
        (SITE.key, f"key {HOST.key}"),
    )
    assert check((HOST_CERT, SITE_CERT)) == Principal(
        HOST.key, Role.HOST, "ams", "h1", UNTIL_S, (*host, *site)
    )
    assert check((SITE_CERT,)) == Principal(SITE.key, Role.SITE, "ams", "ams", UNTIL_S, site)


def test_a_chain_ends_with_its_first_link_to_end() -> None:
    early = changed(SITE_CERT, OURS.root, not_after_s=2500.0)
    assert check((HOST_CERT, early)).expires_s == 2500.0


FORGED = msgspec.structs.replace(HOST_CERT, signature=bytes(32))
TAMPERED = msgspec.structs.replace(
    HOST_CERT, payload=HOST_CERT.payload.replace(b"\xa2h1", b"\xa2h2")
)
FOREIGN_SITE = changed(SITE_CERT, OTHER.root, issuer=OTHER.key)
SELF_MADE_SITE = changed(SITE_CERT, SITE, issuer=SITE.key)
HOST_AS_SITE = changed(HOST_CERT, OURS.root, issuer=OURS.key)
SITE_BY_SITE = changed(SITE_CERT, SITE, issuer=SITE.key, subject=OURS.site("fra").key)
HOST_BY_HOST = changed(HOST_CERT, HOST, issuer=HOST.key, subject=OURS.host("ams", "h2").key)
HOST_OF_FRA = OURS.host_chain("fra", "h1")[0]
STRAY_SITE = changed(HOST_CERT, SITE, site="fra")


@pytest.mark.parametrize(
    ("chain", "reason"),
    [
        ((), Reason.BROKEN_CHAIN),
        ((HOST_CERT, SITE_CERT, SITE_CERT), Reason.BROKEN_CHAIN),
        ((HOST_CERT,), Reason.WRONG_FEDERATION),
        ((SITE_CERT, HOST_CERT), Reason.WRONG_FEDERATION),
        (OTHER.host_chain("ams", "h1"), Reason.WRONG_FEDERATION),
        ((HOST_CERT, FOREIGN_SITE), Reason.WRONG_FEDERATION),
        ((HOST_CERT, SELF_MADE_SITE), Reason.WRONG_FEDERATION),
        ((FORGED, SITE_CERT), Reason.BAD_SIGNATURE),
        ((TAMPERED, SITE_CERT), Reason.BAD_SIGNATURE),
        ((HOST_AS_SITE,), Reason.WRONG_ROLE),
        ((SITE_BY_SITE, SITE_CERT), Reason.WRONG_ROLE),
        ((SITE_CERT, SITE_CERT), Reason.BROKEN_CHAIN),
        ((HOST_BY_HOST, SITE_CERT), Reason.BROKEN_CHAIN),
        ((HOST_OF_FRA, SITE_CERT), Reason.BROKEN_CHAIN),
        ((STRAY_SITE, SITE_CERT), Reason.BROKEN_CHAIN),
        ((SignedCertificate(b"\xc1", b""),), Reason.MALFORMED),
        ((SignedCertificate(b"x" * 5000, b""),), Reason.MALFORMED),
        ((changed(SITE_CERT, OURS.root, site="a\x1b[2J", name="a\x1b[2J"),), Reason.MALFORMED),
        ((changed(SITE_CERT, OURS.root, name="other"),), Reason.MALFORMED),
        ((changed(SITE_CERT, OURS.root, subject="abc"),), Reason.MALFORMED),
        ((changed(SITE_CERT, OURS.root, serial="x"),), Reason.MALFORMED),
        ((changed(SITE_CERT, OURS.root, not_after_s=FROM_S),), Reason.MALFORMED),
        ((changed(SITE_CERT, OURS.root, not_after_s=float("nan")),), Reason.MALFORMED),
        ((changed(SITE_CERT, OURS.root, role="king"),), Reason.MALFORMED),
    ],
    ids=range(24),
)
def test_each_fault_has_its_reason(chain: Chain, reason: Reason) -> None:
    with pytest.raises(Untrusted) as error:
        check(chain)
    assert error.value.reason is reason


@pytest.mark.parametrize(
    ("now_s", "reason"),
    [
        (FROM_S - CLOCK_TOLERANCE_S - 1, Reason.NOT_YET_VALID),
        (FROM_S - CLOCK_TOLERANCE_S, None),
        (FROM_S, None),
        (UNTIL_S - 1, None),
        (UNTIL_S, Reason.EXPIRED),
        (UNTIL_S + 1e9, Reason.EXPIRED),
    ],
)
@pytest.mark.parametrize("chain", [(SITE_CERT,), (HOST_CERT, SITE_CERT)], ids=["site", "host"])
def test_dates(chain: Chain, now_s: float, reason: Reason | None) -> None:
    if reason is None:
        assert check(chain, now_s).expires_s == UNTIL_S
        return
    with pytest.raises(Untrusted) as error:
        check(chain, now_s)
    assert error.value.reason is reason


def test_only_genuine_certificates_are_called_expired() -> None:
    forged = msgspec.structs.replace(SITE_CERT, signature=bytes(32))
    with pytest.raises(Untrusted, match="bad-signature"):
        check((forged,), UNTIL_S + 1)


@pytest.mark.parametrize("revoked", [HOST_CERT, SITE_CERT])
def test_a_revoked_link_breaks_the_chain(revoked: SignedCertificate) -> None:
    says = read_certificate(revoked)
    serials = {(says.issuer, says.serial)}
    with pytest.raises(Untrusted, match="revoked"):
        check((HOST_CERT, SITE_CERT), revoked=serials)


def test_an_issuer_signs_only_what_holds_together() -> None:
    certificate = read_certificate(HOST_CERT)
    with pytest.raises(ValueError, match="issuer"):
        sign_certificate(certificate, HOST)
    with pytest.raises(ValueError, match="a name is"):
        sign_certificate(msgspec.structs.replace(certificate, name="H 1"), SITE)


@pytest.mark.parametrize(
    ("now_s", "words"),
    [
        (FROM_S - 301, "not-yet-valid: site ams is valid in 301 s; check the clock"),
        (UNTIL_S + 90, "expired: site ams expired 90 s ago; its site must renew it"),
    ],
)
def test_a_date_that_is_wrong_says_by_how_much(now_s: float, words: str) -> None:
    with pytest.raises(Untrusted) as error:
        check((SITE_CERT,), now_s)
    assert str(error.value) == words


def test_a_clock_may_be_five_minutes_slow() -> None:
    assert check((HOST_CERT, SITE_CERT), FROM_S - 300).key == HOST.key
    with pytest.raises(Untrusted, match="not-yet-valid"):
        check((HOST_CERT, SITE_CERT), FROM_S - 300.001)
