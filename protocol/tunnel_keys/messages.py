"""What two hosts say to agree on keys. `by` begins; of two hosts it is the one with the lesser key.

    by                                  to
     |   <- tunnel-ask                   |  only if it lacks keys, or they are old
     |   tunnel-offer ->                 |
     |   <- tunnel-answer                |  has the keys, opens what is sealed by them
     |   tunnel-confirm ->               |  `by` has them, and seals by them
     |   <- tunnel-confirmed             |  seals by them, too

Only `by` says things again, until they are answered. What an offer and an answer say is signed, and each
travels as the bytes that were signed.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from protocol.terms.ranges import Number
from protocol.tunnel_keys.limits import PAYLOAD_BYTES

Payload = Annotated[bytes, Meta(max_length=PAYLOAD_BYTES)]
Signature = Annotated[bytes, Meta(max_length=64)]
SHA256 = Annotated[bytes, Meta(min_length=32, max_length=32)]


class TunnelAsk(msgspec.Struct, frozen=True, tag="tunnel-ask"):
    """Make me an offer. I have no keys with you, or old ones, or my forwarder has begun anew.

    (`life`, `round`) tell one such want from another, so that each is heeded once.
    """

    life: Number
    """The incarnation of the sender."""
    round: Number
    """Rises with each want of a life."""


class TunnelOffer(msgspec.Struct, frozen=True, tag="tunnel-offer"):
    """Let us have keys. The payload is an encoded `tunnel-offered`."""

    payload: Payload
    signature: Signature


class TunnelAnswer(msgspec.Struct, frozen=True, tag="tunnel-answer"):
    """I have them. The payload is an encoded `tunnel-answered`. The same offer gets the same answer."""

    payload: Payload
    signature: Signature


class TunnelConfirm(msgspec.Struct, frozen=True, tag="tunnel-confirm"):
    """I have them, too, and seal by them."""

    answer: SHA256
    """Of the answer's payload."""


class TunnelConfirmed(msgspec.Struct, frozen=True, tag="tunnel-confirmed"):
    """Now I seal by them as well. What was sealed by older keys ends."""

    answer: SHA256
    """Of the answer's payload."""


TunnelKeysMessage = TunnelAsk | TunnelOffer | TunnelAnswer | TunnelConfirm | TunnelConfirmed
