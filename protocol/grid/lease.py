"""When a lease begins and ends: arithmetic that requester and hosts share.

Durations travel. A lease that begins now ends so long after each host learnt of it, by that host's own
clock. Only a reservation (and a deadline, which becomes one) has an instant, at which all its hosts begin
together. So a host whose clock is off takes no reservation (membership/clocks.py).

A host keeps room a little longer than the lease: SLACK_S before, between hold and commit, and CLEAR_S
behind it, for what must be stopped.
"""

import msgspec

from protocol.capacity.timetable import Window
from protocol.grid.model import GridSpec, LeaseTerms
from protocol.terms.limits import CLEAR_S, RESERVE_AHEAD_S, SLACK_S, USEFUL_S
from protocol.terms.quantities import format_duration
from protocol.terms.ranges import Moment


class LeaseTime(msgspec.Struct, frozen=True, array_like=True):
    """What is asked of a host's time: from when (Unix seconds, 0: now) and for how long in all."""

    start_s: Moment
    busy_s: Moment
    kept_s: Moment
    useful_s: Moment = 0.0
    """For best-effort work: the shortest time worth starting it for, where it can be suspended. Else 0."""

    def firm(self, suspends: bool) -> bool:
        """Whether it keeps its room to its end, on a host that can suspend work or cannot."""
        return not (suspends and self.useful_s)


def kept_s(terms: LeaseTerms) -> float:
    """How long what is left is kept after the end of the lease."""
    return float(terms.grace_s)


def asked(spec: GridSpec, start_s: float = 0.0) -> LeaseTime:
    """The time a grid asks of each of its hosts if it begins at `start_s`."""
    busy_s = spec.lease_s + SLACK_S + CLEAR_S
    useful_s = min(busy_s, USEFUL_S) if spec.lease.best_effort else 0.0
    return LeaseTime(start_s, busy_s, busy_s + kept_s(spec.lease), useful_s)


def window(of: LeaseTime, now: float, suspends: bool) -> Window:
    """The same by a host's clock. `suspends`: the host can suspend what is asked for."""
    start_s = of.start_s or now
    busy_s = of.busy_s if of.firm(suspends) else of.useful_s
    return Window(start_s, start_s + busy_s, start_s + of.kept_s)


def start_fault(spec: GridSpec, start_s: float) -> str:
    """Why a record may not begin the lease at `start_s`; empty if it may."""
    terms = spec.lease
    if terms.before_s:
        if not (start_s > 0 and start_s + spec.lease_s <= terms.before_s):
            return "it begins too late to end before its deadline"
    elif start_s != terms.start_s:
        return "it begins at another time than was ordered"
    return ""


def late(spec: GridSpec, now: float) -> str:
    """Why the lease can no longer begin in time, or cannot be promised yet; empty if it can."""
    terms = spec.lease
    begin_s = terms.start_s or (terms.before_s - spec.lease_s if terms.before_s else now)
    if begin_s < now - SLACK_S:
        what = "its start" if terms.start_s else "the last start that ends before its deadline"
        return f"{what} has passed"
    if terms.start_s > now + RESERVE_AHEAD_S:
        most = format_duration(RESERVE_AHEAD_S)
        ahead = format_duration(terms.start_s - now)
        return f"it starts in {ahead}, reservations are taken up to {most} ahead"
    return ""
