"""Which relays to try for a peer, best first.

A relay must be live, have a connection of its own to this peer, and get through to the other. The best is one
that both have already. Next is one that the other has and this peer can dial. Then, if some can dial the
other, any neighbour that may dial it. Last are two relays in a row: a neighbour of ours and one of theirs.

Among equals, relays at one of the two sites come first, since they are no detour. The rest goes by rendezvous
hashing of the pair: both ends mostly pick the same relay, and the pairs of a federation spread over its
relays, without a message.
"""

import msgspec

from protocol.relay.outcomes import Around, Locator
from protocol.terms.ids import PeerId, short_hash
from protocol.terms.reach import Reach

WAYS_MOST = 8
"""How many relays are tried for one path before the first is tried again."""


class Way(msgspec.Struct, frozen=True):
    """Through that relay, which may pass on to another one if `hops` is 2."""

    relay: PeerId
    hops: int


def ways(me: PeerId, site: str, to: PeerId, around: Around) -> list[Way]:
    """Ways to `to` from this peer at `site`, best first, at most WAYS_MOST; empty if no relay is known."""
    told = around.told(to)
    if told is None:
        return []
    direct = [peer for peer in around.direct() if peer not in (me, to)]
    via = [peer for peer in told.via if peer not in (me, to)]
    both = [peer for peer in via if around.is_direct(peer)]
    near = [peer for peer in via if peer not in both and _may_dial(around.told(peer), site)]
    mine = [peer for peer in direct if peer not in both]
    if told.reach is not Reach.NAT:
        mine = [peer for peer in mine if _is_public(around.told(peer))]
        last = [peer for peer in direct if peer not in both and peer not in mine]
    else:
        mine, last = [], mine
    found: dict[PeerId, Way] = {}
    for group, hops, known in (
        (both, 1, True),
        (near, 1, True),
        (mine, 1, False),
        (last, 2, False),
    ):
        for relay in sorted(group, key=lambda r: _detour(me, site, to, told, around, r, known)):
            found.setdefault(relay, Way(relay, hops))
    return list(found.values())[:WAYS_MOST]


def dialable(told: Locator | None, site: str) -> bool:
    """Whether it is worth dialling that peer from `site`. Behind NAT only its own site gets through."""
    if told is None or not told.address:
        return False
    return told.reach is not Reach.NAT or told.site == site


def _may_dial(told: Locator | None, site: str) -> bool:
    return dialable(told, site) and told is not None and not told.suspect


def _is_public(told: Locator | None) -> bool:
    return told is not None and told.reach is not Reach.NAT


def _detour(
    me: PeerId, site: str, to: PeerId, told: Locator, around: Around, relay: PeerId, connected: bool
) -> tuple[int, str]:
    theirs = around.told(relay)
    where = theirs.site if theirs is not None else ""
    # A peer at our own site that is not connected to the other gets no further than we do.
    ranks = {site: 0, told.site: 0} if connected else {site: 2, told.site: 0}
    return ranks.get(where, 1), short_hash(*sorted((me, to)), relay)
