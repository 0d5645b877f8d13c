"""Members and owners that want ports of a host which are not theirs, or tell of ports that nobody gave."""

import msgspec
import pytest
from changing_host import Changing, sized
from hosting_world import FACTS, REQUEST
from negotiating import ADMIN, NOW, RIVAL, record_of, shop
from test_false_notices import Scene

from protocol.capacity.advert import GivenPorts
from protocol.contract.messages import HoldAsk, HoldReply, Quote, QuoteAsk
from protocol.grid.exposed import ExposedPort
from protocol.grid.limits import FIXED_PORTS_MAX
from protocol.grid.model import Exposure, GridSpec, Transport
from protocol.grid.record import grid_id, vni_of
from protocol.node.snapshot import PeerView
from protocol.terms.effects import Note
from protocol.terms.limits import HOLD_S
from protocol.terms.ranges import LINE_MOST
from protocol.terms.refusal import PORTS, Constraint
from protocol.trust.order import SignedOrder
from protocol.wire.codec import Malformed, decode, encode

GIVING = msgspec.structs.replace(
    FACTS,
    capacity=msgspec.structs.replace(FACTS.capacity, devices=((PORTS, 4),)),
    ports=GivenPorts(30_000, 30_003, "198.51.100.7"),
)
OWN = Exposure(22, outside=30_001)


def exposing(*ports: Exposure, name: str = "shop") -> GridSpec:
    return msgspec.structs.replace(sized(shop(1), expose=ports), name=name)


def giving(spec: GridSpec) -> Changing:
    one = Changing(ADMIN.up(spec, NOW))
    one.facts = GIVING
    one.start()
    return one


def holds(one: Changing, order: SignedOrder, instead: str = "") -> HoldReply:
    grid = grid_id(order)
    vnis = (("lan", vni_of(grid, "lan")),)
    return one.said(one.hears(HoldAsk(grid, order, ("web-1",), vnis, HOLD_S, 0.0, instead)))


@pytest.mark.parametrize(
    "port",
    [
        Exposure(0),
        Exposure(-1),
        Exposure(70_000),
        Exposure(22, outside=-5),
        Exposure(22, outside=70_000),
    ],
    ids=str,
)
def test_no_order_holds_a_port_that_there_is_not(port: Exposure) -> None:
    one = giving(exposing())
    reply = holds(one, RIVAL.up(exposing(port), NOW))
    assert reply.held == ()
    assert [no.constraint for _, no in reply.refused] == [Constraint.AUTHORITY]
    assert one.rows.get("hold", {}) == {}


def test_nor_so_many_that_a_host_is_busy_with_them() -> None:
    one = giving(exposing())
    many = tuple(Exposure(port, outside=30_000 + port) for port in range(1, 2000))
    assert holds(one, RIVAL.up(exposing(*many), NOW)).held == ()


@pytest.mark.parametrize("again", [False, True], ids=["at-once", "after-a-restart"])
def test_a_port_that_leads_to_a_guest_is_not_got_by_another_owner_of_the_same_names(
    again: bool,
) -> None:
    """Its grid and its workspace are called the same, and it names the other's grid as its own plan."""
    one = giving(exposing(OWN))
    record = one.up()
    if again:
        one.start()
    before = one.row(record.id).exposes
    reply = holds(one, RIVAL.up(exposing(OWN), NOW), instead=record.id)
    assert reply.held == ()
    assert one.row(record.id).exposes == before


def test_a_record_gives_nobody_a_port_that_the_host_did_not_hold_for_it() -> None:
    """Two grids asked for one port. The one that was refused is decided all the same."""
    one = giving(exposing(OWN))
    assert holds(one, one.up_order).held == ("web-1",)
    rival = RIVAL.up(exposing(Exposure(80, outside=30_001)), NOW)
    assert holds(one, rival).held == ()
    effects = one.decides(record_of(rival, {"web-1": one.me}))
    assert [e.kind for e in effects if isinstance(e, Note)] == ["record.refused"]
    assert one.host.leases.rows() == []
    one.decides(record_of(one.up_order, {"web-1": one.me}))
    assert [port.outside for port in one.row(grid_id(one.up_order)).exposes] == [30_001]


def test_who_asks_about_ports_is_told_of_no_others_and_of_no_more_than_a_grid_may_name() -> None:
    one = giving(exposing(OWN))
    one.up()
    free = one.quote(ports=(30_002,), grid="other").free
    assert [name for name, _ in free.devices] == [PORTS], "not that 30001 is taken"
    ask = QuoteAsk(REQUEST, "s2", ports=tuple(range(1, FIXED_PORTS_MAX + 1)))
    assert decode(encode(ask), QuoteAsk) == ask
    for ports in (tuple(range(1, FIXED_PORTS_MAX + 2)), (0,), (65_536,)):
        with pytest.raises(Malformed):
            decode(encode(msgspec.structs.replace(ask, ports=ports)), QuoteAsk)


def test_what_a_host_says_of_ports_is_short_and_only_seen() -> None:
    one = giving(exposing(OWN))
    quote = one.quote(ports=(1,), grid="other")
    assert decode(encode(quote), Quote) == quote
    for shut in (
        ((1, "x" * (LINE_MOST + 1)),),
        ((1, "\x1b[2J"),),
        tuple((n + 1, "") for n in range(65)),
    ):
        with pytest.raises(Malformed):
            decode(encode(msgspec.structs.replace(quote, shut=shut)), Quote)


def test_a_host_tells_only_of_ports_of_its_own_workspaces() -> None:
    """Who carries nothing of a grid tells where it is reached, and one of its hosts where another's part is."""
    scene = Scene()
    carrier, liar = scene.carriers[0], scene.carriers[-1]
    (row,) = [
        row
        for row in view(scene).workspaces(scene.grid, scene.world.now_s)
        if row.peer == carrier.id
    ]
    lie = (ExposedPort(row.workspace, 443, Transport.TCP, 31_443),)
    told = msgspec.structs.replace(scene.truth, exposes=lie, exposed_at="203.0.113.66")
    scene.tells(told, scene.mallory)
    if liar is not carrier:
        scene.tells(told, liar)
    rows = view(scene).workspaces(scene.grid, scene.world.now_s)
    assert [row.exposed for row in rows] == [(), ()]


def view(scene: Scene) -> PeerView:
    assert scene.asked.node is not None
    return PeerView(scene.asked.node)
