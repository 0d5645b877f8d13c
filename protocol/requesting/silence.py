"""Hosts that are not heard: what that makes of their workspaces, and what people are told of it.

A host tells where its workspaces are for as long as it lives. Once it is not heard, nobody knows: whatever it
told last, they are lost, until it is heard again or they are taken out of their grid. This is the one place
that says so. Faces and requests ask here.
"""

from collections.abc import Iterable
from typing import Protocol

import msgspec

from protocol.grid.decision import majority
from protocol.grid.lifecycle import Phase, Status
from protocol.grid.problem import listed
from protocol.grid.record import GridState
from protocol.membership.liveness import Health
from protocol.placement.suspects import Known
from protocol.terms.ids import PeerId
from protocol.terms.quantities import format_age


class Silence(msgspec.Struct, frozen=True):
    """A host that is not heard: it is believed dead, it left, or it is no member of the overlay (any more)."""

    health: Health | None
    """None if it is no member."""
    since_s: float
    """Since when, Unix seconds; 0 if that is not known."""

    def said(self, now: float) -> str:
        """`was not heard for 2 min`: what follows the name of the host."""
        age = format_age(now - self.since_s) if self.since_s else ""
        if self.health is None:
            return "is no member of the overlay"
        if self.health is Health.LEFT:
            return f"was stopped {age} ago" if age else "is stopped"
        return f"was not heard for {age}" if age else "is not heard"


class Hearing(Protocol):
    """What is known of hosts, as silence is told from it."""

    def name(self, peer: PeerId) -> str:
        """What people call a host."""

    def silence(self, peer: PeerId, now: float) -> Silence | None:
        """Whether a host is not heard; None if it is, or if that cannot be said yet."""


class AllHeard:
    """Hosts without an overlay: all are heard, and called by their ids."""

    def name(self, peer: PeerId) -> str:
        """Its id."""
        return peer

    def silence(self, peer: PeerId, now: float) -> Silence | None:
        """Never."""
        return None

    def known(self, owner_site: str, now: float) -> Known | None:
        """Nothing of what people call things."""
        return None


class Whereabouts(msgspec.Struct, frozen=True):
    """Where a workspace is, as far as anybody can say."""

    phase: Phase
    detail: str
    told: Phase
    """What its host told last, which may be long ago if the phase is LOST."""


def whereabouts(
    status: Status | None, heard: bool, state: GridState, silence: Silence | None, now: float
) -> Whereabouts:
    """Where a workspace is.

    `status` is what its host told last of it, None if it told nothing; `heard` says whether the host told of
    the grid at all. `state` is the grid's by its newest notice, and `silence` the host's.
    """
    down = state is GridState.DOWN
    told = status.phase if status is not None else Phase.HELD
    if down and status is None:
        told = Phase.GONE if heard else Phase.ENDING
    if silence is None or told is Phase.GONE:
        return Whereabouts(told, status.detail if status is not None else "", told)
    ago = f" {format_age(now - silence.since_s)} ago" if silence.since_s else ""
    detail = f"last {told}{ago}" if status is not None else "its host has not told of it"
    if silence.health is Health.LEFT:
        detail += "; its daemon was stopped"
    if down:
        detail += "; cleared when its host is back"
    return Whereabouts(Phase.LOST, detail, told)


def majority_silent(stewards: tuple[PeerId, ...], hearing: Hearing, now: float) -> bool:
    """Whether so many stewards of a grid are not heard that the others decide nothing."""
    heard = sum(hearing.silence(peer, now) is None for peer in stewards)
    return heard < majority(stewards)


def without_majority(stewards: Iterable[PeerId], hearing: Hearing, now: float) -> list[str]:
    """Lines for people where too few stewards answered: which are not heard, and what would work."""
    silent = {peer: s for peer in stewards if (s := hearing.silence(peer, now)) is not None}
    if not silent:
        return ["  would work: the same again in a moment; all its stewards are heard"]
    who = ", ".join(f"steward {hearing.name(p)} {s.said(now)}" for p, s in silent.items())
    names = listed([hearing.name(peer) for peer in silent])
    one = f"{names} is" if len(silent) == 1 else f"one of {names} is"
    return [f"  {who}", f"  would work: the same again when {one} back"]


class Unanswered:
    """The hosts that an order to a grid did not reach, and what would work without them."""

    def __init__(
        self,
        grid: str,
        placed: tuple[tuple[str, PeerId], ...],
        peers: Iterable[PeerId],
        hearing: Hearing,
        now: float,
    ) -> None:
        """`placed` is the placement of the whole grid, (workspace, host), and `peers` are those hosts."""
        self._grid, self._placed = grid, placed
        self._hosts = {peer: hearing.silence(peer, now) for peer in peers}
        self._names = {peer: hearing.name(peer) for peer in self._hosts}
        self._now = now

    @property
    def silent(self) -> bool:
        """Whether none of them is heard, so that it is no use to wait for an answer."""
        return all(silence is not None for silence in self._hosts.values())

    def who(self) -> str:
        """`host uc-3 (worker-2) was not heard for 2 min`, and so on for each."""
        return ", ".join(
            f"host {self._names[peer]} ({listed(self._on(peer))}) "
            + (silence.said(self._now) if silence is not None else "does not answer")
            for peer, silence in self._hosts.items()
        )

    def would_work(self, then: str = "") -> str:
        """What would work without them; `then` is what to do after that, if anything."""
        after = f", then {then}" if then else ""
        lost = [name for name, peer in self._placed if self._hosts.get(peer) is not None]
        if not lost:
            return "the same again; `overlayctl peers` shows when a host was heard last"
        if len(lost) == len(self._placed):
            return (
                f"`overlayctl down {self._grid}`, and `up` again on hosts that are heard; "
                "or wait until these are back"
            )
        if len(lost) == 1:
            return (
                f"`overlayctl terminate {self._grid}/{lost[0]}` takes it out of the grid{after}; "
                "or wait until its host is back"
            )
        return (
            f"`overlayctl terminate {self._grid}/{lost[0]}`, and the same for {listed(lost[1:])}, "
            f"takes them out of the grid{after}; or wait until their hosts are back"
        )

    def _on(self, peer: PeerId) -> list[str]:
        return [name for name, host in self._placed if host == peer]
