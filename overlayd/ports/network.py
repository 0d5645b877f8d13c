"""Networks: the part of a grid's overlay network that one host carries."""

import socket
from collections.abc import Callable
from typing import Protocol

import msgspec

from netns.model import NetworkPlan


class NetworkError(Exception):
    """The kernel or a service refused. The text says which step and why. A later try goes on from there."""


class Inside(msgspec.Struct, frozen=True):
    """This host's WireGuard: its public key, or why it has none, for people."""

    key: bytes = b""
    fault: str = ""


class Network(Protocol):
    """Every call is idempotent and brings about the difference between wanted and observed."""

    async def ensure(self, plan: NetworkPlan) -> str:
        """Puts exactly this plan in force: links, taps, forwarding, filters, DHCP and DNS.

        Answers what was wrong, in words, if this very plan had been in force here since the host's start and
        somebody else has undone part of it. Otherwise it answers nothing: also the first time.
        """

    async def harms(self) -> dict[str, str]:
        """What is not as this process ensured it, in words, by network. It is cheap, and changes nothing."""

    async def unplugged(self, taps: tuple[str, ...]) -> tuple[str, ...]:
        """Those of the taps that nobody has plugged a card into. A tap that is not there is none of them."""

    async def carried(self, taps: tuple[str, ...]) -> tuple[str, ...]:
        """Those of the taps that a process has open and whose carrier somebody took. They have it again."""

    def watch(self, told: Callable[[], None]) -> None:
        """`told` is called on the loop when something of an ensured network may have changed, by whomever."""

    async def close(self) -> None:
        """Watches nothing any more. Networks stay."""

    async def remove(self, network: str) -> None:
        """Leaves nothing of that network on this host."""

    async def observe(self) -> tuple[str, ...]:
        """Ids of the networks of which anything exists here, even from an earlier life of this process."""

    async def sealed(self) -> tuple[NetworkPlan, ...]:
        """The plans of sealed networks of which anything exists here, also of an earlier life. It is cheap."""

    async def wireguard(self, port: int) -> Inside:
        """Whether networks can cross hosts by this one's WireGuard, at that UDP port. It is only tried."""

    async def reachable(self, network: str, address: str, port: int, timeout_s: float) -> bool:
        """Whether a TCP connection from inside the network's namespace on this host succeeds."""

    async def rate_fault(self) -> str:
        """Why no card can be held to a rate on this host, as it was tried; empty if it can."""

    async def namespace(self, network: str) -> int:
        """A number of the network's namespace on this host: another one once it was made anew.

        Raises NetworkError when the network is not on this host.
        """

    async def listen(self, network: str, address: str, port: int) -> socket.socket:
        """A TCP listener inside the network's namespace on this host, without blocking. The caller closes it.

        Raises NetworkError when the network is not on this host, or has not that address.
        """

    async def connect(self, network: str, address: str, port: int) -> socket.socket:
        """A TCP connection from inside the network's namespace on this host, without blocking.

        The caller closes it, and bounds how long it waits. Raises OSError as the kernel says it (refused, no
        route), and NetworkError if the network is not on this host.
        """
