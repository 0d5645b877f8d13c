"""The port `Network` by the kernel: netns in a thread, and its errors in the port's words."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from netns import traces
from netns.failures import NetnsError
from netns.model import NetworkPlan
from overlayd.ports.network import NetworkError

T = TypeVar("T")


class KernelNetwork:
    """The networks of one host, in the network namespace of this process.

    `run_dir` is this host's alone, and keeps what must survive the daemon. `owner_tag` is the same as in the
    plans.
    """

    def __init__(self, run_dir: Path, owner_tag: str) -> None:
        self._run_dir = run_dir
        self._owner_tag = owner_tag

    async def ensure(self, plan: NetworkPlan) -> None:
        if plan.owner_tag != self._owner_tag:
            raise NetworkError(
                f"network {plan.network}: the plan is for host {plan.owner_tag!r}, "
                f"this is {self._owner_tag!r}"
            )
        await _in_thread(lambda: _apply().ensure(plan, self._run_dir))

    async def remove(self, network: str) -> None:
        await _in_thread(lambda: _apply().remove(network, self._run_dir, self._owner_tag))

    async def observe(self) -> tuple[str, ...]:
        if not await _in_thread(lambda: traces.any_of(self._run_dir, self._owner_tag)):
            return ()
        return await _in_thread(lambda: _apply().observe(self._run_dir, self._owner_tag))

    async def reachable(self, network: str, address: str, port: int, timeout_s: float) -> bool:
        return await _in_thread(
            lambda: _apply().reachable(network, self._run_dir, address, port, timeout_s)
        )


def _apply() -> ModuleType:
    """The module, loaded for the first network: most hosts carry none, and netlink's library is large."""
    from netns import apply

    return apply


async def _in_thread(work: Callable[[], T]) -> T:
    try:
        return await asyncio.to_thread(work)
    except (NetnsError, ValueError, OSError) as error:
        raise NetworkError(str(error)) from error
