"""Policies as files: a site signs one offline, `overlayctl policy publish` gives it to a peer.

A file is text like a revocation's: one block of base64, which is the signed record as it will travel. The lines
outside are for people and mean nothing. Nothing in it is secret. The site's folder keeps each that was signed,
named after its number, so that the next one has the next number.
"""

import time
from base64 import b64decode, b64encode
from binascii import Error as BinasciiError
from pathlib import Path
from secrets import token_hex

import msgspec

from overlayd.adapters.credentials import POLICIES, POLICY_SUFFIX, Credentials, newest_policy
from overlayd.adapters.nacl_keys import NaclVerifier, read_small_file, write_new_file
from overlayd.ports.keys import KeyFileError
from protocol.policy.policy_record import check_policy, sign_policy
from protocol.policy.site_policy import SitePolicy
from protocol.terms.ids import PeerId
from protocol.terms.quantities import counted, format_moment
from protocol.trust.order import MAX_VALID_S, Action, Order, SignedOrder, sign_order
from protocol.trust.record import SignedRecord
from protocol.trust.signing import Untrusted
from protocol.wire.codec import Malformed, decode, encode
from protocol.wire.limits import MAX_RECORD_BYTES

_BEGIN = "-----BEGIN OVERLAYD POLICY-----"
_END = "-----END OVERLAYD POLICY-----"


class Made(msgspec.Struct, frozen=True):
    """A policy that was written."""

    path: Path
    policy: SitePolicy


def sign_policy_file(
    site_dir: Path, site: Credentials, policy: SitePolicy, number: int, output: Path | None
) -> Made:
    """Signs a policy with the site's key. Number 0 is the next one. Raises KeyFileError."""
    newest = newest_policy(site_dir)
    if number and number <= newest:
        raise KeyFileError(
            f"policy {newest} of {site.principal.site} is signed already, and only a greater number "
            f"replaces it; leave --number out for {newest + 1}"
        )
    policy = msgspec.structs.replace(
        policy,
        site=site.principal.site,
        number=number or newest + 1,
        made_at_s=time.time(),
        chain=site.chain,
    )
    counting = _counting(site_dir, site, policy.stewards)
    policy = msgspec.structs.replace(policy, counting=counting)
    try:
        signed = sign_policy(policy, site.identity)
        check_policy(signed, site.federation, NaclVerifier())
    except (ValueError, Untrusted) as error:
        raise KeyFileError(f"this policy cannot be signed: {error}") from None
    kept = site_dir / POLICIES / f"{policy.number}{POLICY_SUFFIX}"
    for place in dict.fromkeys((kept, output or kept)):
        try:
            place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise KeyFileError(f"{place.parent} cannot be made: {error.strerror}") from None
        write_new_file(place, _text(signed, policy).encode(), mode=0o644)
    return Made(output or kept, policy)


def _counting(
    site_dir: Path, site: Credentials, stewards: tuple[PeerId, ...]
) -> SignedOrder | None:
    """The site's order by which these count; None without any. As long as they stay it is the same: another one
    begins to count anew."""
    if not stewards:
        return None
    newest = site_dir / POLICIES / f"{newest_policy(site_dir)}{POLICY_SUFFIX}"
    if newest.exists():
        before = check_policy(read_policy_file(newest), site.federation, NaclVerifier())
        if before.counting is not None and before.stewards == stewards:
            return before.counting
    order = Order(
        Action.COUNT,
        site.principal.site,
        time.time(),
        MAX_VALID_S,
        token_hex(16),
        stewards=stewards,
    )
    return sign_order(order, site.identity, site.chain)


def read_policy_file(path: Path) -> SignedRecord:
    """The record in a policy file, unchecked. Raises KeyFileError."""
    text = read_small_file(path, 2 * MAX_RECORD_BYTES)
    block = text.partition(_BEGIN)[2].partition(_END)[0]
    if not block:
        raise KeyFileError(f"{path} holds no signed policy; `overlayctl policy sign` makes one")
    try:
        return decode(b64decode("".join(block.split()), validate=True), SignedRecord)
    except (BinasciiError, Malformed):
        raise KeyFileError(f"{path} is damaged; copy it again from where it was made") from None


def _text(signed: SignedRecord, policy: SitePolicy) -> str:
    when = format_moment(policy.made_at_s)
    text = b64encode(encode(signed)).decode()
    lines = "\n".join(text[start : start + 76] for start in range(0, len(text), 76))
    who = counted(len(policy.vos), "organisation")
    said = f"# policy {policy.number} of site {policy.site}, {when}: lets in {who}\n"
    return f"{said}# publish it at any peer: overlayctl policy publish FILE\n{_BEGIN}\n{lines}\n{_END}\n"
