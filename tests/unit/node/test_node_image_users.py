"""Which workspaces need an image of this host, those among them that the host does not remember."""

import msgspec
from one_peer import ADMIN, NOW, Alone, started

from protocol.grid.lifecycle import Power
from protocol.grid.model import ImageRef
from protocol.grid.stopping import RebuildTerms
from protocol.hosting.events import Found
from protocol.hosting.keepsake import keepsake_of
from protocol.node.snapshot import PeerView
from protocol.requesting.events import OrderGiven
from protocol.sim.people import IMAGE, grid_spec
from protocol.terms.ids import Digest, RequestId
from protocol.trust.order import Action
from protocol.wire.codec import encode


def test_an_image_is_in_use_by_what_is_carried_and_by_what_is_found() -> None:
    alone = Alone(started())
    alone.feed(OrderGiven(RequestId("up"), ADMIN.up(grid_spec("shop", 1), NOW)))
    alone.until(lambda: alone.peer.host.leases.rows() != [], 5.0)
    (row,) = alone.peer.host.leases.rows()
    (wanted,) = row.wanted
    using = [f"shop/{wanted.workspace}"]
    assert PeerView(alone.peer).image_users(Digest(IMAGE.digest)) == using
    other = ImageRef("debian", "d" * 64)
    order = ADMIN.order(
        Action.REBUILD, "shop", NOW, workspace=wanted.workspace, body=encode(RebuildTerms(other))
    )
    alone.peer.host.images_changed(())
    alone.feed(OrderGiven(RequestId("rebuild"), order))
    alone.until(lambda: alone.peer.host.leases.rows()[0].wanted[0].build == 2, 5.0)
    view = PeerView(alone.peer)
    assert (view.image_users(Digest(other.digest)), view.image_users(Digest(IMAGE.digest))) == (
        using,
        [],
    )
    lost = Alone(started())
    machine = Found(
        row.record.id, "machine ovl-1", wanted.workspace, power=Power.RUNNING, keepsake=keepsake_of(row)
    )  # fmt: skip
    lost.feed(machine)
    assert PeerView(lost.peer).image_users(Digest(IMAGE.digest)) == using
    assert PeerView(lost.peer).image_users(Digest("0" * 64)) == []
    lost.feed(msgspec.structs.replace(machine, is_gone=True))
    assert PeerView(lost.peer).image_users(Digest(IMAGE.digest)) == []
