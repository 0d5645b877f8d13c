"""Choosing hosts: never more than there is, spread as asked, kept what is held, at one site when it must be."""

from random import Random

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from protocol.capacity.advert import HostFacts
from protocol.capacity.quantum import Quantum, total
from protocol.grid.model import (
    ClusterSpec,
    Encryption,
    GridSpec,
    ImageRef,
    NetworkSpec,
    Workspace,
)
from protocol.placement.choose import Choice, choose
from protocol.placement.fit import Offer, Rules, quantum_of, refusals, rules_of
from protocol.terms.ids import PeerId
from protocol.terms.refusal import Constraint, Refusal

MIB = 1 << 20
IMAGE = ImageRef("tiny", "d" * 64)


def workspace(
    name: str, cpus_milli: int = 500, memory_mib: int = 128, cluster: str = "web"
) -> Workspace:
    return Workspace(name, cluster, 1, cpus_milli, memory_mib * MIB, 0, IMAGE)


def offer(
    host: str,
    site: str = "s1",
    memory_mib: int = 1024,
    *,
    encrypts: bool = True,
    images: int = 0,
    hidden: bool = False,
) -> Offer:
    room = Quantum(8000, memory_mib * MIB, 0)
    return Offer(
        peer=PeerId(f"key of {host}"),
        host=host,
        site=site,
        facts=HostFacts(room, "x86_64", "qemu:///embed", "kvm", "", host, encrypts),
        free=room,
        images=(IMAGE.digest,) * images,
        hidden=hidden,
    )


def some(count: int) -> tuple[Workspace, ...]:
    return tuple(workspace(f"web-{i + 1}") for i in range(count))


def sites_of(choice: Choice, offers: tuple[Offer, ...]) -> list[str]:
    site = {o.peer: o.site for o in offers}
    return sorted(site[peer] for peer in choice.placed.values())


WORKSPACES = st.lists(st.tuples(st.integers(10, 4000), st.integers(1, 2000)), max_size=12)
OFFERS = st.lists(
    st.tuples(st.sampled_from(["s1", "s2", "s3"]), st.integers(0, 4000), st.booleans()), max_size=6
)
RULES = st.builds(
    Rules,
    spread=st.sampled_from(["none", "host", "site"]),
    sealed=st.booleans(),
    sites=st.sampled_from([(), ("s1",), ("s1", "s2")]),
)


@given(WORKSPACES, OFFERS, RULES, st.integers())
def test_never_over_commits_and_always_accounts_for_everything(
    sizes: list[tuple[int, int]], rooms: list[tuple[str, int, bool]], rules: Rules, seed: int
) -> None:
    wanted = tuple(workspace(f"c{i}-1", cpus, mib, f"c{i}") for i, (cpus, mib) in enumerate(sizes))
    offers = tuple(
        offer(f"h{i}", site, mib, encrypts=safe) for i, (site, mib, safe) in enumerate(rooms)
    )
    choice = choose(wanted, offers, rules, {}, Random(seed))
    missing = [unplaced.workspace.name for unplaced in choice.unplaced]
    assert sorted([*choice.placed, *missing]) == sorted(w.name for w in wanted)
    by_name = {w.name: w for w in wanted}
    for each in offers:
        here = [by_name[n] for n, peer in choice.placed.items() if peer == each.peer]
        assert total([quantum_of(w) for w in here]).fits(each.free)
        assert not here or not rules.sites or each.site in rules.sites
    if rules.sealed:
        used = [o for o in offers if o.peer in choice.placed.values()]
        assert len(used) <= 1 or all(o.facts.encrypts for o in used)
    for unplaced in choice.unplaced:
        assert len(unplaced.refusals) == len(offers)


@given(st.integers())
def test_spreads_over_sites_then_weighs(seed: int) -> None:
    offers = tuple(offer(f"h{i}", f"s{i % 3}", 4096) for i in range(9))
    choice = choose(some(6), offers, Rules(spread="site"), {}, Random(seed))
    assert sites_of(choice, offers) == ["s0", "s0", "s1", "s1", "s2", "s2"]


@given(st.integers())
def test_spreads_over_hosts(seed: int) -> None:
    offers = tuple(offer(f"h{i}") for i in range(4))
    choice = choose(some(4), offers, Rules(spread="host"), {}, Random(seed))
    assert len(set(choice.placed.values())) == 4


@given(st.integers())
def test_what_is_kept_stays_and_counts_for_spreading(seed: int) -> None:
    offers = tuple(offer(f"h{i}", f"s{i}") for i in range(3))
    kept = {"web-1": offers[0].peer, "web-2": offers[1].peer}
    choice = choose(some(3), offers, Rules(spread="site"), kept, Random(seed))
    assert choice.placed == {**kept, "web-3": offers[2].peer}


@given(st.integers())
def test_on_one_host_in_the_clear_all_or_nothing(seed: int) -> None:
    """The only host with room for all is taken, however much more attractive another looks."""
    offers = (
        offer("big", "s1", 100, encrypts=False),
        offer("a", "s2", 384, encrypts=False),
        offer("b", "s2", 256, encrypts=False),
    )
    choice = choose(some(3), offers, Rules(sealed=True), {}, Random(seed))
    assert choice.unplaced == ()
    assert dict.fromkeys(choice.placed.values()) == {offers[1].peer: None}


def test_one_host_in_the_clear_does_not_confine_those_that_encrypt() -> None:
    offers = (offer("old", "s1", encrypts=False), offer("a", "s2", 128), offer("b", "s3", 128))
    choice = choose(some(2), offers, Rules(sealed=True, spread="site"), {}, Random(1))
    assert sites_of(choice, offers) == ["s2", "s3"]


def test_holds_at_two_sites_are_only_added_to_by_hosts_that_encrypt() -> None:
    offers = (offer("old", "s1", encrypts=False), offer("a", "s2", 128), offer("b", "s3", 128))
    kept = {"web-1": offers[1].peer, "web-2": offers[2].peer}
    full = tuple(
        msgspec.structs.replace(o, free=Quantum()) if o.facts.encrypts else o for o in offers
    )
    choice = choose(some(3), full, Rules(sealed=True), kept, Random(1))
    assert [u.workspace.name for u in choice.unplaced] == ["web-3"]


def test_a_host_with_the_image_is_likelier() -> None:
    offers = (offer("without"), offer("with", images=1))
    dice = Random(5)
    chosen = [choose(some(1), offers, Rules(), {}, dice).placed["web-1"] for _ in range(400)]
    assert 220 < chosen.count(offers[1].peer) < 320, "about two in three"


def test_requesters_do_not_all_choose_the_same() -> None:
    offers = tuple(offer(f"h{i}", memory_mib=1000 + i) for i in range(8))
    chosen = {choose(some(1), offers, Rules(), {}, Random(s)).placed["web-1"] for s in range(100)}
    assert len(chosen) == 8


def test_every_reason_binding_dimension_last() -> None:
    small = offer("h1", "s1", 64)
    rules = Rules(sites=("s2",), exclude=("h1",))
    found = refusals(workspace("w", 9000, 128), small, small.free, rules)
    assert [r.constraint for r in found] == [
        Constraint.SITE,
        Constraint.SITE,
        Constraint.CPUS,
        Constraint.MEMORY,
    ]
    assert [(r.asked, r.available) for r in found[2:]] == [(9000, 8000), (128 * MIB, 64 * MIB)]
    said = Refusal(Constraint.STORE, "h1", detail="full")
    told = msgspec.structs.replace(small, refused=said)
    assert refusals(workspace("w", 1, 1), told, told.free, Rules()) == [said]


def test_a_network_spans_hosts_that_all_can_reach_or_sealed() -> None:
    open_hosts = (offer("a", "s1"), offer("b", "s2"))
    behind = (offer("c", "home", hidden=True), offer("d", "home", hidden=True))
    offers = open_hosts + behind
    rules = Rules(spread="host", tunnels=True)
    for seed in range(20):
        pair = choose(some(2), offers, rules, {}, Random(seed))
        assert pair.unplaced == ()
        assert sites_of(pair, offers) in (["s1", "s2"], ["home", "home"])
    strict = Rules(spread="host", strict_spread=True, tunnels=True)
    three = choose(some(3), offers, strict, {}, Random(1))
    assert len(three.placed) == 2
    said = {r.constraint: r.detail for r in three.unplaced[0].refusals}
    assert "where not every host can reach" in said[Constraint.UNDERLAY]
    apart = choose(some(3), offers, Rules(spread="host", strict_spread=True), {}, Random(1))
    assert apart.unplaced == (), "without a network they may be anywhere"


def test_a_network_spans_hosts_of_ipv4_or_of_ipv6() -> None:
    def by(host: Offer, underlay: str) -> Offer:
        return msgspec.structs.replace(
            host, facts=msgspec.structs.replace(host.facts, underlay=underlay)
        )

    ipv4 = (by(offer("a", "s1"), "192.0.2.1"), by(offer("b", "s2"), "192.0.2.2"))
    ipv6 = tuple(by(offer(name, "s1"), f"2001:db8::{name}") for name in ("c", "d", "e"))
    net = GridSpec("g", (), 3600, networks=(NetworkSpec("lan", "10.0.0.0/24", Encryption.NONE),))
    assert rules_of(net, ipv4 + ipv6).families
    assert not rules_of(net, ipv4).families
    assert not rules_of(net, ipv6).families
    assert not rules_of(GridSpec("g", (), 3600), ipv4 + ipv6).families, "without a network"
    strict = Rules(spread="host", strict_spread=True, families=True)
    for seed in range(20):
        three = choose(some(3), ipv4 + ipv6, strict, {}, Random(seed))
        assert set(three.placed.values()) == {o.peer for o in ipv6}
    four = choose(some(4), ipv4 + ipv6, strict, {}, Random(1))
    assert len(four.placed) == 3
    said = {r.constraint: r.detail for r in four.unplaced[0].refusals}
    assert said[Constraint.UNDERLAY].endswith(": no tunnel leads from IPv4 to IPv6")
    assert "its networks cross hosts by 192.0.2." in said[Constraint.UNDERLAY]
    loose = choose(some(4), ipv4 + ipv6, Rules(families=True), {}, Random(2))
    hosts = set(loose.placed.values())
    assert loose.unplaced == ()
    assert hosts <= {o.peer for o in ipv4} or hosts <= {o.peer for o in ipv6}


def test_hidden_hosts_share_no_plain_network_and_are_not_preferred_for_a_sealed_one() -> None:
    offers = (offer("a"), offer("c", "home", hidden=True))

    def rules(encryption: Encryption, count: int = 2) -> Rules:
        network = NetworkSpec("lan", "10.0.0.0/24", encryption)
        cluster = ClusterSpec("web", count, IMAGE, 500, MIB, networks=("lan",))
        spec = GridSpec("g", (cluster,), 3600, networks=(network,))
        return rules_of(spec, offers)

    plain, sealed = rules(Encryption.NONE), rules(Encryption.REQUIRED)
    assert (plain.tunnels, plain.open_hosts) == (True, False)
    assert (sealed.tunnels, sealed.open_hosts) == (False, True)
    alone = rules(Encryption.NONE, 1)
    assert (alone.tunnels, alone.open_hosts) == (False, False)


def test_hosts_that_all_reach_are_preferred_and_others_are_not_refused() -> None:
    rules = Rules(open_hosts=True)
    offers = (offer("a", "s1"), offer("b", "s2"), offer("c", "home", hidden=True))
    for seed in range(20):
        pair = choose(some(2), offers, rules, {}, Random(seed))
        assert "home" not in sites_of(pair, offers)
    behind = (offer("c", "home", hidden=True), offer("d", "far", hidden=True))
    strict = Rules(spread="site", strict_spread=True, open_hosts=True)
    assert choose(some(2), behind, strict, {}, Random(1)).unplaced == ()
