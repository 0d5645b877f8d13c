"""Ports of a host that lead to guests: from outside, with the source address kept, and to nothing else."""

import errno
import os
import select
import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack

import pytest
from msgspec.structs import replace
from netns_world import World, eventually
from outdoors import HOST_OUT, OUTSIDE, outdoors, reaches

from netns import apply, program
from netns.kernel import filters, namespaces, sockets
from netns.model import Egress, Exposed, NetworkPlan

GUEST = "10.42.0.2"
CLOSED = Egress(closed=("203.0.113.0/24", "169.254.0.0/16", "192.0.2.0/24"))
"""Who is outside here is where guests do not go by themselves."""
INSIDE = "169.254.192.1"
NOWHERE = [
    (HOST_OUT, 80), (HOST_OUT, 443), (GUEST, 443), (GUEST, 80), (INSIDE, 31443), (INSIDE, 53),
    ("10.42.0.1", 53), ("10.42.0.1", 8081), ("192.0.2.1", 31443),
]  # fmt: skip
"""What is not exposed: the host and other addresses of its, the guest itself, the namespace between them."""
WEB = Exposed(GUEST, 443, "tcp", 31443)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("networks"), network=f"exposed-{os.getpid()}")
    try:
        made.start()
        outdoors(made).open()
        made.guests["head"].run("ip", "route", "add", "default", "via", "10.42.0.1")
        yield made
    finally:
        namespaces.delete(outdoors(made).namespace)
        made.tear_down()


def exposing(world: World, *exposed: Exposed, egress: Egress | None = None) -> NetworkPlan:
    """The first host's network with those ports, put in force."""
    before = world.plans["a"]
    plan = replace(
        before, exposed=exposed, exposed_at=HOST_OUT, egress=egress, epoch=before.epoch + 1
    )
    world.ensure("a", plan)
    world.plans["a"] = plan
    return plan


def guest(world: World) -> str:
    return world.guests["head"].namespace


def bound(
    namespace: str, kind: socket.SocketKind, address: str = "", port: int = 0
) -> socket.socket:
    def made() -> socket.socket:
        handle = socket.socket(socket.AF_INET, kind)
        handle.settimeout(2.0)
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        handle.bind((address, port))
        return handle

    return namespaces.inside(namespace, made)


def reached(namespace: str, targets: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
    """Those that take a connection from there in a second. All are tried at once."""
    with ExitStack() as open_ones:
        dialled = {}
        for target in targets:
            handle = open_ones.enter_context(bound(namespace, socket.SOCK_STREAM))
            handle.setblocking(False)
            if handle.connect_ex(target) == errno.EINPROGRESS:
                dialled[handle] = target
        left, found = dict(dialled), []
        until_s = time.monotonic() + 1.0
        while left and time.monotonic() < until_s:
            _, ready, _ = select.select([], list(left), [], 0.1)
            for handle in ready:
                target = left.pop(handle)
                found += [] if handle.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) else [target]
        return found


def seen_by_guest(world: World, outside: int, port: int = 443) -> str:
    """The address from which the guest sees a connection that is made outside to that port of its host."""
    out = outdoors(world).namespace
    with (
        sockets.listen_in(guest(world), GUEST, port) as door,
        bound(out, socket.SOCK_STREAM, OUTSIDE) as client,
    ):
        door.settimeout(2.0)
        client.connect((HOST_OUT, outside))
        taken, (address, _) = door.accept()
        with taken:
            taken.sendall(b"hello")
            assert client.recv(5) == b"hello"
        return str(address)


@pytest.mark.parametrize("egress", [None, CLOSED], ids=["in-only", "with-a-way-out"])
def test_a_guest_is_reached_and_sees_who_asks(world: World, egress: Egress | None) -> None:
    """Also where guests do not get out, or not to where the asker is: they answer all the same."""
    exposing(world, WEB, egress=egress)
    assert seen_by_guest(world, 31443) == OUTSIDE


def test_udp_finds_its_way_both_ways(world: World) -> None:
    exposing(world, Exposed(GUEST, 53, "udp", 31443))
    with (
        bound(guest(world), socket.SOCK_DGRAM, GUEST, 53) as server,
        bound(outdoors(world).namespace, socket.SOCK_DGRAM, OUTSIDE) as client,
    ):
        client.connect((HOST_OUT, 31443))
        client.send(b"ask")
        said, whom = server.recvfrom(16)
        assert (said, whom[0]) == (b"ask", OUTSIDE)
        server.sendto(b"told", whom)
        assert client.recv(16) == b"told"


def test_nothing_else_is_reached_and_no_guest_gets_out_by_it(world: World) -> None:
    plan = exposing(world, WEB)
    out = outdoors(world).namespace
    for network in ("10.42.0.0/24", "169.254.192.0/18"):
        program.run(f"ip -n {out} route replace {network} via {HOST_OUT}".split())
    with (
        sockets.listen_in(guest(world), GUEST, 443),
        sockets.listen_in(guest(world), GUEST, 80),
        outdoors(world).serves(OUTSIDE, 8080),
        sockets.listen_in(plan.namespace, INSIDE, 31443),
        sockets.listen_in(plan.namespace, "10.42.0.1", 8081),
    ):
        assert reaches(out, HOST_OUT, 31443), "the port that is exposed"
        assert reached(out, NOWHERE) == []
        assert not reaches(guest(world), OUTSIDE, 8080), "it only answers"


def test_where_guests_get_out_what_is_closed_stays_closed_from_an_exposed_port_too(
    world: World,
) -> None:
    """The bridge lets pass what comes from such a port; further on it is known what is an answer."""
    exposing(world, WEB, egress=CLOSED)
    with (
        outdoors(world).serves(OUTSIDE, 8080),
        bound(guest(world), socket.SOCK_STREAM, GUEST, 443) as sly,
    ):
        sly.settimeout(1.0)
        with pytest.raises(TimeoutError):
            sly.connect((OUTSIDE, 8080))


def test_what_goes_takes_its_connections_with_it(world: World) -> None:
    exposing(world, WEB, Exposed(GUEST, 80, "tcp", 31080))
    out = outdoors(world).namespace
    with (
        sockets.listen_in(guest(world), GUEST, 443) as door,
        bound(out, socket.SOCK_STREAM, OUTSIDE) as client,
    ):
        door.settimeout(2.0)
        client.connect((HOST_OUT, 31443))
        taken, _ = door.accept()
        with taken:
            taken.settimeout(1.0)
            exposing(world, Exposed(GUEST, 80, "tcp", 31080))
            client.send(b"still there?")
            with pytest.raises(TimeoutError):
                taken.recv(16)
            assert not reaches(out, HOST_OUT, 31443)
    assert seen_by_guest(world, 31080, 80) == OUTSIDE, "the other one is as it was"


def test_it_is_kept(world: World) -> None:
    """Whatever an administrator undoes of it is told, and mended."""
    plan = exposing(world, WEB)
    host, run_dir = world.lab.namespace("a"), world.run_dirs["a"]
    inner = ["ip", "netns", "exec", plan.namespace, "nft", "flush", "ruleset"]
    undone = {"had changed: rules": ["nft", "flush", "ruleset", "ip"], "rules inside": inner}
    for said, argv in undone.items():
        program.run(["nsenter", f"--net=/run/netns/{host}", *argv])
        assert not reaches(outdoors(world).namespace, HOST_OUT, 31443)
        done = world.on("a", lambda: apply.ensure(plan, run_dir))
        assert said in done.harm
        assert seen_by_guest(world, 31443) == OUTSIDE, said
    assert world.on("a", lambda: apply.harms([plan], run_dir, filters.Listing())) == {}


def test_without_it_nothing_of_it_is_left(world: World) -> None:
    plan = exposing(world)
    host = world.lab.namespace("a")
    assert plan.way not in program.run(["ip", "-n", host, "-o", "link"])
    assert "ip ovl_" not in world.on("a", lambda: program.run(["nft", "list", "ruleset"]))
    eventually(lambda: not reaches(outdoors(world).namespace, HOST_OUT, 31443), "it is shut")
