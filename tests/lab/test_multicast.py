"""What a guest sends to a group, or to everybody: all of a network with `multicast` hear it, and none else."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from netns_world import GROUP, World

from netns import apply, program
from netns.plan import filter_text

EVERYBODY = "10.42.0.255"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    made.plans = {host: replace(plan, multicast=True) for host, plan in made.plans.items()}
    try:
        made.start()
        yield made
    finally:
        made.tear_down()


def test_all_members_hear_and_a_twin_network_does_not(world: World, tmp_path: Path) -> None:
    twin = World(tmp_path, network="other-lan", lab=world.lab)
    twin.plans = {host: replace(plan, multicast=True) for host, plan in twin.plans.items()}
    try:
        twin.start()
        head, near, far = (world.guests[name] for name in ("head", "near", "far"))
        with (
            near.ear(GROUP) as one,
            far.ear(GROUP) as other,
            twin.guests["far"].ear(GROUP) as strange,
        ):
            for to in (GROUP, EVERYBODY):
                head.says(to, to.encode())
                twin.guests["head"].says(to, b"twins only")
                assert one.recv(100) == other.recv(100) == to.encode()
                assert strange.recv(100) == b"twins only"
            far.says(GROUP, b"back")
            assert one.recv(100) == b"back"
    finally:
        twin.tear_down()


def test_without_it_what_goes_to_a_group_ends_at_its_host(world: World) -> None:
    head, far = world.guests["head"], world.guests["far"]
    with far.ear(GROUP) as ear:
        for host in ("a", "b"):
            world.ensure(host, replace(world.plans[host], epoch=2, multicast=False))
        head.says(GROUP, b"lost")
        head.says(EVERYBODY, b"lost")
        for host in ("a", "b"):
            world.ensure(host, replace(world.plans[host], epoch=3))
        head.says(GROUP, b"heard")
        assert ear.recv(100) == b"heard"


def test_what_somebody_undid_of_it_is_seen_and_mended(world: World) -> None:
    plan, host = world.plans["a"], world.lab.namespace("a")
    via, everybody = plan.neighbours[0].via, "00:00:00:00:00:00"
    vxlan, tap = plan.vxlan, plan.ports[0].tap
    harms = {
        f"bridge -n {host} fdb del {everybody} dev {vxlan} self dst {via}": "1 copying entry gone",
        f"bridge -n {host} fdb append {everybody} dev {vxlan} self dst 192.0.2.77 permanent": (
            "1 copying entry added by somebody"
        ),
        f"ip -n {host} link set {tap} type bridge_slave mcast_flood off": (
            f"tap of head {tap} was taking no groups"
        ),
    }
    for harm, said in harms.items():
        program.run(harm.split())
        seen = world.on("a", lambda: apply.harms([plan], world.run_dirs["a"], apply.Listing()))
        assert seen == {plan.network: said}
        assert world.ensure("a")
        assert world.ensure("a") == [], f"not mended: {harm}"
        with world.guests["far"].ear(GROUP) as ear:
            world.guests["head"].says(GROUP, harm.encode())
            assert ear.recv(1000) == harm.encode()


def test_a_flood_of_copies_is_bounded_before_it_leaves_its_host(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    head, far, sent = world.guests["head"], world.guests["far"], 5000
    monkeypatch.setattr(filter_text, "COPIES_S", 100)
    assert world.ensure("a")
    with far.ear(GROUP) as ear:
        before = world.count("a", "packets")
        head.says(GROUP, b"again", times=sent)
        assert world.count("a", "packets") - before < sent / 2
        assert ear.recv(100)
    assert head.pings(far.port.address), "other frames go on"
