"""What a host holds and leases for whom, and that ceilings count it."""

from random import Random
from typing import Any

import hosting_world
import pytest
from deciding import decided
from hosting_world import One, named
from negotiating import ADMIN, NOW, A, B, C, shop
from organisation import Organisation

from protocol.contract.authority import Authority
from protocol.contract.messages import Decided, HoldRelease
from protocol.grid.lifecycle import Phase
from protocol.grid.record import grid_id
from protocol.hosting.events import Progressed
from protocol.hosting.spending import Spending
from protocol.policy.demand import NOTHING, Demand
from protocol.policy.site_policy import Line, SitePolicy, VoTerms
from protocol.sim.keys import SimVerifier
from protocol.sim.people import Person
from protocol.trust.ceilings import Ceilings
from protocol.trust.order import SignedOrder

STAR = Organisation("star", from_s=NOW - 1000, until_s=NOW + 1_000_000)


def key(name: str) -> Any:
    return STAR.key_of(name).key


def person(name: str, **grant: Any) -> Person:
    chain = STAR.grant(name, **grant)
    return Person(STAR.key_of(name), (), chain, Random(7), lambda: (A, B, C))


@pytest.fixture
def one(monkeypatch: pytest.MonkeyPatch) -> One:
    authority = Authority(hosting_world.FEDERATION.key, SimVerifier(), admitted=(STAR.signer.key,))
    monkeypatch.setattr(hosting_world, "AUTHORITY", authority)
    one = One()
    terms = VoTerms("star", STAR.signer.key, lines=(Line("", 3, "[vo.star]"),))
    one.around.said = SitePolicy("s1", 1, NOW, (), vos=(terms,))
    return one


def spending(one: One) -> Spending:
    host = one.host
    at = (hosting_world.AUTHORITY, host.ledger)
    return Spending(*at, host.holds, host.leases, host.foundlings)


def leased(one: One, order: SignedOrder) -> None:
    assert one.holds(order).held == ("web-1",)
    one.hears(Decided(decided(one.record(order)).certificate))


def test_it_counts_for_everybody_in_the_line_and_for_nobody_else(one: One) -> None:
    ann = person("ann")
    bob = person("bob", under=STAR.grant("ann"), by="ann")
    assert one.holds(bob.up(shop(1), NOW)).held == ("web-1",)
    used = spending(one).used
    assert used(STAR.signer.key) == used(key("ann")) == used(key("bob"))
    assert used(key("bob")).workspaces == 1
    assert used(key("bob")).quantum.cpus_milli == 500
    assert used(key("eve")) == NOTHING
    assert used(ADMIN.signer.key) == NOTHING
    assert one.holds(ann.up(named("other"), NOW)).held == ("web-1",)
    assert (used(key("ann")).workspaces, used(key("bob")).workspaces) == (2, 1)


def test_a_ceiling_is_for_all_that_its_holder_has_and_not_for_each_order(one: One) -> None:
    ann = person("ann", ceilings=Ceilings(workspaces=1))
    held = ann.up(shop(1), NOW)
    assert one.holds(held).held == ("web-1",)
    no = one.holds(ann.up(named("other"), NOW))
    assert no.held == ()
    assert "1 workspace beside 1 workspace" in no.refused[0][1].detail
    one.hears(HoldRelease(grid_id(held), ("web-1",)))
    assert one.holds(ann.up(named("other"), NOW + 1), NOW + 1).held == ("web-1",)


def test_what_other_hosts_of_the_site_have_counts_as_well(one: One) -> None:
    ann = person("ann", ceilings=Ceilings(workspaces=2))
    one.around.others[key("ann")] = Demand(workspaces=2)
    no = one.holds(ann.up(shop(1), NOW))
    assert "1 workspace beside 2 workspaces" in no.refused[0][1].detail
    one.around.others[key("ann")] = Demand(workspaces=1)
    assert one.holds(ann.up(shop(1), NOW)).held == ("web-1",)


def test_it_is_told_by_key_but_for_the_site_that_nothing_limits(one: One) -> None:
    assert one.host.advert(NOW).spent == ()
    one.holds(ADMIN.up(named("own"), NOW))
    one.holds(person("ann").up(shop(1), NOW))
    told = {spent.key: spent for spent in one.host.advert(NOW).spent}
    assert sorted(told) == sorted([STAR.signer.key, key("ann")])
    assert (told[key("ann")].workspaces, told[key("ann")].cpus_milli) == (1, 500)


def test_who_is_below_counts_for_who_granted(one: One) -> None:
    under = STAR.grant("ann", ceilings=Ceilings(workspaces=1))
    bob, eve = (person(name, under=under, by="ann") for name in ("bob", "eve"))
    assert one.holds(bob.up(shop(1), NOW)).held == ("web-1",)
    no = one.holds(eve.up(named("other"), NOW))
    assert "the grant to ann" in no.refused[0][1].detail


def test_what_is_leased_counts_whatever_it_does_and_after_a_restart(one: One) -> None:
    order = person("ann").up(shop(1), NOW)
    leased(one, order)
    before = spending(one).used(key("ann"))
    assert before.workspaces == 1
    for phase in (Phase.READY, Phase.SUSPENDED, Phase.OFF):
        one.keep(one.host.handle(Progressed(grid_id(order), "web-1", phase, "", 1), NOW))
        assert spending(one).used(key("ann")) == before
    one.start(NOW + 1)
    assert spending(one).used(key("ann")) == before
    assert spending(one).of(grid_id(order), ["web-1"]) == before
    assert spending(one).of(grid_id(order), ["web-2"]) == Demand()


def test_of_what_is_over_its_disks_count(one: One) -> None:
    order = person("ann").up(shop(1, lease_s=600), NOW)
    leased(one, order)
    before = spending(one).used(key("ann"))
    one.keep(one.host.tick(NOW + 700))
    assert spending(one).used(key("ann")) == before, "it is not stopped yet"
    over = Progressed(grid_id(order), "web-1", Phase.EXPIRED, "", 1)
    one.keep(one.host.handle(over, NOW + 701))
    after = spending(one).used(key("ann"))
    assert (after.workspaces, after.quantum) == (0, before.quantum.kept)
