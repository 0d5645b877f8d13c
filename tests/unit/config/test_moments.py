"""Instants as a person writes them. Read at Wednesday 2026-11-25 13:00, local time."""

from datetime import datetime

import pytest

from overlayd.config.moments import Moment, read_moment

NOW = datetime(2026, 11, 25, 13, 0)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("14:00", datetime(2026, 11, 25, 14)),
        ("12:59", datetime(2026, 11, 26, 12, 59)),
        ("13:00", datetime(2026, 11, 26, 13)),
        ("today 12:00", datetime(2026, 11, 25, 12)),
        ("Tomorrow 9:05", datetime(2026, 11, 26, 9, 5)),
        ("friday 18:00", datetime(2026, 11, 27, 18)),
        ("wednesday 14:00", datetime(2026, 11, 25, 14)),
        ("wednesday 12:00", datetime(2026, 12, 2, 12)),
        ("in 2h", datetime(2026, 11, 25, 15)),
        ("in 90 s", datetime(2026, 11, 25, 13, 1, 30)),
        ("2026-12-24 18:00", datetime(2026, 12, 24, 18)),
        ("2026-12-24T18:00:30", datetime(2026, 12, 24, 18, 0, 30)),
    ],
)
def test_what_is_meant(written: str, meant: datetime) -> None:
    assert read_moment(written, NOW.timestamp()) == meant.timestamp()


def test_an_offset_from_utc_is_honoured() -> None:
    assert read_moment("2026-11-25T14:00:00+01:00", 0.0) == 1795611600.0


@pytest.mark.parametrize(
    ("written", "allowed"),
    [
        ("soon", "write for example tomorrow 14:00"),
        ("2026-12-24", "write for example tomorrow 14:00"),
        ("in a while", "write for example tomorrow 14:00"),
        ("someday 14:00", "days are today, tomorrow and monday to sunday"),
        ("tomorrow 25:00", "a day has 00:00 to 23:59"),
        ("9999999-01-01 10:00", "write for example tomorrow 14:00"),
    ],
)
def test_what_is_said_of_others(written: str, allowed: str) -> None:
    with pytest.raises(ValueError, match=allowed):
        read_moment(written, NOW.timestamp())


def test_a_number_is_no_instant() -> None:
    with pytest.raises(ValueError, match="write for example"):
        Moment.from_written(1400)
