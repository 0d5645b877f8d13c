"""Which hosts the signer of an order makes its stewards."""

from collections.abc import Mapping, Sequence

from protocol.terms.dice import Dice
from protocol.terms.ids import PeerId, StoreId
from protocol.terms.limits import STEWARDS


def draw_stewards(
    candidates: Sequence[tuple[PeerId, str]], own_site: str, dice: Dice
) -> tuple[PeerId, ...]:
    """Three of these (host, site), or one of fewer: drawn at random, the signer's own site first.

    Each is of another site while there are enough. Who drew them by a hash that others can compute would let an
    attacker try keys until it has a seat.
    """
    drawn = list(candidates)
    ranks = {peer: dice.random() for peer, _ in drawn}
    drawn.sort(key=lambda each: (each[1] != own_site, ranks[each[0]]))
    wanted = STEWARDS if len(drawn) >= STEWARDS else 1
    seats: list[PeerId] = []
    sites: dict[str, None] = {}
    for peer, site in drawn:
        if site not in sites:
            seats.append(peer)
            sites[site] = None
    seats += [peer for peer, _ in drawn if peer not in seats]
    return tuple(seats[:wanted])


def stores_of(drawn: Sequence[PeerId], stores: Mapping[PeerId, StoreId]) -> tuple[StoreId, ...]:
    """The stores whose seats these are, for their order, as each host says; none if fewer than three are drawn.

    Where one is the whole set, what it lost can be given back to it, and nobody else could go on without it.
    """
    if len(drawn) < STEWARDS:
        return ()
    return tuple(stores.get(peer, StoreId("")) for peer in drawn)
