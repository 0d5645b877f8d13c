"""What a steward makes of a site's allotments, by what it knows of the site."""

from types import SimpleNamespace

from protocol.capacity.allotments import Allotments, Amounts, Line
from protocol.node.governing import Governing
from protocol.policy.site_policy import SitePolicy, VoTerms
from protocol.terms.ids import KeyId, PeerId, StoreId
from protocol.trust.ceilings import Ceilings
from protocol.trust.owner import Owner

STAR, SITE = KeyId("5" * 64), Owner(KeyId("a" * 64), site="s1")
LINES = tuple(Line(PeerId(host), StoreId("1"), 1) for host in "hr")


def governing(policy: SitePolicy | None, revoked: str = "") -> Governing:
    policies = SimpleNamespace(of=lambda key: policy if key == SITE.key else None)
    certificates = SimpleNamespace(is_revoked=lambda host, site: host == revoked and site == "s1")
    return Governing(policies, certificates)  # type: ignore[arg-type]  # what of them is asked


def test_without_a_policy_nothing_changes() -> None:
    value = Allotments(3, 2, ((STAR, Amounts(1)),), LINES)
    assert governing(None)(SITE, value) == value


def test_the_ceilings_are_those_of_the_newest_policy_and_removed_hosts_have_none() -> None:
    policy = SitePolicy("s1", 5, 0.0, (), vos=(VoTerms("star", STAR, ceiling=Ceilings(7)),))
    after = governing(policy, revoked="r")(SITE, Allotments(3, 2, (), LINES))
    assert (after.policy, after.ceiling(STAR).cpus_milli) == (5, 7)
    assert [line.host for line in after.lines] == ["h"]
