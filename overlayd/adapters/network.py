"""The port `Network` by the kernel: netns in a thread, and its errors in the port's words."""

import asyncio
import socket
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, TypeVar

from netns import saved, traces
from netns.failures import NetnsError
from netns.kernel import rates
from netns.model import NetworkPlan
from overlayd.adapters.watching import Watching
from overlayd.ports.network import Inside, NetworkError

if TYPE_CHECKING:
    from netns.kernel.filters import Listing

T = TypeVar("T")


class KernelNetwork:
    """The networks of one host, in the network namespace of this process.

    `run_dir` is this host's alone, and keeps what must survive the daemon. `owner_tag` is the same as in the
    plans.
    """

    def __init__(self, run_dir: Path, owner_tag: str) -> None:
        self._run_dir = run_dir
        self._owner_tag = owner_tag
        self._plans: dict[str, NetworkPlan] = {}
        self._rules: Listing | None = None
        self._watching = Watching(lambda: None)

    async def ensure(self, plan: NetworkPlan) -> str:
        if plan.owner_tag != self._owner_tag:
            raise NetworkError(
                f"network {plan.network}: the plan is for host {plan.owner_tag!r}, "
                f"this is {self._owner_tag!r}"
            )
        self._plans.pop(plan.network, None)  # half-way it is not to be compared
        harm, end = await _in_thread(lambda: self._ensure(plan))
        self._plans[plan.network] = plan
        self._watching.await_end(plan.network, end)
        return harm

    async def remove(self, network: str) -> None:
        self._plans.pop(network, None)
        self._watching.await_end(network, None)
        await _in_thread(lambda: _apply().remove(network, self._run_dir, self._owner_tag))

    async def harms(self) -> dict[str, str]:
        if not self._plans:
            return {}
        plans = tuple(self._plans.values())
        rules = self._rules = self._rules or _apply().Listing()
        found: dict[str, str] = await _in_thread(
            lambda: _apply().harms(plans, self._run_dir, rules)
        )
        return found

    async def unplugged(self, taps: tuple[str, ...]) -> tuple[str, ...]:
        found: tuple[str, ...] = await _in_thread(lambda: _apply().unplugged(taps))
        return found

    async def carried(self, taps: tuple[str, ...]) -> tuple[str, ...]:
        found: tuple[str, ...] = await _in_thread(lambda: _apply().carried(taps))
        return found

    def watch(self, told: Callable[[], None]) -> None:
        self._watching = Watching(told)

    async def close(self) -> None:
        self._watching.close()

    async def observe(self) -> tuple[str, ...]:
        if not await _in_thread(lambda: traces.any_of(self._run_dir, self._owner_tag)):
            return ()
        return await _in_thread(lambda: _apply().observe(self._run_dir, self._owner_tag))

    async def sealed(self) -> tuple[NetworkPlan, ...]:
        return await _in_thread(lambda: saved.sealed_plans(self._run_dir))

    async def wireguard(self, port: int) -> Inside:
        def look() -> Inside:
            from netns.kernel import wireguard

            fault = wireguard.fault(port, self._owner_tag) or wireguard.port_fault(
                port, self._owner_tag
            )
            if fault:
                return Inside(fault=fault)
            return Inside(b64decode(wireguard.public_key(self._run_dir)))

        return await _in_thread(look)

    async def reachable(self, network: str, address: str, port: int, timeout_s: float) -> bool:
        return await _in_thread(
            lambda: _apply().reachable(network, self._run_dir, address, port, timeout_s)
        )

    async def rate_fault(self) -> str:
        return await _in_thread(rates.fault)

    async def namespace(self, network: str) -> int:
        return await _in_thread(lambda: _apply().namespace_number(network, self._run_dir))

    async def listen(self, network: str, address: str, port: int) -> socket.socket:
        return await _in_thread(lambda: _apply().listen(network, self._run_dir, address, port))

    async def connect(self, network: str, address: str, port: int) -> socket.socket:
        # The socket is made in the namespace, in a thread, and stays in it: the loop waits for the connection.
        handle: socket.socket = await _in_thread(lambda: _apply().socket_of(network, self._run_dir))
        try:
            await asyncio.get_running_loop().sock_connect(handle, (address, port))
        except BaseException:
            handle.close()
            raise
        return handle

    def _ensure(self, plan: NetworkPlan) -> tuple[str, int | None]:
        """In a thread: what was wrong, and a descriptor of the network's service."""
        self._watching.open()
        harm: str = _apply().ensure(plan, self._run_dir).harm
        end: int | None = _apply().service_pidfd(plan.network, self._run_dir)
        return harm, end


def _apply() -> ModuleType:
    """The module, loaded for the first network: most hosts carry none, and netlink's library is large."""
    from netns import apply

    return apply


async def _in_thread(work: Callable[[], T]) -> T:
    try:
        return await asyncio.to_thread(work)
    except (NetnsError, ValueError, OSError) as error:
        raise NetworkError(str(error)) from error
