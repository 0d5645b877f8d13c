"""What `overlayctl status` shows of one peer, as plain values. Faces in other processes read it, so it imports
little.
"""

import msgspec

from protocol.capacity.quantum import Quantum
from protocol.terms.ids import PeerId
from protocol.terms.problem import Problem, Tried


class StatusRow(msgspec.Struct, frozen=True):
    """One peer: who it is, whom it hears, what it offers and carries, and what is wrong."""

    peer: PeerId
    name: str
    site: str
    address: str
    incarnation: int
    serial: str
    """The serial of its certificate."""
    certificate_ends_s: float
    """Unix seconds."""
    certificate_left_s: float
    overlay: str
    """`alone` (no `join` is configured and nobody is there), `joining` (nobody was reached yet), `joined`, or
    `lost` (somebody was reached, and nobody is now)."""
    tried: tuple[Tried, ...]
    connected: int
    """Peers it has a connection or a path with."""
    healths: dict[str, int]
    """How many other peers are alive, suspect, dead or gone."""
    clock_ahead_s: float | None
    """How many seconds its clock is ahead of its neighbours' median; None if it was not compared."""
    clock_compared: int
    """With how many neighbours' clocks it was compared."""
    free: Quantum
    capacity: Quantum
    no_room_why: str
    """Why it offers no room at all; empty if it does."""
    grids: int
    """How many grids it carries part of."""
    workspaces: int
    """How many of their workspaces have room here."""
    problems: tuple[Problem, ...]
    now_s: float
    underlay: str = ""
    """Where it takes the traffic of grids' networks; empty if that is not known yet."""
    mtu: int = 0
    """The largest packet that it carries for plain ones, in bytes."""
    tunnel_port: int = 0
    """Where it takes what is sealed, UDP; 0 if it cannot seal."""
    wireguard_port: int = 0
    """Where its WireGuard takes packets, UDP; 0 if it has none."""
    wireguard_why: str = ""
    """Why it has none; empty if it has, or that is not known yet."""
    leaving: bool = False
    """Whether it is to be stopped for good."""
    seats: int = 0
    """How many living grids it keeps the record of, as one of their stewards."""

    @property
    def is_joined(self) -> bool:
        """Whether it has the overlay that its configuration asks for."""
        return self.overlay in ("alone", "joined")
