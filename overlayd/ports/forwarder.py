"""The forwarder: a process of this host that seals what sealed networks send to other hosts.

It decides nothing. It has two tables, whole ones: the networks that are here, and the keys for each other host.
"""

from collections.abc import Callable, Mapping
from typing import Protocol

import msgspec

from netns.tunnel.tables import (
    Cipher,
    Probe,
    ProbeAnswer,
    RelayPair,
    SealedNetwork,
    SealedPeer,
    State,
)


class ForwarderError(Exception):
    """It could not be started, or did not take a table. The text says why. A later try goes on from there."""


class NewInstance(ForwarderError):
    """Another process runs than the one that the keys were made for."""


class Lent(msgspec.Struct, frozen=True):
    """What this host is a relay for: pairs of other hosts, and a rate for all of them together."""

    pairs: tuple[RelayPair, ...] = ()
    bytes_per_s: float = 0.0


NOTHING_LENT = Lent()


class Forwarding(msgspec.Struct, frozen=True):
    """What runs after a call.

    - `instance`: another one in each process. Keys are made for one instance, and told to no other.
    - `ciphers`: what it can seal by, the quickest on this host first.
    - `taps`: those that it has open.
    - `counters`: its frames, by what became of them.
    - `native`: whether its loops in C were built.
    - `faults`: why a card of this host itself could not be made, by its name.
    """

    instance: str
    ciphers: tuple[Cipher, ...]
    taps: tuple[str, ...] = ()
    counters: Mapping[str, int] = {}
    native: bool = False
    faults: Mapping[str, str] = {}


class Forwarder(Protocol):
    """Every call is idempotent, and looks at what runs before it changes anything. The process outlives us."""

    async def fault(self) -> str:
        """Why nothing can be sealed on this host, for people; empty if it can. It is only tried."""

    async def ensure(self) -> Forwarding:
        """One that runs and has its UDP port: what is there already, or a new one."""

    async def tell_networks(self, networks: tuple[SealedNetwork, ...]) -> Forwarding:
        """Has exactly these networks carried. One whose tap is not there is left out; a card of the host itself
        is made."""

    async def tell_peers(
        self, instance: str, peers: tuple[SealedPeer, ...], lent: Lent = NOTHING_LENT
    ) -> None:
        """Has exactly these hosts talked to, and passes on what is lent.

        Raises NewInstance if another process runs by now.
        """

    async def probe(self, instance: str, probes: tuple[Probe, ...]) -> tuple[ProbeAnswer, ...]:
        """Sends these, and answers what came back since the last call, of earlier ones too.

        Raises NewInstance if another process runs by now.
        """

    async def state(self) -> State | None:
        """What runs, and how it goes; None if nothing runs."""

    async def stop(self) -> None:
        """Leaves nothing of it."""

    def watch(self, told: Callable[[], None]) -> None:
        """`told` is called on the loop when the process has ended."""

    async def close(self) -> None:
        """Watches no more. The process goes on."""
