"""Finds out whether this host can carry networks by WireGuard: by doing it, at the start and ever more seldom.

What came of it is told to others, who choose by it what carries a network. That a kernel gets WireGuard later,
or the host its tools, is found out without a restart.
"""

import asyncio
from collections.abc import Callable

from overlayd.ports.network import Inside, Network, NetworkError
from overlayd.telemetry.logs import logger

AGAIN_S = (5.0, 60.0, 600.0)
"""The pauses after tries that failed. A host that was only busy must not be taken to have none for long: others
would have its key no more."""


class WireguardTrial:
    """What came of trying, as long as the daemon lives."""

    def __init__(self, network: Network, port: int, told: Callable[[], None]) -> None:
        """`port` is its UDP port. `told` is called when it can be done after all."""
        self._network, self._port, self._told = network, port, told
        self.now = Inside(fault="it was not tried yet")

    async def look(self) -> None:
        """Tries it."""
        try:
            self.now = await self._network.wireguard(self._port)
        except NetworkError as error:
            self.now = Inside(fault=str(error))

    async def run(self) -> None:
        """Tries again until it can be done."""
        if self.now.fault:
            logger().info("networks.no-wireguard", why=self.now.fault)
        tries = 0
        while self.now.fault:
            await asyncio.sleep(AGAIN_S[min(tries, len(AGAIN_S) - 1)])
            await self.look()
            tries += 1
        logger().info("networks.wireguard", udp_port=self._port)
        self._told()
