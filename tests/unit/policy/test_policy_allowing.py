"""What a policy and a grant say of what is asked, each rule by itself, with the line that forbids it."""

from typing import Any

import msgspec
import pytest
from some_policies import (
    FRA,
    IMAGE,
    IMAGE_2,
    SITE,
    STAR,
    VO_CMS,
    VO_STAR,
    key,
    policy,
)

from protocol.capacity.quantum import Quantum
from protocol.policy.allowing import Forbidden, forbidden
from protocol.policy.demand import NOTHING, Demand
from protocol.policy.site_policy import SitePolicy, VoTerms
from protocol.terms.ids import KeyId
from protocol.trust.ceilings import Ceilings
from protocol.trust.owner import Link, Owner

SMALL = Demand(Quantum(1000, 1 << 30), workspaces=1, lease_s=600, images=(IMAGE,))


SAID = policy()


def judged(
    owner: Owner,
    demand: Demand = SMALL,
    used: Demand = NOTHING,
    said: SitePolicy | None = SAID,
    by: KeyId = STAR,
) -> Forbidden | None:
    """`used` is what that key, or somebody below it, has there."""
    return forbidden(
        said, "ams", SITE.key, owner, demand, lambda key: used if key == by else NOTHING
    )


def asks(**changed: Any) -> Demand:
    return msgspec.structs.replace(SMALL, **changed)


def test_a_site_does_anything_on_its_own_hosts() -> None:
    own, much = Owner(SITE.key, site="ams"), asks(workspaces=4000, egress=True, ports=(22,))
    assert judged(own, much) is None
    assert judged(own, much, said=None) is None


def test_without_a_policy_other_sites_are_let_in_and_no_organisation() -> None:
    assert judged(FRA, said=None) is None
    no = judged(VO_STAR, said=None)
    assert no is not None
    assert "no policy" in no.why


def test_a_policy_shuts_out_whom_it_does_not_name_sites_too() -> None:
    for owner in (FRA, VO_CMS):
        no = judged(owner)
        assert no is not None
        assert "policy 3 of site ams does not name" in no.why
        assert no.allowed == "star"


def test_a_name_opens_nothing_the_key_does() -> None:
    assert judged(Owner(key("c"), vo="star")) is not None
    assert judged(Owner(STAR, vo="quark")) is None


def test_a_site_that_is_named_is_let_in() -> None:
    assert judged(FRA, said=policy(4, VoTerms("fra", FRA.key))) is None


def test_what_fits_is_allowed_up_to_the_last_of_it() -> None:
    most = Demand(
        Quantum(8000, 16 << 30, devices=(("gpu", 2),)), 4, 3600, (IMAGE,), (0, 30000, 30999)
    )
    assert judged(VO_STAR, most) is None


BEYOND = {
    "cpus": (asks(quantum=Quantum(8001)), "line 5, `ceiling = {}`", "at most 8 cpus"),
    "memory": (asks(quantum=Quantum(0, 17 << 30)), "17 GiB memory", "at most 16 GiB memory"),
    "workspaces": (asks(workspaces=5), "star asks for 5 workspaces", "at most 4 workspaces"),
    "devices": (asks(quantum=Quantum(devices=(("gpu", 3),))), "3 devices", "at most 2 devices"),
    "lease": (asks(lease_s=3601), "a lease of 1 h", "at most a lease of 1 h"),
    "image": (asks(images=(IMAGE, IMAGE_2)), "line 6, `images = [...]`", f"sha256:{'a' * 16}..."),
    "port": (
        asks(ports=(31000,)),
        "line 3, `[vo.star]`: star may not be reached at port 31000",
        "30000-30999",
    ),
    "device": (asks(quantum=Quantum(devices=(("fpga", 1),))), "device fpga", "gpu"),
    "egress": (asks(egress=True), "out to the internet", "without"),
}


@pytest.mark.parametrize("rule", list(BEYOND))
def test_each_rule_forbids_by_itself(rule: str) -> None:
    demand, why, allowed = BEYOND[rule]
    no = judged(VO_STAR, demand)
    assert no is not None
    assert why in no.why
    assert allowed in no.allowed


def test_what_is_there_already_counts() -> None:
    there = Demand(Quantum(7500), workspaces=3)
    no = judged(VO_STAR, used=there)
    assert no is not None
    assert "1 cpu beside 7.5 cpus" in no.why
    assert judged(VO_STAR, asks(quantum=Quantum(500)), there) is None
    assert judged(VO_STAR, asks(quantum=Quantum()), Demand(workspaces=4)) is not None
    # What is over already stops nothing that asks for no more of it.
    assert judged(VO_STAR, asks(workspaces=0), Demand(workspaces=9)) is None


def test_no_port_and_no_device_if_the_file_names_none() -> None:
    bare = policy(4, VoTerms("star", STAR))
    for demand in (
        asks(ports=(0,)),
        asks(ports=(30000,)),
        asks(quantum=Quantum(devices=(("gpu", 1),))),
    ):
        assert judged(VO_STAR, demand, said=bare) is not None
    assert judged(VO_STAR, asks(images=(IMAGE_2,), workspaces=4000), said=bare) is None


def member(**link: Any) -> Owner:
    return Owner(STAR, vo="star", links=(Link(key("d"), "ann", "0" * 64, **link),))


GRANTED = {
    "site": (member(sites=("fra", "uc")), SMALL, "not for site ams", "fra, uc"),
    "ceiling": (
        member(ceilings=Ceilings(workspaces=0)),
        SMALL,
        "1 workspace",
        "at most 0 workspaces",
    ),
    "lease": (
        member(ceilings=Ceilings(lease_s=60)),
        SMALL,
        "longest-lease",
        "at most a lease of 1 min",
    ),
}


@pytest.mark.parametrize("rule", list(GRANTED))
def test_a_grant_is_judged_at_the_same_place(rule: str) -> None:
    owner, demand, why, allowed = GRANTED[rule]
    no = judged(owner, demand)
    assert no is not None
    assert why in no.why
    assert allowed in no.allowed
    assert judged(member(sites=("ams",)), demand) is None


def test_each_ceiling_of_a_chain_counts_what_is_below_it() -> None:
    two = Ceilings(workspaces=2)
    above, below, login = key("d"), key("e"), key("f")
    chain = (Link(above, "ann", "0" * 64, ceilings=two), Link(below, "bob", "1" * 64, ceilings=two))
    owner = Owner(STAR, vo="star", links=chain)
    two_there = Demand(workspaces=2)
    for who, name in ((above, "ann"), (below, "bob")):
        no = judged(owner, used=two_there, by=who)
        assert no is not None
        assert f"the grant to {name} has a ceiling for workspaces" in no.why
    as_login = Owner(
        STAR, vo="star", links=(*chain, Link(login, "", "2" * 64, ceilings=two, login=True))
    )
    assert judged(as_login, used=two_there, by=below) is not None
    assert judged(as_login, used=two_there, by=login) is None


def test_a_refusal_says_the_rule_and_what_would_work() -> None:
    assert str(Forbidden("no", "yes")) == "no; allowed: yes"
