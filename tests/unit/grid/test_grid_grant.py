"""A host's signed word on what it holds."""

import msgspec
import pytest
from negotiating import A, B, HostKey

from protocol.grid.grant import HoldGrant, SignedGrant, check_grant, sign_grant
from protocol.sim.keys import SimVerifier
from protocol.terms.ids import GridId
from protocol.trust.signing import Reason, Untrusted
from protocol.wire.codec import encode

GRANT = HoldGrant(GridId("0123456789abcdef0123.0-abcdef"), ("web-1", "web-2"), (7, 8), 1000.0)
SIGNED = sign_grant(GRANT, HostKey(A))
VERIFIER = SimVerifier()


def test_what_its_host_signed_is_believed() -> None:
    checked = check_grant(SIGNED, VERIFIER)
    assert (checked.host, checked.grant) == (A, GRANT)


@pytest.mark.parametrize(
    ("signed", "reason"),
    [
        (msgspec.structs.replace(SIGNED, host=B), Reason.BAD_SIGNATURE),
        (msgspec.structs.replace(SIGNED, signature=b"x" * 32), Reason.BAD_SIGNATURE),
        (msgspec.structs.replace(SIGNED, payload=SIGNED.payload + b"x"), Reason.MALFORMED),
        (msgspec.structs.replace(SIGNED, payload=b""), Reason.MALFORMED),
        (msgspec.structs.replace(SIGNED, payload=encode(SIGNED)), Reason.MALFORMED),
        (sign_grant(msgspec.structs.replace(GRANT, vnis=(1,) * 17), HostKey(A)), Reason.MALFORMED),
        (sign_grant(msgspec.structs.replace(GRANT, store="x" * 65), HostKey(A)), Reason.MALFORMED),
    ],
)
def test_nothing_else_is(signed: SignedGrant, reason: Reason) -> None:
    with pytest.raises(Untrusted) as refused:
        check_grant(signed, VERIFIER)
    assert refused.value.reason is reason


def test_a_grant_of_one_workspace_takes_a_record_about_two_hundred_bytes() -> None:
    one = sign_grant(msgspec.structs.replace(GRANT, workspaces=("web-1",), vnis=(7,)), HostKey(A))
    signature = b"s" * 64
    assert len(encode(msgspec.structs.replace(one, signature=signature))) < 200
