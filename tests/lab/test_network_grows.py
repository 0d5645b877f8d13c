"""A network to which members and hosts come, and from which they go: who stays loses no packet meanwhile."""

import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace
from netns_world import Guest, World

from netns.kernel import namespaces
from netns.model import Neighbour, NetworkPlan, Port

PAIRS = (("head", "far"), ("far", "head"), ("near", "head"))
"""Across hosts both ways, and on one host."""


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Its third host carries nothing yet."""
    made = World(tmp_path)
    made.run_dirs["c"], made.tags["c"] = tmp_path / "c", f"c{made.tags['a'][1:]}"
    try:
        made.start()
        yield made
    finally:
        if namespaces.is_mounted(made.lab.namespace("c")):
            made.remove("c")
        made.tear_down()


@contextmanager
def pinging(world: World, folder: Path) -> Iterator[None]:
    """They ping each other every 10 ms inside, and at its end every answer is there but the last."""
    running = {}
    for one, other in PAIRS:
        guest, heard = world.guests[one], folder / f"{one}-{other}"
        argv = ["nsenter", f"--net=/run/netns/{guest.namespace}", "ping", "-n", "-i", "0.01"]
        with heard.open("w") as out:
            address = world.guests[other].port.address
            running[heard] = subprocess.Popen([*argv, address], stdout=out)
    try:
        yield
    finally:
        for process in running.values():
            process.send_signal(signal.SIGINT)
            process.wait(10)
    for heard in running:
        answers = {int(number) for number in re.findall(r"icmp_seq=(\d+)", heard.read_text())}
        assert len(answers) > 50, heard.name
        missing = sorted({*range(1, max(answers) + 1)} - answers)
        assert missing == [], f"{heard.name}: {missing} of {max(answers)}"


def beside(
    plan: NetworkPlan, epoch: int, *others: Neighbour, ports: tuple[Port, ...] = ()
) -> NetworkPlan:
    """The plan with more members."""
    return replace(
        plan,
        epoch=epoch,
        neighbours=(*plan.neighbours, *others),
        ports=(*plan.ports, *ports),
    )


def test_nobody_that_stays_loses_a_packet_while_members_and_hosts_come_and_go(
    world: World, tmp_path: Path
) -> None:
    a, b = world.plans["a"], world.plans["b"]
    third, fourth = world.port("third", 5), world.port("fourth", 6)
    on_c, on_a = (
        Neighbour(port.mac, port.address, port.name, world.lab.address(host))
        for port, host in ((third, "c"), (fourth, "a"))
    )
    c = replace(
        world.plan("a", (third,), ()),
        owner_tag=world.tags["c"],
        underlay=world.lab.address("c"),
        epoch=2,
        neighbours=tuple(
            Neighbour(port.mac, port.address, port.name, world.lab.address(host))
            for host, plan in (("a", a), ("b", b))
            for port in plan.ports
        ),
    )
    world.plans["c"] = c
    for port, host in ((third, "c"), (fourth, "a")):
        world.guests[port.name] = Guest(world.lab.namespace(host), port, f"t-{world.tags['a']}")
    with pinging(world, tmp_path):
        for epoch in (2, 6):  # A host comes, then a member here, then both go; and once more.
            world.guests["third"].plug_in()
            world.ensure("c", replace(c, epoch=epoch))
            world.ensure("a", beside(a, epoch, on_c))
            world.ensure("b", beside(b, epoch, on_c))
            world.guests["third"].take_address()
            assert world.guests["third"].pings(world.guests["far"].port.address)
            world.guests["fourth"].plug_in()
            world.ensure("a", beside(a, epoch + 1, on_c, ports=(fourth,)))
            world.ensure("b", beside(b, epoch + 1, on_c, on_a))
            world.guests["fourth"].take_address()
            assert world.guests["fourth"].pings(world.guests["far"].port.address)
            namespaces.delete(world.guests["fourth"].namespace)
            world.ensure("a", beside(a, epoch + 2, on_c))
            world.ensure("b", beside(b, epoch + 2, on_c))
            namespaces.delete(world.guests["third"].namespace)
            world.remove("c")
            world.ensure("a", replace(a, epoch=epoch + 3))
            world.ensure("b", replace(b, epoch=epoch + 3))
    assert world.ensure("a", replace(a, epoch=9)) == []
