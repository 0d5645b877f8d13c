"""A daemon that joins nobody says whom it tried, what came back, and what would help."""

import dataclasses
import json
import shutil
import signal
import socket
from pathlib import Path
from typing import Any

import httpx
from federation import orders
from federation.launch import Host, free_endpoint, wait_for
from loopback import Daemons, make_daemons

from overlayd.adapters.nacl_keys import NaclIdentity

WRONG_KEY, SOME_KEY = NaclIdentity.generate().key, NaclIdentity.generate().key


def joining(stranger: Host, *joins: str) -> None:
    """Names in a daemon's configuration whom it is to join."""
    config = stranger.folder / "overlayd.toml"
    text = config.read_text()
    assert "join = []" in text
    config.write_text(text.replace("join = []", f"join = {json.dumps(joins)}"))


def health(host: Host) -> tuple[int, dict[str, Any]]:
    transport = httpx.HTTPTransport(uds=str(host.socket))
    with httpx.Client(transport=transport, timeout=30) as client:
        answer = client.get("http://overlayd/v1/health")
    return answer.status_code, answer.json()


def test_who_joins_nobody_says_what_came_back_from_each(daemons: Daemons, folder: Path) -> None:
    """One stranger with a wrong key, a wrong port, a silent far end, and a peer of another federation."""
    h1, h2 = daemons.hosts["h1"], daemons.hosts["h2"]
    keys = {host.name: orders.me(host).peer for host in (h1, h2)}
    closed = free_endpoint("127.77.0.19")
    with (
        socket.create_server(("127.77.0.18", 0)) as silent,
        make_daemons(folder, ("ams",)) as strangers,
    ):
        at = f"127.77.0.18:{silent.getsockname()[1]}"
        stranger = strangers.hosts["h1"]
        joining(
            stranger,
            f"{keys['h1']}@{h1.endpoint}",
            f"{WRONG_KEY}@{h2.endpoint}",
            f"{keys['h2']}@{closed}",
            f"{SOME_KEY}@{at}",
        )
        strangers.start_all()
        expected = {
            h1.endpoint: "it is of another federation",
            h2.endpoint: "somebody answers there, but with another key than " + WRONG_KEY[:16],
            closed: "nobody listens there (connection refused)",
            at: "somebody takes the connection there and says nothing",
        }
        said = ""

        def all_said() -> bool:
            nonlocal said
            said = strangers.ctl("h1", "status").stdout
            return all(f"{where}: {what}" in said for where, what in expected.items())

        try:
            wait_for(all_said, 40, "what came back from each")
        except RuntimeError:
            raise AssertionError(said) from None
        assert "NOT JOINED" in said
        assert strangers.ctl("h1", "status").returncode == 1
        code, body = health(stranger)
        assert (code, body["status"]) == (503, "joining")
        log = stranger.log.read_text()
        assert "another key than" in log
        assert log.count("connection refused") < 4, "not at each try"
    assert health(h1)[0] == 200
    assert daemons.ctl("h1", "status").returncode == 0, daemons.ctl("h1", "status").stdout


def cloned(daemons: Daemons, name: str, endpoint: str) -> Host:
    """A copy of a host that is not running, keys and state and all, that listens elsewhere."""
    host = daemons.hosts[name]
    folder = host.folder.with_name("clone")
    shutil.copytree(host.folder, folder)
    config = folder / "overlayd.toml"
    text = config.read_text().replace(str(host.folder), str(folder))
    config.write_text(text.replace(host.endpoint, endpoint))
    copy = dataclasses.replace(host, folder=folder, address=endpoint, process=None)
    daemons.hosts["clone"] = copy
    return copy


def test_two_processes_with_one_key_are_named_by_all_and_nobody_else_is_suspected(
    folder: Path,
) -> None:
    with make_daemons(folder, ("ams", "bnl", "bnl")) as daemons:
        daemons.start_all()
        daemons.wait_converged()
        was = daemons.hosts["h3"].endpoint
        daemons.kill("h3", signal.SIGTERM)
        clone = cloned(daemons, "h3", free_endpoint("127.77.0.17"))
        for name in ("h3", "clone"):
            daemons.start(name)

        def named(at: str) -> bool:
            said = daemons.ctl(at, "status").stdout
            return "two processes use" in said and was in said and clone.endpoint in said

        for at in ("h1", "h2", "h3", "clone"):
            wait_for(lambda at=at: named(at), 60, f"{at} names both")
        events = {at: daemons.ctl(at, "events").stdout for at in ("h1", "h2")}
        for at, other in (("h1", "h2"), ("h2", "h1")):
            assert orders.peers(daemons.hosts[at])[other].health == "alive"
            assert events[at].count("peer.doubled") == 1
            assert f"peer.dead {other}" not in " ".join(events[at].split())
