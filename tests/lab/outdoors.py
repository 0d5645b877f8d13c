"""What is outside, for tests of the ways between a network's guests and there."""

import socket
from pathlib import Path

from netns_world import World

from netns import program
from netns.kernel import namespaces, sockets

OUTSIDE, HOST_OUT, CLOSED = "203.0.113.10", "203.0.113.1", "203.0.113.77"


class Outdoors:
    """A namespace that the first host has a link to. It answers, and asks from there."""

    def __init__(self, host: str) -> None:
        self.namespace, self._host = f"{host}.out", host

    def open(self) -> None:
        namespaces.add(self.namespace)
        pair = f"ip -n {self._host} link add up0 type veth peer name eth0 netns {self.namespace}"
        program.run(pair.split())
        program.run(f"ip -n {self._host} address add {HOST_OUT}/24 dev up0".split())
        program.run(f"ip -n {self._host} link set up0 up".split())
        for address in (OUTSIDE, CLOSED, "203.0.113.20"):
            program.run(f"ip -n {self.namespace} address add {address}/24 dev eth0".split())
        program.run(f"ip -n {self.namespace} link set eth0 up".split())
        namespaces.inside(self._host, lambda: Path("/proc/sys/net/ipv4/ip_forward").write_text("1"))

    def serves(self, address: str, port: int) -> socket.socket:
        """A listener out there. The caller closes it."""
        return sockets.listen_in(self.namespace, address, port)


def outdoors(world: World) -> Outdoors:
    """What is outside the first host of a world."""
    return Outdoors(world.lab.namespace("a"))


def reaches(namespace: str, address: str, port: int) -> bool:
    """Whether a connection from there succeeds in a second."""

    def dial() -> bool:
        with socket.socket() as handle:
            handle.settimeout(1.0)
            return handle.connect_ex((address, port)) == 0

    return namespaces.inside(namespace, dial)
