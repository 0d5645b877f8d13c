"""The objective: degrees from 0 to 1 that mean what they say, and room that is worth what it can hold."""

import pytest
from asking import GIB, cluster, grid, host, point, probed
from msgspec.structs import replace

from protocol.grid.expand import workspaces
from protocol.grid.model import Compact, GridSpec, ImageRef, Mount, Spread, Strict, VolumeSpec
from protocol.placement.fit import Offer, rules_of
from protocol.placement.quality import Ladder, closeness, degree

A, B, C = host("a", "s1"), host("b", "s1"), host("c", "s2")


def met(spec: GridSpec, *at: Offer) -> float:
    members = workspaces(spec)
    where = {w.name: offer for w, offer in zip(members, at, strict=True)}
    return degree(members, where, (A, B, C), rules_of(spec))


@pytest.mark.parametrize(
    ("rules", "at", "expected"),
    [
        ({}, (A, A, C), 1.0),
        ({"spread": Spread.HOST}, (A, B, C), 1.0),
        ({"spread": Spread.HOST}, (A, A, A), 0.0),
        ({"spread": Spread.HOST}, (A, A, B), 2 / 3),
        ({"spread": Spread.SITE}, (A, B, C), 2 / 3),
        ({"compact": Compact.SITE}, (A, B, A), 1.0),
        ({"compact": Compact.HOST}, (A, B, C), 0.0),
        ({"compact": Compact.HOST}, (A, B, B), 0.5),
        ({"prefer": ("s2", "s1")}, (C, C, A), (1 + 1 + 0.5) / 3),
        ({"prefer": ("s2",)}, (A, A, C), 1 / 3),
        ({"spread": Spread.HOST, "compact": Compact.SITE}, (A, B, C), (1 + 0.5) / 2),
        ({"spread": Spread.HOST, "strict": (Strict.SPREAD,)}, (A, B, C), 1.0),
    ],
)
def test_how_far_preferences_are_met(
    rules: dict[str, object], at: tuple[Offer, ...], expected: float
) -> None:
    assert met(grid(cluster(count=3), **rules), *at) == pytest.approx(expected)


def test_labels_that_are_preferred() -> None:
    spec = grid(cluster(count=2, preferred_labels=("ssd", "fast")))
    half, all_ = probed(A, labels=("ssd",)), probed(B, labels=("fast", "ssd"))
    assert met(spec, half, all_) == pytest.approx(0.75)


def test_closeness() -> None:
    here, there = replace(A, coordinate=point(0, 0)), replace(C, coordinate=point(10, 0))
    assert closeness(A, A) == 1.0
    assert closeness(A, B) == 0.75
    assert closeness(here, there) == pytest.approx(0.25)
    assert closeness(A, C) == 0.0, "nobody knows how far"


def test_near_its_volume_and_its_image() -> None:
    db = cluster("db", mounts=(Mount("data", "/srv"),))
    spec = grid(db, cluster("web", near_volume="data"))
    spec = replace(spec, volumes=(VolumeSpec("data", GIB),))
    assert met(spec, A, A) == 1.0
    assert met(spec, A, B) == 0.75
    assert met(spec, A, C) == 0.0
    image = grid(cluster("web", near_image=ImageRef("x", "e" * 64)))
    assert met(image, replace(A, images=("e" * 64,))) == 0.0, "no offer has it"


def test_two_halves_are_worth_less_than_a_whole() -> None:
    room = Ladder()
    whole, half = room.worth(16_000, 64 * GIB), room.worth(8_000, 32 * GIB)
    assert whole > 2 * half > 0
    assert room.worth(16_000, 0) == 0, "cpus without memory"
    assert room.worth(0, 64 * GIB) == 0
