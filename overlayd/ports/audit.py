"""The audit log of this host (protocol/policy/audit.py)."""

from collections.abc import Sequence
from typing import Protocol

from protocol.policy.audit import Chain, Report
from protocol.terms.effects import Audit


class AuditFault(Exception):
    """The log could not be written or read. What was to be written is counted, and the next line says it."""


class AuditLog(Protocol):
    """Lines that are only ever added. One at a time writes."""

    async def open(self, at_s: float) -> None:
        """Finds where the log ends. An end that is no whole line is cut off, and a line says so; another one
        says it if lines are missing that are known to have been there. Raises AuditFault."""

    async def add(self, decisions: Sequence[tuple[float, Audit]]) -> None:
        """Has decisions, each with its Unix seconds, on the disk before it returns, and a head behind them.

        Raises AuditFault.
        """

    async def lines(self, after: int, most: int) -> list[bytes]:
        """At most so many lines behind the one with that number, oldest first. Raises AuditFault."""

    @property
    def end(self) -> Chain:
        """The last line."""

    @property
    def fault(self) -> str:
        """Why what was to be written last is not; empty if it is."""

    async def examine(self) -> Report:
        """Goes through all of it. Raises AuditFault."""

    async def close(self) -> None:
        """Nothing more is written."""
