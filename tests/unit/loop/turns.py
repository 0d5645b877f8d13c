"""Letting the loop turn until something is so."""

import asyncio
import time
from collections.abc import Callable

DEADLINE_S = 5.0


async def until(ready: Callable[[], object], what: str) -> None:
    """Lets the loop turn until `ready`. Raises AssertionError if that does not come."""
    give_up = time.monotonic() + DEADLINE_S
    while not ready():
        assert time.monotonic() < give_up, f"not within {DEADLINE_S} s: {what}"
        await asyncio.sleep(0)
