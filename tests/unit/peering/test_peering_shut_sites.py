"""A site whose hosts said again and again what could not be handled is not believed for a while."""

import pytest

from protocol.peering.shut_sites import TABLE, SiteFaults, counting, faults_of, shut
from protocol.terms.effects import Row
from protocol.terms.ids import KeyId
from protocol.terms.limits import QUARANTINE_FORGIVEN_S, SHUT_OUT_MOST_S, SHUT_OUT_S
from protocol.terms.site_limits import MISHANDLED_OF_SITE, MISHANDLED_WITHIN_S, SITES_WATCHED
from protocol.wire.codec import decode, encode

NOW = 1_000_000.0


def host(number: int) -> KeyId:
    return KeyId(f"{number:064x}")


def written(rows: dict[str, bytes], more: tuple[Row, ...]) -> dict[str, bytes]:
    rows = dict(rows)
    for row in more:
        assert row.table == TABLE
        if row.value is None:
            del rows[row.key]
        else:
            rows[row.key] = row.value
    return rows


def shut_rows(rows: dict[str, bytes], now: float) -> dict[str, float]:
    return shut({TABLE: rows}, now)


def failed(*at_s: float) -> dict[str, bytes]:
    """Another host of the site at each of those times."""
    rows: dict[str, bytes] = {}
    for number, now in enumerate(at_s):
        rows = written(rows, counting(rows, "s9", host(number), now))
    return rows


def test_one_or_two_are_a_fault_of_ours_the_third_within_an_hour_is_the_sites() -> None:
    assert shut_rows(failed(NOW, NOW + 1), NOW + 2) == {}
    rows = failed(NOW, NOW + 1, NOW + 2)
    assert MISHANDLED_OF_SITE == 3
    assert shut_rows(rows, NOW + 3) == {"s9": NOW + 2 + SHUT_OUT_S}
    assert shut_rows(rows, NOW + 2 + SHUT_OUT_S) == {}


def test_those_of_more_than_an_hour_ago_do_not_count() -> None:
    late_s = NOW + MISHANDLED_WITHIN_S
    assert shut_rows(failed(NOW, NOW + 1, late_s), late_s) == {}
    assert shut_rows(failed(NOW, NOW + 1, late_s - 1), late_s) != {}


def test_it_lasts_twice_as_long_each_time_and_is_forgiven() -> None:
    rows, now, lasted = failed(NOW), NOW, []
    for _ in range(8):
        while not (over := shut_rows(rows, now)):
            now += 1
            rows = written(rows, counting(rows, "s9", host(int(now)), now))
        lasted.append(over["s9"] - now)
        now = over["s9"]
    assert lasted[:3] == [SHUT_OUT_S, 2 * SHUT_OUT_S, 4 * SHUT_OUT_S]
    assert max(lasted) == SHUT_OUT_MOST_S
    assert faults_of(rows, now + QUARANTINE_FORGIVEN_S) == {}
    now += QUARANTINE_FORGIVEN_S
    rows = written(rows, counting(rows, "s9", host(1), now))
    assert decode(rows["s9"], SiteFaults) == SiteFaults(((host(1), now),))


def test_one_host_that_does_so_again_and_again_does_not_count_for_its_site() -> None:
    rows: dict[str, bytes] = {}
    for number in range(20):
        rows = written(rows, counting(rows, "s9", host(7), NOW + number))
        rows = written(rows, counting(rows, "s9", host(8), NOW + number))
    assert shut_rows(rows, NOW + 20) == {}
    assert shut_rows(written(rows, counting(rows, "s9", host(9), NOW + 21)), NOW + 22) != {}


def test_what_is_still_said_by_them_while_they_are_shut_out_makes_it_no_longer() -> None:
    rows = failed(NOW, NOW + 1, NOW + 2, NOW + 3, NOW + 4, NOW + 5)
    assert shut_rows(rows, NOW + 6) == {"s9": NOW + 2 + SHUT_OUT_S}


@pytest.mark.parametrize(
    "row",
    [
        b"?",
        encode(SiteFaults(((host(1), NOW + 1e9),))),
        encode(SiteFaults(((host(1), NOW),), NOW + 1e9)),
        encode(SiteFaults(())),
    ],
)
def test_a_row_that_makes_no_sense_shuts_nobody_out_and_goes(row: bytes) -> None:
    assert shut_rows({"s9": row, "s8": row}, NOW) == {}
    assert list(written({"s8": row}, counting({"s8": row}, "s9", host(1), NOW))) == ["s9"]


def test_so_many_sites_are_remembered_those_that_failed_last() -> None:
    rows: dict[str, bytes] = {}
    for number in range(SITES_WATCHED + 20):
        rows = written(rows, counting(rows, f"s{number}", host(1), NOW + number))
    assert len(rows) == SITES_WATCHED
    assert "s19" not in rows
    assert "s20" in rows
