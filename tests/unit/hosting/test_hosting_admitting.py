"""Whether a host takes part: its site's newest policy, and the grants that are shown, at each step."""

from random import Random
from typing import Any

import hosting_world
import msgspec
import pytest
from deciding import decided
from hosting_world import FACTS, FEDERATION, REQUEST, One, named, notes
from negotiating import ADMIN, MIB, NOW, RIVAL, A, B, C, shop
from organisation import Organisation

from protocol.capacity.advert import GivenPorts
from protocol.contract.authority import Authority
from protocol.contract.messages import (
    Act,
    ActReply,
    Decided,
    HoldAsk,
    HoldReply,
    LeaseAsk,
    LeaseReply,
    RoomClaim,
)
from protocol.grid.model import Exposure, ImageRef
from protocol.grid.record import LeaseChange, grid_id, vni_of
from protocol.grid.stopping import RebuildTerms
from protocol.policy.site_policy import Line, PortSpan, SitePolicy, VoTerms
from protocol.sim.keys import SimVerifier
from protocol.sim.people import Person
from protocol.terms.effects import Effect, Send
from protocol.terms.ids import Digest, KeyId
from protocol.terms.limits import HOLD_S
from protocol.terms.refusal import PORTS, Constraint
from protocol.trust.ceilings import Ceilings
from protocol.trust.order import Action, SignedOrder
from protocol.wire.codec import encode

STAR = Organisation("star", from_s=NOW - 1000, until_s=NOW + 1_000_000)
HOUR_S = 3600


def member(name: str = "ann", **grant: Any) -> Person:
    chain = STAR.grant(name, **grant)
    return Person(STAR.key_of(name), (), chain, Random(7), lambda: (A, B, C))


def policy(number: int = 1, **terms: Any) -> SitePolicy:
    """One that lets in VO star, on those terms."""
    lines = (Line("", 3, "[vo.star]"),)
    return lending(number, VoTerms("star", STAR.signer.key, lines=lines, **terms))


def lending(number: int, *vos: VoTerms) -> SitePolicy:
    return SitePolicy("s1", number, NOW, (), vos=vos)


@pytest.fixture
def one(monkeypatch: pytest.MonkeyPatch) -> One:
    authority = Authority(FEDERATION.key, SimVerifier(), admitted=(STAR.signer.key,))
    monkeypatch.setattr(hosting_world, "AUTHORITY", authority)
    return One()


def refused(reply: HoldReply) -> str:
    """Why nothing is held by the policy."""
    assert reply.held == ()
    ((_, refusal),) = reply.refused
    stranger = "does not name" in refusal.detail or "no policy" in refusal.detail
    assert refusal.constraint is (Constraint.AUTHORITY if stranger else Constraint.POLICY), refusal
    return refusal.detail


def replies(effects: list[Effect]) -> list[object]:
    return [effect.message for effect in effects if isinstance(effect, Send)]


def leased(one: One, order: SignedOrder) -> None:
    assert one.holds(order).held == ("web-1",)
    one.hears(Decided(decided(one.record(order)).certificate))
    assert one.host.leases.row(grid_id(order)) is not None


def test_without_a_policy_other_sites_are_let_in_and_no_organisation(one: One) -> None:
    assert one.holds(RIVAL.up(shop(1), NOW)).held == ("web-1",)
    assert "published no policy" in refused(one.holds(member().up(shop(1), NOW)))


def test_a_policy_shuts_out_whom_it_does_not_name_as_soon_as_it_is_heard(one: One) -> None:
    rival = RIVAL.up(shop(1), NOW)
    one.around.said = policy()
    assert "policy 1 of site s1 does not name s2" in refused(one.holds(rival))
    one.around.said = lending(2, VoTerms("s2", FEDERATION.site("s2").key))
    assert one.holds(rival).held == ("web-1",)
    assert "does not name vo:star" in refused(one.holds(member().up(shop(1), NOW)))


def test_a_quote_says_so_to_who_says_whose_the_grid_is_to_be(one: One) -> None:
    def quoted(owner: str, label: str) -> str:
        refusal = one.quote(owner=KeyId(owner), site=label).refused
        return refusal.detail if refusal is not None else ""

    rival, own = FEDERATION.site("s2").key, FEDERATION.site("s1").key
    assert quoted(rival, "s2") == ""
    assert "published no policy" in quoted(STAR.signer.key, "vo:star")
    one.around.said = policy()
    assert "does not name s2" in quoted(rival, "s2")
    assert quoted(STAR.signer.key, "vo:star") == ""
    assert quoted(own, "s1") == ""
    assert quoted("", "s2") == "", "a plan may be anybody's"


def test_the_site_itself_is_always_let_in(one: One) -> None:
    one.around.said = lending(1)
    assert one.holds(ADMIN.up(shop(1), NOW)).held == ("web-1",)


def test_an_older_policy_than_the_certificate_names_lets_nobody_in_but_the_site(one: One) -> None:
    """A new host cannot be fed last year's policy, nor none."""
    one.around.least = 2
    for said in (None, policy(1)):
        one.around.said = said
        assert "has yet to hear policy 2" in refused(one.holds(RIVAL.up(shop(1), NOW)))
        assert "has yet to hear policy 2" in refused(one.holds(member().up(shop(1), NOW)))
    one.around.said = policy(2)
    assert one.holds(member().up(shop(1), NOW)).held == ("web-1",)
    one.around.said = None
    assert one.holds(ADMIN.up(named("own"), NOW)).held == ("web-1",)


def test_a_member_holds_what_the_policy_and_the_grant_allow(one: One) -> None:
    one.around.said = policy(ceiling=Ceilings(lease_s=HOUR_S, memory_bytes=128 * MIB))
    ann = member(ceilings=Ceilings(lease_s=HOUR_S // 2))
    no = refused(one.holds(ann.up(shop(1, memory_mib=256, lease_s=600), NOW)))
    assert "line 3, `[vo.star]`: star asks for 256 MiB memory; allowed: at most 128 MiB" in no
    no = refused(one.holds(ann.up(shop(1, lease_s=HOUR_S), NOW)))
    assert "the grant to ann has a ceiling for longest-lease" in no
    elsewhere = member("bob", sites=("s2",)).up(shop(1, lease_s=600), NOW)
    assert "the grant is not for site s1; allowed: s2" in refused(one.holds(elsewhere))
    assert one.holds(ann.up(shop(1, lease_s=600), NOW)).held == ("web-1",)


def test_what_is_held_already_is_said_again_under_a_newer_policy(one: One) -> None:
    one.around.said = policy()
    order = member().up(shop(1), NOW)
    assert one.holds(order).held == ("web-1",)
    one.around.said = lending(2)
    assert one.holds(order).held == ("web-1",)


def test_a_hold_does_not_become_a_lease_under_a_policy_that_forbids_it(one: One) -> None:
    one.around.said = policy()
    order = member().up(shop(1), NOW)
    assert one.holds(order).held == ("web-1",)
    one.around.said = lending(2)
    said = notes(one.hears(Decided(decided(one.record(order)).certificate)))
    ((kind, why),) = said
    assert kind == "record.refused"
    assert "policy 2 of site s1 does not name vo:star" in why
    assert one.host.leases.row(grid_id(order)) is None


def test_whose_policy_was_lost_acts_no_more_but_may_end_it(one: One) -> None:
    one.around.said = policy()
    ann = member()
    order = ann.up(shop(1), NOW)
    leased(one, order)
    grid = grid_id(order)

    def acts(action: Action) -> str:
        act = Act(REQUEST, grid, ann.order(action, grid, NOW + 1, workspace="web-1"))
        (reply,) = [each for each in replies(one.hears(act, NOW + 1)) if isinstance(each, ActReply)]
        return reply.problem

    assert acts(Action.PAUSE) == ""
    one.around.said = lending(2)
    assert "does not name vo:star" in acts(Action.RESUME)
    more = ann.order(Action.LEASE, grid, NOW + 1, body=encode(LeaseChange(60)))
    (reply,) = replies(one.hears(LeaseAsk(REQUEST, grid, more), NOW + 1))
    assert isinstance(reply, LeaseReply)
    assert "does not name vo:star" in reply.problem
    assert acts(Action.DOWN) == ""


def test_a_lease_is_extended_up_to_the_longest_and_no_further(one: One) -> None:
    one.around.said = policy(ceiling=Ceilings(lease_s=HOUR_S))
    ann = member()
    order = ann.up(shop(1, lease_s=1800), NOW)
    leased(one, order)
    grid = grid_id(order)
    for by_s, why in ((1801, "at most a lease of 1 h"), (1800, ""), (-60, "does not extend")):
        more = ann.order(Action.LEASE, grid, NOW + 1, body=encode(LeaseChange(by_s)))
        (reply,) = replies(one.hears(LeaseAsk(REQUEST, grid, more), NOW + 1))
        assert isinstance(reply, LeaseReply)
        assert why in reply.problem
        assert bool(reply.problem) is bool(why)


def test_a_claim_is_kept_for_nobody_who_is_not_let_in(one: One) -> None:
    one.around.said = lending(1)
    said = one.hears(RoomClaim(RIVAL.up(shop(1), NOW), ("web-1",)))
    assert notes(said)[0][0] == "claim.refused"
    assert len(one.host.claims) == 0


def test_what_is_used_counts_but_not_what_is_to_make_place(one: One) -> None:
    """A host at the ceiling takes the grid of a plan that is held, and not another one."""
    one.around.said = policy(ceiling=Ceilings(workspaces=1))
    ann = member()
    plan = ann.hold(shop(1), 600.0, NOW)
    assert one.holds(plan).held == ("web-1",)
    assert "beside 1 workspace" in refused(one.holds(ann.up(named("other"), NOW)))
    up = ann.up(shop(1), NOW)
    grid = grid_id(up)
    ask = HoldAsk(
        grid, up, ("web-1",), (("lan", vni_of(grid, "lan")),), HOLD_S, instead=grid_id(plan)
    )
    (reply,) = replies(one.hears(ask))
    assert isinstance(reply, HoldReply)
    assert reply.held == ("web-1",)


def test_nobody_makes_place_by_naming_anothers_plan(one: One) -> None:
    one.around.said = policy(ceiling=Ceilings(workspaces=0))
    theirs = ADMIN.hold(shop(1), 600.0, NOW)
    assert one.holds(theirs).held == ("web-1",)
    up = member().up(shop(1), NOW)
    grid = grid_id(up)
    ask = HoldAsk(
        grid, up, ("web-1",), (("lan", vni_of(grid, "lan")),), HOLD_S, instead=grid_id(theirs)
    )
    (reply,) = replies(one.hears(ask))
    assert isinstance(reply, HoldReply)
    assert "at most 0 workspaces" in refused(reply)


def test_a_port_is_chosen_among_those_that_the_site_lends(one: One) -> None:
    ports = GivenPorts(30_000, 30_004, "198.51.100.7")
    capacity = msgspec.structs.replace(FACTS.capacity, devices=((PORTS, 5),))
    one.facts = msgspec.structs.replace(FACTS, capacity=capacity, ports=ports)
    one.start()
    one.around.said = policy(expose=(PortSpan(30_003, 30_003), PortSpan(31_000, 31_999)))
    ann = member()

    def asks(name: str, outside: int = 0) -> SignedOrder:
        spec = shop(1)
        cluster = msgspec.structs.replace(spec.clusters[0], expose=(Exposure(22, outside=outside),))
        return ann.up(msgspec.structs.replace(spec, name=name, clusters=(cluster,)), NOW)

    assert "may not be reached at port 30001" in refused(one.holds(asks("a", 30_001)))
    order = asks("b")
    assert one.holds(order).held == ("web-1",)
    row = one.host.holds.row(grid_id(order))
    assert row is not None
    assert [port.outside for port in row.exposes] == [30_003]
    ((_, none),) = one.holds(asks("c")).refused
    assert "of those that its site lends to this owner, 30003-30003, 31000-31999" in none.detail


def test_a_lease_that_stewards_alone_made_longer_than_is_lent_is_not_longer_here(one: One) -> None:
    one.around.said = policy(ceiling=Ceilings(lease_s=HOUR_S))
    ann = member()
    order = ann.up(shop(1, lease_s=1800), NOW)
    leased(one, order)
    row = one.host.leases.row(grid_id(order))
    assert row is not None
    for extra_s, may in ((1800, True), (1801, False)):
        record = msgspec.structs.replace(row.record, extra_s=extra_s)
        assert one.host.admitting.lasts(msgspec.structs.replace(row, record=record)) is may


def test_nor_is_it_once_the_grant_that_it_was_ordered_by_has_ended(one: One) -> None:
    """A VO can have each grid ordered by a grant of a few minutes, and extended by another."""
    one.around.said = policy(ceiling=Ceilings(lease_s=HOUR_S))
    order = member(not_after_s=NOW + 600).up(shop(1, lease_s=1800), NOW)
    leased(one, order)
    one.host.tick(NOW + 700)
    row = one.host.leases.row(grid_id(order))
    assert row is not None
    for extra_s, may in ((1800, True), (1801, False)):
        record = msgspec.structs.replace(row.record, extra_s=extra_s)
        assert one.host.admitting.lasts(msgspec.structs.replace(row, record=record)) is may


def test_no_room_is_claimed_beyond_a_ceiling(one: One) -> None:
    one.around.said = policy(ceiling=Ceilings(workspaces=1))
    said = one.hears(RoomClaim(member().up(shop(2), NOW), ("web-1", "web-2")))
    assert notes(said)[0][0] == "claim.refused"
    assert len(one.host.claims) == 0
    one.hears(RoomClaim(member().up(shop(2), NOW), ("web-1",)))
    assert len(one.host.claims) == 1


def test_no_image_comes_by_a_rebuild_that_does_not_come_by_an_up(one: One) -> None:
    one.around.said = policy()
    ann = member()
    order = ann.up(shop(1), NOW)
    leased(one, order)
    allowed, other = Digest("a" * 64), Digest("b" * 64)
    one.around.said = policy(2, images=(allowed,))

    def rebuilds(digest: str) -> str:
        body = encode(RebuildTerms(ImageRef("x", digest)))
        act = ann.order(Action.REBUILD, grid_id(order), NOW + 1, workspace="web-1", body=body)
        (reply,) = replies(one.hears(Act(REQUEST, grid_id(order), act), NOW + 1))
        assert isinstance(reply, ActReply)
        return reply.problem

    assert "star may not use image bbbbbbbbbbbbbbbb..." in rebuilds(other)
    assert "star may not use" not in rebuilds(allowed)
    assert "star may not use" not in rebuilds("")
