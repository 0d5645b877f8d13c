"""What is said when something that must hold does not."""

from collections.abc import Iterable
from typing import Protocol

from protocol.node.events import Arrived, Event
from protocol.sim.environment import Environment
from protocol.terms.effects import Dial, Effect, HangUp, Note, Persist, Realise, Send
from protocol.terms.ids import PeerId

_FAULTS = 10


class Involved(Protocol):
    """A peer, as far as a violation speaks of it."""

    id: PeerId
    name: str
    site: str

    @property
    def story(self) -> Iterable[tuple[float, Event, list[Effect]]]:
        """The peer's last steps: world time, the event, the effects."""


class Violation(AssertionError):
    """Something that must hold does not. It says the seed, the virtual time, what broke, and the last steps."""

    faults = 0
    """How many faults had come by then, of those that happen at moments."""


def violation(world: Environment, what: str, *peers: Involved) -> Violation:
    """A violation with the story of the peers involved."""
    lines = [f"seed {world.seed}, {world.elapsed_s:.3f} s: {what}"]
    happened = world.happened[-_FAULTS:]
    if happened:
        lines.append("  what went wrong on purpose, the last of it:")
        lines += [f"    {at_s:9.3f} {what}" for at_s, what in happened]
    for peer in peers:
        lines.append(f"  {peer.name} at {peer.site} ({peer.id[:12]}), the last it did:")
        lines += [f"    {line}" for line in story(world, peer)]
    broken = Violation("\n".join(lines))
    broken.faults = len(world.happened)
    return broken


def story(world: Environment, peer: Involved) -> list[str]:
    """The last steps of a peer, one line each."""
    return [
        f"{at_s - world.start_s:9.3f} {_event(world, event)} > "
        + (", ".join(_effect(world, effect) for effect in effects) or "nothing")
        for at_s, event, effects in peer.story
    ]


def _event(world: Environment, event: Event) -> str:
    if isinstance(event, Arrived):
        return f"{type(event.message).__name__} from {world.name_of(event.peer)}"
    peer = getattr(event, "peer", None)
    kind = type(event).__name__
    return f"{kind} {world.name_of(peer)}" if peer is not None else kind


def _effect(world: Environment, effect: Effect) -> str:
    match effect:
        case Send(peer=peer, message=message):
            return f"{type(message).__name__} to {world.name_of(peer)}"
        case Dial(peer=peer) | HangUp(peer=peer):
            return f"{type(effect).__name__} {world.name_of(peer)}"
        case Persist(rows=rows):
            return "Persist " + " ".join(f"{'-' * (r.value is None)}{r.table}" for r in rows)
        case Note(kind=kind, subject=subject):
            return f"Note {kind} {subject}"
        case Realise(grid=grid):
            return f"Realise {grid}"
        case _:
            return type(effect).__name__
