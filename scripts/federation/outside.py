"""An outside for the hosts of a lab: one link each, a router behind it, and servers behind that.

Every host has an outside of its own with the same addresses, so that any of them may be a grid's way out.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from netns import program
from netns.kernel import namespaces, sysctl

NEAR = "203.0.113.10"
"""The router of the network that the hosts are on."""
FAR = "192.0.2.10"
"""A server beyond that."""
PORT = 8000

Handler = Callable[..., BaseHTTPRequestHandler]


@contextmanager
def outside(lab: str, hosts: Iterable[str], handler: Handler) -> Iterator[None]:
    """Gives each of those hosts of a lab (its topology's name) a link to the outside, where `handler` answers
    HTTP at every address. Forwarding is left to the caller."""
    with ExitStack() as stack:
        for number, name in enumerate(hosts):
            inside, beyond = f"ovl-lab-{lab}.{name}", f"ovl-lab-{lab}.{name}.out"
            namespaces.add(beyond)
            stack.callback(namespaces.delete, beyond)
            for line in (
                f"ip -n {inside} link add up0 type veth peer name eth0 netns {beyond}",
                f"ip -n {inside} address add {address_of(number)}/24 dev up0",
                f"ip -n {inside} link set up0 up",
                f"ip -n {beyond} address add {NEAR}/24 dev eth0",
                f"ip -n {beyond} address add {FAR}/32 dev lo",
                f"ip -n {beyond} link set eth0 up",
                f"ip -n {beyond} link set lo up",
                f"ip -n {inside} route add {FAR}/32 via {NEAR}",
            ):
                program.run(line.split())
            stack.enter_context(serving(beyond, "", handler))
        yield


def address_of(number: int) -> str:
    """The address of a host towards the outside; hosts are counted from 0."""
    return f"203.0.113.{number + 1}"


def forwards(lab: str, host: str) -> None:
    """Has a host of a lab forward packets, as its administrator would."""
    namespaces.inside(f"ovl-lab-{lab}.{host}", lambda: sysctl.set_forwarding(True))


@contextmanager
def serving(namespace: str, address: str, handler: Handler) -> Iterator[None]:
    """A web server in a namespace while the block runs."""
    server = namespaces.inside(namespace, lambda: ThreadingHTTPServer((address, PORT), handler))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


def folder(path: Path) -> Handler:
    """Answers with the files of a folder, and logs nothing."""
    return partial(_Files, directory=str(path))


class _Files(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        return
