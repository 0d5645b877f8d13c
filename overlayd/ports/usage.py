"""What was counted of this host's leases, on disk (protocol/policy/receipts.py)."""

from collections.abc import Sequence
from typing import Protocol

from protocol.policy.receipts import Counts, Receipt, SignedReceipt


class UsageFault(Exception):
    """It could not be written or read. Nothing was changed."""


class UsageStore(Protocol):
    """Receipts that are only ever added, the oldest of which go, and what is in none yet."""

    async def open(self) -> Counts:
        """What is in no receipt yet. Raises UsageFault."""

    async def write(self, receipts: Sequence[tuple[int, SignedReceipt]], counts: Counts) -> None:
        """Adds receipts, each with the Unix seconds at which it ends, and puts counts in the place of those
        before: all of it on the disk before it returns, or nothing. Raises UsageFault."""

    async def since(self, since_s: float) -> list[SignedReceipt]:
        """The receipts that end after that, oldest first. Raises UsageFault."""

    async def close(self) -> None:
        """Nothing more is written."""


class Metered(Protocol):
    """What is counted of this host's leases, to be read."""

    async def signed(self, since_s: float) -> list[SignedReceipt]:
        """The receipts that end after that, oldest first. Raises UsageFault."""

    def running(self) -> list[Receipt]:
        """What is counted and in no receipt yet."""
