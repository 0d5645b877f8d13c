"""Names of the outside: a guest is answered by whom its host asks, also on the loopback of that alone."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace
from netns_world import World, ask_dns, eventually

from netns import apply, program
from netns.kernel import namespaces
from netns.model import Egress
from netns.plan import dnsmasq, way_text
from netns.services import dnsmasq as service

NAME, GATEWAY = "example.org", "10.42.0.1"
STUB, OTHER = "127.0.0.53", "127.0.0.54"
SAID = {STUB: "203.0.113.10", OTHER: "203.0.113.20"}
REFUSED, SILENT = 5, -1
SETGID = 1 << 6


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """The first host has two resolvers, on its loopback; its guests may get out."""
    made = World(tmp_path)
    monkeypatch.setattr(dnsmasq, "RESOLV_CONF", str(tmp_path / "resolv.conf"))
    tmp_path.chmod(0o755)  # as /etc is: who follows a file watches its folder
    asks(tmp_path, STUB)
    made.plans["a"] = replace(made.plans["a"], egress=Egress())
    try:
        made.start()
        with resolver(made, STUB), resolver(made, OTHER):
            yield made
    finally:
        made.tear_down()


@contextmanager
def resolver(world: World, address: str) -> Iterator[None]:
    inside = f"--net=/run/netns/{world.lab.namespace('a')}"
    what = f"--address=/{NAME}/{SAID[address]}"
    plain = [
        "--keep-in-foreground",
        "--no-resolv",
        "--no-hosts",
        "--conf-file=/dev/null",
        "--pid-file=",
    ]
    where = ["--bind-interfaces", f"--listen-address={address}"]
    runs = subprocess.Popen(["nsenter", inside, "dnsmasq", *plain, *where, what])
    try:
        eventually(lambda: world.on("a", lambda: listens(address, 53)), "the resolver")
        yield
    finally:
        runs.terminate()
        runs.wait()


def asks(folder: Path, address: str) -> None:
    """The host asks that resolver from now on."""
    fresh = folder / "resolv.conf.new"
    fresh.write_text(f"nameserver {address}\n")
    fresh.rename(folder / "resolv.conf")


def told(world: World) -> tuple[int, list[str]]:
    """What a guest is answered."""
    try:
        return namespaces.inside(world.guests["head"].namespace, lambda: ask_dns(NAME, GATEWAY))
    except TimeoutError:
        return SILENT, []


def listens(address: str, port: int) -> bool:
    """Whether somebody takes connections there, from the calling thread's namespace."""
    with socket.socket() as handle:
        handle.settimeout(0.5)
        return handle.connect_ex((address, port)) == 0


def test_a_guest_is_answered_by_whom_its_host_asks_now(world: World, tmp_path: Path) -> None:
    eventually(lambda: told(world) == (0, [SAID[STUB]]), "an answer")
    asks(tmp_path, OTHER)
    eventually(lambda: told(world) == (0, [SAID[OTHER]]), "an answer of the next one")
    world.ensure("a", replace(world.plans["a"], epoch=2, egress=Egress(resolvers=(STUB,))))
    eventually(lambda: told(world) == (0, [SAID[STUB]]), "an answer of the one that is named")


def test_who_may_not_get_out_is_refused_and_not_left_waiting(world: World) -> None:
    world.ensure("a", replace(world.plans["a"], epoch=2, egress=None))
    assert told(world) == (REFUSED, [])
    assert not (world.run_dirs["a"] / world.network / service.RELAY).exists()


def test_it_is_kept_and_goes_with_its_network(world: World) -> None:
    plan, run_dir = world.plans["a"], world.run_dirs["a"]
    pid = int((run_dir / world.network / service.RELAY / "dnsmasq.pid").read_text())
    powers = Path(f"/proc/{pid}/status").read_text().split("CapEff:")[1].split()[0]
    assert int(powers, 16) & ~SETGID == 0, "on the host it has no powers over networks"
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not Path(f"/proc/{pid}").exists(), "its end")
    harms = world.on("a", lambda: apply.harms([plan], run_dir, apply.Listing()))
    assert harms == {plan.network: "dnsmasq (names of the outside) did not run as started"}
    assert world.ensure("a") == ["replace service "]
    assert world.ensure("a") == []
    eventually(lambda: told(world) == (0, [SAID[STUB]]), "an answer")
    world.remove("a")
    assert world.left_on("a") == ""


def test_nobody_but_its_network_asks_there(world: World) -> None:
    outside, _ = way_text.ends(0)
    way = world.lab.address("a")
    program.run(f"ip -n {world.lab.namespace('b')} route add {outside}/32 via {way}".split())
    assert world.on("a", lambda: listens(outside, dnsmasq.RELAY_PORT))
    assert not world.on("b", lambda: listens(outside, dnsmasq.RELAY_PORT))
