"""Do our neighbours' clocks agree with ours? Leases begin and end by every host's own clock.

Each answered ping is a sample, as in Cristian's algorithm (1989): the other's clock when it answered, less
the middle of our wait for it, is off by at most half the round trip.

A clock *counts*, for what cannot be taken back, once it was found in a majority: this peer and its measured
neighbours, of whom more than half are within CLOCK_APART_S of it. It counts from then on for this life of the
process, which counts time by the machine's uptime and so cannot step. That ends if a majority is apart from
it, or if the process stood still for long: how long, only its machine says. A peer that knows of no other has
nothing but its own clock, and that counts; but what it finds over when it starts, it leaves for a while, in
which NTP may mend the clock (hosting/lease_clock.py).

So a minority of clocks that are wrong, or of neighbours that lie, moves nobody. A majority that lies can keep
a peer from ending anything; it cannot make one whose clock counts end anything early. We never set a clock:
that is the host's own business (NTP).
"""

from statistics import median

import msgspec

from protocol.terms.limits import CLOCK_ALONE_S, CLOCK_APART_S, CLOCK_BOUND_S, CLOCK_LASTS_S
from protocol.terms.quantities import counted, format_duration


class ClockView(msgspec.Struct, frozen=True):
    """What is to be thought of this peer's clock now."""

    doubt: str = ""
    """Why it decides nothing that cannot be taken back, for people; empty if it counts."""
    apart: bool = False
    """Whether neighbours' clocks differ from this one. If there is doubt without that, none has answered."""
    alone: bool = False
    """It counts only because no other peer is known that could tell."""
    ahead_s: float = 0.0
    """By how many seconds it is ahead of the median of its neighbours', if it is apart."""
    theirs_s: float | None = 0.0
    """By how many seconds the time that most peers agree on is ahead of this clock; None if none is known."""


SURE = ClockView()
"""A clock that counts."""
ALONE = ClockView(alone=True)
"""A clock that counts because there is no other."""


class Clocks:
    """This peer's clock among its neighbours'."""

    def __init__(self) -> None:
        self._agreed = False
        self._view = SURE

    @property
    def view(self) -> ClockView:
        """What was found when they were looked at last."""
        return self._view

    def look(self, offsets: list[float], alone: bool) -> bool:
        """Compares again, with neighbours' offsets in seconds. True if something else is to be thought now.

        `alone` says that this peer knows of no other at all.
        """
        votes = votes_for(0.0, offsets, CLOCK_APART_S)
        if votes > 1 and is_most(votes, offsets):
            self._agreed = True
        elif 2 * votes < len(offsets) + 1:
            self._agreed = False
        before, self._view = self._view, self._found(offsets, alone)
        return (before.doubt, before.apart) != (self._view.doubt, self._view.apart)

    def stood_still(self) -> None:
        """This process did not run for a while. How long that was is its machine's word alone."""
        self._agreed = False

    def follows(self, by_s: float, steady_s: float, offsets: list[float], alone: bool) -> str:
        """Why to begin another life by the machine's clock, which was set `by_s` and so for `steady_s` seconds.

        Empty if there is no reason (yet). It is believed soon where most neighbours agree with it and not with
        this life's count, or where nobody has told the time. Against what agrees so far it must last: that
        ends nothing, because another life's clock does not count before neighbours agree with it.
        """
        if abs(by_s) <= CLOCK_BOUND_S:
            return ""
        was = f"its machine's clock was set {_size(by_s)} {'forward' if by_s > 0 else 'back'}"
        theirs = votes_for(by_s, offsets, CLOCK_BOUND_S)
        if theirs > votes_for(0.0, offsets, CLOCK_BOUND_S) and is_most(theirs, offsets):
            return f"{was}, and agrees with {counted(theirs - 1, 'neighbour')} now"
        if not (self._agreed or offsets or alone):
            return f"{was}, and no neighbour has told its time"
        if steady_s < (CLOCK_ALONE_S if alone else CLOCK_LASTS_S):
            return ""
        return f"{was} {format_duration(round(steady_s))} ago, and stays so"

    def _found(self, offsets: list[float], alone: bool) -> ClockView:
        if self._agreed:
            return SURE
        if alone and not offsets:
            return ALONE
        if not offsets:
            return ClockView("no neighbour has told its time yet", theirs_s=None)
        return ClockView(
            f"this host's clock is {_difference(offsets, CLOCK_APART_S)}",
            apart=True,
            ahead_s=-_middle(offsets, CLOCK_APART_S),
            theirs_s=_agreed_on(offsets),
        )


def offset_of(sent_s: float, at_s: float, now: float) -> float:
    """How many seconds the other's clock is ahead of ours, by one answered ping."""
    return at_s - (sent_s + now) / 2


def votes_for(ahead_s: float, offsets: list[float], bound_s: float) -> int:
    """How many clocks are within `bound_s` of one that is `ahead_s` ahead of ours. It votes for itself."""
    return 1 + sum(abs(offset_s - ahead_s) <= bound_s for offset_s in offsets)


def is_most(votes: int, offsets: list[float]) -> bool:
    """Whether so many are more than half of all clocks that are known, ours among them."""
    return 2 * votes > len(offsets) + 1


def clock_fault(offsets: list[float]) -> str:
    """Why this peer takes no reservation, from its neighbours' offsets in seconds; empty if it may."""
    if not offsets or is_most(votes_for(0.0, offsets, CLOCK_BOUND_S), offsets):
        return ""
    difference = _difference(offsets, CLOCK_BOUND_S)
    return f"its clock is {difference}; reservations need clocks that agree"


def _difference(offsets: list[float], bound_s: float) -> str:
    """How far ours is from the others', for people."""
    which = _apart(-_middle(offsets, bound_s))
    return f"{which} the median of {counted(len(offsets), 'neighbour')}"


def _middle(offsets: list[float], bound_s: float) -> float:
    """The median; if that is near, the median of those that are not."""
    middle_s = median(offsets)
    if abs(middle_s) > bound_s:
        return middle_s
    return median([s for s in offsets if abs(s) > bound_s] or offsets)


def _apart(ahead_s: float) -> str:
    return f"{_size(ahead_s)} {'ahead of' if ahead_s > 0 else 'behind'}"


def _size(seconds: float) -> str:
    return format_duration(round(abs(seconds)))


def _agreed_on(offsets: list[float]) -> float | None:
    """The offset of the clocks that are more than half of all, within CLOCK_APART_S of their median."""
    middle_s = median(offsets)
    near = [s for s in offsets if abs(s - middle_s) <= CLOCK_APART_S]
    return median(near) if is_most(len(near), offsets) else None
