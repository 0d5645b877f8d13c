"""Cards that are held to a rate, with real traffic: what the kernel counted, beside a twin without a rate."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from netns_world import Guest, World

from netns import apply, program
from netns.kernel import namespaces, rates
from netns.model import rate_name

BITS_S = 8_000_000
FRAME_BYTES = 1200
SENDS_S = 0.5
SLACK_BYTES = 3 * rates.BURST_BYTES
"""What the bucket lets go at once, what waits in it, and headers."""


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    held, *others = made.plans["a"].ports
    made.plans["a"] = replace(made.plans["a"], ports=(replace(held, bits_s=BITS_S), *others))
    try:
        made.start()
        yield made
    finally:
        made.tear_down()


def passed(sender: Guest, receiver: Guest) -> tuple[int, float]:
    """How many bytes the receiver's card got of a flood, and for how many seconds it was sent."""

    def got() -> int:
        return int(receiver.run("cat", "/proc/net/dev").split("eth0:")[1].split()[0])

    def send() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
            while time.monotonic() < began_s + SENDS_S:
                handle.sendto(bytes(FRAME_BYTES), (receiver.port.address, 9))

    assert sender.pings(receiver.port.address)
    before, began_s = got(), time.monotonic()
    namespaces.inside(sender.namespace, send)
    return got() - before, time.monotonic() - began_s


def test_a_card_is_held_to_its_rate_both_ways_and_its_twin_is_not(world: World) -> None:
    held, twin, far = (world.guests[name] for name in ("head", "near", "far"))
    for sender, receiver in ((held, far), (far, held)):
        got_bytes, took_s = passed(sender, receiver)
        assert got_bytes < BITS_S / 8 * took_s * 1.5 + SLACK_BYTES
        assert got_bytes > BITS_S / 8 * SENDS_S / 4, "it has what it was promised"
        twins = (twin, far) if sender is held else (far, twin)
        assert passed(*twins)[0] > 2 * got_bytes


def test_a_rate_is_changed_while_traffic_goes_on(world: World) -> None:
    held, far, plan = world.guests["head"], world.guests["far"], world.plans["a"]
    slow, _ = passed(held, far)
    card, *others = plan.ports
    faster = replace(plan, epoch=2, ports=(replace(card, bits_s=100 * BITS_S), *others))
    assert world.ensure("a", faster) == [f"replace rate {card.tap}"]
    assert passed(held, far)[0] > 2 * slow
    free = replace(plan, epoch=3, ports=(replace(card, bits_s=0), *others))
    assert world.ensure("a", free) == [f"delete rate {card.tap}"]
    assert rate_name(card.tap) not in world.left_on("a")
    assert passed(held, far)[0] > 2 * slow
    assert world.ensure("a", free) == []


def test_a_rate_that_somebody_undid_is_seen_and_comes_back(world: World) -> None:
    host, tap = world.lab.namespace("a"), world.plans["a"].ports[0].tap
    aside = rate_name(tap)
    of_head = f"rate of head at {tap} was"
    harms = {
        f"tc -n {host} qdisc del dev {tap} root": f"{of_head} none to its guest",
        f"tc -n {host} qdisc del dev {tap} ingress": f"{of_head} none from its guest",
        f"tc -n {host} qdisc replace dev {aside} root pfifo": f"{of_head} none from its guest",
        f"tc -n {host} filter add dev {tap} parent ffff: prio 1 protocol ip u32 match u32 0 0"
        " flowid 1:1": f"{of_head} none from its guest",
        f"tc -n {host} qdisc replace dev {tap} root tbf rate 1gbit burst 64k latency 50ms": (
            f"{of_head} 1000000000 bit/s to its guest"
        ),
        f"ip -n {host} link set {aside} down": f"{of_head} none from its guest",
        f"ip -n {host} link del {aside}": f"{of_head} gone",
    }
    plan = world.plans["a"]
    for harm, said in harms.items():
        program.run(harm.split())
        seen = world.on("a", lambda: apply.harms([plan], world.run_dirs["a"], apply.Listing()))
        assert seen == {plan.network: said}, harm
        assert world.ensure("a") == [f"{'add' if 'gone' in said else 'replace'} rate {tap}"], harm
        assert world.ensure("a") == [], f"not mended: {harm}"
        assert world.guests["head"].pings("10.42.0.4"), harm


def test_it_goes_with_its_network_and_by_its_name_alone(world: World) -> None:
    host, tap = world.lab.namespace("a"), world.plans["a"].ports[0].tap
    program.run(["ip", "-n", host, "link", "del", tap])
    (world.run_dirs["a"] / world.network / "plan.json").unlink()
    world.remove("a")
    assert rate_name(tap) not in world.left_on("a")
    assert world.on("a", rates.fault) == ""
