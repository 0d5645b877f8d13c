"""The port `Network` in memory."""

import asyncio
import errno
import socket
from collections.abc import Callable

from netns.model import NetworkPlan
from overlayd.ports.network import Inside, NetworkError


class FakeNetwork:
    """Remembers plans. `listeners` is what answers: (network, address, port), `silent` what never does.

    `namespaces` numbers namespaces that were made anew, `doors` has the ports of listeners.
    `refusals` are texts of errors for the next calls of `ensure` or `remove`, in order. `harmed` is
    what somebody undid, by network; `told` says so. `loose` is the taps that no card is plugged into,
    `no_rates` why no card can be held to a rate.
    """

    def __init__(self, owner_tag: str) -> None:
        self._owner_tag = owner_tag
        self.plans: dict[str, NetworkPlan] = {}
        self.listeners: set[tuple[str, str, int]] = set()
        self.silent: set[tuple[str, str, int]] = set()
        self.connected: list[socket.socket] = []
        self.namespaces: dict[str, int] = {}
        self.doors: dict[str, int] = {}
        self.refusals: list[str] = []
        self.harmed: dict[str, str] = {}
        self.loose: set[str] = set()
        self.no_rates = ""
        self.inside = Inside(fault="this host only pretends")
        self.dark: set[str] = set()
        """Taps whose carrier somebody took."""
        self.told: Callable[[], None] = lambda: None

    async def ensure(self, plan: NetworkPlan) -> str:
        if plan.owner_tag != self._owner_tag:
            raise NetworkError(
                f"network {plan.network}: the plan is for host {plan.owner_tag!r}, "
                f"this is {self._owner_tag!r}"
            )
        self._maybe_refuse()
        try:
            plan.check()
        except ValueError as error:
            raise NetworkError(str(error)) from error
        before = self.plans.get(plan.network)
        if before is not None and plan.epoch < before.epoch:
            raise NetworkError(
                f"network {plan.network}: a plan of epoch {plan.epoch} was asked for, "
                f"but epoch {before.epoch} is in force here"
            )
        self.plans[plan.network] = plan
        harm = self.harmed.pop(plan.network, "")
        return harm if before == plan else ""

    async def harms(self) -> dict[str, str]:
        return dict(self.harmed)

    async def unplugged(self, taps: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(tap for tap in taps if tap in self.loose)

    async def carried(self, taps: tuple[str, ...]) -> tuple[str, ...]:
        lost = tuple(tap for tap in taps if tap in self.dark)
        self.dark -= set(lost)
        return lost

    def watch(self, told: Callable[[], None]) -> None:
        self.told = told

    async def close(self) -> None:
        self.told = lambda: None
        for far in self.connected:
            far.close()

    async def remove(self, network: str) -> None:
        self._maybe_refuse()
        self.plans.pop(network, None)
        self.harmed.pop(network, None)
        self.listeners = {door for door in self.listeners if door[0] != network}

    async def observe(self) -> tuple[str, ...]:
        return tuple(sorted(self.plans))

    async def sealed(self) -> tuple[NetworkPlan, ...]:
        return tuple(plan for _, plan in sorted(self.plans.items()) if plan.sealed)

    async def wireguard(self, port: int) -> Inside:
        return self.inside

    async def reachable(self, network: str, address: str, port: int, timeout_s: float) -> bool:
        if network not in self.plans:
            raise NetworkError(f"network {network} is not on this host; ensure it first")
        return (network, address, port) in self.listeners

    async def rate_fault(self) -> str:
        return self.no_rates

    async def namespace(self, network: str) -> int:
        if network not in self.plans:
            raise NetworkError(f"network {network} is not on this host; ensure it first")
        return self.namespaces.get(network, 1)

    async def listen(self, network: str, address: str, port: int) -> socket.socket:
        """A listener of this machine's loopback stands for it, in `doors`."""
        await self.namespace(network)
        handle = socket.create_server(("127.0.0.1", 0))
        handle.setblocking(False)
        self.doors[network] = handle.getsockname()[1]
        return handle

    async def connect(self, network: str, address: str, port: int) -> socket.socket:
        """A member that listens is played by whoever takes the other end from `connected`."""
        if network not in self.plans:
            raise NetworkError(f"network {network} is not on this host; ensure it first")
        if (network, address, port) in self.silent:
            await asyncio.Event().wait()
        if (network, address, port) not in self.listeners:
            raise ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
        near, far = socket.socketpair()
        near.setblocking(False)
        self.connected.append(far)
        return near

    def _maybe_refuse(self) -> None:
        if self.refusals:
            raise NetworkError(self.refusals.pop(0))
