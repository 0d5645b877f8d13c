"""Instants as a person writes them: `tomorrow 14:00`, `friday 18:00`, `in 2h`, `2026-11-25 14:00`.

An instant may have an offset from UTC. Without one it is this host's local time. Without a day it is the next
time the clock shows that.
"""

import re
import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, ClassVar, Self

from protocol.terms.quantities import parse_duration

_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_CLOCK = re.compile(r"(?:([a-z]+)\s+)?([0-9]{1,2}):([0-9]{2})")
_IN = re.compile(r"in\s+(\S.*)")


class Moment(float):
    """Unix time, written `tomorrow 14:00` or `2026-11-25 14:00`."""

    ALLOWED: ClassVar[str] = (
        "write for example tomorrow 14:00, friday 18:00, in 2h or 2026-11-25 14:00"
    )
    SCHEMA: ClassVar[Mapping[str, Any]] = {
        "type": "string",
        "examples": ["tomorrow 14:00", "friday 18:00", "in 2h", "2026-11-25T14:00:00+01:00"],
    }

    @classmethod
    def from_written(cls, found: object) -> Self:
        """The instant, read by the clock of now. Raises ValueError with what is allowed."""
        if not isinstance(found, str):
            raise ValueError(cls.ALLOWED)
        return cls(read_moment(found, time.time()))


def read_moment(text: str, now_s: float) -> float:
    """Unix time of what was written at `now_s`. Raises ValueError with what is allowed."""
    written = text.strip().lower()
    if match := _IN.fullmatch(written):
        try:
            return now_s + parse_duration(match[1])
        except ValueError:
            raise ValueError(Moment.ALLOWED) from None
    if match := _CLOCK.fullmatch(written):
        return _at(match[1], int(match[2]), int(match[3]), datetime.fromtimestamp(now_s))
    try:
        moment = datetime.fromisoformat(text.strip())
        if len(text.strip()) <= len("2026-11-25"):
            raise ValueError("a day without a time of day")
        return moment.timestamp()
    except (ValueError, OverflowError, OSError):
        raise ValueError(Moment.ALLOWED) from None


def _at(day: str | None, hour: int, minute: int, now: datetime) -> float:
    if hour > 23 or minute > 59:
        raise ValueError("a day has 00:00 to 23:59")
    then = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
    if day is None:
        then += timedelta(days=int(then <= now))
    elif day in _DAYS:
        ahead = (_DAYS.index(day) - now.weekday()) % 7
        then += timedelta(days=ahead)
        then += timedelta(days=7 * int(then <= now))
    elif day == "tomorrow":
        then += timedelta(days=1)
    elif day != "today":
        raise ValueError(f"days are today, tomorrow and {_DAYS[0]} to {_DAYS[-1]}")
    return then.timestamp()
