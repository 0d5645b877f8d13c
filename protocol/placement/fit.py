"""Does it fit? One function, asked by the requester who chooses and by the host that promises.

Where bidder and committer ask different functions (Nomad's plan applier) they loop.
"""

import msgspec

from protocol.capacity.quantum import Quantum
from protocol.grid.model import Workspace
from protocol.terms.ids import PeerId
from protocol.terms.refusal import Constraint, Refusal


class Offer(msgspec.Struct, frozen=True):
    """One host's word on what it has now."""

    peer: PeerId
    host: str
    site: str
    free: Quantum
    architecture: str
    underlay: str
    encrypts: bool
    images: tuple[str, ...]
    """Digests of the images it has already."""
    refused: Refusal | None = None
    """It has said no, for a reason that is not about room."""


class Rules(msgspec.Struct, frozen=True):
    """What the grid asks of every host."""

    sites: tuple[str, ...] = ()
    """Only these; empty means any."""
    exclude: tuple[str, ...] = ()
    """Never these hosts, by name."""
    spread: str = "none"
    """`site`, `host` or `none`."""
    one_site: bool = False
    """Members must be at one site, since their traffic may not cross sites in the clear."""


def quantum_of(workspace: Workspace) -> Quantum:
    """What a workspace takes from its host."""
    return Quantum(workspace.cpus_milli, workspace.memory_bytes, workspace.disk_bytes)


def refusals(workspace: Workspace, offer: Offer, free: Quantum, rules: Rules) -> list[Refusal]:
    """Everything that stops this host, binding dimension last; empty if it fits. `free` is what is left."""
    found: list[Refusal] = []
    if rules.sites and offer.site not in rules.sites:
        wanted = ", ".join(rules.sites)
        found.append(
            Refusal(Constraint.SITE, offer.host, detail=f"it is at {offer.site}, asked: {wanted}")
        )
    if offer.host in rules.exclude:
        found.append(Refusal(Constraint.SITE, offer.host, detail="the grid excludes this host"))
    asked, room = quantum_of(workspace), free
    for (name, need), (_, have) in zip(asked.by_constraint(), room.by_constraint(), strict=True):
        if need > have:
            found.append(Refusal(name, offer.host, asked=need, available=max(0, have)))
    if offer.refused is not None:
        found.append(offer.refused)
    return found
