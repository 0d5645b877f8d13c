"""Rules of placement: what is wrong with them, word for word, and what goes together."""

import pytest
from msgspec.structs import replace

from protocol.grid.check import problems
from protocol.grid.model import (
    ClusterSpec,
    Compact,
    DeviceCount,
    GridSpec,
    ImageRef,
    PlacementSpec,
    Spread,
    Strict,
    VolumeSpec,
)

WEB = ClusterSpec("web", 4, ImageRef("guest"), 1000, 1 << 30)
GRID = GridSpec("shop", (WEB,), volumes=(VolumeSpec("data", 1 << 30),))


def said(spec: GridSpec) -> list[str]:
    return [str(problem) for problem in problems(spec)]


def placed(**rules: object) -> GridSpec:
    return replace(GRID, placement=PlacementSpec(**rules))  # type: ignore[arg-type]


def web(**keys: object) -> GridSpec:
    return replace(GRID, clusters=(replace(WEB, **keys),))


@pytest.mark.parametrize(
    "spec",
    [
        placed(spread=Spread.HOST, compact=Compact.SITE, strict=(Strict.SPREAD, Strict.COMPACT)),
        placed(sites=("uc", "fnal"), prefer=("fnal",), exclude_sites=("bnl",), within_ms=1),
        placed(apart=("main",), exclude=("uc-4",), within_ms=10_000),
        web(labels=("ssd", "rack=B7"), preferred_labels=("x86.v3",), minimum=1),
        web(devices=(DeviceCount("gpu", 16), DeviceCount("fpga", 1))),
        web(near_volume="data", near_image=ImageRef("guest")),
    ],
)
def test_what_makes_sense(spec: GridSpec) -> None:
    assert said(spec) == []


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        (
            placed(spread=Spread.HOST, compact=Compact.HOST),
            "placement.compact: found host beside spread: host; what goes together is"
            " spread: host and compact: site",
        ),
        (
            placed(strict=(Strict.COMPACT,)),
            "placement.strict[0]: found compact, which is not asked for; write compact: site or"
            " compact: host too",
        ),
        (
            placed(spread=Spread.SITE, strict=(Strict.SPREAD, Strict.SPREAD)),
            'placement.strict[1]: found "spread" a second time; once is enough',
        ),
        (
            placed(within_ms=10_001),
            "placement.within_ms: found 10001 ms; allowed are 1ms to 10s",
        ),
        (
            placed(within_ms=10**5000),
            "placement.within_ms: found a number beyond 64 bits; allowed are 1ms to 10s",
        ),
        (
            placed(apart=("shop",)),
            "placement.apart[0]: found this grid itself; to keep its workspaces apart write"
            " spread: host",
        ),
        (
            placed(prefer=("Zug",)),
            'placement.prefer[0]: found "Zug"; a name is 1 to 40 lower-case letters, digits and'
            " inner dashes, a letter first",
        ),
        (
            placed(prefer=("bnl",), exclude_sites=("bnl",)),
            'placement.prefer[0]: found "bnl", which exclude-sites rules out',
        ),
        (
            web(labels=("ssd",), preferred_labels=("ssd",)),
            'clusters[0].preferred_labels[0]: found "ssd", which is required; leave it out of one'
            " of them",
        ),
        (
            web(devices=(DeviceCount("gpu", 1), DeviceCount("gpu", 2))),
            'clusters[0].devices[1]: found device "gpu" a second time',
        ),
        (
            web(devices=(DeviceCount("gpu", 17),)),
            "clusters[0].devices[0]: found 17; allowed are 1 to 16",
        ),
        (web(minimum=5), "clusters[0].minimum: found 5; allowed are 1 to the count, 4"),
        (web(minimum=0), "clusters[0].minimum: found 0; allowed are 1 to the count, 4"),
        (
            web(near_volume="dat"),
            'clusters[0].near_volume: found "dat", which is no volume; did you mean "data"?',
        ),
        (
            web(near_image=ImageRef("b/g")),
            'clusters[0].near_image: found "b/g"; an image\'s name is 1 to 63 letters, digits, dots,'
            " dashes and underscores, a letter or digit first, for example debian-12",
        ),
        (
            placed(prefer=tuple(f"s{i}" for i in range(33))),
            "placement.prefer: found 33 entries; at most 32 are allowed",
        ),
    ],
)
def test_what_is_wrong(spec: GridSpec, problem: str) -> None:
    assert said(spec) == [problem]
