"""What is counted of a host's leases: what the ledger has for each now, and whose they are."""

from one_peer import ADMIN, FACTS, NOW, OTHER, Alone, friends, started

from protocol.capacity.advert import Advert, Spent
from protocol.capacity.quantum import Quantum
from protocol.grid.lifecycle import Phase
from protocol.grid.record import GridState
from protocol.hosting.events import Cleared, Progressed
from protocol.node.rows import SpentRow
from protocol.node.snapshot import PeerView
from protocol.policy.receipts import Payer
from protocol.requesting.events import OrderGiven
from protocol.sim.people import grid_spec
from protocol.terms.ids import KeyId, PeerId, RequestId
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


def test_what_hosts_have_for_a_key_is_as_they_told_it() -> None:
    peer, star = friends(), KeyId("5" * 64)
    view = PeerView(peer)
    there = (Spent(star, 500, 7, 0, 2, 1), Spent(KeyId("6" * 64), 9, 9, 9, 9, 9))
    advert = Advert(FACTS, Quantum(), (), (), 2, spent=there)
    for who in (OTHER.peer, peer.me, PeerId("f" * 64)):
        peer.directory.advertised(who, advert, NOW)
    told = SpentRow(OTHER.site, OTHER.name, 3.0, 500, 7, 0, 2, 1)
    assert view.spent(star, NOW + 3) == [told], "and not of itself, or of whom nobody knows"
    assert view.spent(KeyId("7" * 64), NOW) == []
