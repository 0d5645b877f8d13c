"""What is counted of a host's leases: what the ledger has for each now, and whose they are."""

from one_peer import ADMIN, NOW, Alone, started

from protocol.grid.lifecycle import Phase
from protocol.grid.record import GridState
from protocol.hosting.events import Cleared, Progressed
from protocol.node.snapshot import PeerView
from protocol.policy.receipts import Payer
from protocol.requesting.events import OrderGiven
from protocol.sim.people import grid_spec
from protocol.terms.ids import RequestId
from protocol.trust.order import Action


def test_a_lease_has_its_quantum_and_nothing_when_it_is_gone() -> None:
    alone = Alone(started())
    view = PeerView(alone.peer)
    assert view.leases_now() == []
    alone.feed(OrderGiven(RequestId("up"), ADMIN.up(grid_spec("shop", 2), NOW)))
    alone.until(lambda: alone.peer.host.leases.rows() != [], 5.0)
    (lease,) = view.leases_now()
    (row,) = alone.peer.host.leases.rows()
    assert (lease.grid, lease.name) == (row.record.id, "shop")
    assert lease.payer == Payer(ADMIN.signer.key, row.record.owner_site)
    free, all_ = alone.peer.host.ledger.free, alone.peer.host.ledger.capacity
    assert lease.quantum == all_ - free
    assert lease.quantum.cpus_milli > 0
    alone.feed(OrderGiven(RequestId("down"), ADMIN.order(Action.DOWN, "shop", NOW)))
    alone.until(lambda: alone.peer.host.leases.rows()[0].record.state is GridState.DOWN, 5.0)
    for name in ("web-1", "web-2"):
        alone.feed(Progressed(lease.grid, name, Phase.GONE, "", 1, True))
    alone.feed(Cleared(lease.grid))
    assert view.leases_now() == []
