"""Instants gone by, as a person writes them: `2h`, `monday`, `yesterday`, `friday 18:00`, `2026-11-25 14:00`.

A length of time counts back from now. A day without a time is its beginning. A day of the week, and a time of
day alone, is the last one there was. Without an offset from UTC it is this host's local time.
"""

import re
from datetime import datetime, timedelta

from protocol.terms.quantities import parse_duration

ALLOWED = "write for example 2h, 7d, today, yesterday, monday, friday 18:00 or 2026-11-25 14:00"
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_DAY = re.compile(r"([a-z]+)?(?:\s*\b([0-9]{1,2}):([0-9]{2}))?")


def read_since(text: str, now_s: float) -> float:
    """Unix time of what was written at `now_s`. Raises ValueError with what is allowed."""
    written = text.strip().lower()
    try:
        return now_s - parse_duration(written)
    except ValueError:
        pass
    now = datetime.fromtimestamp(now_s)
    if written and (match := _DAY.fullmatch(written)):
        return _last(match[1] or "", int(match[2] or 0), int(match[3] or 0), now).timestamp()
    try:
        return datetime.fromisoformat(text.strip()).timestamp()
    except (ValueError, OverflowError, OSError):
        raise ValueError(ALLOWED) from None


def _last(day: str, hour: int, minute: int, now: datetime) -> datetime:
    if hour > 23 or minute > 59 or day not in ("", "today", "yesterday", *_DAYS):
        raise ValueError(ALLOWED)
    then = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
    if day == "yesterday":
        return then - timedelta(days=1)
    if day in _DAYS:
        then -= timedelta(days=(now.weekday() - _DAYS.index(day)) % 7)
        return then - timedelta(days=7 * int(then > now))
    return then - timedelta(days=int(not day and then > now))
