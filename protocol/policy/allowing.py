"""What a site's policy, and the grants that are shown, say of what is asked. One function for everybody.

A host asks it with what it is to hold, and what the same owner has there; a requester, so as not to ask hosts
that would refuse; `overlayctl policy why` with a file. All are told the same line.

Rules. A site may do anything on its own hosts. A site that has published no policy admits the other sites of
its federation, and no virtual organisation. One that has published one admits those that it names, as far as
it says. What it leaves out is not allowed, but ceilings, and images, of which it then names none. Each ceiling
in a chain of grants counts what was made under that grant or below it: at the site, and if the grant is not for
one site only, at all of them.
"""

from collections.abc import Callable, Iterator

import msgspec

from protocol.policy.demand import NOTHING, Demand
from protocol.policy.site_policy import SitePolicy, VoTerms
from protocol.terms.ids import KeyId
from protocol.terms.quantities import counted, cpus_in_words, format_duration, format_size
from protocol.terms.refusal import Constraint
from protocol.trust.ceilings import Ceilings
from protocol.trust.owner import Link, Owner

_SHOWN_DIGITS = 16

Used = Callable[[KeyId], Demand]
"""What is there already of everything that was ordered by a key, or by somebody below it."""


class Forbidden(msgspec.Struct, frozen=True):
    """What stops something that is asked."""

    why: str
    """Which rule, and what was asked."""
    allowed: str
    """What would be."""
    constraint: Constraint = Constraint.POLICY
    """AUTHORITY if the site does not let the owner in at all, whatever is asked."""

    def __str__(self) -> str:
        return f"{self.why}; allowed: {self.allowed}"


def nothing_used(key: KeyId) -> Demand:
    """The `Used` of who knows of nothing that is there."""
    return NOTHING


def forbidden(
    policy: SitePolicy | None,
    site: str,
    site_key: KeyId,
    owner: Owner,
    demand: Demand,
    used: Used = nothing_used,
) -> Forbidden | None:
    """What stops an owner from that at a site; None if nothing.

    `policy` is the newest of the site whose key that is. `used` counts as much as whoever asks knows of.
    """
    if (no := _not_granted(owner, site, demand, used)) is not None:
        return no
    if owner.key == site_key:
        return None
    if policy is None:
        if owner.site:
            return None
        why = f"site {site} has published no policy, and without one it admits no VO"
        return Forbidden(why, "sites' own keys", Constraint.AUTHORITY)
    terms = policy.terms(owner.key)
    if terms is None:
        named = ", ".join(vo.name for vo in policy.vos) or "nobody but the site itself"
        who = f"{owner.label}, key {owner.key[:_SHOWN_DIGITS]}..."
        return Forbidden(f"{policy.title} does not name {who}", named, Constraint.AUTHORITY)
    return next(_beyond(policy, terms, demand, used), None)


def counted_everywhere(owner: Owner) -> Iterator[tuple[KeyId, Link]]:
    """The grants behind an order whose ceilings count at several sites, with the keys whose ceilings they are.

    What a VO grants to its own key is no ceiling: it can grant more.
    """
    for link in owner.links:
        key = owner.counted(link)
        limits = any(field != "lease_s" for field, _ in link.ceilings.limits())
        if len(link.sites) != 1 and key != owner.key and limits:
            yield key, link


def beyond_everywhere(owner: Owner, demand: Demand, used: Used) -> Forbidden | None:
    """What stops an owner from having that at all sites together; None if nothing. `used` counts all sites."""
    for key, link in counted_everywhere(owner):
        for what, asked, most in _over(link.ceilings, demand, used(key)):
            why = f"{_whose(link)} has a ceiling for {what} at all its sites together"
            return Forbidden(f"{why}, and this asks for {asked}", f"at most {most}")
    return None


def _not_granted(owner: Owner, site: str, demand: Demand, used: Used) -> Forbidden | None:
    """What the grants that are shown do not allow. A site shows none."""
    if owner.sites and site not in owner.sites:
        return Forbidden(f"the grant is not for site {site}", ", ".join(owner.sites))
    for link in owner.links:
        has = used(owner.counted(link))
        for what, asked, most in _over(link.ceilings, demand, has):
            why = f"{_whose(link)} has a ceiling for {what}, and this asks for {asked}"
            return Forbidden(why, f"at most {most}")
    return None


def _whose(link: Link) -> str:
    return f"the grant to {link.member or link.key[:_SHOWN_DIGITS]}"


def _beyond(policy: SitePolicy, terms: VoTerms, demand: Demand, used: Used) -> Iterator[Forbidden]:
    """Everything in a policy that stops it."""

    def no(key: str, what: str, allowed: str) -> Forbidden:
        line = terms.line(key)
        where = f" line {line.number}, `{line.text}`:" if line is not None else ""
        return Forbidden(f"{policy.title},{where} {what}", allowed)

    name = terms.name
    for what, asked, most in _over(terms.ceiling, demand, used(terms.key)):
        yield no(f"ceiling.{what}", f"{name} asks for {asked}", f"at most {most}")
    for digest in demand.images if terms.images else ():
        if digest not in terms.images:
            some = ", ".join(f"sha256:{image[:_SHOWN_DIGITS]}..." for image in terms.images[:4])
            yield no("images", f"{name} may not use image {digest[:_SHOWN_DIGITS]}...", some)
    spans = ", ".join(map(str, terms.expose)) or "no port"
    for port in demand.ports:
        if not (any(port in span for span in terms.expose) if port else terms.expose):
            at = f"port {port}" if port else "any port"
            yield no("expose", f"{name} may not be reached at {at}", spans)
    for device, _ in demand.quantum.devices:
        if device not in terms.devices:
            some = ", ".join(terms.devices) or "no device"
            yield no("devices", f"{name} may not use device {device}", some)
    if demand.egress and not terms.egress:
        yield no(
            "egress",
            f"{name} may not let guests out to the internet",
            "networks without `internet`",
        )


def _over(most: Ceilings, demand: Demand, has: Demand) -> Iterator[tuple[str, str, str]]:
    """What would be above a ceiling: as the file calls it, how much that is in words, and how much may be."""
    asks, there = demand.quantum, has.quantum
    amounts = (
        ("cpus", most.cpus_milli, asks.cpus_milli, there.cpus_milli, cpus_in_words),
        ("memory", most.memory_bytes, asks.memory_bytes, there.memory_bytes, _memory),
        ("disk", most.disk_bytes, asks.disk_bytes, there.disk_bytes, _disk),
        ("workspaces", most.workspaces, demand.workspaces, has.workspaces, _workspaces),
        ("devices", most.devices, _devices(demand), _devices(has), _counted_devices),
        ("longest-lease", most.lease_s, demand.lease_s, 0, _lease),
    )
    for what, limit, asked, taken, words in amounts:
        if limit is not None and asked and asked + taken > limit:
            beside = f" beside {words(taken)}" if taken else ""
            yield what, f"{words(asked)}{beside}", words(limit)


def _devices(demand: Demand) -> int:
    return sum(count for _, count in demand.quantum.devices)


def _memory(size_bytes: int) -> str:
    return f"{format_size(size_bytes)} memory"


def _disk(size_bytes: int) -> str:
    return f"{format_size(size_bytes)} disk"


def _workspaces(count: int) -> str:
    return counted(count, "workspace")


def _counted_devices(count: int) -> str:
    return counted(count, "device")


def _lease(lease_s: int) -> str:
    return f"a lease of {format_duration(lease_s)}"
