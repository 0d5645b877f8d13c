"""Why not, word for word: what was asked, what stopped it and by how much, what would work."""

from random import Random

import pytest
from test_placement_choose import offer, workspace

from protocol.placement.choose import choose
from protocol.placement.explain import explain, summarise
from protocol.placement.fit import Offer, Rules
from protocol.terms.refusal import Constraint, Refusal


def told(memory_mib: int, count: int, offers: tuple[Offer, ...], rules: Rules | None = None) -> str:
    wanted = tuple(workspace(f"web-{i}", 500, memory_mib) for i in range(count))
    return "\n".join(explain(choose(wanted, offers, rules or Rules(), {}, Random(1)), count))


def test_what_fits_needs_no_words() -> None:
    assert told(128, 1, (offer("h1"),)) == ""


def test_too_big_for_all() -> None:
    offers = (
        offer("h1", memory_mib=512),
        offer("h2", memory_mib=1024),
        offer("h3", memory_mib=256),
    )
    assert told(1536, 1, offers) == (
        "cannot place 1 of cluster web: each needs 0.5 cpus, 1.5 GiB\n"
        "  3 hosts lack memory; the nearest, h2, by 512 MiB\n"
        "  would work: memory 1G would fit on h2"
    )


def test_some_fit() -> None:
    assert told(600, 3, (offer("h1"), offer("h2"))) == (
        "cannot place 1 of cluster web: each needs 0.5 cpus, 600 MiB\n"
        "  2 hosts hold 2 of the 3 workspaces\n"
        "  2 hosts lack memory; the nearest, h1, by 176 MiB\n"
        "  would work: memory 424M would fit on h1"
    )


def test_wrong_place() -> None:
    assert told(128, 1, (offer("h1"), offer("h2")), Rules(sites=("zug",))) == (
        "cannot place 1 of cluster web: each needs 0.5 cpus, 128 MiB\n"
        "  2 hosts: site: it is at s1, asked: zug (h1)\n"
        "  would work: name other sites under placement.sites, or none"
    )


def test_in_the_clear_at_one_site_only() -> None:
    offers = (
        offer("h1", "s1", 100, encrypts=False),
        offer("h2", "s2", 120, encrypts=False),
    )
    assert told(200, 1, offers, Rules(one_site=True)) == (
        "cannot place 1 of cluster web: each needs 0.5 cpus, 200 MiB\n"
        "  2 hosts lack memory; the nearest, h2, by 80 MiB\n"
        "  would work: memory 120M would fit on h2"
    )


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
        "  would work: cpus 2.5 would fit on h2",
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
