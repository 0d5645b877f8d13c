"""Do our neighbours' clocks agree with ours? Reservations begin by every host's own clock.

Each answered ping is a sample, as in Cristian's algorithm (1989): the other's clock when it answered, less
the middle of our wait for it, is off by at most half the round trip. The median over neighbours bears a
minority that is wrong. A host far from the median takes no reservation, and says so. We never set a clock:
that is the host's own business (NTP).
"""

from statistics import median

from protocol.terms.limits import CLOCK_BOUND_S
from protocol.terms.quantities import counted, format_duration


def offset_of(sent_s: float, at_s: float, now: float) -> float:
    """How many seconds the other's clock is ahead of ours, by one answered ping."""
    return at_s - (sent_s + now) / 2


def clock_fault(offsets: list[float]) -> str:
    """Why this peer's clock cannot be relied on, from its neighbours' offsets in seconds; empty if it can."""
    if not offsets:
        return ""
    ahead_s = -median(offsets)
    if abs(ahead_s) <= CLOCK_BOUND_S:
        return ""
    which = "ahead of" if ahead_s > 0 else "behind"
    by = format_duration(round(abs(ahead_s)))
    many = counted(len(offsets), "neighbour")
    return f"its clock is {by} {which} the median of {many}; reservations need clocks that agree"
