"""Does it fit: every rule by itself, and how far hosts are apart."""

import pytest
from asking import GIB, cluster, grid, host, point, probed
from msgspec.structs import replace

from protocol.capacity.advert import GivenPorts
from protocol.capacity.quantum import port_named
from protocol.grid.expand import workspaces
from protocol.grid.model import (
    Compact,
    DeviceCount,
    Driver,
    Exposure,
    GridSpec,
    Mount,
    NetworkSpec,
    Spread,
    Strict,
    Transport,
    VolumeSpec,
    Workspace,
)
from protocol.placement.fit import (
    Offer,
    apart_ms,
    conflict,
    quantum_of,
    refusals,
    rules_of,
    unsuitable,
)
from protocol.terms.architecture import Architecture
from protocol.terms.coordinate import NOWHERE
from protocol.terms.refusal import PORTS, Constraint


@pytest.mark.parametrize(
    ("keys", "constraint"),
    [
        ({"labels": ("nvme",)}, Constraint.LABEL),
        ({"labels": ("ssd", "nvme")}, Constraint.LABEL),
        ({"architecture": Architecture.AARCH64}, Constraint.ARCHITECTURE),
        ({"driver": Driver.LXC}, Constraint.DRIVER),
        ({"devices": (DeviceCount("gpu", 3),)}, Constraint.DEVICE),
        ({"devices": (DeviceCount("fpga", 1),)}, Constraint.DEVICE),
        ({"cpus": 9}, Constraint.CPUS),
        ({"memory_gib": 33}, Constraint.MEMORY),
        ({"scratch_bytes": 101 * GIB}, Constraint.DISK),
    ],
)
def test_what_a_workspace_asks_of_its_host(keys: dict[str, object], constraint: Constraint) -> None:
    (workspace,) = workspaces(grid(cluster("web", **keys)))  # type: ignore[arg-type]
    offer = host("h1", labels=("ssd",), devices=(("gpu", 2),))
    found = refusals(workspace, offer, offer.free, rules_of(grid()))
    assert [refusal.constraint for refusal in found] == [constraint]


def test_a_host_that_can_make_no_network_gets_no_workspace_that_is_on_one() -> None:
    offer = probed(host("h1"), underlay_fault="192.0.2.1 is on no link of this host")
    on_one = replace(
        grid(cluster(networks=("lan",))), networks=(NetworkSpec("lan", "10.42.0.0/24"),)
    )
    (workspace,) = workspaces(on_one)
    (found,) = refusals(workspace, offer, offer.free, rules_of(on_one))
    assert (found.constraint, found.detail) == (
        Constraint.UNDERLAY,
        "192.0.2.1 is on no link of this host",
    )
    (alone,) = workspaces(grid(cluster()))
    assert refusals(alone, offer, offer.free, rules_of(grid())) == []


def test_a_host_of_containers_takes_workspaces_with_networks_and_disks() -> None:
    offer = probed(host("h1"), driver="lxc:///", accelerator="none")
    keys = {"mounts": (Mount("data", "/srv"),), "networks": ("lan",), "scratch_bytes": GIB}
    spec = replace(grid(cluster(**keys)), volumes=(VolumeSpec("data", GIB),))  # type: ignore[arg-type]
    (workspace,) = workspaces(spec)
    assert refusals(workspace, offer, offer.free, rules_of(grid())) == []


def test_machines_that_only_pretend_pretend_to_be_qemus() -> None:
    (workspace,) = workspaces(grid(cluster("web", driver=Driver.QEMU)))
    pretends = probed(host("h1"), driver="test:///default", accelerator="test")
    boxes = probed(host("h2"), driver="lxc:///", accelerator="container")
    assert refusals(workspace, pretends, pretends.free, rules_of(grid())) == []
    (found,) = refusals(workspace, boxes, boxes.free, rules_of(grid()))
    assert str(found) == "h2: driver: it runs guests by lxc, asked: qemu"


def test_a_host_that_is_unfit_takes_nothing_however_much_it_has() -> None:
    (workspace,) = workspaces(grid(cluster("web")))
    offer = probed(host("h1"), unfit="it cannot start guests: no cgroup controllers")
    (found,) = refusals(workspace, offer, offer.free, rules_of(grid()))
    assert (found.constraint, found.detail) == (Constraint.UNFIT, offer.facts.unfit)
    assert str(found) == "h1: unfit: it cannot start guests: no cgroup controllers"


def test_what_it_gets() -> None:
    keys = {"labels": ("ssd",), "driver": Driver.KVM, "architecture": Architecture.X86_64}
    devices = (DeviceCount("gpu", 2),)
    (workspace,) = workspaces(grid(cluster("web", devices=devices, **keys)))
    offer = host("h1", labels=("a", "ssd"), devices=(("gpu", 2),))
    assert refusals(workspace, offer, offer.free, rules_of(grid())) == []
    assert (offer.free - quantum_of(workspace)).devices == ()


def test_where_the_grid_may_be() -> None:
    (workspace,) = workspaces(grid(cluster()))
    for rules, stopped in [
        ({"sites": ("s2",)}, True),
        ({"sites": ("s2", "s1")}, False),
        ({"exclude": ("h1",)}, True),
        ({"exclude_sites": ("s1",)}, True),
        ({"prefer": ("s2",)}, False),
    ]:
        found = refusals(workspace, host("h1"), host("h1").free, rules_of(grid(**rules)))
        assert [r.constraint for r in found] == [Constraint.SITE] * stopped, rules
    clashing = host("h1", clashes=("main",))
    found = refusals(workspace, clashing, clashing.free, rules_of(grid()))
    assert [str(r) for r in found] == ["h1: apart: it carries main, to be kept apart"]


A, B, FAR = host("a", "s1"), host("b", "s1"), host("far", "s2")


@pytest.mark.parametrize(
    ("rules", "with_itself", "at_its_site", "elsewhere"),
    [
        ({}, None, None, None),
        ({"spread": Spread.HOST}, None, None, None),
        (
            {"spread": Spread.HOST, "strict": (Strict.SPREAD,)},
            Constraint.SPREAD,
            None,
            None,
        ),
        (
            {"spread": Spread.SITE, "strict": (Strict.SPREAD,)},
            Constraint.SPREAD,
            Constraint.SPREAD,
            None,
        ),
        (
            {"compact": Compact.SITE, "strict": (Strict.COMPACT,)},
            None,
            None,
            Constraint.COMPACT,
        ),
        (
            {"compact": Compact.HOST, "strict": (Strict.COMPACT,)},
            None,
            Constraint.COMPACT,
            Constraint.COMPACT,
        ),
        ({"within_ms": 5}, None, None, Constraint.DISTANCE),
    ],
)
def test_two_hosts_of_one_grid(
    rules: dict[str, object],
    with_itself: Constraint | None,
    at_its_site: Constraint | None,
    elsewhere: Constraint | None,
) -> None:
    asked = rules_of(grid(**rules))
    assert conflict(A, A, asked) is with_itself
    assert conflict(A, B, asked) is conflict(B, A, asked) is at_its_site
    assert conflict(A, FAR, asked) is conflict(FAR, A, asked) is elsewhere


def test_in_the_clear_only_on_one_host() -> None:
    members = cluster(count=2, networks=("lan",))
    spec = GridSpec("g", (members,), networks=(NetworkSpec("lan", "10.0.0.0/24"),))
    for clear in (probed(FAR, encrypts=False), probed(B, encrypts=False)):
        asked = rules_of(spec, (A, clear))
        assert conflict(A, clear, asked) is conflict(clear, A, asked) is Constraint.ENCRYPTION
        assert conflict(clear, clear, asked) is None, "what does not leave it is not sealed"
        assert conflict(A, B, asked) is conflict(A, FAR, asked) is None, "both encrypt"
        alone = replace(spec, clusters=(cluster(count=1, networks=("lan",)),))
        assert not rules_of(alone, (A, clear)).sealed, "one member sends nothing to another"


def test_how_far_apart() -> None:
    near, there = replace(A, coordinate=point(0, 0)), replace(FAR, coordinate=point(30, 40))
    assert apart_ms(near, there) == pytest.approx(50)
    assert apart_ms(A, B) == 0, "of one site, measured or not"
    assert apart_ms(A, FAR) == float("inf"), "nobody knows"
    assert apart_ms(near, replace(FAR, coordinate=NOWHERE)) == float("inf"), "measured nothing yet"


def test_a_quantum_is_more_than_cpus() -> None:
    devices = (DeviceCount("gpu", 1), DeviceCount("fpga", 2))
    (workspace,) = workspaces(grid(cluster("web", memory_gib=2, devices=devices)))
    quantum = quantum_of(workspace)
    assert quantum.devices == (("fpga", 2), ("gpu", 1)), "by name, so equal ones are equal"
    assert quantum.memory_bytes == 2 * GIB


def exposing(*ports: Exposure, count: int = 1) -> tuple[Workspace, ...]:
    return workspaces(grid(cluster(count=count, expose=ports)))


def giving(name: str = "h1", **more: object) -> Offer:
    """A host that gives four ports."""
    offer = host(name, devices=((PORTS, 4),))
    return replace(probed(offer, ports=GivenPorts(30_000, 30_003, "198.51.100.7")), **more)


@pytest.mark.parametrize(
    ("offer", "port", "detail"),
    [
        (host("h1"), 0, "it gives no ports at which guests are reached"),
        (probed(host("h1"), ports_fault="it does not forward"), 0, "it does not forward"),
        (giving(), 2222, "it gives the ports 30000-30003, asked: 2222"),
        (giving(shut=((30_001, "port 30001 is taken"),)), 30_001, "port 30001 is taken"),
    ],
)
def test_a_host_without_the_port_that_is_asked_for(offer: Offer, port: int, detail: str) -> None:
    (workspace,) = exposing(Exposure(22, outside=port))
    found = unsuitable(workspace, offer, rules_of(grid()))
    assert [(r.constraint, r.detail) for r in found] == [(Constraint.PORT, detail)]
    (plain,) = workspaces(grid(cluster()))
    assert unsuitable(plain, offer, rules_of(grid())) == []


def test_ports_are_counted_and_a_host_has_each_of_them_once() -> None:
    """A guest's port by both transports is one of the host's; four numbers in all."""
    both = (Exposure(443), Exposure(443, Transport.UDP), Exposure(80))
    one, other = exposing(*both, Exposure(22, outside=30_001), count=2)
    offer, rules = giving(), rules_of(grid())
    assert dict(quantum_of(one).devices) == {PORTS: 3, port_named(30_001): 1}
    assert refusals(one, offer, offer.free, rules) == []
    left = offer.free - quantum_of(one)
    found = refusals(other, offer, left, rules)
    assert [str(each) for each in found] == [
        "h1: port: the exposed port 30001 has another workspace there, and a host gives each to one",
        "h1 lacks exposed ports: asked 3, free 1",
    ]
    assert quantum_of(one).times_in(offer.free) == 1
    assert left.sayable().devices == ((PORTS, 1),)
    assert left.sayable([30_001]) == left
