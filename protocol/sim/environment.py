"""What the parts of a world need of it, and whom a peer tells what it does.

A World (world.py) is both. Peers, wires and faults are handed it as an `Environment`: time, distances, a
count of what was broken; they do not see the other parts. A peer is handed it as a `Watcher`. So the parts
know nothing of the world that is made of them, and imports run one way.
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
    """Peers."""
    levels_above: int
    """Peers up to which everybody knows everybody."""
    start_s: float
    now_s: float
    steps: int
    """Of all peers, so far."""
    calm_since_s: float
    """Since when nothing is broken, as far as anybody told the world."""
    faults_done: Counter[str]
    """How often each kind of fault came."""
    happened: list[tuple[float, str]]
    """Every fault that came at a moment: virtual seconds, and what it was."""

    @property
    def elapsed_s(self) -> float:
        """Virtual seconds since the beginning."""

    def at(self, at_s: float, action: Callable[..., object], *arguments: object) -> None:
        """Something happens then."""

    def after(self, delay_s: float, action: Callable[..., object], *arguments: object) -> None:
        """Something happens after a while."""

    def latency_s(self, a: str, b: str) -> float:
        """One way from one site to another."""

    def name_of(self, peer: PeerId) -> str:
        """A peer's name, for people."""

    def new_dice(self) -> Random:
        """A generator of its own for some part of the world."""


class Watcher(Protocol[P_contra]):
    """Sees what every peer does, and changes nothing."""

    def began(self, peer: P_contra) -> None:
        """Its process starts."""

    def died(self, peer: P_contra) -> None:
        """Its process is gone, or frozen, which to others is as good as dead."""

    def thawed(self, peer: P_contra) -> None:
        """It was frozen and goes on."""

    def stepped(self, peer: P_contra, event: Event, effects: list[Effect]) -> None:
        """It handled an event; none of the effects is carried out yet."""

    def moved(self, peer: P_contra) -> None:
        """It handled an event that came from outside, all effects are carried out, and it lives."""

    def said(self, peer: P_contra, send: Send) -> None:
        """It sends a message, perhaps to itself."""

    def written(self, peer: P_contra, row: Row) -> None:
        """A row went to its store."""

    def noted(self, peer: P_contra, note: Note) -> None:
        """It tells its people something."""

    def booted(self, peer: P_contra, grid: GridId, workspace: str) -> None:
        """A machine of it starts."""
