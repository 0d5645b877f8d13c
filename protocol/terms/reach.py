"""How a peer can be reached: its own word in its presence, found out by having others dial it."""

from enum import StrEnum


class Reach(StrEnum):
    """Whether others can open a connection to a peer."""

    PUBLIC = "public"
    """Whoever tries to dial it gets through, as far as it knows."""
    NAT = "nat"
    """Nobody gets through; it dials out, and others reach it through a peer it has a connection with."""
    RELAYED = "relayed"
    """Some get through and some do not; those that do not reach it through a peer that does."""


VIA_MOST = 8
"""Peers a presence names to be reached through: as many as neighbours and a few."""
