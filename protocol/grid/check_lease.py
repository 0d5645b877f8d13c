"""Does a lease make sense? Only what needs no clock: whether it can begin in time is said when it is asked."""

import math
from collections.abc import Iterator

from protocol.grid import limits
from protocol.grid.model import LeaseTerms, OnExpiry
from protocol.grid.problem import Problem
from protocol.terms.quantities import format_duration


def lease_problems(terms: LeaseTerms, lease_s: int) -> Iterator[Problem]:
    """Everything wrong with the terms of a lease of that length."""
    given = [
        name
        for name, value in (
            ("start", terms.start_s),
            ("before", terms.before_s),
            ("best-effort", terms.best_effort),
        )
        if value
    ]
    if len(given) > 1:
        said = f"found {' and '.join(given)}; a lease has one of start, before and best-effort"
        yield Problem(("lease",), said)
    for field in ("start_s", "before_s"):
        value = getattr(terms, field)
        if not (math.isfinite(value) and 0 <= value <= limits.TIME_S_MAX):
            yield Problem(("lease", field), "found no time that a calendar has")
    if not 0 <= terms.grace_s <= limits.GRACE_S_MAX:
        allowed = f"at most {format_duration(limits.GRACE_S_MAX)} is allowed"
        yield Problem(("lease", "grace_s"), f"found {_span(terms.grace_s)}; {allowed}")
    if terms.on_expiry is OnExpiry.DELETE and terms.grace_s:
        said = "found a grace for what is deleted at the end; leave grace out, or write on-expiry: stop"
        yield Problem(("lease", "grace_s"), said)
    for index, warn_s in enumerate(terms.warn_s):
        if not 0 < warn_s < max(lease_s, 1):
            said = f"found {_span(warn_s)}; a warning comes before the end of the lease, and after its start"
            yield Problem(("lease", "warn_s", index), said)


def _span(value: int) -> str:
    return format_duration(value) if abs(value) < 1 << 63 else "a number beyond 64 bits"
