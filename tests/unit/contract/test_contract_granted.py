"""What an order contains is within what its signer was granted."""

from typing import Any

import pytest
from msgspec.structs import replace
from negotiating import shop

from protocol.contract.granted import require_granted, require_resize
from protocol.grid.model import DeviceCount, Exposure, GridSpec, LeaseTerms, OwnSize
from protocol.terms.ids import KeyId
from protocol.trust.owner import Link, Owner
from protocol.trust.signing import Reason, Untrusted
from protocol.trust.verbs import Verb

KEY = KeyId("a" * 64)
GRID = shop(2)
SITE = Owner(key=KEY, site="ams")


def member(*verbs: Verb) -> Owner:
    return Owner(key=KEY, vo="star", links=(Link(KeyId("b" * 64), "kate", "", verbs=verbs),))


def cluster(**changes: Any) -> GridSpec:
    return replace(GRID, clusters=(replace(GRID.clusters[0], **changes),))


@pytest.mark.parametrize(
    ("spec", "verb"),
    [
        (replace(GRID, lease=LeaseTerms(start_s=5.0)), Verb.RESERVE),
        (replace(GRID, lease=LeaseTerms(before_s=5.0)), Verb.RESERVE),
        (cluster(expose=(Exposure(80),)), Verb.EXPOSE),
        (cluster(devices=(DeviceCount("gpu", 1),)), Verb.DEVICES),
    ],
)
def test_what_needs_more_than_to_deploy(spec: GridSpec, verb: Verb) -> None:
    require_granted(SITE, spec)
    require_granted(member(Verb.DEPLOY, verb), spec)
    require_granted(member(Verb.DEPLOY), GRID)
    with pytest.raises(Untrusted, match=f"needs a grant with {verb}; .* to deploy$") as refused:
        require_granted(member(Verb.DEPLOY), spec)
    assert refused.value.reason is Reason.NOT_GRANTED


def test_a_grid_is_for_the_vo_whose_member_orders_it() -> None:
    star = replace(GRID, vo="star")
    require_granted(member(Verb.DEPLOY), star)
    for owner, whose in ((SITE, "a site's admin's"), (member(Verb.DEPLOY), "VO star's")):
        with pytest.raises(Untrusted, match=f"for VO cms, and the order is {whose}"):
            require_granted(owner, replace(GRID, vo="cms"))


@pytest.mark.parametrize(
    "new",
    [
        cluster(cpus_milli=750, memory_bytes=1 << 28, network_bits_s=8000),
        cluster(sizes=(OwnSize("web-1", 750),)),
    ],
)
def test_who_may_resize_changes_sizes(new: GridSpec) -> None:
    require_resize(member(Verb.RESIZE), new, GRID)


@pytest.mark.parametrize(
    "new", [shop(3), cluster(cpus_milli=750, restart="always"), replace(GRID, volumes=())]
)
def test_and_nothing_else(new: GridSpec) -> None:
    require_resize(member(Verb.RESIZE, Verb.DEPLOY), new, GRID)
    if new == GRID:
        require_resize(member(Verb.RESIZE), new, GRID)
        return
    with pytest.raises(Untrusted, match="a grant with deploy is needed"):
        require_resize(member(Verb.RESIZE), new, GRID)


@pytest.mark.parametrize("name", ["cpus", "memory", "sizes"])
def test_nor_brings_up_a_cluster_that_is_called_like_a_size(name: str) -> None:
    new = replace(GRID, clusters=(*GRID.clusters, replace(GRID.clusters[0], name=name)))
    for wanted, standing in ((new, GRID), (GRID, new)):
        with pytest.raises(Untrusted, match="a grant with deploy is needed"):
            require_resize(member(Verb.RESIZE), wanted, standing)
