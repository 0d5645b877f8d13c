"""The store: what must outlive the process. Small tables of bytes, read whole at the start."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

Tables = dict[str, dict[str, bytes]]


class Put(msgspec.Struct, frozen=True):
    """One change: the value under (table, key) afterwards. None deletes it."""

    table: str
    key: str
    value: bytes | None


class StoreError(Exception):
    """Nothing of the call's changes was kept. The text says which file and why."""


class StoreFull(StoreError):
    """There is no room on the disk, or within the store's own limit. It helps to delete something."""


class StoreBusy(StoreError):
    """Another process owns this store. The text has its process id."""


class Store(Protocol):
    """One process owns a store at a time."""

    async def open(self) -> None:
        """Owns the store, makes it if it is not there, and checks it. Raises StoreBusy or StoreError."""

    async def load(self) -> Tables:
        """Everything: table, then key, then value."""

    async def write(self, puts: Sequence[Put], *, must: bool = False) -> None:
        """Writes all of it or nothing, and has it on the disk on return. Raises StoreFull or StoreError.

        Some room is kept in reserve for what `must` be written, so that a peer whose disk is full goes on with
        what it has. The rest is refused until the reserve is whole again.
        """

    async def short(self) -> str:
        """Why only what must be is written, for people; empty if there is room."""

    async def close(self) -> None:
        """Gives the store up. It is no error to close twice."""
