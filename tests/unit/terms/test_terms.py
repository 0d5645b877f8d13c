"""Quantities as people write them, ids, and the first of several deadlines."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.terms.effects import Deadline, earliest, soonest
from protocol.terms.ids import digest_of, is_64_digits, is_digest_start, short_hash
from protocol.terms.quantities import (
    counted,
    cpus_in_words,
    format_age,
    format_byte_rate,
    format_cpus,
    format_duration,
    format_moment,
    format_operations,
    format_rate,
    format_size,
    parse_count,
    parse_cpus,
    parse_duration,
    parse_rate,
    parse_size,
    write_rate,
)
from protocol.terms.refusal import PASSING, QUANTITIES, Constraint


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [("0", 0), ("512", 512), ("512M", 512 << 20), ("4G", 4 << 30), ("1.5T", 3 << 39),
     ("4GiB", 4 << 30), ("4 GB", 4 << 30), ("2KiB", 2048), (4096, 4096)],
)  # fmt: skip
def test_sizes(text: str | int, size_bytes: int) -> None:
    assert parse_size(text) == size_bytes


@pytest.mark.parametrize("text", ["", "4X", "-1", "1e9", "4 G G", "1.2345678G", "0x10", "٤G"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a size; write for example 512M, 4G or 1\.5T"):
        parse_size(text)


@pytest.mark.parametrize(
    ("text", "milli"),
    [("2", 2000), ("0.5", 500), ("500m", 500), (4, 4000), (0.25, 250), ("1.05", 1050)],
)
def test_cpus(text: str | int | float, milli: int) -> None:
    assert parse_cpus(text) == milli


@pytest.mark.parametrize("text", ["", "half", "-1", "0.0001", "1.5m", "1,5"])
def test_what_is_no_number_of_cpus(text: str) -> None:
    with pytest.raises(ValueError, match="is not a number of cpus"):
        parse_cpus(text)


@pytest.mark.parametrize(
    ("text", "bits_s"),
    [("100M", 10**8), ("2.5G", 2_500_000_000), ("1G", 10**9), ("64K", 64_000), ("0", 0), (5000, 5000),
     ("100Mbit", 10**8), ("10 Gbit/s", 10**10), ("1.001K", 1001)],
)  # fmt: skip
def test_rates(text: str | int, bits_s: int) -> None:
    assert parse_rate(text) == bits_s


@pytest.mark.parametrize("text", ["", "1MiB", "100MB", "-1", "1e9", "0.5", "1.0001M", "fast"])
def test_what_is_no_rate(text: str) -> None:
    with pytest.raises(ValueError, match="is not a rate; write for example 100M, 1G or"):
        parse_rate(text)


@pytest.mark.parametrize(("text", "count"), [("500", 500), (20000, 20000), ("0", 0), (" 7 ", 7)])
def test_counts(text: str | int, count: int) -> None:
    assert parse_count(text) == count


@pytest.mark.parametrize("text", ["", "1K", "-1", "1.0", 0.5, "٣", "9" * 19])
def test_what_is_no_count(text: str | float) -> None:
    with pytest.raises(ValueError, match="is not a whole number; write for example 500"):
        parse_count(text)


def test_rates_of_disks_in_words() -> None:
    assert (format_byte_rate(50 << 20), format_byte_rate(1000)) == ("50 MiB/s", "1000 B/s")
    assert (format_operations(1), format_operations(500)) == ("1 operation/s", "500 operations/s")


@pytest.mark.parametrize(
    ("bits_s", "said", "written"),
    [(10**8, "100 Mbit/s", "100M"), (2_500_000_000, "2.5 Gbit/s", "2500M"), (64_000, "64 kbit/s", "64000"),
     (10**12, "1 Tbit/s", "1000G"), (500, "500 bit/s", "500"), (-(10**6), "-1 Mbit/s", "-1M")],
)  # fmt: skip
def test_rates_in_words(bits_s: int, said: str, written: str) -> None:
    assert (format_rate(bits_s), write_rate(bits_s)) == (said, written)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("30m", 1800),
        ("6h", 21600),
        ("2d", 172800),
        ("1w", 604800),
        ("1.5h", 5400),
        ("250ms", 0.25),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "10", "1y", "-5s", "1h30m"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1 KiB"),
        (3 << 29, "1.5 GiB"),
        (4 << 30, "4 GiB"),
        (-(3 << 29), "-1.5 GiB"),
        (5 << 50, "5 PiB"),
    ],
)
def test_sizes_in_words(size_bytes: int, text: str) -> None:
    assert format_size(size_bytes) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.5, "0.5 s"),
        (2.25, "2.2 s"),
        (12, "12 s"),
        (300, "5 min"),
        (5400, "1.5 h"),
        (259200, "3 d"),
    ],
)
def test_durations_in_words(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@given(st.integers(0, 10**9))
def test_cpus_survive_being_written(milli: int) -> None:
    assert parse_cpus(format_cpus(milli)) == milli


def test_parts_of_a_hash_do_not_run_together() -> None:
    assert short_hash("ab", "c") != short_hash("a", "bc") != short_hash("abc")
    assert len(short_hash("a", digits=6)) == 6
    assert len(digest_of(b"")) == 64


def test_the_first_deadline() -> None:
    first, second = Deadline(1.0, "ping"), Deadline(2.0, "join")
    assert earliest(None, second, first, None) == first
    assert earliest(None) is None
    assert earliest() is None


def test_the_soonest_of_some_moments() -> None:
    assert soonest([3.0, 2.0], "why") == Deadline(2.0, "why")
    assert soonest([], "why") is None


def test_what_may_pass_is_not_authority_or_place() -> None:
    lasting = [c for c in Constraint if c not in PASSING]
    assert Constraint.AUTHORITY in lasting
    assert Constraint.NAME in lasting
    assert Constraint.SITE in lasting
    assert all(quantity in PASSING for quantity in QUANTITIES)


@given(st.integers(0, 100_000_000_000))
def test_a_moment_is_as_the_calendar_has_it(at_s: int) -> None:
    assert format_moment(at_s) == datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%d %H:%M UTC")


def test_one_is_not_many() -> None:
    assert [counted(n, "host") for n in (0, 1, 2)] == ["0 hosts", "1 host", "2 hosts"]
    assert [cpus_in_words(milli) for milli in (250, 1000, 2000)] == ["0.25 cpus", "1 cpu", "2 cpus"]


@pytest.mark.parametrize(
    ("age_s", "text"),
    [(-1.0, "0 s"), (0.4, "0 s"), (59.9, "59 s"), (125.0, "2 min"), (7199.0, "1 h"), (9e5, "10 d")],
)
def test_how_long_ago_in_whole_units(age_s: float, text: str) -> None:
    assert format_age(age_s) == text


def test_digests_and_keys_are_64_small_digits_and_8_begin_one() -> None:
    digest = digest_of(b"")
    assert is_64_digits(digest)
    assert is_digest_start(digest[:8])
    for wrong in (digest[:63], digest + "0", digest.upper(), f"{digest[:63]}g", f"{digest}\n", ""):
        assert not is_64_digits(wrong)
    for wrong in (digest[:7], f"{digest[:8]}\n", "0x123456"):
        assert not is_digest_start(wrong)
