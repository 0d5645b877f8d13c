"""Whose terms a policy has, and which line says them."""

import pytest
from some_policies import CMS, STAR, STAR_TERMS, policy

from protocol.capacity.allotments import Amounts
from protocol.policy.site_policy import Line, PortSpan, SitePolicy, VoTerms
from protocol.terms.ids import KeyId
from protocol.terms.ranges import AMOUNT_MOST
from protocol.trust.ceilings import Ceilings


def test_terms_are_by_key_and_not_by_name() -> None:
    assert policy().terms(STAR) is STAR_TERMS
    assert policy().terms(CMS) is None


@pytest.mark.parametrize(
    ("key", "line"),
    [("images", 6), ("ceiling.cpus", 5), ("egress", 3), ("", 3)],
    ids=["its own", "its table's", "the organisation's", "the table itself"],
)
def test_a_rule_cites_the_nearest_line(key: str, line: int) -> None:
    cited = STAR_TERMS.line(key)
    assert isinstance(cited, Line)
    assert cited.number == line


def test_a_policy_is_called_by_number_and_site_or_by_its_file() -> None:
    assert policy(3).title == "policy 3 of site ams"
    assert policy(0, site="new.toml").title == "new.toml"


def test_a_range_of_ports_has_both_ends() -> None:
    span = PortSpan(30000, 30001)
    assert [port in span for port in (29999, 30000, 30001, 30002)] == [False, True, True, False]
    assert str(span) == "30000-30001"


def test_counted_is_who_has_a_ceiling_of_what_is_there_at_once() -> None:
    star, cms, sdss = KeyId("5" * 64), KeyId("6" * 64), KeyId("7" * 64)
    vos = (
        VoTerms("star", star, ceiling=Ceilings(cpus_milli=8000, devices=0)),
        VoTerms("cms", cms, ceiling=Ceilings(lease_s=60)),
        VoTerms("sdss", sdss),
    )
    policy = SitePolicy("ams", 1, 0.0, (), vos=vos)
    most = AMOUNT_MOST
    assert policy.counted == ((star, Amounts(8000, most, most, most, 0)),)
