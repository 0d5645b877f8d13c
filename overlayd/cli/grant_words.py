"""Grants in words: who may do what, where, how much, until when."""

from collections.abc import Callable, Iterator, Sequence

from protocol.terms.quantities import (
    counted,
    cpus_in_words,
    format_duration,
    format_moment,
    format_size,
)
from protocol.trust.ceilings import Ceilings
from protocol.trust.fingerprint import words_of
from protocol.trust.grants import Grant


def grant_lines(read: Sequence[Grant]) -> Iterator[str]:
    """A chain, from the VO on: two lines for each grant, and one for the VO."""
    first = read[0]
    yield f"VO {first.name}: key {first.vo}, {words_of(first.vo)}"
    giver = first.name
    for grant in read:
        yield f"{giver} lets {holder(grant)} {may(grant)}"
        start = format_moment(grant.not_before_s)
        yield f"  {where(grant)}; {ceilings_in_words(grant.ceilings)}; from {start} {until(grant)}"
        giver = grant.member or f"key {grant.audience[:16]}"


def holder(grant: Grant) -> str:
    """To whom it is given: `ana (key 9f3c..., six words)`."""
    key = f"key {grant.audience[:16]}..., {words_of(grant.audience)}"
    if grant.audience == grant.vo:
        return "itself"
    if grant.login:
        return f"a login ({key})"
    return f"{grant.member} ({key})" if grant.member else key


def may(grant: Grant) -> str:
    """`deploy, act`."""
    return ", ".join(grant.verbs)


def where(grant: Grant) -> str:
    """`at ams, uc`."""
    return f"at {', '.join(grant.sites)}" if grant.sites else "at every site"


def until(grant: Grant) -> str:
    """`until 2026-12-07 14:00 UTC`."""
    return f"until {format_moment(grant.not_after_s)}"


def ceilings_in_words(ceilings: Ceilings) -> str:
    """`at most 4 cpus, 8 GiB of memory, leases of 1 d`."""
    limits = [SAID[field](most) for field, most in ceilings.limits()]
    return f"at most {', '.join(limits)}" if limits else "as much as there is"


SAID: dict[str, Callable[[int], str]] = {
    "cpus_milli": cpus_in_words,
    "memory_bytes": lambda value: f"{format_size(value)} of memory",
    "disk_bytes": lambda value: f"{format_size(value)} of disk",
    "workspaces": lambda value: counted(value, "workspace"),
    "devices": lambda value: counted(value, "device"),
    "lease_s": lambda value: f"leases of {format_duration(value)}",
}
