"""Instants gone by, as a person writes them. Read at Wednesday 2026-11-25 13:00, local time."""

from datetime import datetime

import pytest

from overlayd.config.since import ALLOWED, read_since

NOW = datetime(2026, 11, 25, 13, 0)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2h", datetime(2026, 11, 25, 11)),
        ("7d", datetime(2026, 11, 18, 13)),
        ("today", datetime(2026, 11, 25)),
        ("Yesterday", datetime(2026, 11, 24)),
        ("yesterday 12:30", datetime(2026, 11, 24, 12, 30)),
        ("monday", datetime(2026, 11, 23)),
        ("wednesday", datetime(2026, 11, 25)),
        ("wednesday 14:00", datetime(2026, 11, 18, 14)),
        ("thursday", datetime(2026, 11, 19)),
        ("12:00", datetime(2026, 11, 25, 12)),
        ("14:00", datetime(2026, 11, 24, 14)),
        ("2026-11-01", datetime(2026, 11, 1)),
        ("2026-11-01 18:00", datetime(2026, 11, 1, 18)),
    ],
)
def test_what_is_meant(written: str, meant: datetime) -> None:
    assert read_since(written, NOW.timestamp()) == meant.timestamp()


@pytest.mark.parametrize("written", ["", "soon", "25:00", "monday 12:60", "2026-13-01", "now 1"])
def test_what_cannot_be_meant_says_what_can(written: str) -> None:
    with pytest.raises(ValueError) as refused:
        read_since(written, NOW.timestamp())
    assert str(refused.value) == ALLOWED
