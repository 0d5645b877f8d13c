"""A listener in the namespace of each network of this host. It is opened when the network stands."""

import asyncio
from dataclasses import dataclass

from netns.model import METADATA_ADDRESS
from overlayd.metadata.server import Server
from overlayd.ports.network import Network

PORT = 80


@dataclass
class _Door:
    namespace: int
    server: asyncio.Server


class Doors:
    """The listeners of one daemon. They end with it, and the next one opens its own."""

    def __init__(self, network: Network, server: Server) -> None:
        self._network, self._server = network, server
        self._open: dict[str, _Door] = {}

    async def stands(self, network: str) -> None:
        """The network is in force: guests may ask. A namespace that was made anew gets a new listener.

        Raises NetworkError if the network is gone again, or nobody can listen there.
        """
        namespace = await self._network.namespace(network)
        door = self._open.get(network)
        if door is not None and door.namespace == namespace:
            return
        self.gone(network)
        listener = await self._network.listen(network, METADATA_ADDRESS, PORT)
        try:
            server = await self._server.listen(network, listener)
        except BaseException:
            listener.close()
            raise
        self.gone(network)  # Somebody else may have opened one meanwhile.
        self._open[network] = _Door(namespace, server)

    def gone(self, network: str) -> None:
        """The network is to go, or is gone."""
        door = self._open.pop(network, None)
        if door is not None:
            door.server.close()

    def close(self) -> None:
        """Nobody is answered any more."""
        for network in list(self._open):
            self.gone(network)
