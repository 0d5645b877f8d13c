"""Ports of a host for guests: one owner each, refused with a reason, kept as long as the workspace is."""

import msgspec
import pytest
from changing_host import Changing, sized, to_apply
from hosting_world import FACTS, named
from negotiating import ADMIN, NOW, RIVAL, B, shop

from protocol.capacity.advert import GivenPorts, HostFacts
from protocol.capacity.quantum import port_named
from protocol.contract.messages import HoldAsk, HoldRelease, HoldReply
from protocol.grid.exposed import ExposedPort
from protocol.grid.lifecycle import Phase
from protocol.grid.model import Exposure, GridSpec, Transport
from protocol.grid.record import HoldTerms, grid_id, vni_of
from protocol.hosting.events import Cleared, Progressed
from protocol.hosting.exposing import why_shut
from protocol.hosting.publishing import Publishing
from protocol.terms.effects import Note
from protocol.terms.limits import HOLD_S
from protocol.terms.refusal import PORTS, Constraint
from protocol.trust.order import Action, SignedOrder
from protocol.wire.codec import encode

UDP = Transport.UDP
PORTS_HERE = GivenPorts(
    30_000, 30_004, "198.51.100.7", ((30_002, "where overlayd takes sealed traffic"),)
)
GIVING = msgspec.structs.replace(
    FACTS,
    capacity=msgspec.structs.replace(FACTS.capacity, devices=((PORTS, 4),)),
    ports=PORTS_HERE,
)


def exposing(*ports: Exposure, count: int = 1, name: str = "shop") -> GridSpec:
    return sized(named(name, shop(count)), expose=ports)


def giving(up: GridSpec, facts: HostFacts = GIVING) -> Changing:
    """A host that gives four ports, and is asked for that grid."""
    one = Changing(ADMIN.up(up, NOW))
    one.facts = facts
    one.start()
    return one


def asked(order: SignedOrder, *names: str, instead: str = "") -> HoldAsk:
    grid = grid_id(order)
    return HoldAsk(grid, order, names, (("lan", vni_of(grid, "lan")),), HOLD_S, 0.0, instead)


def holds(one: Changing, ask: HoldAsk) -> HoldReply:
    return one.said(one.hears(ask))


def held_ports(one: Changing, order: SignedOrder) -> tuple[ExposedPort, ...]:
    row = one.host.holds.row(grid_id(order))
    assert row is not None
    return row.exposes


def free_but(*numbers: int) -> int:
    """Another port that the host gives."""
    return next(n for n in (30_000, 30_001, 30_003, 30_004) if n not in numbers)


def why(reply: HoldReply) -> list[str]:
    return [str(refusal) for _, refusal in reply.refused]


def test_the_host_chooses_among_its_own_and_keeps_to_it_over_a_restart() -> None:
    """One number for a guest's port by both transports; none that the host uses."""
    one = giving(exposing(Exposure(443), Exposure(443, UDP), Exposure(22, outside=30_001)))
    record = one.up()
    exposes = one.row(record.id).exposes
    chosen = exposes[1].outside
    assert chosen in (30_000, 30_003, 30_004)
    assert exposes == (
        ExposedPort("web-1", 22, Transport.TCP, 30_001),
        ExposedPort("web-1", 443, Transport.TCP, chosen),
        ExposedPort("web-1", 443, UDP, chosen),
    )
    assert str(exposes[2]) == f"{chosen}/udp -> web-1:443"
    one.start()
    assert one.row(record.id).exposes == exposes
    assert one.host.advert(NOW).free.devices == ((PORTS, 2),), "which ones nobody is told"
    assert one.host.advert(NOW).facts.ports == msgspec.structs.replace(PORTS_HERE, used=())


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (22, "it gives the ports 30000-30004, asked: 22; `as: 30000` is free there"),
        (
            30_002,
            "port 30002 is its own: where overlayd takes sealed traffic; `as: 30001` is free there",
        ),
        (30_003, "port 30003 has another workspace there; `as: 30004` is free there"),
    ],
)
def test_a_port_that_is_not_given_is_refused_with_what_would_work(number: int, said: str) -> None:
    one = giving(exposing(Exposure(22, outside=30_003)))
    one.up()
    spec = exposing(Exposure(22, outside=number), name="other")
    assert why(holds(one, asked(ADMIN.up(spec, NOW), "web-1")))[0].startswith("alpha: port: ")
    quote = one.quote(ports=(number, 30_004), grid="other")
    assert quote.shut == ((number, said),)
    assert why_shut(PORTS_HERE, number, (30_003,)) == said


def test_where_none_is_left_it_says_so() -> None:
    few = msgspec.structs.replace(GIVING, ports=GivenPorts(30_002, 30_002, "", PORTS_HERE.used))
    one = giving(exposing(Exposure(80)), few)
    assert why(holds(one, asked(one.up_order, "web-1"))) == [
        "alpha: port: none of the ports that it gives, 30002-30002, is free"
    ]
    assert why_shut(few.ports, 30_002, ()).endswith("; none is free")
    none = giving(exposing(Exposure(80)), FACTS)
    assert why(holds(none, asked(none.up_order, "web-1"))) == [
        "alpha lacks exposed ports: asked 1, free 0"
    ]


def test_two_grids_that_ask_for_one_port_at_the_same_instant() -> None:
    """The first has it, for as long as it holds it; a stranger cannot let go of that."""
    one = giving(exposing(Exposure(22, outside=30_003)))
    first, second = one.up_order, RIVAL.up(exposing(Exposure(23, outside=30_003)), NOW)
    assert holds(one, asked(first, "web-1")).held == ("web-1",)
    assert why(holds(one, asked(second, "web-1"))) == [
        "alpha: port: the exposed port 30003 has another workspace there, and a host gives each to one"
    ]
    one.keep(one.host.message(one.me, HoldRelease(grid_id(first), ("web-1",)), NOW))
    assert holds(one, asked(second, "web-1")).held == ()
    one.hears(HoldRelease(grid_id(first), ("web-1",)))
    assert holds(one, asked(second, "web-1")).held == ("web-1",)


def test_a_port_that_the_host_chose_is_nobody_elses_either() -> None:
    """Neither when another grid names it, nor when it is to choose again: four grids have four ports."""
    one = giving(exposing(Exposure(80)))
    numbers = []
    for n in range(4):
        order = ADMIN.up(exposing(Exposure(80), name=f"g{n}"), NOW)
        assert holds(one, asked(order, "web-1")).held == ("web-1",), n
        (port,) = held_ports(one, order)
        numbers.append(port.outside)
    assert sorted(numbers) == [30_000, 30_001, 30_003, 30_004]
    spec = exposing(Exposure(80, outside=numbers[0]), name="late")
    (said,) = why(holds(one, asked(ADMIN.up(spec, NOW), "web-1")))
    assert said.startswith("alpha lacks exposed ports") or "has another workspace" in said


def test_two_of_one_cluster_on_one_host_have_two_ports_and_never_the_same() -> None:
    one = giving(exposing(Exposure(80), count=2))
    assert holds(one, asked(one.up_order, "web-1", "web-2")).held == ("web-1", "web-2")
    assert len({port.outside for port in held_ports(one, one.up_order)}) == 2
    fixed = ADMIN.up(exposing(Exposure(80, outside=30_001), count=2, name="fixed"), NOW)
    one = giving(exposing())
    reply = holds(one, asked(fixed, "web-1", "web-2"))
    assert reply.held == ("web-1",)
    assert [(name, no.constraint) for name, no in reply.refused] == [("web-2", Constraint.PORT)]


def test_what_one_workspace_names_is_not_chosen_for_another_of_its_grid() -> None:
    plain = exposing(Exposure(80))
    named_one = msgspec.structs.replace(
        plain.clusters[0], name="db", expose=(Exposure(22, outside=30_000),)
    )
    for name in ("a", "b", "c", "d", "e", "f"):
        both = msgspec.structs.replace(plain, name=name, clusters=(*plain.clusters, named_one))
        one = giving(both)
        assert holds(one, asked(one.up_order, "web-1", "db-1")).held == ("web-1", "db-1"), name


def test_an_up_keeps_the_ports_of_the_plan_that_it_takes_up() -> None:
    spec = exposing(Exposure(80))
    one = giving(spec)
    plan = ADMIN.order(Action.HOLD, "shop", NOW, body=encode(HoldTerms(spec, 60.0)))
    holds(one, asked(plan, "web-1"))
    planned = held_ports(one, plan)
    assert holds(one, asked(one.up_order, "web-1", instead=grid_id(plan))).held == ("web-1",)
    assert held_ports(one, one.up_order) == planned


def test_a_plan_of_somebody_else_is_no_way_to_its_port() -> None:
    one = giving(exposing(Exposure(22, outside=30_003)))
    terms = HoldTerms(exposing(Exposure(22, outside=30_003)), 60.0)
    plan = RIVAL.order(Action.HOLD, "shop", NOW, body=encode(terms))
    assert holds(one, asked(plan, "web-1")).held == ("web-1",)
    assert holds(one, asked(one.up_order, "web-1", instead=grid_id(plan))).held == ()


def test_ports_come_and_go_with_a_change_and_the_others_stay() -> None:
    one = giving(exposing(Exposure(80), Exposure(443)))
    record = one.up()
    before = {port.port: port.outside for port in one.row(record.id).exposes}
    boot = one.wanted("web-1", record.id).boot
    other = free_but(*before.values())
    after = one.changes(record, exposing(Exposure(80), Exposure(22, outside=other)), "web-1")
    numbers = {port.port: port.outside for port in one.row(record.id).exposes}
    assert numbers == {80: before[80], 22: other}
    assert one.wanted("web-1", record.id).boot == boot, "its guest runs on"
    one.changes(after, exposing(), "web-1")
    assert one.row(record.id).exposes == ()
    assert one.host.advert(NOW).free.devices == ((PORTS, 4),)


def test_a_change_that_is_voted_down_changes_no_port() -> None:
    one = giving(exposing(Exposure(80)))
    record = one.up()
    before = one.row(record.id).exposes
    other = free_but(before[0].outside)
    change = to_apply(exposing(Exposure(22, outside=other)), record.epoch, record.id)
    assert one.hold(record, change, "web-1").held == ("web-1",)
    assert one.row(record.id).exposes == before
    one.hears(HoldRelease(grid_id(change, 0, B), ("web-1",)))
    assert one.row(record.id).exposes == before


def test_a_change_asks_for_no_port_that_is_not_given() -> None:
    one = giving(exposing(Exposure(80)))
    record = one.up()
    wanted = free_but(one.row(record.id).exposes[0].outside)
    other = ADMIN.up(exposing(Exposure(22, outside=wanted), name="other"), NOW)
    assert holds(one, asked(other, "web-1")).held == ("web-1",)
    change = to_apply(exposing(Exposure(22, outside=wanted)), record.epoch, record.id)
    reply = one.hold(record, change, "web-1")
    assert reply.held == ()
    assert [no.constraint for _, no in reply.refused] == [Constraint.PORT]


def test_the_asking_grids_own_ports_are_not_shut_for_it() -> None:
    one = giving(exposing(Exposure(22, outside=30_003)))
    one.up()
    free = port_named(30_003)
    quote = one.quote(ports=(30_003,), grid="shop")
    assert quote.shut == ()
    assert dict(quote.free.devices)[free] == -1, (
        "another of its workspaces there would need it, too"
    )
    other = one.quote(ports=(30_003,), grid="other")
    assert [number for number, _ in other.shut] == [30_003]
    assert one.quote().free.devices == ((PORTS, 3),)


def test_a_port_is_its_workspaces_until_that_is_gone_from_here() -> None:
    """Its guest is told to end first. Until it has, nobody else gets the port."""
    one = giving(exposing(Exposure(22, outside=30_003)))
    record = one.up()
    down = ADMIN.order(Action.DOWN, record.id, NOW)
    after = msgspec.structs.replace(record, epoch=2, state="down", changes=(down,))
    one.decides(after)
    second = RIVAL.up(exposing(Exposure(23, outside=30_003)), NOW)
    assert holds(one, asked(second, "web-1")).held == ()
    one.keep(one.host.handle(Progressed(record.id, "web-1", Phase.GONE, "", 1), NOW))
    one.keep(one.host.handle(Cleared(record.id), NOW))
    assert holds(one, asked(second, "web-1")).held == ("web-1",)


def test_a_host_tells_where_its_workspaces_are_reached() -> None:
    one = giving(exposing(Exposure(22, outside=30_003)))
    record = one.up()
    publishing = Publishing(one.host)
    publishing.due(record.id)
    (told,) = [p.notice for p in publishing.pop_due(NOW + 1) if p.notice is not None]
    assert told.exposes == one.row(record.id).exposes != ()
    assert told.exposed_at == "198.51.100.7"


def test_what_is_promised_stays_though_the_host_gives_no_more() -> None:
    one = giving(exposing(Exposure(80)))
    record = one.up()
    before = one.row(record.id).exposes
    one.facts = FACTS
    one.start()
    assert one.row(record.id).exposes == before
    after = one.changes(record, sized(exposing(Exposure(80)), cpus_milli=600), "web-1")
    assert one.row(after.id).exposes == before


def test_a_change_that_nothing_was_held_for_gets_ports_or_says_that_it_lacks_them() -> None:
    """The host lost its memory of the hold, and hears what was decided."""
    one = giving(exposing())
    record = one.up()
    change = to_apply(exposing(Exposure(80)), record.epoch, record.id)
    reply = one.hold(record, change, "web-1")
    after = one.applied(record, change, {}, (reply.grant,))
    one.rows["hold"].clear()
    one.start()
    one.decides(after)
    (port,) = one.row(record.id).exposes
    assert port.port == 80

    bare = giving(exposing())
    record = bare.up()
    change = to_apply(exposing(Exposure(80)), record.epoch, record.id)
    reply = bare.hold(record, change, "web-1")
    bare.facts = FACTS
    bare.rows["hold"].clear()
    bare.start()
    effects = bare.decides(bare.applied(record, change, {}, (reply.grant,)))
    said = [e.detail for e in effects if isinstance(e, Note) and e.kind == "grid.lacks"]
    assert (
        "web-1 is not reached from outside: it gives no ports at which guests are reached" in said
    )
