"""A real forwarder on this host, without taps: begun once, told tables, found again, ended."""

import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import netns
from netns.failures import NetnsError, StaleEpoch
from netns.tunnel import client, process
from netns.tunnel.tables import Networks, Peers, SealedNetwork, SealedPeer, Session, State


@pytest.fixture
def run_dir(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    client.stop(tmp_path)
    assert not (tmp_path / process.DIRECTORY).exists(), "nothing of it is left"


def peers(epoch: int, *numbers: int, keep: bool = False) -> Peers:
    sessions = tuple(
        Session(n, n + 100, bytes([n] * 32), bytes([n + 100] * 32), time.monotonic())
        for n in numbers
    )
    return Peers(epoch, (SealedPeer("b", "192.0.2.2", 7790, sessions, keep),))


def test_one_forwarder_is_begun_and_answers_until_it_is_stopped(run_dir: Path) -> None:
    with pytest.raises(client.NoForwarder, match="no forwarder of sealed networks answers"):
        client.state(run_dir)
    first = client.ensure(run_dir, 0)
    assert first.instance
    assert first.port
    again = client.ensure(run_dir, first.port)
    assert (again.instance, again.pid, again.port) == (first.instance, first.pid, first.port)
    client.stop(run_dir)
    client.stop(run_dir)
    assert process.running(run_dir) is None
    with pytest.raises(client.NoForwarder):
        client.state(run_dir)


def test_two_who_ensure_at_once_get_the_same(run_dir: Path) -> None:
    found: list[State] = []
    threads = [
        threading.Thread(target=lambda: found.append(client.ensure(run_dir, 0))) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({state.instance for state in found}) == 1


def test_one_that_was_killed_is_begun_anew_as_another(run_dir: Path) -> None:
    first = client.ensure(run_dir, 0)
    handle = process.pidfd(run_dir)
    assert handle is not None
    os.kill(first.pid, signal.SIGKILL)
    assert select.select([handle], [], [], 10)[0]
    os.close(handle)
    assert process.pidfd(run_dir) is None
    second = client.ensure(run_dir, first.port)
    assert second.instance != first.instance
    assert second.port == first.port
    with pytest.raises(
        client.OtherInstance, match=f"forwarder {second.instance} runs, not {first.instance}"
    ):
        client.tell_peers(run_dir, first.instance, peers(1, 1))
    assert client.state(run_dir).peers == ()


def test_one_that_hangs_is_replaced(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = client.ensure(run_dir, 0)
    monkeypatch.setattr(client, "ANSWER_WITHIN_S", 0.5)
    os.kill(first.pid, signal.SIGSTOP)
    second = client.ensure(run_dir, 0)
    assert second.instance != first.instance


def test_it_survives_who_began_it(run_dir: Path) -> None:
    code = "from pathlib import Path; from netns.tunnel import client; "
    code += f"client.ensure(Path({str(run_dir)!r}), 0)"
    environment = {**os.environ, "PYTHONPATH": str(Path(netns.__file__).parents[1])}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, timeout=60)
    assert client.state(run_dir).instance


def test_an_older_epoch_never_replaces_a_newer_one(run_dir: Path) -> None:
    state = client.ensure(run_dir, 0)
    assert client.tell_networks(run_dir, Networks(5)).networks_epoch == 5
    with pytest.raises(
        StaleEpoch, match="networks of epoch 4 are older than those in force, of epoch 5"
    ):
        client.tell_networks(run_dir, Networks(4))
    assert client.tell_networks(run_dir, Networks(5)).networks_epoch == 5, "the same again is fine"
    assert client.tell_peers(run_dir, state.instance, peers(5, 1)).peers_epoch == 5
    with pytest.raises(StaleEpoch, match="peers of epoch 4 are older"):
        client.tell_peers(run_dir, state.instance, peers(4, 2))
    with pytest.raises(StaleEpoch, match="of epoch 5 are in force already, and are others"):
        client.tell_peers(run_dir, state.instance, peers(5, 2))
    seen = client.state(run_dir)
    assert [(peer.peer, peer.index) for peer in seen.peers] == [("b", 1)]


def test_a_table_that_makes_no_sense_changes_nothing(run_dir: Path) -> None:
    state = client.ensure(run_dir, 0)
    client.tell_peers(run_dir, state.instance, peers(1, 1))
    client.tell_peers(run_dir, state.instance, peers(2, 2))
    with pytest.raises(ValueError, match="session 1 has ended"):
        client.tell_peers(run_dir, state.instance, peers(3, 1))
    seen = client.state(run_dir)
    assert seen.peers_epoch == 2
    assert [peer.index for peer in seen.peers] == [2]


def test_a_tap_that_is_not_there_is_said_and_the_table_is_not_in_force(run_dir: Path) -> None:
    client.ensure(run_dir, 0)
    network = SealedNetwork(7, "ovs-absent", 1418, (), "02:00:00:00:00:01", ())
    with pytest.raises(NetnsError, match="cannot open the tap ovs-absent"):
        client.tell_networks(run_dir, Networks(1, (network,)))
    assert client.state(run_dir).networks_epoch == 0


def test_a_port_that_is_taken_is_said_with_what_would_work(run_dir: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("", 0))
        port = taken.getsockname()[1]
        with pytest.raises(
            NetnsError, match=f"cannot take UDP port {port} .* choose another tunnel port"
        ):
            client.ensure(run_dir, port)


def test_no_key_is_in_any_file_of_its(run_dir: Path) -> None:
    state = client.ensure(run_dir, 0)
    client.tell_peers(run_dir, state.instance, peers(1, 65))
    files = [path for path in run_dir.rglob("*") if path.is_file()]
    assert files
    assert not any(b"A" * 8 in path.read_bytes() or b"QUFB" in path.read_bytes() for path in files)


def test_its_socket_is_roots_alone(run_dir: Path) -> None:
    client.ensure(run_dir, 0)
    control = run_dir / process.DIRECTORY / process.CONTROL
    assert control.stat().st_mode & 0o777 == 0o600
    assert (run_dir / process.DIRECTORY).stat().st_mode & 0o777 == 0o700


def test_a_run_directory_of_any_length_will_do(tmp_path: Path) -> None:
    far = tmp_path / ("d" * 100) / ("e" * 100)
    far.mkdir(parents=True)
    try:
        assert client.ensure(far, 0).instance
    finally:
        client.stop(far)
