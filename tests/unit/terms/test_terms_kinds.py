"""The budgets of records make sense beside each other."""

import pytest

from protocol.terms.kinds import KINDS, RECORD_COST_BYTES
from protocol.trust.record import MAX_TTL_S
from protocol.trust.revocation import KIND, VO_KIND
from protocol.wire.limits import MAX_RECORD_BYTES


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_budget_holds_at_least_one_record_of_the_largest(kind: str) -> None:
    limit = KINDS[kind]
    largest_bytes = limit.size_bytes + RECORD_COST_BYTES
    assert largest_bytes <= limit.owner_bytes <= limit.site_bytes
    assert limit.size_bytes <= MAX_RECORD_BYTES
    assert 0 < limit.life_s <= MAX_TTL_S
    assert limit.number * RECORD_COST_BYTES <= limit.owner_bytes, "so many small ones fit"


def test_one_site_costs_everybody_a_bounded_amount() -> None:
    assert sum(limit.site_bytes for limit in KINDS.values()) < 100 << 20


def test_no_vo_takes_from_what_revokes_certificates() -> None:
    vo, certificate = KINDS["vo-revocation"], KINDS["revocation"]
    assert vo.site_bytes < certificate.site_bytes
    assert VO_KIND != KIND
