"""Whether what an order contains is within what its signer was granted: what it is for, and how it came to be.

Every peer judges that alike, from the order alone. How much of a site a VO may use, each site says by itself.
"""

from collections.abc import Collection, Iterator

from protocol.grid.differences import differences
from protocol.grid.model import GridSpec
from protocol.grid.problem import listed
from protocol.trust.owner import Owner
from protocol.trust.signing import Reason, Untrusted
from protocol.trust.verbs import Verb

SIZES = ("cpus", "memory", "network-rate", "sizes")
"""The keys of a grid file that say a quantum which can be changed, and no more."""


def require_granted(owner: Owner, spec: GridSpec) -> None:
    """Raises Untrusted unless that owner's member may ask for such a grid."""
    if spec.vo not in ("", owner.vo):
        whose = f"VO {owner.vo}'s" if owner.vo else "a site's admin's"
        why = f"the grid is for VO {spec.vo}, and the order is {whose}; sign it as a member of {spec.vo}"
        raise Untrusted(Reason.NOT_GRANTED, why)
    for verb, what in _needed(spec):
        if verb not in owner.verbs:
            raise Untrusted(
                Reason.NOT_GRANTED,
                f"{what} needs a grant with {verb}; this one allows to {', '.join(owner.verbs)}",
            )


def require_resize(owner: Owner, new: GridSpec, old: GridSpec) -> None:
    """Raises Untrusted unless the member may make one grid of the other: who may only resize changes sizes."""
    if Verb.DEPLOY in owner.verbs:
        return
    other = [found.path for found in differences(new, old) if not _is_size(found.path)]
    if other:
        why = f"to change {listed(other)} a grant with {Verb.DEPLOY} is needed; this one allows to resize"
        raise Untrusted(Reason.NOT_GRANTED, why)


def require_staying(owner: Owner, gone: Collection[str], ended: Collection[str]) -> None:
    """Raises Untrusted if a member who may only resize has more workspaces gone than were ended one by one."""
    if Verb.DEPLOY in owner.verbs:
        return
    if left := [name for name in gone if name not in ended]:
        why = f"to take {listed(left)} out a grant with {Verb.DEPLOY} is needed; this one allows to resize"
        raise Untrusted(Reason.NOT_GRANTED, why)


def _is_size(path: str) -> bool:
    """Whether it is a size of a cluster. A cluster, or a network, may be called like one."""
    parts = path.split(".")
    return len(parts) == 3 and parts[0] == "clusters" and parts[2] in SIZES


def _needed(spec: GridSpec) -> Iterator[tuple[Verb, str]]:
    """What a grid takes beside being deployed, and what for."""
    if spec.lease.start_s or spec.lease.before_s:
        yield Verb.RESERVE, "a lease that begins later"
    for cluster in spec.clusters:
        if cluster.expose:
            yield Verb.EXPOSE, f"{cluster.name}, of which ports are exposed,"
        if cluster.devices:
            yield Verb.DEVICES, f"{cluster.name}, which has devices,"
