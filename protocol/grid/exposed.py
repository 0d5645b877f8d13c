"""Which port of a host leads to which port of a guest: the host's own word, as it holds and carries it.

A record does not say it, so nobody but the host that gives a port can claim it.
"""

from collections.abc import Iterable

import msgspec

from protocol.grid.model import Transport
from protocol.terms.ranges import Name, Port


class ExposedPort(msgspec.Struct, frozen=True, array_like=True):
    """One port of a workspace's guest, and the one of its host that leads to it."""

    workspace: Name
    port: Port
    transport: Transport
    outside: Port

    def __str__(self) -> str:
        udp = "/udp" if self.transport is Transport.UDP else ""
        return f"{self.outside}{udp} -> {self.workspace}:{self.port}"


def ports_of_workspaces(
    ports: Iterable[ExposedPort], names: Iterable[str]
) -> tuple[ExposedPort, ...]:
    """Those of the workspaces with these names."""
    there = dict.fromkeys(names)
    return tuple(port for port in ports if port.workspace in there)
