"""A warm start: every peer has been here before, and its store remembers whom it knew.

As after a power cut in the whole federation. It also spares a run of thousands the queue at the door.
"""

from random import Random
from typing import TYPE_CHECKING

from protocol.membership.messages import Contact
from protocol.membership.passive import Saved
from protocol.node.addresses import PASSIVE, SELF, TABLE
from protocol.terms.limits import PASSIVE_VIEW
from protocol.wire.codec import encode

if TYPE_CHECKING:
    from protocol.sim.world import World


def acquaint(world: "World", dice: Random) -> None:
    """Writes a passive view into every store, half of it of the own site, and where those peers are found.
    Before anybody is started."""
    at_site: dict[str, list[int]] = {}
    for index, peer in enumerate(world.peers):
        at_site.setdefault(peer.site, []).append(index)
    contacts = [Contact(peer.id, peer.site, peer.identity.address) for peer in world.peers]
    for index, peer in enumerate(world.peers):
        near = at_site[peer.site]
        chosen = dice.sample(near, min(PASSIVE_VIEW // 2, len(near)))
        chosen += dice.sample(range(len(contacts)), min(PASSIVE_VIEW // 2, len(contacts)))
        others = tuple(contacts[i] for i in dict.fromkeys(chosen) if i != index)
        peer.store.setdefault(SELF, {})[PASSIVE] = encode(Saved(others))
        peer.store[TABLE] = {other.peer: other.address.encode() for other in others}
        peer.joins = ()
