"""A member that has everybody keep what it says: it fills its own budget, and nobody else's.

After each attack a host that is new is heard of, and one of another site tells of its grid. Then the attacked
peer starts again, is told everything once more, and stands as before.
"""

from unittest.mock import patch

import msgspec
import pytest
from lying_member import HONEST_SITE, OTHER_SITE, Attacked, presence, says

from protocol.terms.kinds import KINDS
from protocol.trust.record import SignedRecord

MANY_S = 3600 * 86400.0
ONE_HOST_BYTES, ONE_SITE_BYTES = 9 << 20, 36 << 20
"""What one host, and one site, may have kept of all kinds together, with what is honest."""


def is_heard(attacked: Attacked, turn: int) -> None:
    """A newcomer, and a grid of another site, come through all the same."""
    name = f"new-{turn}"
    attacked.spreads(presence(name, HONEST_SITE))
    attacked.spreads(says(name, HONEST_SITE, "grid", b"", "a.0-b"))
    assert attacked.kept("presence", name, HONEST_SITE) == 1
    assert attacked.kept("grid", name, HONEST_SITE) == 1


def filled(attacked: Attacked, records: list[SignedRecord], most_bytes: int) -> None:
    """Says all of it, also to the peer's next life."""
    for turn in range(2):
        attacked.spreads(*records)
        assert attacked.kept_bytes() <= most_bytes
        is_heard(attacked, turn)
        attacked.node.check()
        attacked.restart()


def test_records_of_kinds_that_nobody_knows_are_not_kept() -> None:
    attacked = Attacked()
    blobs = [says("mallory", OTHER_SITE, "blob", bytes(1000), f"n{n}") for n in range(100)]
    filled(attacked, blobs, 100_000)
    attacked.spreads(*blobs[:8])
    assert attacked.kept("blob") == 0
    assert attacked.counts["unknown-kind"] == 8


@pytest.mark.parametrize("kind", ["grid", "news", "suspicion"])
def test_a_host_that_says_more_than_its_share_loses_its_own_oldest(kind: str) -> None:
    attacked = Attacked()
    size = {"grid": 60_000, "news": 4_000, "suspicion": 500}[kind]
    words = [
        says("mallory", OTHER_SITE, kind, bytes(size), f"n{n}", n + 1)
        for n in range(0, 300 if kind != "grid" else 200)
    ]
    filled(attacked, words, ONE_HOST_BYTES)
    attacked.spreads(*words)
    assert attacked.kept(kind) < len(words)
    assert attacked.counts["beyond-budget"] > 0
    mallory = attacked.node.quarantines.faults(attacked.mallory)
    assert mallory >= attacked.counts["beyond-budget"], "it is known whose they were"


def test_small_records_are_as_bounded_as_large_ones() -> None:
    attacked = Attacked()
    words = [says("mallory", OTHER_SITE, "grid", b"", f"n{n}", n + 1) for n in range(3000)]
    filled(attacked, words, ONE_HOST_BYTES)
    attacked.spreads(*words)
    assert attacked.kept("grid") < 2500


def test_what_is_to_live_for_ten_years_is_not_kept() -> None:
    attacked = Attacked()
    words = [says("mallory", OTHER_SITE, "grid", b"", f"n{n}", 1, MANY_S) for n in range(8)]
    filled(attacked, words, 100_000)
    attacked.spreads(*words)
    assert attacked.kept("grid") == 0


def test_a_host_has_one_advert_and_one_summary() -> None:
    attacked = Attacked()
    for kind in ("advert", "site"):
        words = [says("mallory", OTHER_SITE, kind, bytes(7000), f"n{n}") for n in range(50)]
        filled(attacked, words, 100_000)
        attacked.spreads(*words)
        assert attacked.kept(kind) == 0


def test_scopes_that_are_no_sites_are_not_begun() -> None:
    """A scope costs every peer its digests, and comparisons tell 256 of them."""
    attacked = Attacked()
    words = [
        says("mallory", OTHER_SITE, "news", b"", f"n{n % 60}", n + 1, 600.0, f"a{n}")
        for n in range(300)
    ]
    filled(attacked, words, 100_000)
    attacked.spreads(*words)
    assert [r.scope for r in attacked.node.broadcast.directory.roots()] == ["s1", "s2"]


def test_a_whole_site_has_its_share_and_no_more() -> None:
    attacked = Attacked()
    for number in range(8):
        name = f"m{number}"
        attacked.spreads(presence(name, OTHER_SITE))
        attacked.spreads(
            *[says(name, OTHER_SITE, "grid", bytes(60_000), f"n{n}", n + 1) for n in range(100)]
        )
    assert attacked.kept_bytes() <= ONE_SITE_BYTES
    assert {attacked.kept("grid", f"m{n}", OTHER_SITE) > 50 for n in range(8)} == {True}
    is_heard(attacked, 0)
    attacked.node.check()


def test_records_that_end_at_once_leave_no_more_behind_than_others() -> None:
    """A tombstone for each, and the moment of its end: both are bounded."""
    attacked = Attacked()
    for turn in range(60):
        attacked.spreads(
            *[
                says("mallory", OTHER_SITE, "news", b"", f"n{n}-{turn}", turn * 400 + n + 1, 0.01)
                for n in range(400)
            ]
        )
        attacked.now += 5.0
        attacked.says_nothing()
    directory = attacked.node.broadcast.directory
    assert len(directory._tombs) <= 17_000
    assert len(directory._ends) < 1_000
    is_heard(attacked, 0)


def test_revocations_of_a_site_are_bounded_on_disk_too() -> None:
    """Everybody keeps them, for as long as certificates last."""
    attacked = Attacked()
    with patch.dict(KINDS, {"revocation": msgspec.structs.replace(KINDS["revocation"], number=50)}):
        attacked.spreads(*[attacked.revocation(number) for number in range(200)])
        assert len(attacked.rows["revocation"]) == 50
        attacked.restart()
        assert len(attacked.rows["revocation"]) == 50
        assert len(attacked.node.certificates.revocations) == 50
        is_heard(attacked, 0)
