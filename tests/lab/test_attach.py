"""A host that carries nothing of a grid is on its network for as long as a command runs there."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from federation import orders, traces
from federation.launch import BIN, wait_for
from msgspec.structs import replace
from netns_world import Guest, goes
from paired_hosts import Pair
from test_sealed_network import SITES, WITHIN_S

from netns import program
from netns.kernel import namespaces
from netns.lab.topology import Host, Site
from netns.tunnel import client
from protocol.grid.model import Encryption, GridSpec

LAPTOP = Site("home", "192.0.2.0/28", (Host("c", "192.0.2.1"),))
CONTENT = os.urandom(1 << 20)


class Visited(Pair):
    """The pair, and a host `c` that carries nothing."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, Encryption.REQUIRED, *SITES, LAPTOP)

    def spec(self, name: str) -> GridSpec:
        plain = super().spec(name)
        return replace(plain, placement=replace(plain.placement, exclude=("c",)))

    @contextmanager
    def attached(self, host: str = "c") -> Iterator[subprocess.Popen[str]]:
        """A command that runs; it is killed if it still does at the end."""
        found = self.host(host)
        words = [str(BIN / "overlayctl"), "--peer", str(found.socket), "-o", "json"]
        words += ["--identity", str(self.daemons.identity("ams")), "attach", "pair/lan"]
        command = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        try:
            yield command
        finally:
            command.kill()
            command.wait()

    def address(self, command: subprocess.Popen[str]) -> str:
        """The host's own, once it is on the network."""
        assert command.stdout is not None
        for line in command.stdout:
            view = json.loads(line)
            assert not view["over"], view
            if view["up"]:
                return str(view["address"])
        raise AssertionError("the command ended")

    def reaches(self, guest: Guest) -> bool:
        """Whether `c` itself has answers of a guest."""
        words = ["ip", "netns", "exec", self.lab.namespace("c"), "ping", "-c1", "-w2", "-q"]
        return program.attempt([*words, guest.port.address])[0] == 0

    def left(self) -> str:
        """What there is of it on `c`, and what the other hosts still have of it."""
        rules = program.run(
            ["ip", "netns", "exec", self.lab.namespace("c"), "nft", "list", "tables"]
        )
        links = self.ip("c", "-o", "link")
        kept = [line for text in (rules, links) for line in text.splitlines() if "ova" in line]
        for host in ("a", "b"):
            networks = client.state(self.host(host).folder / "state" / "networks")
            kept += [f"{host}: {p.peer}" for p in networks.peers if p.peer == self.key("c")]
        return "\n".join(kept)

    def key(self, host: str) -> str:
        return orders.me(self.host(host)).peer


@pytest.fixture
def pair(folder: Path) -> Iterator[Visited]:
    made = Visited(folder / "f")
    try:
        made.enrol()
        made.start()
        wait_for(lambda: made.daemons.converged("a", "b", "c"), 30, "all list each other")
        made.up()
        yield made
    finally:
        made.tear_down()


def test_a_host_is_on_a_network_while_a_command_runs(pair: Visited) -> None:
    with pair.attached() as command:
        address = pair.address(command)
        _it_reaches_the_guests(pair, address)
        _its_own_services_are_not_reached(pair, address)
        command.kill()
        wait_for(lambda: pair.left() == "", WITHIN_S, "nothing is left of it")
        wait_for(lambda: traces.of_host(pair.host("c")) == [], WITHIN_S, "nor a forwarder")
    with pair.attached() as command:
        assert pair.address(command) == address, "a host has the same one again if it is free"
        os.kill(client.state(pair.host("c").folder / "state" / "networks").pid, signal.SIGKILL)
        wait_for(lambda: pair.reaches(pair.guests["pair"][0]), WITHIN_S, "with the next forwarder")
        pair.daemons.kill("a")
        pair.daemons.restart("a")
        wait_for(lambda: pair.reaches(pair.guests["pair"][0]), WITHIN_S, "with the next daemon")
        command.send_signal(signal.SIGINT)
        assert command.wait(WITHIN_S) == 130
        wait_for(lambda: pair.left() == "", WITHIN_S, "nothing is left of it")
    _who_may_not_is_told_why(pair)


def _it_reaches_the_guests(pair: Visited, address: str) -> None:
    for guest in pair.guests["pair"]:
        wait_for(lambda g=guest: pair.reaches(g), WITHIN_S, "a guest answers")
        assert not guest.misses(address), "and has answers"
    guest = pair.guests["pair"][1]
    with namespaces.stream_socket_in(guest.namespace) as door:
        door.bind((guest.port.address, 0))
        door.listen(1)
        with namespaces.stream_socket_in(pair.lab.namespace("c")) as near:
            near.settimeout(WITHIN_S)
            near.connect(door.getsockname())
            far, _ = door.accept()
            with far:
                far.settimeout(WITHIN_S)
                assert goes(near, far, CONTENT)
                assert goes(far, near, CONTENT)


def _its_own_services_are_not_reached(pair: Visited, address: str) -> None:
    guest = pair.guests["pair"][0]
    with (
        namespaces.stream_socket_in(pair.lab.namespace("c")) as door,
        namespaces.stream_socket_in(guest.namespace) as near,
    ):
        door.bind((address, 0))
        door.listen(1)
        near.settimeout(1)
        with pytest.raises(TimeoutError):
            near.connect(door.getsockname())


def _who_may_not_is_told_why(pair: Visited) -> None:
    with pair.attached("a") as command:
        assert command.wait(WITHIN_S) == 1
    told = pair.daemons.ctl("c", "attach", f"{pair.ids['pair']}/lan", site="bnl")
    assert "not to site bnl's admin" in told.stderr
    told = pair.daemons.ctl("c", "attach", "pair/wan", site="ams")
    assert "pair has no network wan\n  would work: pair/lan\n" in told.stderr
