"""Priority by what each used lately: exact, halved in a week, the same however often it is looked at."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from protocol.capacity.quantum import Quantum
from protocol.policy.shares import (
    ACCOUNTS_MOST,
    FIRST,
    HALVED_AFTER_H,
    HOUR_S,
    STEPS,
    FairShare,
    Shares,
    Used,
    priority,
    shares_of,
)
from protocol.policy.site_policy import Priority, SitePolicy, VoTerms
from protocol.terms.ids import KeyId
from protocol.wire.codec import decode

GIB = 1 << 30
OFFERED = Quantum(4000, 4 * GIB)
ATLAS, CMS, STAR = KeyId("atlas"), KeyId("cms"), KeyId("star")
NOBODY = KeyId("")
WEEK_S = HALVED_AFTER_H * HOUR_S
NOW = 1_750_000_000 // WEEK_S * WEEK_S
SHARES = Shares(of={ATLAS: 60, CMS: 30, STAR: 10})


def fair(shares: Shares = SHARES, rows: dict[str, bytes] | None = None) -> FairShare:
    return FairShare(lambda: shares, rows or {}, NOW)


def saved(one: FairShare) -> dict[str, bytes]:
    return {key: value for key, value in one.rows() if value is not None}


def test_who_used_less_of_its_share_comes_first() -> None:
    one = fair()
    assert one.standing((ATLAS, ATLAS), OFFERED) == (0, 0)
    for owner in (ATLAS, CMS):
        one.charge((owner, owner), Quantum(1000, GIB), NOW, NOW + 10 * HOUR_S)
    one.advance(NOW + 10 * HOUR_S)
    atlas, cms = (one.standing((o, o), OFFERED)[0] for o in (ATLAS, CMS))
    assert 0 <= cms - 2 * atlas <= 1 < atlas, "it has half of the share"
    assert one.standing((STAR, STAR), OFFERED)[0] == 0


def test_an_owner_that_always_has_its_share_has_priority_one_half() -> None:
    one, until = fair(), NOW + 20 * WEEK_S
    one.charge((ATLAS, ATLAS), Quantum(2400, 0), NOW, until)
    one.advance(until)
    standing = one.standing((ATLAS, ATLAS), OFFERED)
    assert abs(standing[0] - STEPS) < STEPS / 100
    assert abs(priority(standing) - 0.5) < 0.01
    assert priority((0, 0)) == 1.0
    assert priority(FIRST) == 1.0


def test_the_greater_part_of_cpus_and_memory_counts() -> None:
    one, until = fair(), NOW + 10 * HOUR_S
    one.charge((ATLAS, ATLAS), Quantum(1000, 3 * GIB), NOW, until)
    one.charge((CMS, CMS), Quantum(1500, GIB), NOW, until)
    one.advance(until)
    atlas, cms = (one.standing((o, o), OFFERED)[0] for o in (ATLAS, CMS))
    assert atlas == cms > 0, "3/4 of a share of 60 is as much as 3/8 of one of 30"


def test_members_are_ranked_within_their_owner() -> None:
    one, until = fair(), NOW + 10 * HOUR_S
    ann, bob = KeyId("ann"), KeyId("bob")
    one.charge((ATLAS, ann), Quantum(1000), NOW, until)
    one.advance(until)
    (of_ann, much), (of_bob, little) = (one.standing((ATLAS, m), OFFERED) for m in (ann, bob))
    assert of_ann == of_bob > 0
    assert much > little == 0


def test_the_sites_own_work_comes_before_all_other() -> None:
    one = fair(Shares(own=CMS, of={ATLAS: 99}))
    one.charge((CMS, CMS), OFFERED, NOW, NOW + WEEK_S)
    assert one.standing((CMS, CMS), OFFERED) < one.standing((ATLAS, ATLAS), OFFERED)
    assert fair(Shares()).standing((NOBODY, NOBODY), OFFERED) == (0, 0), "nobody is not the site"


def test_shares_are_those_of_the_sites_policy() -> None:
    site = KeyId("site")
    assert shares_of(None, site) == Shares(own=site)
    vos = (VoTerms("atlas", ATLAS, 60), VoTerms("cms", CMS, 30))
    policy = SitePolicy("s1", 1, NOW, (), vos=vos, share=10)
    assert shares_of(policy, site) == Shares(site, {ATLAS: 60, CMS: 30})
    policy = structs.replace(policy, priority=Priority.SHARES)
    assert shares_of(policy, site) == Shares(of={ATLAS: 60, CMS: 30, site: 10})


def test_who_has_no_share_comes_last_and_who_is_not_named_has_the_default() -> None:
    one = fair(Shares(of={ATLAS: 1, CMS: 0}, default=2))
    for owner in (ATLAS, STAR):
        one.charge((owner, owner), Quantum(1000), NOW, NOW + 20 * HOUR_S)
    atlas, cms, star = (one.standing((o, o), OFFERED)[0] for o in (ATLAS, CMS, STAR))
    assert 0 <= atlas - star * 2 <= 1
    assert cms > atlas > star > 0


def test_a_host_that_offers_nothing_ranks_nobody() -> None:
    one = fair()
    one.charge((ATLAS, ATLAS), Quantum(1000), NOW, NOW + HOUR_S)
    assert one.standing((ATLAS, ATLAS), Quantum()) == (0, 0)


def test_a_week_halves_it() -> None:
    used = Used(100, 1 << 40, 1 << 30).at(100 + HALVED_AFTER_H)
    assert abs(used.cpu_milli_s - (1 << 39)) <= HALVED_AFTER_H
    assert abs(used.memory_mib_s - (1 << 29)) <= HALVED_AFTER_H
    assert Used(100, 1 << 60, 1).at(10**9) == Used(10**9)


@given(st.lists(st.integers(1, 5 * HOUR_S), min_size=1, max_size=12), st.integers(1, 64_000))
def test_it_is_the_same_however_often_it_is_counted(parts: list[int], cpus_milli: int) -> None:
    often, once, until = fair(), fair(), NOW + sum(parts)
    at_s = NOW
    for part in parts:
        often.charge((ATLAS, CMS), Quantum(cpus_milli, GIB), at_s, at_s + part)
        at_s += part
        often.advance(at_s)
        often.standing((ATLAS, CMS), OFFERED)
    once.charge((ATLAS, CMS), Quantum(cpus_milli, GIB), NOW, until)
    once.advance(until)
    saved_often = saved(often)
    hour = until // HOUR_S
    for key, value in saved(once).items():
        assert decode(value, Used).at(hour) == decode(saved_often[key], Used).at(hour)
    assert often.standing((ATLAS, CMS), OFFERED) == once.standing((ATLAS, CMS), OFFERED)


def test_it_goes_on_from_the_disk_and_writes_what_changed() -> None:
    one = fair()
    one.charge((ATLAS, CMS), Quantum(1000, GIB), NOW, NOW + 9 * HOUR_S)
    rows = saved(one)
    assert len(rows) == 2, "the owner, and its member"
    assert list(one.rows()) == []
    again = fair(rows=rows)
    for each in (one, again):
        each.advance(NOW + 3 * WEEK_S)
    assert one.standing((ATLAS, CMS), OFFERED) == again.standing((ATLAS, CMS), OFFERED)


def test_who_used_least_is_forgotten_when_there_are_too_many() -> None:
    one = fair()
    one.charge((ATLAS, ATLAS), Quantum(2), NOW, NOW + 9)
    rows = saved(one)
    for number in range(ACCOUNTS_MOST - 2):
        one.charge((CMS, KeyId(f"m{number}")), Quantum(3), NOW, NOW + 9)
    rows |= saved(one)
    assert len(rows) > ACCOUNTS_MOST
    one.charge((STAR, STAR), Quantum(4), NOW, NOW + 9)
    gone = [key for key, value in one.rows() if value is None]
    assert f"{ATLAS}/{ATLAS}" in gone
    assert not [key for key in gone if key.startswith(STAR)]
