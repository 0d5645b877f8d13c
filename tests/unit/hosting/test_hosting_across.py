"""What a host knows of what a member has elsewhere: who waits for it, and what it refuses by that."""

import hosting_world
import msgspec
import pytest
from hosting_world import FEDERATION, GRID, One, named
from member_grids import STAR, made, person, tells, wide
from negotiating import NOW, A, B, C

from protocol.contract.authority import Authority
from protocol.contract.messages import HoldReply
from protocol.contract.notices import Notice
from protocol.contract.outcomes import CheckGrids
from protocol.contract.told import known_of
from protocol.grid.model import GridSpec
from protocol.grid.record import GridRecord, GridState
from protocol.hosting.across import WAITS_S
from protocol.policy.site_policy import Line, SitePolicy, VoTerms
from protocol.sim.keys import SimVerifier
from protocol.terms.ids import GridId, PeerId
from protocol.terms.refusal import Constraint

SPEC = wide("there", 3)
THERE = made(SPEC, B, C, C)
LATER = NOW + WAITS_S + 0.1


@pytest.fixture
def one(monkeypatch: pytest.MonkeyPatch) -> One:
    authority = Authority(FEDERATION.key, SimVerifier(), admitted=(STAR.signer.key,))
    monkeypatch.setattr(hosting_world, "AUTHORITY", authority)
    one = One()
    terms = VoTerms("star", STAR.signer.key, lines=(Line("", 3, "[vo.star]"),))
    one.around.said = SitePolicy("s1", 1, NOW, (), vos=(terms,))
    return one


def hears(one: One, peer: PeerId, notice: Notice, now: float = NOW) -> list[GridId]:
    """Which grids it wants to know for that."""
    one.notices.put(peer, notice, now)
    one.host.noticed(peer, notice, now)
    _, outcomes = one.host.tick(now)
    return [g for each in outcomes if isinstance(each, CheckGrids) for g in each.grids]


def tell(one: One, record: GridRecord = THERE, spec: GridSpec = SPEC) -> None:
    for peer in record.carriers():
        hears(one, peer, tells(record, spec, peer))


def know(one: One, record: GridRecord = THERE, spec: GridSpec = SPEC) -> None:
    one.notices.know(known_of(record, spec, b"d" * 32))


def asks(one: One, cpus_milli: int, now: float = NOW) -> HoldReply:
    return one.holds(person().up(wide("here", 1, cpus_milli), NOW), now)


def wants(one: One) -> list[GridId]:
    """What it wants to know after it was asked for something."""
    return [g for each in one.outcomes if isinstance(each, CheckGrids) for g in each.grids]


def refusal(reply: HoldReply) -> tuple[Constraint, str]:
    assert reply.held == ()
    ((_, refused),) = reply.refused
    return refused.constraint, refused.detail


def test_who_asks_for_the_first_time_waits_until_it_is_known_what_they_have(one: One) -> None:
    tell(one)
    constraint, why = refusal(asks(one, 2000))
    assert constraint is Constraint.CONTENDED
    assert "try again in a moment" in why
    assert wants(one) == [THERE.id]
    know(one)
    constraint, why = refusal(asks(one, 2000))
    assert constraint is Constraint.POLICY
    assert why == (
        "the grant to ann has a ceiling for cpus at all its sites together, and this asks for 2 cpus"
        " beside 3 cpus; allowed: at most 4 cpus"
    )
    assert asks(one, 1000).held == ("web-1",)


def test_what_nobody_proves_is_waited_for_once_and_does_not_count(one: One) -> None:
    tell(one)
    assert refusal(asks(one, 4000))[0] is Constraint.CONTENDED
    assert asks(one, 4000, LATER).held == ("web-1",)
    assert wants(one) == [THERE.id], "it is looked at all the same"


def test_nobody_waits_who_has_nothing_elsewhere_or_no_ceiling_there(one: One) -> None:
    assert asks(one, 4000).held == ("web-1",)
    other = One()
    other.around.said = one.around.said
    tell(other)
    for grant in ({"sites": ("s1",)}, {"ceilings": msgspec.UNSET}):
        known = {k: v for k, v in grant.items() if v is not msgspec.UNSET}
        if known:
            assert other.holds(person(**known).up(wide("h1"), NOW)).held == ("web-1",)


def test_a_site_is_never_asked_to_wait(one: One) -> None:
    tell(one)
    assert one.holds().held == ("web-1",)
    assert wants(one) == []
    assert GRID


def test_what_is_told_later_is_looked_at_when_it_is_told(one: One) -> None:
    assert hears(one, B, tells(THERE, SPEC, B)) == [], "nobody has asked for anything here"
    one.notices.drop(B, THERE.id)
    assert asks(one, 1000).held == ("web-1",)
    assert hears(one, B, tells(THERE, SPEC, B), NOW + 5) == [THERE.id]
    know(one)
    assert hears(one, C, tells(THERE, SPEC, C), NOW + 6) == []
    newer = msgspec.structs.replace(tells(THERE, SPEC, C), epoch=2)
    assert hears(one, C, newer, NOW + 7) == [THERE.id]
    assert hears(one, C, newer, NOW + 3600) == [], "the member was not here for a while"


def test_what_was_taken_down_counts_no_more(one: One) -> None:
    tell(one)
    know(one)
    assert refusal(asks(one, 2000))[0] is Constraint.POLICY
    know(one, msgspec.structs.replace(THERE, epoch=2, state=GridState.DOWN))
    assert asks(one, 4000).held == ("web-1",)


def test_only_what_its_hosts_say_that_they_hold_counts(one: One) -> None:
    hears(one, B, tells(THERE, SPEC, B))
    know(one)
    assert refusal(asks(one, 4000))[0] is Constraint.POLICY
    assert asks(one, 3000).held == ("web-1",), "C says nothing of its two"


def test_a_stranger_to_a_grid_adds_nothing_to_it(one: One) -> None:
    tell(one)
    know(one)
    much = msgspec.structs.replace(tells(THERE, SPEC, C), line=(STAR.key_of("bob").key,))
    hears(one, A, much)
    bob = person("bob").up(wide("bobs", 1, 4000), NOW)
    assert one.holds(bob, LATER).held == ("web-1",), "it is no order of bob's"


def test_an_order_counts_in_whole_wherever_its_parts_go(one: One) -> None:
    """Each host sees but its own part of it."""
    order = person().up(wide("large", 5), NOW)
    constraint, why = refusal(one.holds(order))
    assert constraint is Constraint.POLICY
    assert "asks for 5 cpus; allowed: at most 4 cpus" in why


def test_a_hold_said_again_counts_once(one: One) -> None:
    order = person().up(wide("here", 1, 4000), NOW)
    assert one.holds(order).held == ("web-1",)
    assert one.holds(order).held == ("web-1",)
    assert refusal(one.holds(person().up(named("more"), NOW)))[0] is Constraint.POLICY


def test_sites_take_turns_in_what_is_looked_at(one: One) -> None:
    """A site that tells of very many is not looked at alone."""
    ann = tells(THERE, SPEC, B).line
    for number in range(200):
        lie = msgspec.structs.replace(
            tells(THERE, SPEC, B), grid=GridId(f"{number:020x}.0"), line=ann
        )
        one.notices.put(B, lie, NOW)
    one.notices.put(C, tells(THERE, SPEC, C), NOW)
    assert refusal(asks(one, 1000))[0] is Constraint.CONTENDED
    asked = wants(one)
    assert THERE.id in asked
    assert len(asked) < 100
