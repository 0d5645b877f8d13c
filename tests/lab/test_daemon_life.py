"""Daemons that come, go, are killed and come back; and those that cannot start."""

import configparser
import re
import signal
import socket
import subprocess
from pathlib import Path

import pytest
from federation import orders
from federation.launch import BIN, wait_for
from loopback import Daemons, make_daemons

from overlayd.adapters.credentials import enrol_host
from protocol.requesting.request import RequestState
from protocol.trust.order import Action

GOES_WITHIN_S = 20
UNIT = Path(__file__).parents[2] / "scripts" / "overlayd.service"


def refuses_to_run(config: Path) -> str:
    """What a daemon says that ends by itself at once, with exit code 1."""
    return refused("run", "-c", str(config))


def refused(*words: str) -> str:
    """What `overlayd` says that ends with exit code 1."""
    argv = [str(BIN / "overlayd"), *words]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1, done
    assert "Traceback" not in done.stderr
    return done.stderr


def health(daemons: Daemons, at: str, of: str) -> str:
    return orders.peers(daemons.hosts[at])[of].health


def test_every_peer_lists_every_peer(daemons: Daemons) -> None:
    for name in daemons.names:
        # Another test's members, long gone, may still be known.
        rows = {n: r for n, r in orders.peers(daemons.hosts[name]).items() if n in daemons.names}
        assert sorted(rows) == daemons.names
        assert {row.site for row in rows.values()} == {"ams", "bnl", "uc"}
        assert rows[name].health == "self"
        assert all(row.age_s >= 0 for row in rows.values())


def test_an_orderly_stop_ends_with_0_and_the_others_say_left(daemons: Daemons) -> None:
    host = daemons.hosts["h3"]
    process = host.process
    assert process is not None
    process.send_signal(signal.SIGTERM)
    assert process.wait(GOES_WITHIN_S) == 0
    assert not host.socket.exists()
    for name in ("h1", "h2", "h4"):
        wait_for(
            lambda name=name: health(daemons, name, "h3") == "left", 10, f"{name} says h3 left"
        )
    assert "h3" in daemons.ctl("h1", "peers").stdout
    daemons.restart("h3")
    daemons.wait_converged()


def test_systemd_is_told_when_it_is_ready_and_when_it_stops(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(folder / "notify"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(str(folder / "notify"))
        heard.settimeout(GOES_WITHIN_S)
        with make_daemons(folder / "f", ("ams",)) as one:
            host = one.start("h1")
            assert heard.recv(100) == b"READY=1"
            assert host.get("self"), "who is told that it is ready can ask it"
            one.kill("h1", signal.SIGTERM)
            assert heard.recv(100) == b"STOPPING=1"


def test_the_systemd_unit_waits_for_that_and_spares_the_guests() -> None:
    unit = configparser.ConfigParser(strict=False)
    unit.read(UNIT)
    service = unit["Service"]
    assert service["Type"] == "notify"
    assert service["KillMode"] == "process"
    program, *words = service["ExecStart"].split()
    assert Path(program).name == "overlayd"
    said = refused(*words[:-1], "/nowhere/overlayd.toml")
    assert said.startswith("/nowhere/overlayd.toml: cannot be read")


def test_a_killed_daemon_is_missed_and_resumes_what_it_carried(daemons: Daemons) -> None:
    made = orders.obeyed(
        daemons.hosts["h1"],
        orders.up(
            daemons.identity("uc"), orders.spec("kept", daemons.image, 8), daemons.hosts["h1"]
        ),
    )
    assert made.state is RequestState.DONE, made.answer
    before = orders.grid(daemons.hosts["h1"], "kept")
    assert before is not None
    victim = before.workspaces[0].host
    placed = [(row.workspace, row.host) for row in before.workspaces]
    watcher = next(name for name in daemons.names if name != victim)
    store = orders.peers(daemons.hosts[watcher])[victim].store
    daemons.kill(victim)
    wait_for(
        lambda: health(daemons, watcher, victim) in ("suspect", "dead"), 20, f"{victim} is missed"
    )
    daemons.restart(victim)
    daemons.wait_converged()

    def resumed() -> bool:
        view = orders.grid(daemons.hosts[watcher], "kept")
        return view is not None and all(row.phase == "running" for row in view.workspaces)

    wait_for(resumed, 20, f"what {victim} carried runs again")
    kept = orders.peers(daemons.hosts[watcher])[victim].store
    assert store == kept != "", "its seats are its own still"
    after = orders.grid(daemons.hosts[victim], "kept")
    assert after is not None
    assert [(row.workspace, row.host) for row in after.workspaces] == placed
    assert orders.me(daemons.hosts[victim]).carried == 1
    gone = orders.obeyed(
        daemons.hosts[victim], orders.signed(daemons.identity("uc"), Action.DOWN, "kept")
    )
    assert gone.state is RequestState.DONE, gone.answer


def test_a_daemon_killed_over_and_over_starts_every_time(daemons: Daemons) -> None:
    for _ in range(3):
        before = orders.me(daemons.hosts["h4"]).incarnation
        daemons.kill("h4")
        daemons.restart("h4")
        assert orders.me(daemons.hosts["h4"]).incarnation > before
    daemons.wait_converged()


def test_a_certificate_of_another_name_is_refused(folder: Path) -> None:
    made = make_daemons(folder, ("ams",))
    config = made.hosts["h1"].folder / "overlayd.toml"
    config.write_text(config.read_text().replace('name = "h1"', 'name = "h2"'))
    said = refuses_to_run(config)
    assert "the certificate is of h1 at ams, the configuration says h2 at ams" in said
    assert "overlayctl host enrol ams h2" in said
    assert "the certificate is of h1 at ams" in refused("check-config", str(config))


def test_an_expired_certificate_is_refused_where_it_is(folder: Path) -> None:
    made = make_daemons(folder, ("ams",))
    config = made.hosts["h1"].folder / "overlayd.toml"
    keys = enrol_host(made.identity("ams"), "h1", days=1e-9, output=folder / "short")
    config.write_text(config.read_text().replace(f"{made.identity('ams')}/hosts/h1", str(keys)))
    said = refuses_to_run(config)
    assert re.search(r"host h1 expired \d+ s ago; its site must renew it", said), said
    assert "host h1 expired" in refused("check-config", str(config))


def test_a_configuration_is_checked_without_starting_anything(folder: Path) -> None:
    host = make_daemons(folder, ("ams",)).hosts["h1"]
    config = host.folder / "overlayd.toml"
    argv = [str(BIN / "overlayd"), "check-config", str(config)]
    assert subprocess.check_output(argv, text=True) == f"{config}: no mistakes found\n"
    assert not (host.folder / "state").exists()
    config.write_text(config.read_text().replace("[host]", "[host]\nnmae = 1", 1))
    assert f"{config}:2:" in refused("check-config", str(config))


def test_a_second_daemon_on_one_state_directory_names_the_first(
    daemons: Daemons, folder: Path
) -> None:
    host = daemons.hosts["h1"]
    assert host.process is not None
    config = folder / "second.toml"
    text = (host.folder / "overlayd.toml").read_text()
    config.write_text(text.replace("api.sock", "second.sock"))
    said = refuses_to_run(config)
    assert f"belongs to a running process, pid {host.process.pid}" in said
    assert "another state directory" in said
    assert orders.me(host).name == "h1"


def test_a_port_in_use_is_named(daemons: Daemons, folder: Path) -> None:
    other = make_daemons(folder, ("ams",))
    config = other.hosts["h1"].folder / "overlayd.toml"
    taken = daemons.hosts["h1"].endpoint
    config.write_text(config.read_text().replace(other.hosts["h1"].endpoint, taken))
    said = refuses_to_run(config)
    assert f"cannot listen on {taken}: Address already in use" in said
    assert "a port nobody uses" in said


def test_an_api_socket_in_use_is_named(daemons: Daemons, folder: Path) -> None:
    other = make_daemons(folder, ("ams",))
    config = other.hosts["h1"].folder / "overlayd.toml"
    taken = daemons.hosts["h1"].socket
    config.write_text(config.read_text().replace(str(other.hosts["h1"].socket), str(taken)))
    said = refuses_to_run(config)
    assert f"another daemon answers on {taken}" in said
    assert daemons.hosts["h1"].get("self")


@pytest.mark.parametrize("what", ["state", "socket"])
def test_a_path_that_cannot_be_made_is_named(folder: Path, what: str) -> None:
    made = make_daemons(folder, ("ams",))
    host = made.hosts["h1"]
    config = host.folder / "overlayd.toml"
    (folder / "file").write_text("")
    old = {"state": host.folder / "state", "socket": host.socket}[what]
    new = folder / "file" / old.name
    config.write_text(config.read_text().replace(f'"{old}"', f'"{new}"'))
    said = refuses_to_run(config)
    assert str(folder / "file") in said
