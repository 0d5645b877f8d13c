"""What of this host's decisions goes into its audit log, and when it is on the disk.

What was allowed and changes something is on the disk before it is said. The rest waits a second at most, so a
flood of refusals costs no more than one write a second. A log that cannot be written stops nothing: it is
counted, told, and the next line that is written says how many are missing.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable

from msgspec.structs import replace

from overlayd.ports.audit import AuditFault, AuditLog
from overlayd.telemetry.lines import LINE_CHARACTERS, NAME_CHARACTERS, shown
from overlayd.telemetry.logs import logger
from protocol.policy.audit import Sifter
from protocol.terms.effects import Audit

AT_ONCE = ("hold", "change", "act", "lease", "record", "attach")
"""What is on the disk before it is said, if it is allowed."""
WAITING_MOST = 4096
"""Lines that wait for the disk. More are counted as not written."""
_EVERY_S = 1.0


class Auditing:
    """The one way into the log."""

    def __init__(self, log: AuditLog, now: Callable[[], float]) -> None:
        self._log, self._now = log, now
        self._sifter = Sifter()
        self._waiting: deque[tuple[float, Audit]] = deque()
        self._news = asyncio.Event()
        self.counts: Counter[str] = Counter()

    async def open(self) -> None:
        """Finds where the log ends. If that cannot be, it is tried again with the first line."""
        try:
            await self._log.open(self._now())
        except AuditFault as error:
            logger().error("audit.unwritten", why=str(error))

    async def close(self) -> None:
        """Writes what waits, and no more."""
        await self.flush()
        await self._log.close()

    async def take(self, audit: Audit) -> None:
        """Takes a decision of the node."""
        self.put(audit)
        if audit.allowed and audit.what in AT_ONCE:
            await self.flush()

    def put(self, audit: Audit) -> None:
        """Takes a decision; it is on the disk within a second or so."""
        now = self._now()
        sifted = self._sifter.take(audit, now)
        if sifted is None:
            self.counts["audit-left-out"] += 1
            return
        if len(self._waiting) >= WAITING_MOST:
            self.counts["audit-unwritten"] += 1
            return
        self._waiting.append((now, _bounded(sifted)))
        self._news.set()

    async def flush(self) -> None:
        """Writes what waits."""
        waiting = list(self._waiting)
        self._waiting.clear()
        if not waiting:
            return
        known = self._log.fault
        try:
            await self._log.add(waiting)
        except AuditFault as error:
            self.counts["audit-unwritten"] += len(waiting)
            if not known:
                logger().error("audit.unwritten", why=str(error))

    async def run(self) -> None:
        """Writes what waits, once a second if there is anything."""
        while True:
            await self._news.wait()
            self._news.clear()
            await self.flush()
            await asyncio.sleep(_EVERY_S)


def _bounded(audit: Audit) -> Audit:
    """The decision, as it stands in a line: texts may be a stranger's."""
    return replace(
        audit,
        why=shown(audit.why, LINE_CHARACTERS),
        grid=shown(audit.grid, NAME_CHARACTERS),
        workspace=shown(audit.workspace, NAME_CHARACTERS),
        whose=shown(audit.whose, NAME_CHARACTERS),
        member=shown(audit.member, NAME_CHARACTERS),
        via_site=shown(audit.via_site, NAME_CHARACTERS),
    )
