"""The way out of a network: guests reach the outside with their host's address, and nothing of the host."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from netns_world import World, ask_dns, eventually
from outdoors import CLOSED, HOST_OUT, OUTSIDE, outdoors, reaches

from netns import apply, program
from netns.kernel import filters, namespaces, sockets
from netns.model import Egress, NetworkPlan, mac_of, tap_name, vni_of

EGRESS = Egress(
    closed=(CLOSED + "/32", "169.254.0.0/16", "192.0.2.0/24"), resolvers=("203.0.113.20",)
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("networks"), network="test-out")
    try:
        made.start()
        outdoors(made).open()
        made.plans["a"] = replace(made.plans["a"], egress=EGRESS, epoch=2)
        made.ensure("a")
        head = made.guests["head"]
        head.run("ip", "route", "add", "default", "via", "10.42.0.1")
        yield made
    finally:
        namespaces.delete(outdoors(made).namespace)
        made.tear_down()


def test_a_guest_gets_out_with_its_hosts_address(world: World) -> None:
    with outdoors(world).serves(OUTSIDE, 8080) as door:
        door.settimeout(5)
        assert reaches(world.guests["head"].namespace, OUTSIDE, 8080)
        taken, (address, _) = door.accept()
        taken.close()
        assert address == HOST_OUT


@pytest.mark.parametrize("address", [CLOSED, HOST_OUT, "192.0.2.1", "192.0.2.2", "169.254.192.0"])
def test_what_is_closed_stays_closed(world: World, address: str) -> None:
    """The host by each of its addresses, another host of the underlay, a closed range."""
    host = world.lab.namespace("b" if address == "192.0.2.2" else "a")
    where = outdoors(world).namespace if address == CLOSED else host
    with sockets.listen_in(where, address, 8081):
        assert reaches(where, address, 8081), "it is there for others"
        assert not reaches(world.guests["head"].namespace, address, 8081)


def test_nothing_begins_outside(world: World) -> None:
    outside = outdoors(world).namespace
    for way in (HOST_OUT, "203.0.113.1"):
        program.run(f"ip -n {outside} route replace 10.42.0.0/24 via {way}".split())
        program.run(f"ip -n {outside} route replace 169.254.192.0/18 via {way}".split())
    with sockets.listen_in(world.guests["head"].namespace, "10.42.0.2", 8082):
        assert world.reaches("10.42.0.2", 8082), "its host reaches it"
        assert not reaches(outside, "10.42.0.2", 8082)
        assert not reaches(outside, "169.254.192.1", 53)


def test_names_of_the_outside_are_answered(world: World, tmp_path: Path) -> None:
    namespace = outdoors(world).namespace
    conf = tmp_path / "dns.conf"
    conf.write_text(
        "no-resolv\nno-hosts\naddress=/example.org/203.0.113.10\nlisten-address=203.0.113.20\n"
    )
    argv = ["nsenter", f"--net=/run/netns/{namespace}", "dnsmasq", f"--conf-file={conf}"]
    pid_file = tmp_path / "dns.pid"
    program.run([*argv, f"--pid-file={pid_file}", "--bind-interfaces"])
    try:
        head = world.guests["head"].namespace
        found = namespaces.inside(head, lambda: ask_dns("example.org", "10.42.0.1"))
        assert found == (0, ["203.0.113.10"])
        found = namespaces.inside(head, lambda: ask_dns("near.star", "10.42.0.1"))
        assert found == (0, ["10.42.0.3"])
    finally:
        program.run(["kill", pid_file.read_text().strip()])


def test_it_is_kept(world: World) -> None:
    """Whatever an administrator undoes of it is told, and mended."""
    host, plan = world.lab.namespace("a"), world.plans["a"]
    run_dir = world.run_dirs["a"]
    inside = plan.namespace
    undone = {
        "had changed: rules": ["nft", "delete", "table", "ip", plan.table],
        "had changed: rules inside": [
            "ip",
            "netns",
            "exec",
            inside,
            "nft",
            "flush",
            "ruleset",
        ],
        "had changed: no route": ["ip", "-n", inside, "route", "del", "default"],
        "had changed: not forwarding": [
            "ip",
            "netns",
            "exec",
            inside,
            "sysctl",
            "-qw",
            "net.ipv4.ip_forward=0",
        ],
        "addresses none": ["ip", "address", "flush", "dev", plan.way],
        f"way out {plan.way} was gone": ["ip", "link", "del", plan.way],
    }
    for said, argv in undone.items():
        program.run(["nsenter", f"--net=/run/netns/{host}", *argv])
        harms = world.on("a", lambda: apply.harms([plan], run_dir, filters.Listing()))
        assert said in harms.get(plan.network, ""), (said, harms)
        done = world.on("a", lambda: apply.ensure(plan, run_dir))
        assert said in done.harm
        assert world.on("a", lambda: apply.harms([plan], run_dir, filters.Listing())) == {}
        with outdoors(world).serves(OUTSIDE, 8083):
            assert reaches(world.guests["head"].namespace, OUTSIDE, 8083), said


def test_another_network_of_the_same_range_has_a_way_of_its_own(world: World) -> None:
    host = world.lab.namespace("a")
    plan = twin(world)
    pair = f"ip -n {host} link add {plan.ports[0].tap} type veth peer name eth0 netns {host}.twin"
    namespaces.add(f"{host}.twin")
    try:
        program.run(pair.split())
        guest = ["ip", "-n", f"{host}.twin"]
        program.run([*guest, "link", "set", "eth0", "address", plan.ports[0].mac, "up"])
        world.on("a", lambda: apply.ensure(plan, world.run_dirs["a"]))
        program.run([*guest, "address", "add", "10.42.0.2/24", "dev", "eth0"])
        program.run([*guest, "route", "add", "default", "via", "10.42.0.1"])
        with outdoors(world).serves(OUTSIDE, 8084):
            eventually(lambda: reaches(f"{host}.twin", OUTSIDE, 8084), "the twin gets out")
            assert reaches(world.guests["head"].namespace, OUTSIDE, 8084)
    finally:
        world.on("a", lambda: apply.remove("twin", world.run_dirs["a"], world.tags["a"]))
        namespaces.delete(f"{host}.twin")
    assert plan.way not in program.run(["ip", "-n", host, "-o", "link"])
    assert plan.table not in world.on("a", lambda: program.run(["nft", "list", "ruleset"]))


def twin(world: World) -> NetworkPlan:
    """Another network of the first host, with the same range and one guest."""
    port = replace(
        world.plans["a"].ports[0], tap=tap_name("twin", "head"), mac=mac_of("twin", "10.42.0.2")
    )
    return replace(
        world.plans["a"], network="twin", vni=vni_of("twin"), ports=(port,), neighbours=()
    )


def test_without_it_nothing_of_it_is_left(world: World) -> None:
    plan = replace(world.plans["a"], egress=None, epoch=3)
    world.ensure("a", plan)
    host = world.lab.namespace("a")
    assert plan.way not in program.run(["ip", "-n", host, "-o", "link"])
    assert "ip ovl_" not in world.on("a", lambda: program.run(["nft", "list", "ruleset"]))
    with outdoors(world).serves(OUTSIDE, 8085):
        assert not reaches(world.guests["head"].namespace, OUTSIDE, 8085)
