"""Networks: the part of a grid's overlay network that one host carries."""

from typing import Protocol

from netns.model import NetworkPlan


class NetworkError(Exception):
    """The kernel or a service refused. The text says which step and why. A later try goes on from there."""


class Network(Protocol):
    """Every call is idempotent and brings about the difference between wanted and observed."""

    async def ensure(self, plan: NetworkPlan) -> None:
        """Puts exactly this plan in force: links, taps, forwarding, filters, DHCP and DNS."""

    async def remove(self, network: str) -> None:
        """Leaves nothing of that network on this host."""

    async def observe(self) -> tuple[str, ...]:
        """Ids of the networks of which anything exists here, even from an earlier life of this process."""

    async def reachable(self, network: str, address: str, port: int, timeout_s: float) -> bool:
        """Whether a TCP connection from inside the network's namespace on this host succeeds."""
