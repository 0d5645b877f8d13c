"""Hold grants: what a host promises to carry of a grid, said so that anybody can check it.

A host signs a grant with each hold, and the grid's record carries the grants of all its hosts. So who carries
what, with which VXLAN ids and from when, is each host's own word. A member that changes a record can add no
carrier, move no workspace and change no network.

A grant is about one attempt of one order, by its grid's id. So an old one says nothing of another attempt.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from protocol.grid.limits import NETWORKS_MAX, WORKSPACES_MAX
from protocol.terms.ids import GridId, KeyId, PeerId
from protocol.trust.signing import Reason, Signer, Untrusted, Verifier, require_signature
from protocol.wire.codec import Malformed, decode, encode

DOMAIN = "hold-grant"
VNI_MOST = (1 << 24) - 1
"""VXLAN ids have 24 bits."""
_PAYLOAD_BYTES = 64 << 10
"""A host may hold a whole grid: 1,024 workspaces with names of 45 characters."""
_SIGNATURE_BYTES = 64


class HoldGrant(msgspec.Struct, frozen=True, array_like=True):
    """What one host carries of a grid, if that attempt to make it, or to change it, is decided."""

    grid: GridId
    workspaces: Annotated[tuple[str, ...], Meta(max_length=WORKSPACES_MAX)]
    """By name."""
    vnis: Annotated[tuple[int, ...], Meta(max_length=NETWORKS_MAX)]
    """The VXLAN id of each network of the grid, in the order of its order."""
    start_s: float = 0.0
    """When the lease is to begin, Unix seconds; 0 for when it is decided."""
    store: Annotated[str, Meta(max_length=64)] = ""
    """The id of the store that remembers it. Empty in grants of older builds."""
    change: GridId = GridId("")
    """The attempt to change the grid for which it was granted; empty if that was to make it."""
    wireguard: bool = False
    """Whether it carries networks by WireGuard, where all others do (carrier.py)."""


class SignedGrant(msgspec.Struct, frozen=True, array_like=True):
    """An encoded HoldGrant, and its host's signature."""

    host: PeerId
    payload: Annotated[bytes, Meta(max_length=_PAYLOAD_BYTES)]
    signature: Annotated[bytes, Meta(max_length=_SIGNATURE_BYTES)]


class CheckedGrant(msgspec.Struct, frozen=True):
    """A grant that its host signed. Only `check_grant` makes one."""

    host: PeerId
    grant: HoldGrant


def sign_grant(grant: HoldGrant, signer: Signer) -> SignedGrant:
    """`grant`, as the word of the host that signs."""
    payload = encode(grant)
    return SignedGrant(PeerId(signer.key), payload, signer.sign(DOMAIN, payload))


def read_grant(signed: SignedGrant) -> HoldGrant:
    """What a grant says, before anything is believed. Raises Malformed."""
    return decode(signed.payload, HoldGrant, limit_bytes=_PAYLOAD_BYTES)


def check_grant(signed: SignedGrant, verifier: Verifier) -> CheckedGrant:
    """The grant and whose it is. Raises Untrusted. Whether that host is a member is not looked at."""
    try:
        grant = read_grant(signed)
    except Malformed as error:
        raise Untrusted(Reason.MALFORMED, f"hold grant: {error}") from None
    require_signature(verifier, KeyId(signed.host), DOMAIN, signed.payload, signed.signature)
    return CheckedGrant(signed.host, grant)
