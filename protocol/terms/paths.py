"""How one host reaches another on a network of a grid, as it knows and has measured it."""

import msgspec

from protocol.terms.ids import PeerId
from protocol.terms.ranges import Count, Moment, Name, Place

PATHS_MOST = 1024
"""Paths that one host tells of a grid at once: 150 bytes each. Of more the last are left out."""


class PathTold(msgspec.Struct, frozen=True, array_like=True):
    """One of them."""

    network: Name
    peer: PeerId
    """Who is at the other end."""
    carrier: Name
    """`sealed`, `plain`: what carries it."""
    cipher: Name = ""
    """What seals it; empty if nothing does, or there are no keys now."""
    loop: Name = ""
    """`native` or `python`: what seals it at the end that tells; empty if nothing does."""
    mtu: Count = 0
    """The largest packet of guests that gets there, in bytes."""
    place: Place = ""
    """Where it goes, HOST:PORT; empty if nobody knows."""
    relay: PeerId | None = None
    """Who passes it on; None if it goes there directly."""
    round_trip_s: Moment = -1.0
    """Of the last probe that was answered; -1 if none was."""
    lost: Count = 0
    """Of the last probes, how many were not answered."""
    probes: Count = 0
    """How many those were."""
