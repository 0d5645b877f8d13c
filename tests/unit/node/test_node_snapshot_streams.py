"""An order opens a stream at the host that carries the workspace, through the peer it names, while it may."""

import pytest
from test_node_snapshot import Scene

from protocol.node.events import RecordGiven
from protocol.node.rows import NoConsole, NoStream, StreamWay
from protocol.policy.policy_record import sign_policy
from protocol.policy.site_policy import SitePolicy
from protocol.sim.peer import SimPeer
from protocol.stream.messages import ConnectBody, Why
from protocol.terms.ids import PeerId
from protocol.trust.certificate import read_certificate
from protocol.trust.order import Action, SignedOrder
from protocol.trust.revocation import revoke
from protocol.trust.signing import Untrusted
from protocol.wire.codec import encode


@pytest.fixture(scope="module")
def scene() -> Scene:
    """A scene that tests only read."""
    return Scene()


def order(
    scene: Scene,
    via: PeerId,
    place: str = "web-1",
    site: str = "",
    action: Action = Action.CONNECT,
    body: bytes | None = None,
    age_s: float = 0.0,
) -> SignedOrder:
    admin = scene.world.admins[site or scene.mine]
    said = encode(ConnectBody(22, via)) if body is None else body
    return admin.order(
        action, scene.shop, scene.now - age_s, workspace=place, body=said, valid_s=100.0
    )


def way(scene: Scene, signed: SignedOrder, via: PeerId, kept: StreamWay | None = None) -> StreamWay:
    return scene.view(scene.carriers[0]).stream_way(signed, via, scene.now, kept)


def test_the_owners_order_leads_to_the_workspace(scene: Scene) -> None:
    via = scene.asked.id
    found = way(scene, order(scene, via), via)
    assert (found.carried.peer, found.carried.grid, found.carried.workspace) == (
        via,
        scene.shop,
        "web-1",
    )
    assert (found.port, found.site) == (22, scene.asked.site)
    assert way(scene, order(scene, via), via, found) == found


def test_an_order_is_of_use_to_no_other_peer(scene: Scene) -> None:
    mallory = scene.world.peers[3].id
    with pytest.raises(NoStream, match="for use through another peer") as refused:
        way(scene, order(scene, scene.asked.id), mallory)
    assert refused.value.why is Why.REFUSED


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ({"action": Action.CONSOLE}, "an order to console does not open a stream"),
        ({"place": "web-2"}, "does not carry shop/web-2"),
        ({"place": "web-9"}, "does not carry shop/web-9"),
        ({"body": b"what"}, "names a port and a peer"),
    ],
)
def test_what_else_an_order_may_be(scene: Scene, kind: dict[str, str], said: str) -> None:
    via = scene.asked.id
    with pytest.raises(NoStream, match=said):
        way(scene, order(scene, via, **kind), via)  # type: ignore[arg-type]  # by name


def test_nobody_elses_order_opens_anything(scene: Scene) -> None:
    via = scene.asked.id
    with pytest.raises(NoStream, match="belongs to site") as refused:
        way(scene, order(scene, via, site=scene.theirs), via)
    assert refused.value.why is Why.REFUSED


def test_an_old_order_opens_nothing_but_what_it_opened_stays(scene: Scene) -> None:
    via = scene.asked.id
    old = order(scene, via, age_s=200.0)
    with pytest.raises(Untrusted, match="sign it again"):
        way(scene, old, via)
    kept = way(scene, order(scene, via), via)
    assert way(scene, old, via, kept) == kept


def test_a_forged_order_opens_nothing(scene: Scene) -> None:
    via = scene.asked.id
    good = order(scene, via)
    forged = SignedOrder(good.payload, bytes(64), good.chain)
    with pytest.raises(Untrusted):
        way(scene, forged, via)


def test_it_ends_with_the_workspace(scene: Scene) -> None:
    own = Scene()
    via = own.asked.id
    signed = order(own, via)
    kept = way(own, signed, via)
    view = own.view(own.carriers[0])
    admin = own.world.admins[own.mine]
    own.world.give(own.asked, admin.order(Action.TERMINATE, "shop", own.now, workspace="web-1"))
    assert own.world.run_until(lambda: not view.carried(), 60.0)
    with pytest.raises(NoStream) as ended:
        view.stream_way(signed, via, own.now, kept)
    assert ended.value.why is Why.ENDED


def other_than_carriers(scene: Scene) -> SimPeer:
    return next(p for p in scene.world.peers if p not in scene.carriers and p is not scene.asked)


def test_it_ends_with_the_peer_it_goes_through() -> None:
    scene = Scene()
    through = other_than_carriers(scene)
    signed = order(scene, through.id)
    kept = way(scene, signed, through.id)
    through.crash()
    view = scene.view(scene.carriers[0])

    def ended() -> bool:
        try:
            view.stream_way(signed, through.id, scene.now, kept)
        except NoStream as error:
            return error.why is Why.SILENT
        return False

    assert not ended()
    assert not view.is_gone(through.id)
    assert scene.world.run_until(ended, 30.0)
    assert view.is_gone(through.id)


@pytest.mark.parametrize("whose", ["peer", "owner"])
def test_it_ends_with_the_right_of_the_owner_and_of_the_peer(whose: str) -> None:
    scene = Scene()
    through = other_than_carriers(scene)
    signed = order(scene, through.id)
    kept = way(scene, signed, through.id)
    made = scene.world.federation
    chain = through.identity.chain if whose == "peer" else made.site_chain(scene.mine)
    signer = made.site(through.site) if whose == "peer" else made.root
    certificate = read_certificate(chain[0])
    gone = revoke(certificate, "stolen", scene.now, signer, chain[1:])
    scene.carriers[0].feed(RecordGiven(gone))
    scene.world.run(2.0)
    with pytest.raises((NoStream, Untrusted), match="revoked"):
        way(scene, signed, through.id, kept)


def test_it_ends_and_no_console_opens_where_the_site_lets_the_owner_in_no_more() -> None:
    scene = Scene()
    through, made = scene.asked, scene.world.federation
    there = next(peer for peer in scene.carriers if peer.site == scene.theirs)
    assert there.node is not None
    (row,) = there.node.host.leases.rows()
    place = row.record.on(there.id)[0]
    signed, view = order(scene, through.id, place), scene.view(there)
    kept = view.stream_way(signed, through.id, scene.now)
    papers, site = made.site_chain(scene.theirs), made.site(scene.theirs)
    there.feed(RecordGiven(sign_policy(SitePolicy(scene.theirs, 1, scene.now, papers), site)))
    why = f"policy 1 of site {scene.theirs} does not name {scene.mine}"
    with pytest.raises(NoStream, match=why):
        view.stream_way(signed, through.id, scene.now, kept)
    looks = order(scene, through.id, place, action=Action.CONSOLE, body=b"")
    with pytest.raises(NoConsole, match=why):
        view.console(looks, through.id, scene.now)
