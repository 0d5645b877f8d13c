"""What leases of a site's hosts reserved and used: told of this host, asked of the others."""

import asyncio
from collections.abc import Callable

from overlayd.loop.asks import Asks
from overlayd.ports.usage import Metered, UsageFault
from protocol.node.events import Say
from protocol.node.messages import UsageAsk, UsageTold
from protocol.policy.receipts import LEASES_TOLD, LeaseUsage, by_lease, read_receipt
from protocol.terms.allowance import Allowance
from protocol.terms.ids import PeerId

TOLD_AT_ONCE, TOLD_PER_S, ASKERS_MOST = 4, 0.2, 1024
"""How often one peer is told: all receipts since then are read for it."""


class UsageAsks:
    """This host's usage for others of its site, and theirs for people here."""

    def __init__(
        self,
        me: PeerId,
        metered: Metered,
        is_of_site: Callable[[PeerId], bool],
        say: Callable[[Say], None],
        now: Callable[[], float],
    ) -> None:
        """`is_of_site` answers whether a peer is of this host's site."""
        self._me, self._metered, self._is_of_site = me, metered, is_of_site
        self._asks = Asks[UsageTold](me, "usage", say)
        self._now = now
        self._askers = Allowance(TOLD_AT_ONCE, TOLD_PER_S, ASKERS_MOST)

    async def ask(self, peer: PeerId, since_s: float) -> UsageTold:
        """What `peer` tells. What went wrong is in the answer's `problem`."""
        ask = UsageAsk(self._asks.session(), since_s)
        if peer == self._me:
            return await self._own(ask, None)
        told = await self._asks.ask(peer, ask.session, ask)
        return told or _nothing(ask, "it does not answer; `overlayctl peers`")

    def deliver(self, peer: PeerId, told: UsageTold) -> None:
        """An answer came."""
        self._asks.deliver(peer, told)

    async def serve(self, peer: PeerId, ask: UsageAsk) -> UsageTold:
        """What a peer is told: nothing if it is of another site, or asks too often."""
        if not self._is_of_site(peer):
            return _nothing(ask, "it tells only hosts of its own site")
        if not self._askers.take(peer, self._now()):
            return _nothing(ask, "it was asked too often; again in a few seconds")
        return await self._own(ask, LEASES_TOLD)

    async def _own(self, ask: UsageAsk, most: int | None) -> UsageTold:
        """Of this host; to others at most so many leases, the last of them."""
        try:
            leases = await self._leases(ask.since_s)
        except UsageFault as error:
            return _nothing(ask, str(error))
        shown = leases[-most:] if most is not None else leases
        return UsageTold(ask.session, tuple(shown), len(leases) - len(shown), "")

    async def _leases(self, since_s: float) -> list[LeaseUsage]:
        signed = await self._metered.signed(since_s)
        running = [receipt for receipt in self._metered.running() if receipt.until_s > since_s]
        return await asyncio.to_thread(lambda: by_lease([*map(read_receipt, signed), *running]))


def _nothing(ask: UsageAsk, problem: str) -> UsageTold:
    return UsageTold(ask.session, (), 0, problem)
