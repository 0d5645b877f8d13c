"""How a peer can be reached. It says so in its presence, and finds out by having others dial it."""

from enum import StrEnum


class Reach(StrEnum):
    """Whether others can open a connection to a peer."""

    PUBLIC = "public"
    """Every peer that dials it gets through, as far as it knows."""
    NAT = "nat"
    """Nobody gets through. It dials out, and others reach it through a peer it has a connection with."""
    RELAYED = "relayed"
    """Some get through. The others reach it through a peer that does."""


VIA_MOST = 8
"""How many peers a presence may name as ways to its owner: as many as neighbours, and a few."""
