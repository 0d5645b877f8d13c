"""What hosts say to find a way for their sealed traffic where neither reaches the other.

    one                        relay                        other
     |   tunnel-via  ----------------------------------------> |   let us use that relay
     |   tunnel-relay-ask ->     |     <- tunnel-relay-ask     |
     |   <- tunnel-relay-told    |     tunnel-relay-told ->    |   the number of the pair
     |   tunnel-seen  ---------------------------------------> |   from outside I am seen there: try it
     |   <---------------------------------------  tunnel-seen |   and I there

Of two partners the one with the lesser key is `one`, and chooses. Nothing here is signed: each is heard of the
host itself only, and about itself.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from protocol.terms.ids import PeerId
from protocol.terms.ranges import Place

PAIR_MOST = (1 << 24) - 1
"""Numbers of pairs stand in three bytes of a sealed frame."""


class TunnelVia(msgspec.Struct, frozen=True, tag="tunnel-via"):
    """Let that host pass on what we seal for each other. Ask it, as I do."""

    relay: PeerId


class TunnelRelayAsk(msgspec.Struct, frozen=True, tag="tunnel-relay-ask"):
    """Pass on between me and that host. It has to ask for the same, and both again every half minute."""

    partner: PeerId


class TunnelRelayTold(msgspec.Struct, frozen=True, tag="tunnel-relay-told"):
    """Whether I do. It begins when both have asked."""

    partner: PeerId
    pair: Annotated[int, Meta(ge=0, le=PAIR_MOST)]
    """What is to stand in what you send me for that host; 0: I do not."""


class TunnelSeen(msgspec.Struct, frozen=True, tag="tunnel-seen"):
    """From outside I am seen at that place. Try it now, as I try yours."""

    address: Place
    port: Annotated[int, Meta(ge=1, le=65535)]


TunnelPathsMessage = TunnelVia | TunnelRelayAsk | TunnelRelayTold | TunnelSeen
