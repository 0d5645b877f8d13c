"""What is signed when two hosts agree on keys, how it comes to be believed, and what the keys are made of.

An answer has the digest of its offer, and the keys follow from the digest of the answer. So both ends have the
same keys only if they read the same of everything: federation, both names, both indexes, both public halves,
and the cipher. Neither can be shown an offer or an answer that was meant for another, or for another exchange.
"""

from hashlib import sha256
from typing import Annotated

import msgspec
from msgspec import Meta

from protocol.terms.ids import KeyId, PeerId
from protocol.terms.ranges import Name, Number
from protocol.terms.sealed import Cipher
from protocol.trust.exchange import PUBLIC_BYTES
from protocol.trust.signing import (
    Reason,
    Signer,
    Untrusted,
    Verifier,
    read_signed,
    require_signature,
)
from protocol.tunnel_keys.limits import CIPHERS_MOST, PAYLOAD_BYTES
from protocol.tunnel_keys.messages import SHA256, TunnelAnswer, TunnelOffer
from protocol.wire.codec import encode

OFFER, ANSWER = "tunnel-offer", "tunnel-answer"
"""The domains of the signatures."""

Index = Annotated[int, Meta(ge=1, le=(1 << 32) - 1)]
PublicHalf = Annotated[bytes, Meta(min_length=PUBLIC_BYTES, max_length=PUBLIC_BYTES)]


class Offered(msgspec.Struct, frozen=True):
    """What an offer says."""

    federation: KeyId
    by: PeerId
    to: PeerId
    life: Number
    """The incarnation of who offers. (`life`, `round`) rises with each of its offers to one host."""
    round: Number
    index: Index
    """What `to` is to put into the headers of what it sends."""
    key: PublicHalf
    """X25519, for this exchange alone."""
    ciphers: Annotated[tuple[Name, ...], Meta(max_length=CIPHERS_MOST)]
    """What its forwarder can do, the best first. An unknown name is left aside."""


class Answered(msgspec.Struct, frozen=True):
    """What an answer says."""

    offer: SHA256
    """Of the offer's payload."""
    by: PeerId
    """Who offered."""
    to: PeerId
    """Who answers."""
    index: Index
    """What `by` is to put into the headers of what it sends."""
    key: PublicHalf
    cipher: Cipher
    """The first of the offer's that the forwarder of `to` has."""


class CheckedOffer(msgspec.Struct, frozen=True):
    """An offer that its sender signed, for this host. Only `check_offer` makes one."""

    said: Offered
    digest: bytes

    @property
    def number(self) -> tuple[int, int]:
        """What rises with each offer of a host."""
        return self.said.life, self.said.round


class CheckedAnswer(msgspec.Struct, frozen=True):
    """An answer to this host's offer that its sender signed. Only `check_answer` makes one."""

    said: Answered
    digest: bytes
    """What the keys are made of, besides the shared secret."""


def sign_offer(said: Offered, signer: Signer) -> TunnelOffer:
    """The message that says it."""
    payload = encode(said)
    return TunnelOffer(payload, signer.sign(OFFER, payload))


def sign_answer(said: Answered, signer: Signer) -> TunnelAnswer:
    """The message that says it."""
    payload = encode(said)
    return TunnelAnswer(payload, signer.sign(ANSWER, payload))


def digest_of(payload: bytes) -> bytes:
    """SHA-256, 32 bytes."""
    return sha256(payload).digest()


def check_offer(
    message: TunnelOffer, sender: PeerId, me: PeerId, federation: KeyId, verifier: Verifier
) -> CheckedOffer:
    """What `sender` offers this host, `me`. Raises Untrusted."""
    said = read_signed(message.payload, Offered, OFFER, limit_bytes=PAYLOAD_BYTES)
    if (said.federation, said.by, said.to) != (federation, sender, me):
        raise Untrusted(Reason.MALFORMED, f"this {OFFER} is of or for another")
    require_signature(verifier, KeyId(sender), OFFER, message.payload, message.signature)
    return CheckedOffer(said, digest_of(message.payload))


def check_answer(
    message: TunnelAnswer, sender: PeerId, me: PeerId, offer: bytes, verifier: Verifier
) -> CheckedAnswer | None:
    """What `sender` answers to the offer of that digest, which `me` made; None if it answers another.

    Raises Untrusted.
    """
    said = read_signed(message.payload, Answered, ANSWER, limit_bytes=PAYLOAD_BYTES)
    if (said.by, said.to) != (me, sender):
        raise Untrusted(Reason.MALFORMED, f"this {ANSWER} is of or for another")
    if said.offer != offer:
        return None  # It may be late: to an offer of which this end has forgotten the private half.
    require_signature(verifier, KeyId(sender), ANSWER, message.payload, message.signature)
    return CheckedAnswer(said, digest_of(message.payload))
