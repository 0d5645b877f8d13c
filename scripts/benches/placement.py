"""How good placement is: against the optimum, against ganeti's hail, and how quick.

    ./scripts/bench placement                    all three tables
    ./scripts/bench placement --only oracle --instances 300
    ./scripts/bench placement --only hail        needs Debian's ganeti-htools

*Oracle*: random hosts and grids; HiGHS solves the same as a mixed integer program, first the most workspaces
that can be placed, then, placing as many, the degree to which the preferences are met (quality.py says both;
of the members with preferred labels as many as in our choice, or it would be no linear program).
*hail*: workspaces of random shapes come one by one to the same hosts until the first refusal; whoever keeps
room longer placed more. hail is told not to keep room for failing nodes (--no-capacity-checks), and has
as many vcpus as there are cpus. *Speed*: a gang of 64 among 1,000 hosts, placed, and refused with
counter-offers.
"""

import argparse
import json
import subprocess
import tempfile
import time
from collections.abc import Callable
from functools import partial
from itertools import combinations
from pathlib import Path
from random import Random  # lots, not secrets
from statistics import median

import highspy
import msgspec

from protocol.capacity.advert import HostFacts
from protocol.capacity.quantum import Quantum
from protocol.grid.expand import workspaces
from protocol.grid.model import (
    ClusterSpec,
    Compact,
    GridSpec,
    ImageRef,
    PlacementSpec,
    Spread,
    Strict,
)
from protocol.placement.choose import choose
from protocol.placement.counter import counter_offers
from protocol.placement.explain import explain, words
from protocol.placement.fit import Offer, conflict, quantum_of, rules_of, unsuitable
from protocol.placement.quality import degree, label_degree, site_degree
from protocol.terms.coordinate import point
from protocol.terms.ids import PeerId

GIB = 1 << 30
_VCPUS_PER_CPU = 4
"""Hail takes each cpu of a node for four vcpus when it reads a text file, whatever policy that file states."""

_NOTHING = 1e-6
"""A best degree below this counts as zero, of which no share can be missed."""

HAIL = Path("/usr/lib/ganeti/iallocators/hail")
_SHAPES = ((1, 1), (1, 2), (2, 4), (2, 8), (4, 8), (4, 16), (8, 16), (8, 32))
"""Pairs of cpus and GiB: the shapes that clouds rent most."""

_KINDS: dict[str, dict[str, object]] = {
    "room alone": {},
    "spread: host": {"spread": Spread.HOST},
    "spread: site": {"spread": Spread.SITE},
    "compact: site": {"compact": Compact.SITE},
    "compact: host": {"compact": Compact.HOST},
    "spread: host, compact: site": {"spread": Spread.HOST, "compact": Compact.SITE},
    "prefer, labels": {"prefer": ("s2", "s0")},
    "strict spread": {"spread": Spread.HOST, "strict": (Strict.SPREAD,)},
    "strict compact": {"compact": Compact.SITE, "strict": (Strict.COMPACT,)},
    "within": {"within_ms": 30},
}


def hosts(dice: Random, count: int, sites: int = 3) -> tuple[Offer, ...]:
    """Hosts of several sizes, partly used."""
    made = []
    for index in range(count):
        cpus = dice.choice((4, 8, 16, 32)) * dice.uniform(0.2, 1)
        site = dice.randrange(sites)
        memory_bytes = int(cpus * dice.choice((1, 2, 4, 8))) * GIB
        free = Quantum(int(cpus * 2) * 500, memory_bytes, 1000 * GIB)
        labels = ("ssd",) if dice.random() < 0.4 else ()
        made.append(
            Offer(
                peer=PeerId(f"h{index}"),
                host=f"h{index}",
                site=f"s{site}",
                facts=HostFacts(free, "x86_64", "qemu:///embed", "kvm", "", "", True, labels),
                free=free,
                coordinate=point(site * 20.0, dice.uniform(0, 12)),
            )
        )
    return tuple(made)


def grid(dice: Random, rules: str, offers: tuple[Offer, ...]) -> GridSpec:
    """A few clusters that together ask for about as much as there is, none of them needed whole."""
    room = sum(offer.free.cpus_milli for offer in offers) * dice.uniform(0.3, 1.2)
    clusters = []
    for index in range(dice.randint(1, 4)):
        cpus, memory = dice.choice(_SHAPES)
        count = max(1, min(24, int(room / 4 / (cpus * 1000))))
        liked = ("ssd",) if rules == "prefer, labels" and dice.random() < 0.6 else ()
        clusters.append(
            ClusterSpec(
                f"c{index}",
                count,
                ImageRef("x"),
                cpus * 1000,
                memory * GIB,
                minimum=1,
                preferred_labels=liked,
            )
        )
    return GridSpec("g", tuple(clusters), placement=PlacementSpec(**_KINDS[rules]))  # type: ignore[arg-type]


# -- the optimum


class Oracle:
    """The same question as a mixed integer program."""

    def __init__(self, spec: GridSpec, offers: tuple[Offer, ...], within_s: float) -> None:
        self.spec, self.offers = spec, offers
        self.rules = rules_of(spec, offers)
        self.model = highspy.Highs()
        self.model.silent()
        self.model.setOptionValue("time_limit", within_s)
        self.model.setOptionValue("mip_rel_gap", 0.0)
        self.kinds = {w.cluster: w for w in workspaces(spec)}
        self.seats = {
            (name, host): self.model.addIntegral(0, spec.clusters[i].count)
            for i, name in enumerate(self.kinds)
            for host, offer in enumerate(offers)
            if not unsuitable(self.kinds[name], offer, self.rules)
        }
        self._room()
        self._pairs()

    def _members(self, where: Callable[[int], bool]) -> "highspy.highs_linear_expression":
        return highspy.Highs.qsum([v for (_, h), v in self.seats.items() if where(h)])

    def _room(self) -> None:
        for cluster in self.spec.clusters:
            mine = [v for (name, _), v in self.seats.items() if name == cluster.name]
            self.model.addConstr(highspy.Highs.qsum(mine) <= cluster.count)
            self.model.addConstr(highspy.Highs.qsum(mine) >= cluster.least)
        for host, offer in enumerate(self.offers):
            for amount, unit in (("cpus_milli", 500), ("memory_bytes", GIB)):
                used = [
                    v * (getattr(quantum_of(self.kinds[n]), amount) / unit)
                    for (n, h), v in self.seats.items()
                    if h == host
                ]
                self.model.addConstr(highspy.Highs.qsum(used) <= getattr(offer.free, amount) / unit)

    def _pairs(self) -> None:
        """Adds strict rules: hosts that may not both carry members, or carry more than one."""
        if not self.rules.pairs:
            return
        used = [self.model.addBinary() for _ in self.offers]
        for host, offer in enumerate(self.offers):
            most = 1 if conflict(offer, offer, self.rules) else 1000
            self.model.addConstr(self._members(lambda h, at=host: h == at) <= used[host] * most)
        for a, b in combinations(range(len(self.offers)), 2):
            if conflict(self.offers[a], self.offers[b], self.rules):
                self.model.addConstr(used[a] + used[b] <= 1)

    def most(self) -> int | None:
        """The most workspaces that can be placed; None if that is not even a grid."""
        everything = self._members(lambda _: True)
        self.model.maximize(everything)
        if self.model.getModelStatus() != highspy.HighsModelStatus.kOptimal:
            return None
        return round(self.model.getObjectiveValue())

    def best_degree(self, count: int, choosy: int) -> float | None:
        """The best degree of all choices that place `count`, of them `choosy` with their preferred labels.

        None if it was not found in time.
        """
        model, rules = self.model, self.rules
        model.addConstr(self._members(lambda _: True) == count)
        terms = []
        if rules.spread != "none" and not rules.strict_spread and count > 1:
            shared = []
            for members in self._groups(rules.spread):
                rank = [model.addBinary() for _ in range(count)]
                model.addConstr(members == highspy.Highs.qsum(rank))
                shared += [v * (2.0 * k / (count * (count - 1))) for k, v in enumerate(rank)]
            terms.append(1.0 - highspy.Highs.qsum(shared))
        if rules.compact != "none" and not rules.strict_compact and count > 1:
            used = []
            for members in self._groups(rules.compact):
                used.append(model.addBinary())
                model.addConstr(members <= used[-1] * count)
            terms.append(1.0 - (highspy.Highs.qsum(used) - 1.0) * (1.0 / (count - 1)))
        if rules.prefer:
            liked = [
                v * (site_degree(self.offers[h].site, rules.prefer) / count)
                for (_, h), v in self.seats.items()
            ]
            terms.append(highspy.Highs.qsum(liked))
        if choosy:
            mine = {s: v for s, v in self.seats.items() if self.kinds[s[0]].preferred_labels}
            model.addConstr(highspy.Highs.qsum(list(mine.values())) == choosy)
            liked = [
                v * (label_degree(self.kinds[n], self.offers[h]) / choosy)
                for (n, h), v in mine.items()
            ]
            terms.append(highspy.Highs.qsum(liked))
        if not terms:
            return 1.0
        model.maximize(highspy.Highs.qsum(terms))
        if model.getModelStatus() != highspy.HighsModelStatus.kOptimal:
            return None
        return model.getObjectiveValue() / len(terms)

    def _groups(self, by: str) -> "list[highspy.highs_linear_expression]":
        if by == "host":
            return [self._members(lambda h, at=at: h == at) for at in range(len(self.offers))]
        sites = dict.fromkeys(offer.site for offer in self.offers)
        return [self._members(lambda h, s=s: self.offers[h].site == s) for s in sites]


class Gap(msgspec.Struct, frozen=True):
    """How far a choice is from the best, as shares of the best."""

    rules: str
    value: float
    """By the number placed plus the degree, which is at most 1 and so counts after the number."""
    fewer: float
    """By the number placed."""
    met: float
    """By the degree, where as many are placed."""


def against_oracle(instances: int, seed: int, most_hosts: int = 12) -> list[Gap]:
    """The gap of each instance that is a grid at all."""
    gaps = []
    for index in range(instances):
        dice = Random(seed * 1_000_003 + index)  # noqa: S311
        rules = list(_KINDS)[index % len(_KINDS)]
        offers = hosts(dice, dice.randint(4, most_hosts))
        spec = grid(dice, rules, offers)
        oracle = Oracle(spec, offers, 20.0)
        most = oracle.most()
        if most is None:
            continue
        members = workspaces(spec)
        choice = choose(members, offers, oracle.rules, {}, dice)
        fewer = (most - len(choice.placed)) / most if choice.enough else 1.0
        choosy = sum(1 for w in members if w.preferred_labels and w.name in choice.placed)
        best = oracle.best_degree(most, choosy) if fewer <= 0 else None
        by_peer = {offer.peer: offer for offer in offers}
        where = {name: by_peer[peer] for name, peer in choice.placed.items()}
        ours = degree(members, where, offers, oracle.rules)
        met = (best - ours) / best if best is not None and best > _NOTHING else 0.0
        top = most + (best if best is not None else ours)
        value = (top - len(choice.placed) - ours) / top if choice.enough else 1.0
        gaps.append(Gap(rules, max(0.0, value), fewer, max(0.0, met)))
    return gaps


def _oracle_table(instances: int, seed: int) -> None:
    gaps = against_oracle(instances, seed)
    print(f"\nGap to the optimum (HiGHS), {len(gaps)} instances, seed {seed}\n")
    print(f"{'rules':<30}{'n':>5}   {'value':<23}{'fewer placed':<23}{'preferences met less':<23}")
    print(f"{'':<35}  {'median    p95  worst  ' * 3}")
    for rules in [*_KINDS, "all"]:
        mine = [gap for gap in gaps if rules in (gap.rules, "all")]
        if mine:
            columns = (_row([getattr(g, what) for g in mine]) for what in ("value", "fewer", "met"))
            print(f"{rules:<30}{len(mine):>5}  {'  '.join(columns)}")


def _row(values: list[float]) -> str:
    values = sorted(values)
    p95 = values[min(len(values) - 1, int(len(values) * 0.95))]
    return f"{median(values):6.1%} {p95:6.1%} {values[-1]:6.1%}"


# -- hail


def stream(dice: Random) -> list[tuple[int, int]]:
    """Shapes, as they come."""
    return [dice.choice(_SHAPES) for _ in range(2000)]


def ours(
    offers: tuple[Offer, ...], shapes: list[tuple[int, int]], dice: Random
) -> list[tuple[int, int]]:
    """The shapes that we place until the first refusal."""
    left = {offer.peer: offer for offer in offers}
    placed = []
    for cpus, memory in shapes:
        spec = GridSpec("g", (ClusterSpec("c", 1, ImageRef("x"), cpus * 1000, memory * GIB),))
        members = workspaces(spec)
        here = tuple(left.values())
        choice = choose(members, here, rules_of(spec, here), {}, dice)
        if not choice.enough:
            break
        peer = choice.placed["c-1"]
        old = left[peer]
        free = old.free - quantum_of(members[0])
        left[peer] = Offer(**{**{f: getattr(old, f) for f in old.__struct_fields__}, "free": free})
        placed.append((cpus, memory))
    return placed


def hail(offers: tuple[Offer, ...], shapes: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The shapes that hail places, with a run of it for each."""
    instances: list[str] = []
    used = {offer.host: 0 for offer in offers}
    placed = []
    with tempfile.TemporaryDirectory() as folder:
        data, ask = Path(folder, "data"), Path(folder, "ask")
        for index, (cpus, memory) in enumerate(shapes):
            data.write_text(_ganeti_text(offers, used, instances))
            ask.write_text(json.dumps(_request(index, cpus, memory)))
            found = subprocess.run(
                [HAIL, "-t", data, "--no-capacity-checks", ask],
                capture_output=True,
                check=True,
                text=True,
            )
            answer = json.loads(found.stdout)
            if not answer["success"]:
                break
            host = answer["result"][0]
            used[host] += memory
            instances.append(f"i{index}|{memory * 1024}|1024|{cpus}|running|Y|{host}||plain||1|1|N")
            placed.append((cpus, memory))
    return placed


def _ganeti_text(offers: tuple[Offer, ...], used: dict[str, int], instances: list[str]) -> str:
    nodes = []
    for number, offer in enumerate(offers):
        memory = offer.free.memory_bytes >> 20
        free = memory - used[offer.host] * 1024
        role = "N" if number else "M"
        cpus = offer.free.cpus_milli // 1000 // _VCPUS_PER_CPU
        nodes.append(
            f"{offer.host}|{memory}|0|{free}|1000000|{1000000}|{cpus}|{role}"
            "|group-uuid|1||N|0|0|1.0"
        )
    policy = "128,1,128,1,1,1|128,1,128,1,1,1;999999,999,999999,16,8,999|plain|1.0|999.0"
    sections = ["group|group-uuid|preferred||", "\n".join(nodes), "\n".join(instances), ""]
    return "\n\n".join([*sections, f"|{policy}\ngroup|{policy}"]) + "\n"


def _request(index: int, cpus: int, memory: int) -> dict[str, object]:
    return {
        "request": {
            "type": "allocate",
            "name": f"i{index}",
            "memory": memory * 1024,
            "disks": [{"size": 1024, "mode": "w"}],
            "disk_space_total": 1024,
            "vcpus": cpus,
            "disk_template": "plain",
            "required_nodes": 1,
            "tags": [],
            "nics": [],
            "os": "none",
            "hypervisor": "kvm",
            "hypervisor_parameters": {},
            "spindle_use": 1,
        },
        "enabled_hypervisors": ["kvm"],
        "nodegroups": {},
        "nodes": {},
        "instances": {},
        "cluster_tags": [],
        "ipolicy": {},
    }


def _hail_table(runs: int, seed: int) -> None:
    if not HAIL.exists():
        print("\nhail is not here: apt-get install ganeti-htools")
        return
    print(
        "\nWorkspaces placed until the first refusal, same hosts, same shapes in the same order\n"
    )
    print(f"{'hosts':>6} {'runs':>5} {'overlayd':>10} {'hail':>8} {'more':>8} {'ahead in':>9}")
    for count in (10, 20, 40):
        mine, theirs = [], []
        for run in range(runs):
            dice = Random(seed * 7919 + count * 101 + run)  # noqa: S311
            offers = _whole_hosts(dice, count)
            shapes = stream(dice)
            mine.append(len(ours(offers, shapes, dice)))
            theirs.append(len(hail(offers, shapes)))
        ahead = sum(a > b for a, b in zip(mine, theirs, strict=True))
        a, b = sum(mine) / runs, sum(theirs) / runs
        print(f"{count:>6} {runs:>5} {a:>10.1f} {b:>8.1f} {a / b - 1:>8.1%} {ahead:>6} of {runs}")


def _whole_hosts(dice: Random, count: int) -> tuple[Offer, ...]:
    made = []
    for index in range(count):
        cpus = dice.choice((8, 16, 32))
        memory = cpus * dice.choice((2, 4, 4, 8))
        free = Quantum(cpus * 1000, memory * GIB, 1000 * GIB)
        facts = HostFacts(free, "x86_64", "qemu:///embed", "kvm", "", "", True)
        made.append(Offer(PeerId(f"h{index}"), f"h{index}", "s", facts, free))
    return tuple(made)


# -- speed


def _speed_table(seed: int) -> None:
    dice = Random(seed)  # noqa: S311
    offers = hosts(dice, 1000, 8)
    print(
        "\nA gang of 64 (4 cpus, 8 GiB) chosen among 1,000 hosts at 8 sites, milliseconds of a core, 9 runs\n"
    )
    print(f"{'rules':<30}{'median':>8}{'worst':>8}")
    for rules, placement in _KINDS.items():
        cluster = ClusterSpec("c", 64, ImageRef("x"), 4000, 8 * GIB)
        spec = GridSpec("g", (cluster,), placement=PlacementSpec(**placement))  # type: ignore[arg-type]
        members, asked = workspaces(spec), rules_of(spec, offers)
        _timed(rules, partial(choose, members, offers, asked, {}, dice))
    print("\nThe same gang refused, explained, and each counter-offer tried\n")
    print(f"{'why':<30}{'median':>8}{'worst':>8}")
    for why, cpus, there in (
        ("room for 57 of 64", 4, _with_room(offers, 4, 57)),
        ("room for 57, strict spread", 4, _with_room(offers, 4, 57)),
        ("no host is large enough", 64, offers),
    ):
        rules = "strict spread" if why.endswith("spread") else "room alone"
        cluster = ClusterSpec("c", 64, ImageRef("x"), cpus * 1000, 8 * GIB)
        spec = GridSpec("g", (cluster,), placement=PlacementSpec(**_KINDS[rules]))  # type: ignore[arg-type]
        _timed(why, partial(_refused, spec, there, dice))


def _timed(what: str, act: Callable[[], object]) -> None:
    took = []
    for _ in range(9):
        begin = time.process_time()
        act()
        took.append((time.process_time() - begin) * 1000)
    print(f"{what:<30}{median(took):>8.1f}{max(took):>8.1f}")


def _with_room(offers: tuple[Offer, ...], cpus: int, members: int) -> tuple[Offer, ...]:
    """The same hosts, full except for room for `members` of that size."""
    one, made = Quantum(cpus * 1000, 8 * GIB), []
    for offer in offers:
        fits = min(members, one.times_in(offer.free))
        members -= fits
        free = Quantum(fits * one.cpus_milli + 500, fits * one.memory_bytes + GIB, 1000 * GIB)
        made.append(msgspec.structs.replace(offer, free=free))
    return tuple(made)


def _refused(spec: GridSpec, offers: tuple[Offer, ...], dice: Random) -> list[str]:
    """Does what a requester does when it finds no room, with hosts that have none later either."""
    choice = choose(workspaces(spec), offers, rules_of(spec, offers), {}, dice)
    assert not choice.enough
    later = ((60.0 * minute, offers) for minute in range(1, 25))
    return words(explain(spec, choice, counter_offers(spec, offers, choice, later)))


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="bench placement", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--only", choices=["oracle", "hail", "speed"])
    parser.add_argument("--instances", type=int, default=200)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    if args.only in (None, "oracle"):
        _oracle_table(args.instances, args.seed)
    if args.only in (None, "hail"):
        _hail_table(args.runs, args.seed)
    if args.only in (None, "speed"):
        _speed_table(args.seed)


if __name__ == "__main__":
    main()
