"""Why not, word for word: what was asked, what stopped it and by how much, what would work."""

from random import Random

import pytest
from asking import cluster, grid, host

from protocol.grid.expand import workspaces
from protocol.grid.model import (
    DeviceCount,
    Encryption,
    Exposure,
    GridSpec,
    NetworkSpec,
    Spread,
    Strict,
)
from protocol.placement.choose import choose
from protocol.placement.counter import counter_offers
from protocol.placement.explain import explain, summarise, words
from protocol.placement.fit import Offer, rules_of
from protocol.terms.refusal import PORTS, Constraint, Refusal


def told(spec: GridSpec, *offers: Offer) -> str:
    choice = choose(workspaces(spec), offers, rules_of(spec, offers), {}, Random(1))
    if choice.enough:
        return ""
    return "\n".join(words(explain(spec, choice, counter_offers(spec, offers, choice))))


def test_what_fits_needs_no_words() -> None:
    assert told(grid(cluster()), host("h1")) == ""


def test_too_big_for_all() -> None:
    hosts = (host("h1", memory_gib=4), host("h2", memory_gib=8), host("h3", memory_gib=2))
    assert told(grid(cluster(memory_gib=12)), *hosts) == (
        "cannot place 1 of 1 web: each needs 1 cpu, 12 GiB\n"
        "  3 hosts lack memory; the nearest, h2, by 4 GiB\n"
        "  would work: memory 8G for web, now"
    )


def test_some_fit() -> None:
    hosts = (host("h1", memory_gib=8), host("h2", memory_gib=8))
    assert told(grid(cluster(count=3, memory_gib=5)), *hosts) == (
        "cannot place 1 of 3 web: each needs 1 cpu, 5 GiB\n"
        "  2 hosts hold 2 of the 3 workspaces\n"
        "  2 hosts lack memory; the nearest, h1, by 2 GiB\n"
        "  would work: count 2 of web, now\n"
        "  would work: memory 4G for web, now"
    )


def test_fewer_than_the_fewest() -> None:
    assert told(grid(cluster(count=5, minimum=3, cpus=4)), host("h1", cpus=8)) == (
        "cannot place 3 of 5 web (at least 3): each needs 4 cpus, 1 GiB\n"
        "  1 host holds 2 of the 5 workspaces\n"
        "  1 host lacks cpus; the nearest, h1, by 4\n"
        "  would work: count 2 of web, now\n"
        "  would work: cpus 2.65 for web, now"
    )


def test_wrong_place() -> None:
    assert told(grid(cluster(), sites=("zug",)), host("h1"), host("h2")) == (
        "cannot place 1 of 1 web: each needs 1 cpu, 1 GiB\n"
        "  2 hosts: site: it is at s1, asked: zug (h1)\n"
        "  would work: without placement.sites, now"
    )


def test_in_the_clear_on_one_host_only() -> None:
    hosts = (host("h1", "s1", 1, encrypts=False), host("h2", "s1", 1, encrypts=False))
    spec = grid(cluster(count=2, networks=("lan",)))
    spec = GridSpec("shop", spec.clusters, networks=(NetworkSpec("lan", "10.0.0.0/24"),))
    assert told(spec, *hosts) == (
        "cannot place 1 of 2 web: each needs 1 cpu, 1 GiB\n"
        "  1 host holds 1 of the 2 workspaces\n"
        "  1 host: encryption: h2 cannot seal what a network of this grid sends to other hosts (h2)\n"
        "  1 host lacks cpus; the nearest, h1, by 1\n"
        "  would work: count 1 of web, now\n"
        "  would work: cpus 0.5 for web, now\n"
        "  would work: without sealing of networks (`encryption: none`: readable on the way), now"
    )
    assert spec.networks[0].encryption is Encryption.REQUIRED


def test_strict_spread_and_devices() -> None:
    spec = grid(
        cluster("gpu", 2, devices=(DeviceCount("gpu", 1),)),
        spread=Spread.HOST,
        strict=(Strict.SPREAD,),
    )
    hosts = (host("h1", devices=(("gpu", 4),)), host("h2"))
    assert told(spec, *hosts) == (
        "cannot place 1 of 2 gpu: each needs 1 cpu, 1 GiB, 1 gpu\n"
        "  1 host holds 1 of the 2 workspaces\n"
        "  1 host: spread: h1 has a member already (h1)\n"
        "  1 host lacks device gpu; the nearest, h2, by 1\n"
        "  would work: count 1 of gpu, now\n"
        "  would work: without placement.strict: [spread], now"
    )


def test_advice_where_nothing_else_would_work() -> None:
    assert told(grid(cluster(labels=("ssd",), cpus=64)), host("h1"), host("h2")).endswith(
        "  2 hosts lack cpus; the nearest, h1, by 56"
    )
    assert told(grid(cluster()), host("h1", clashes=("main",))).endswith(
        "would work: leave that grid out of placement.apart, or take it down"
    )


def test_where_no_host_has_a_port_left_it_says_who_gives_them() -> None:
    said = told(
        grid(cluster(expose=(Exposure(22),))), host("h1"), host("h2", devices=((PORTS, 0),))
    )
    assert "\n  2 hosts lack exposed ports; the nearest, h1, by 1\n" in said
    assert "  would work: fewer ports under `expose`, or hosts with a larger range, or any," in said
    refused = Refusal(Constraint.DEVICE, "h1", asked=2, available=1, detail=PORTS)
    assert summarise((refused,))[-1].startswith("  would work: fewer ports under `expose`")


def test_each_reason_against_a_port_is_counted_by_itself() -> None:
    """That one host gave the port away is not hidden by those that do not give it, whatever their ranges."""
    whys = {
        "h1": "it gives the ports 30000-30001, asked: 30005; `as: 30001` is free there",
        "h2": "port 30005 has another workspace there; `as: 30006` is free there",
        "h3": "port 30005 is its own: where overlayd takes sealed traffic; `as: 30004` is free there",
        "h4": "it gives the ports 40000-40009, asked: 30005; `as: 40000` is free there",
    }
    refusals = tuple(Refusal(Constraint.PORT, name, detail=why) for name, why in whys.items())
    assert summarise(refusals)[:-1] == [
        f"  1 host: port: {whys['h2']} (h2)",
        f"  1 host: port: {whys['h3']} (h3)",
        f"  2 hosts: port: {whys['h1']} (h1)",
    ]
    assert "a free port, or none under `as`" in summarise(refusals)[-1]


def test_nobody_to_ask() -> None:
    assert summarise(()) == [
        "  no host is known that could be asked; `overlayctl peers` lists who is there"
    ]


def test_most_frequent_last_and_its_advice() -> None:
    refusals = (
        Refusal(Constraint.SILENT, "h1", detail="no answer in time"),
        Refusal(Constraint.CPUS, "h2", asked=4000, available=2500),
        Refusal(Constraint.CPUS, "h3", asked=4000, available=500),
    )
    assert summarise(refusals) == [
        "  1 host: silent: no answer in time (h1)",
        "  2 hosts lack cpus; the nearest, h2, by 1.5",
    ]


@pytest.mark.parametrize(
    ("refusal", "words"),
    [
        (
            Refusal(Constraint.MEMORY, "h1", asked=4 << 30, available=3 << 29),
            "h1 lacks memory: asked 4 GiB, free 1.5 GiB",
        ),
        (
            Refusal(Constraint.CPUS, "h1", asked=500, available=0),
            "h1 lacks cpus: asked 0.5, free 0",
        ),
        (Refusal(Constraint.STORE, "h1", detail="it is full"), "h1: store: it is full"),
    ],
)
def test_one_refusal_in_words(refusal: Refusal, words: str) -> None:
    assert str(refusal) == words
    assert refusal.short_by == max(0, refusal.asked - refusal.available)


def test_the_room_of_a_console_s_log_is_said_where_disk_is_lacking() -> None:
    spec = grid(cluster(count=2, console_bytes=12 << 20))
    assert told(spec, host("h1", disk_gib=0.02)).splitlines()[:3] == [
        "cannot place 1 of 2 web: each needs 1 cpu, 1 GiB, 12 MiB for its console's log",
        "  1 host holds 1 of the 2 workspaces",
        "  1 host lacks disk; the nearest, h1, by 3.5 MiB",
    ]
    assert "console" not in told(grid(cluster(console_bytes=12 << 20, cpus=9)), host("h1"))
