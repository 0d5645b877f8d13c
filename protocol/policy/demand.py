"""What is asked of a site, or of one host of it, as its policy looks at it."""

from collections.abc import Iterable

import msgspec

from protocol.capacity.quantum import Quantum, total
from protocol.grid.model import Workspace
from protocol.terms.ids import Digest


class Demand(msgspec.Struct, frozen=True):
    """What is asked of a site, or of one host of it: some workspaces, and the lease they are for."""

    quantum: Quantum = Quantum()
    """All of them together. Ports are no devices here."""
    workspaces: int = 0
    lease_s: int = 0
    """How long they are to be there, seconds; 0 if that is not asked."""
    images: tuple[Digest, ...] = ()
    ports: tuple[int, ...] = ()
    """Ports of hosts at which they are to be reached; 0 for one that its host chooses."""
    egress: bool = False
    """Whether they are to get out to the internet."""


NOTHING = Demand()


def demand_of(workspaces: Iterable[Workspace], lease_s: int = 0) -> Demand:
    """What those ask for together, for a lease of so many seconds."""
    members = list(workspaces)
    return Demand(
        quantum=total(_quantum(each) for each in members),
        workspaces=len(members),
        lease_s=lease_s,
        images=tuple(dict.fromkeys(Digest(w.image.digest) for w in members if w.image.digest)),
        ports=tuple(dict.fromkeys(port.outside for each in members for port in each.expose)),
        egress=any(each.internet for each in members),
    )


def _quantum(workspace: Workspace) -> Quantum:
    devices = tuple(sorted((each.name, each.count) for each in workspace.devices if each.count))
    return Quantum(workspace.cpus_milli, workspace.memory_bytes, workspace.disk_bytes, devices)
