"""What this host's leases reserve and use, looked at once a minute and written down by the hour."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable

from overlayd.ports.compute import Compute, ComputeError
from overlayd.ports.usage import UsageFault, UsageStore
from overlayd.telemetry.logs import logger
from protocol.policy.receipts import (
    Counts,
    LeaseNow,
    Meter,
    Receipt,
    SignedReceipt,
    sign_receipt,
)
from protocol.trust.signing import Signer

LOOK_EVERY_S = 60.0
"""What a lease had after its last look is not known: at most so many seconds at its end."""
APART_S = 2.0
"""Between two looks, at least."""


class Metering:
    """The meter of one host, and what it wrote."""

    def __init__(
        self,
        compute: Compute,
        store: UsageStore,
        meter: Meter,
        signer: Signer,
        leases: Callable[[], list[LeaseNow]],
        now: Callable[[], float],
    ) -> None:
        """`leases` answers those of this moment."""
        self._compute, self._store, self._meter, self._signer = compute, store, meter, signer
        self._leases, self._now = leases, now
        self._counts: Counts | None = None
        self._looking, self._news = asyncio.Lock(), asyncio.Event()
        self.counts: Counter[str] = Counter()

    def soon(self) -> None:
        """A machine began or ended: what its lease had until then is worth a look."""
        self._news.set()

    async def run(self) -> None:
        """Looks, once a minute, and when something happened."""
        while True:
            try:
                await self.look()
            except (ComputeError, UsageFault) as error:
                self.counts["usage-not-counted"] += 1
                logger().warning("usage.not-counted", why=str(error))
            await asyncio.sleep(APART_S)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_S - APART_S):
                    await self._news.wait()
            self._news.clear()

    async def look(self) -> None:
        """Counts what came since the last look; nothing counts before it is on the disk.

        Raises ComputeError, UsageFault.
        """
        async with self._looking:
            if self._counts is None:
                self._counts = await self._store.open()
            figures = await self._compute.figures()
            receipts, after = self._meter.look(
                self._counts, self._leases(), figures, int(self._now())
            )
            signed = [(each.until_s, sign_receipt(each, self._signer)) for each in receipts]
            if signed or after != self._counts:
                await self._store.write(signed, after)
            self._counts = after

    async def signed(self, since_s: float) -> list[SignedReceipt]:
        """The receipts that end after that, oldest first. Raises UsageFault."""
        return await self._store.since(since_s)

    def running(self) -> list[Receipt]:
        """What is counted and in no receipt yet."""
        return [self._meter.receipt(count) for count in (self._counts or {}).values()]

    async def close(self) -> None:
        """Nothing more is written."""
        await self._store.close()
