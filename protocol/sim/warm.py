"""A warm start: every peer has been here before, and its store remembers whom it knew.

As after a power cut in the whole federation. It also spares a run of thousands the queue at the door.
"""

from random import Random
from typing import TYPE_CHECKING

from protocol.terms.limits import ACTIVE_VIEW

if TYPE_CHECKING:
    from protocol.sim.world import World

_PEERS = "peer"
"""The table in which a node keeps addresses (protocol/node/node.py)."""
_NEAR, _FAR = 2 * ACTIVE_VIEW, ACTIVE_VIEW
"""How many a peer remembers of its own site, and of others."""


def acquaint(world: "World", dice: Random) -> None:
    """Writes addresses into every store. Before anybody is started."""
    at_site: dict[str, list[int]] = {}
    for index, peer in enumerate(world.peers):
        at_site.setdefault(peer.site, []).append(index)
    for index, peer in enumerate(world.peers):
        near = at_site[peer.site]
        chosen = dice.sample(near, min(_NEAR, len(near)))
        chosen += dice.sample(range(len(world.peers)), min(_FAR, len(world.peers)))
        rows = peer.store.setdefault(_PEERS, {})
        for other in (world.peers[i] for i in dict.fromkeys(chosen) if i != index):
            rows[other.id] = other.identity.address.encode()
        peer.joins = ()
