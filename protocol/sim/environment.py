"""What the parts of a world need of it, and what a peer tells of itself.

A World (world.py) is both. Peers, wires and faults get it as an `Environment`: time, distances, a count of
what was broken. They do not see the other parts. A peer also gets it as a `Watcher`. So the parts know
nothing of the world that is made of them, and imports run one way.
"""

from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Protocol, TypeVar

from protocol.node.events import Event
from protocol.terms.effects import Effect, Note, Row, Send
from protocol.terms.ids import GridId, PeerId

P_contra = TypeVar("P_contra", contravariant=True)
"""The kind of peer that is watched."""


class Environment(Protocol):
    """Virtual time, distances, names, and the list of what went wrong on purpose."""

    seed: int
    size: int
    """How many peers there are."""
    levels_above: int
    """Up to how many peers everybody knows everybody."""
    start_s: float
    now_s: float
    steps: int
    """How many steps all peers together took so far."""
    calm_since_s: float
    """Since when nothing is broken, as far as the world was told, in world time."""
    faults_done: Counter[str]
    """How often each kind of fault came."""
    happened: list[tuple[float, str]]
    """Every fault that came at a moment: when, in virtual seconds, and what it was."""

    @property
    def elapsed_s(self) -> float:
        """Virtual seconds since the beginning."""

    def at(self, at_s: float, action: Callable[..., object], *arguments: object) -> None:
        """Calls `action` at that world time."""

    def after(self, delay_s: float, action: Callable[..., object], *arguments: object) -> None:
        """Calls `action` after that many seconds."""

    def latency_s(self, a: str, b: str) -> float:
        """How long a frame takes from one site to another, in seconds."""

    def name_of(self, peer: PeerId) -> str:
        """A peer's name, for people."""

    def new_dice(self) -> Random:
        """A generator that one part of the world has for itself; it follows from the seed."""


class Watcher(Protocol[P_contra]):
    """Sees what every peer does, and changes nothing."""

    def began(self, peer: P_contra) -> None:
        """The peer's process starts."""

    def died(self, peer: P_contra) -> None:
        """The peer's process is gone, or frozen, which to others is as good as dead."""

    def thawed(self, peer: P_contra) -> None:
        """The peer was frozen and goes on."""

    def stepped(self, peer: P_contra, event: Event, effects: list[Effect]) -> None:
        """The peer handled an event. None of the effects is carried out yet."""

    def moved(self, peer: P_contra) -> None:
        """The peer handled an event from outside, all effects are carried out, and it lives."""

    def said(self, peer: P_contra, send: Send) -> None:
        """The peer sends a message, perhaps to itself."""

    def written(self, peer: P_contra, row: Row) -> None:
        """A row went to the peer's store."""

    def noted(self, peer: P_contra, note: Note) -> None:
        """The peer tells its people something."""

    def booted(self, peer: P_contra, grid: GridId, workspace: str) -> None:
        """A machine of the peer's host starts."""
