"""The port `Forwarder` in memory."""

from collections.abc import Callable

import msgspec

from netns.tunnel.tables import (
    Cipher,
    Networks,
    Peers,
    Probe,
    ProbeAnswer,
    SealedNetwork,
    SealedPeer,
    State,
    check_probes,
)
from overlayd.ports.forwarder import NOTHING_LENT, ForwarderError, Forwarding, Lent, NewInstance

CIPHERS = (Cipher.AES_256_GCM, Cipher.CHACHA20_POLY1305)


class FakeForwarder:
    """A process that is a few values. `refusals` are texts of errors for the next calls of `ensure`, in order.

    `taps` are those that are there to be opened. `end` is what kill -9 does.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.refusals: list[str] = []
        self.taps: set[str] = set()
        self.card_faults: dict[str, str] = {}
        """Why cards of the host itself cannot be made, by name."""
        self.starts = 0
        self.runs = False
        self.counters: dict[str, int] = {}
        self.networks = Networks(0)
        self.peers = Peers(0)
        self.probed: list[Probe] = []
        self.answers: list[ProbeAnswer] = []
        self.told: Callable[[], None] = lambda: None

    async def fault(self) -> str:
        return self.refusals[0] if self.refusals else ""

    async def ensure(self) -> Forwarding:
        if self.refusals:
            raise ForwarderError(self.refusals.pop(0))
        if not self.runs:
            self.starts += 1
            self.runs = True
            self.networks, self.peers = Networks(0), Peers(0)
        return self._forwarding()

    async def tell_networks(self, networks: tuple[SealedNetwork, ...]) -> Forwarding:
        self._must_run()
        made = [n.tap for n in networks if n.card is not None and n.tap not in self.card_faults]
        carried = tuple(n for n in networks if n.tap in self.taps or n.tap in made)
        if carried != self.networks.networks:
            table = Networks(self.networks.epoch + 1, carried)
            _checked(table)
            self.networks = table
        return msgspec.structs.replace(self._forwarding(), faults=dict(self.card_faults))

    async def tell_peers(
        self, instance: str, peers: tuple[SealedPeer, ...], lent: Lent = NOTHING_LENT
    ) -> None:
        self._must_run()
        self._must_be(instance)
        table = Peers(self.peers.epoch, peers, lent.pairs, lent.bytes_per_s)
        if table != self.peers:
            table = msgspec.structs.replace(table, epoch=table.epoch + 1)
            _checked(table)
            self.peers = table

    async def probe(self, instance: str, probes: tuple[Probe, ...]) -> tuple[ProbeAnswer, ...]:
        """Probes are kept in `probed`; `answers` are given once."""
        self._must_run()
        self._must_be(instance)
        try:
            check_probes(probes)
        except ValueError as error:
            raise ForwarderError(str(error)) from error
        self.probed += probes
        answers, self.answers = tuple(self.answers), []
        return answers

    async def state(self) -> State | None:
        if not self.runs:
            return None
        return State(
            instance=self.starts,
            pid=1,
            port=self.port,
            networks_epoch=self.networks.epoch,
            peers_epoch=self.peers.epoch,
            native=False,
            ciphers=CIPHERS,
            taps=self._forwarding().taps,
            counters=dict(self.counters),
            peers=(),
        )

    async def stop(self) -> None:
        self.runs = False

    def watch(self, told: Callable[[], None]) -> None:
        self.told = told

    async def close(self) -> None:
        self.told = lambda: None

    def end(self) -> None:
        """Its process ends by itself, or by somebody."""
        self.runs = False
        self.told()

    def _forwarding(self) -> Forwarding:
        taps = tuple(n.tap for n in self.networks.networks)
        return Forwarding(str(self.starts), CIPHERS, taps, dict(self.counters))

    def _must_be(self, instance: str) -> None:
        if instance != str(self.starts):
            raise NewInstance(f"forwarder {instance} has ended; {self.starts} runs now")

    def _must_run(self) -> None:
        if not self.runs:
            raise ForwarderError("no forwarder of sealed networks runs")


def _checked(table: Networks | Peers) -> None:
    try:
        table.check()
    except ValueError as error:
        raise ForwarderError(str(error)) from error
