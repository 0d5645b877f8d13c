"""Counter-offers are true: asked for next, each is granted, whatever the dice."""

from random import Random

from asking import cluster, grid, host
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from protocol.capacity.quantum import Quantum
from protocol.grid.check import problems
from protocol.grid.expand import workspaces
from protocol.grid.model import Compact, GridSpec, Mount, Spread, Strict, VolumeSpec
from protocol.placement.choose import Choice, choose
from protocol.placement.counter import (
    CounterOffer,
    Fewer,
    Later,
    Smaller,
    SmallerVolumes,
    Without,
    changed,
    counter_offers,
    in_words,
)
from protocol.placement.fit import Offer, rules_of
from protocol.terms.refusal import Constraint

GIB = 1 << 30


def ask(spec: GridSpec, offers: tuple[Offer, ...], seed: int = 1) -> Choice:
    return choose(workspaces(spec), offers, rules_of(spec, offers), {}, Random(seed))


def countered(spec: GridSpec, *offers: Offer) -> tuple[CounterOffer, ...]:
    choice = ask(spec, offers)
    assert not choice.enough
    return counter_offers(spec, offers, choice)


HOSTS = st.lists(
    st.builds(
        lambda n, site, cpus, memory, labels, at, encrypts: host(
            f"h{n}", f"s{site}", cpus, memory, 40, labels=labels, at_ms=at, encrypts=encrypts
        ),
        st.integers(0, 99),
        st.integers(1, 3),
        st.integers(1, 16),
        st.integers(1, 32),
        st.sampled_from([(), ("ssd",)]),
        st.sampled_from([None, (0.0, 0.0), (20.0, 0.0), (0.0, 60.0)]),
        st.booleans(),
    ),
    min_size=1,
    max_size=8,
    unique_by=lambda offer: offer.host,
).map(tuple)

CLUSTERS = st.lists(
    st.builds(
        lambda count, cpus, memory, disk, labels: (count, cpus, memory, disk, labels),
        st.integers(1, 8),
        st.integers(1, 8),
        st.integers(1, 16),
        st.sampled_from([0, 0, 5, 30, 60]),
        st.sampled_from([(), ("ssd",)]),
    ),
    min_size=1,
    max_size=3,
)

PLACEMENTS = st.sampled_from(
    [
        {},
        {"spread": Spread.HOST, "strict": (Strict.SPREAD,)},
        {"spread": Spread.SITE, "strict": (Strict.SPREAD,)},
        {"compact": Compact.SITE, "strict": (Strict.COMPACT,)},
        {"compact": Compact.SITE},
        {"within_ms": 30},
        {"sites": ("s1",)},
        {"exclude_sites": ("s1",)},
    ]
)


@settings(deadline=None, max_examples=60)
@given(HOSTS, CLUSTERS, PLACEMENTS, st.integers(0, 1 << 30))
def test_every_counter_offer_is_granted_when_asked_for(
    offers: tuple[Offer, ...],
    asked: list[tuple[int, int, int, int, tuple[str, ...]]],
    placement: dict[str, object],
    seed: int,
) -> None:
    clusters = [
        cluster(f"c{i}", count, cpus, memory, labels=labels, scratch_bytes=disk * GIB)
        for i, (count, cpus, memory, disk, labels) in enumerate(asked)
    ]
    spec = grid(*clusters, **placement)
    assert problems(spec) == ()
    choice = ask(spec, offers, seed)
    if choice.enough:
        return
    for counter in counter_offers(spec, offers, choice):
        instead = changed(spec, counter)
        assert problems(instead) == (), in_words(counter)
        assert ask(instead, offers, seed + 1).enough, in_words(counter)


def test_fewer_is_the_most_that_fit() -> None:
    found = countered(grid(cluster(count=9, cpus=4)), host("a", cpus=8), host("b", cpus=16))
    assert Fewer((("web", 6),)) in found


def test_smaller_is_the_nearest_that_one_would_write() -> None:
    found = countered(grid(cluster(count=3, memory_gib=8)), host("a", memory_gib=19))
    assert Smaller(("web",), Constraint.MEMORY, (6 * GIB + 256 * (1 << 20),)) in found
    assert in_words(found[-1]) == "memory 6400M for web, now"


def test_fewer_cpus() -> None:
    found = countered(grid(cluster(count=3, cpus=4)), host("a", cpus=8))
    assert Smaller(("web",), Constraint.CPUS, (2650,)) in found


def test_a_lower_rate() -> None:
    spec = grid(cluster(count=3, networks=("lan",), network_bits_s=10**9))
    room = host("a", network_bits_s=2 * 10**9)
    found = countered(spec, room)
    assert Smaller(("web",), Constraint.NETWORK_RATE, (664_000_000,)) in found
    assert in_words(found[-1]) == "network-rate 664M for web, now"
    assert ask(grid(cluster(networks=("lan",), network_bits_s=10**9)), (host("a"),)).enough


def test_lower_rates_of_disks() -> None:
    spec = grid(cluster(count=3, disk_bytes_s=100 << 20, disk_operations_s=1000))
    few = host("a", disk_bytes_s=200 << 20)
    assert in_words(countered(spec, few)[-1]) == "disk-rate 66M for web, now"
    slow = host("a", disk_operations_s=2000)
    assert in_words(countered(spec, slow)[-1]) == "disk-operations 660 for web, now"
    assert ask(spec, (host("a"),)).enough, "one that counts none has enough"


def test_a_smaller_volume() -> None:
    spec = grid(cluster("db", mounts=(Mount("data", "/srv"),)))
    spec = GridSpec("shop", spec.clusters, volumes=(VolumeSpec("data", 200 * GIB),))
    found = countered(spec, host("a", disk_gib=100))
    assert found == (SmallerVolumes(("data",), (100 * GIB,)),)
    assert in_words(found[0]) == "size 100G for volume data, now"


def test_a_smaller_disk_for_those_that_have_one() -> None:
    with_disk = cluster("worker", 3, scratch_bytes=40 * GIB)
    found = countered(grid(with_disk, cluster("web")), host("a", disk_gib=100))
    assert found == (
        Fewer((("worker", 2),)),
        Smaller(("worker",), Constraint.DISK, (32 * GIB,)),
    )
    assert in_words(found[1]) == "scratch 32G for worker, now"


def test_without_the_rule_that_binds() -> None:
    spec = grid(cluster(count=3), spread=Spread.HOST, strict=(Strict.SPREAD,))
    found = countered(spec, host("a"), host("b"))
    assert found == (Fewer((("web", 2),)), Without("placement.strict: [spread]"))


def test_nothing_is_promised_that_does_not_help() -> None:
    spec = grid(cluster(count=2, labels=("gpu",), memory_gib=64))
    assert countered(spec, host("a"), host("b")) == ()


def test_later_is_when_something_ends() -> None:
    spec = grid(cluster(count=2, cpus=8))
    offers = (host("a", cpus=8), host("b", cpus=2))
    whole = Quantum(8000, 32 * GIB, 100 * GIB)
    worse, better = replace(offers[1], free=Quantum()), replace(offers[1], free=whole)
    later = [(600.0, (offers[0], worse)), (900.0, (offers[0], better))]
    found = counter_offers(spec, offers, ask(spec, offers), later)
    assert found[0] == Later(900.0)
    assert in_words(found[0]) == "as asked, in 15 min"
