"""The elastic grids that this host carries part of, as its requesting side needs to know them."""

from protocol.grid.elastic import missing
from protocol.grid.record import GridState
from protocol.hosting.host import Host
from protocol.hosting.lease import LeaseStage
from protocol.placement.fit import Offer
from protocol.requesting.by_room import Grown
from protocol.terms.ids import GridId, PeerId


class ElasticGrids:
    """What one host has of them."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def elastic(self) -> list[Grown]:
        """Those that run here, whole or in part, and are smaller than they may be."""
        found = []
        leases = self._host.leases
        for row in leases.rows():
            record, certificate = row.record, row.certificate
            spec = leases.ordered(row).spec
            if certificate is None or not any(cluster.elastic for cluster in spec.clusters):
                continue
            runs = record.state is GridState.UP and row.halted is None and not row.off
            if runs and leases.stage(row) is LeaseStage.CURRENT and missing(record, spec):
                found.append(Grown(record, certificate, row.lease_until_s))
        return found

    def own(self) -> Offer:
        """What this host could offer itself."""
        return self._host.offer()

    def stewards(self, grid: GridId) -> tuple[PeerId, ...]:
        """Who keeps the register of a carried grid."""
        row = self._host.leases.row(grid)
        return row.stewards if row is not None else ()
