"""Doors into a node that only a simulator goes through: functions that reach into its parts on purpose.

A daemon joins, hears and believes, one event after another. A simulator of ten thousand peers begins in the
middle of their life (warm.py), and lets them share what each would decode for itself. No production class has
a method for that. All of it is here, private names included, and nowhere else in the simulator. When a part
of the node is redrawn, these functions follow; mypy shows where.
"""

from copy import copy
from typing import Any

from protocol.broadcast.broadcast import Broadcast, Learnt
from protocol.broadcast.directory import Directory
from protocol.broadcast.messages import Records
from protocol.capacity.advert import KIND as ADVERT
from protocol.membership.guests import Guests
from protocol.membership.membership import Membership
from protocol.membership.presence import KIND as PRESENCE
from protocol.node.node import Node
from protocol.peering.overlay import Overlay
from protocol.terms.ids import KeyId
from protocol.terms.limits import COMPARE_EVERY_S, MEET_EVERY_S
from protocol.wire import codec

_DECODED = 1 << 17
"""How many decoded values are shared at most. When there are more, all are forgotten."""

# -- beginning in the middle


def taught(node: Node, records: Records, now: float) -> None:
    """Makes a node that took in some time ago what others say: nothing follows from it any more."""
    node._heed(node.overlay.spread(node.me, records, now), now)


def take_stock(node: Node, now: float) -> None:
    """Has the node look at once how many peers there are, as it does each period, and tell of its site."""
    narrowed = node.site_summaries._decide(now)
    node.site_summaries._publish(now)
    if narrowed:
        node.directory.narrow(node.identity.site)


def settled_like(node: Node, other: Node, now: float) -> None:
    """Gives the node what another peer of its site knows, as if it had been there for as long."""
    _overlay_like(node.overlay, other.overlay, now)
    summaries, known = node.site_summaries, other.site_summaries
    summaries.sites, summaries._counts = known.sites.copy(), known._counts.copy()
    hosts = node.directory
    hosts.adverts.update(other.directory.adverts)
    hosts.adverts.pop(node.me, None)
    if (held := node.broadcast.directory.get(KeyId(other.me), ADVERT)) is not None:
        node._news(Learnt(held.record), now)
    if summaries.wide:
        hosts.narrow(node.identity.site)


def stirred(node: Node) -> None:
    """Has the node ask its parts again what is due next, since something was done to them from outside."""
    node._deadlines.upkept()


def _overlay_like(overlay: Overlay, other: Overlay, now: float) -> None:
    """Gives an overlay what another one knows, and the peer of that one too, without being told."""
    _broadcast_like(overlay.broadcast, other.broadcast, now)
    _membership_like(overlay.membership, other.membership, now)
    overlay.members._elsewhere = other.members._elsewhere.copy()
    held = overlay.broadcast.directory.get(KeyId(other.me), PRESENCE)
    known = overlay.members.believed(held.record, now) if held is not None else None
    if known is not None:
        overlay.certificates.met(known)
        overlay.membership.present(known, now)


def _broadcast_like(broadcast: Broadcast, other: Broadcast, now: float) -> None:
    """Gives it every record that the other has. It compares with a neighbour at any moment."""
    broadcast.directory, broadcast._only = directory_like(other.directory), other._only
    broadcast._compare_s = now + COMPARE_EVERY_S * broadcast._dice.random()


def _membership_like(membership: Membership, other: Membership, now: float) -> None:
    """Gives it the peers that the other knows, except itself, and the other's belief which of them are alive.

    It meets a stranger at any moment.
    """
    membership.known.update(other.known)
    membership._alive.update(other._alive)
    membership.liveness._incarnations = other.liveness._incarnations.copy()
    if other._guests is not None:
        membership._guests = Guests(membership._kept, other._guests)
    membership._forget([membership._me])
    healing = membership._healing
    healing._meet_s = now + MEET_EVERY_S * healing._dice.random()


def directory_like(directory: Directory) -> Directory:
    """Another directory with the same records. These are shared, since they never change."""
    other = copy(directory)
    other._kinds = {kind: held.copy() for kind, held in directory._kinds.items()}
    other._tombs, other._ends = directory._tombs.copy(), directory._ends.copy()
    other._tombs_of = {site: keys.copy() for site, keys in directory._tombs_of.items()}
    other._budgets, other._evicted = directory._budgets.like(), []
    other._scopes = {name: scope.copied() for name, scope in directory._scopes.items()}
    return other


# -- sharing what equal bytes say

_read_afresh = codec._read


def share_decoded() -> None:
    """From now on, in this process, equal bytes are decoded once and the value is shared.

    Thousands of peers are sent the same records. Decoded values are frozen, so nobody can tell. A second call
    begins afresh.
    """
    decoded: dict[tuple[bytes, Any], Any] = {}

    def read(data: bytes, kind: Any, limit_bytes: int) -> Any:
        if len(data) <= limit_bytes:
            known = decoded.get((data, kind))
            if known is not None:
                return known
        value = _read_afresh(data, kind, limit_bytes)
        if len(decoded) >= _DECODED:
            decoded.clear()
        decoded[data, kind] = value
        return value

    codec._read = read
