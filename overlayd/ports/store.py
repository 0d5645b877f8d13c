"""The store: what must outlive the process. Small tables of bytes, read whole at the start."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

Tables = dict[str, dict[str, bytes]]


class Put(msgspec.Struct, frozen=True):
    """One change: the value under (table, key) afterwards; None deletes."""

    table: str
    key: str
    value: bytes | None


class StoreError(Exception):
    """Nothing of the call's changes was kept. The text says which file and why."""


class StoreFull(StoreError):
    """No room: on the disk, or within the store's own limit. Deleting something helps."""


class StoreBusy(StoreError):
    """Another process owns this store; the text has its process id."""


class Store(Protocol):
    """One process owns a store at a time."""

    async def open(self) -> None:
        """Owns it, makes it if it is not there, checks it. StoreBusy, StoreError."""

    async def load(self) -> Tables:
        """Everything: table, then key, then value."""

    async def write(self, puts: Sequence[Put]) -> None:
        """All of it or nothing, and on the disk before this returns. StoreFull, StoreError."""

    async def close(self) -> None:
        """Owned no more. Closing twice is a success."""
