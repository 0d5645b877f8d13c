"""Names, network ids and ports that are in use on a host: by what it holds, carries, and has found."""

from protocol.contract.authority import Authority
from protocol.grid.exposed import ports_of_workspaces
from protocol.grid.lifecycle import Phase
from protocol.grid.record import GridState, name_key
from protocol.hosting.foundlings import Foundlings
from protocol.hosting.holds import Holds
from protocol.hosting.leases import Leases
from protocol.hosting.taken import Cotenant, PortUser, Taken
from protocol.terms.ids import GridId
from protocol.trust.order import SignedOrder


def taken_by(holds: Holds, leases: Leases, foundlings: Foundlings, authority: Authority) -> Taken:
    """All of it."""

    def apart(order: SignedOrder) -> tuple[str, ...]:
        """The names of the grids from which the grid of an order is to be kept apart."""
        return authority.remembered(order).spec.placement.apart

    names: dict[str, tuple[GridId, bool]] = {}
    vnis: dict[int, GridId] = {}
    near: list[Cotenant] = []
    ports: dict[int, PortUser] = {}
    for row in holds.rows():
        names[row.key] = (row.grid, False)
        near.append(Cotenant(row.owner, row.owner_site, row.name, apart(row.ordered)))
        vnis |= {vni: row.grid for _, vni in row.vnis}
        grid, owner = row.of or row.grid, (row.owner, row.owner_site, row.name)
        ports |= {e.outside: PortUser(grid, e.workspace, *owner) for e in row.exposes}
    for carried in leases.rows():
        record = carried.record
        near.append(Cotenant(record.owner, record.owner_site, record.name, apart(record.standing)))
        key = name_key(record.owner, record.name)
        names[key] = (record.id, record.state is GridState.UP)
        vnis |= {vni: record.id for _, vni in record.vnis}
        grid, owner = record.id, (record.owner, record.owner_site, record.name)
        gone = [s.workspace for s in leases.statuses(record.id) if s.phase is Phase.GONE]
        there = [w.workspace for w in carried.wanted if w.workspace not in gone]
        exposes = ports_of_workspaces(carried.exposes, there)
        ports |= {e.outside: PortUser(grid, e.workspace, *owner) for e in exposes}
    for found in foundlings.rows():
        lease = found.kept.lease if found.kept is not None else None
        names.setdefault(found.key, (found.grid, True))
        vnis |= {vni: found.grid for _, vni in lease.record.vnis} if lease is not None else {}
    return Taken(names, vnis, tuple(near), ports)
