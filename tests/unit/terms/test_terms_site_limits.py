"""What one site has of something leaves most of it to others, and is no less than what one of its hosts has."""

import pytest

from protocol.terms import limits, site_limits


@pytest.mark.parametrize(
    ("of_site", "of_all"),
    [
        (site_limits.CLAIMS_OF_SITE, limits.CLAIMS_PER_HOST),
        (site_limits.HALF_PATHS_OF_SITE, limits.HALF_PATHS),
        (site_limits.PATHS_OF_SITE, limits.PATHS),
        (site_limits.CALLS_OF_SITE, limits.CALLS),
        (site_limits.RELAYED_QUEUE_BYTES_OF_SITE, limits.RELAYED_QUEUE_BYTES_ALL),
    ],
)
def test_four_sites_that_want_all_of_it_have_a_quarter_each(of_site: int, of_all: int) -> None:
    assert 4 * of_site == of_all


def test_a_site_with_one_host_has_what_that_host_may_have() -> None:
    assert site_limits.RELAYED_QUEUE_BYTES_OF_SITE >= limits.RELAYED_QUEUE_BYTES
