"""`overlayctl status`: one screen, the structure for programs, and an exit code."""

import json
import time
from collections.abc import Callable

import msgspec
import pytest
import yaml
from asked_daemon import Daemon

from overlayd.cli.show import print_lines
from overlayd.cli.status import lines
from protocol.membership.messages import Contact
from protocol.node.events import Probed, Undialled
from protocol.node.status_rows import StatusRow
from protocol.peering.joining import Joining
from protocol.terms.ids import PeerId
from protocol.terms.problem import Problem, Tried, Trouble
from protocol.terms.wireguard import WireguardEnd

OTHER = PeerId("b" * 64)


def until(condition: Callable[[], bool]) -> None:
    """Waits for the daemon, which runs in a thread of its own."""
    end_s = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end_s, "not in time"
        time.sleep(0.01)


def row_of(daemon: Daemon) -> StatusRow:
    return msgspec.json.decode(daemon.ask("status", "-o", "json").stdout, type=StatusRow)


def test_a_first_host_alone_is_well(daemon: Daemon) -> None:
    said = daemon.ask("status").stdout.splitlines()
    assert said[0].split() == ["host", "h1", "at", "ams,", "192.0.2.1:7700"]
    assert said[-1].split() == ["problems", "none"]
    assert any(line.startswith("overlay      alone") for line in said)
    assert any(line.startswith("room         4 cpus, 4 GiB") for line in said)
    (networks,) = [line for line in said if line.startswith("networks")]
    assert networks.split(maxsplit=1)[1] == (
        "tunnels end at 192.0.2.1, for packets of up to 1450 bytes, 1418 sealed, by UDP port 7700"
    )
    found = json.loads(daemon.ask("status", "-o", "json").stdout)
    assert (found["overlay"], found["problems"]) == ("alone", [])
    assert yaml.safe_load(daemon.ask("-o", "yaml", "status").stdout)["overlay"] == "alone"


def test_a_host_that_reached_nobody_says_so_and_fails(daemon: Daemon) -> None:
    overlay = daemon.host.node.overlay
    joins = (Contact(OTHER, "", "192.0.2.9:7700"),)
    overlay.joining = Joining(joins, lambda _: False, lambda: 0, lambda _: "")
    for _ in range(2):
        daemon.call(lambda: daemon.host.submit(Undialled(OTHER, "192.0.2.9:7700", Trouble.REFUSED)))
    until(lambda: overlay.joining.tried(0.0)[0].times == 2)
    said = daemon.ask("status", code=1).stdout
    assert "NOT JOINED: nobody was reached yet" in said
    assert (
        "192.0.2.9:7700: nobody listens there (connection refused) (now, 2 times in a row)" in said
    )
    assert "  would work: overlayd running on that host" in said
    told = [line.kind for line in daemon.host.events(0)]
    assert told.count("overlay.unreached") == 1


def test_what_strangers_say_is_made_harmless(
    daemon: Daemon, capsys: pytest.CaptureFixture[str]
) -> None:
    row = row_of(daemon)
    bad = msgspec.structs.replace(
        row,
        tried=(Tried(OTHER, "x\x1b[2J", "a:1", False, "b\nad\x07", "", 1, 0.0),),
        problems=(Problem("overlay", "told\x1b]0;x", "\rno"),),
        certificate_left_s=-1.0,
        overlay="lost",
        clock_ahead_s=-3600.0,
        clock_compared=2,
        no_room_why="nothing found",
    )
    print_lines(lines(bad))
    text = capsys.readouterr().out
    assert all(line.isprintable() for line in text.splitlines())
    assert "x?[2J at a:1: b?ad?" in text
    assert "CUT OFF" in text
    assert "ENDED" in text
    assert "1 h behind the median of 2 neighbours" in text
    assert "none is offered: nothing found" in text


def test_a_host_says_whether_it_has_wireguard(daemon: Daemon) -> None:
    facts = daemon.host.node.host.facts
    why = msgspec.structs.replace(facts, wireguard_why="this kernel has no WireGuard\x1b")
    daemon.call(lambda: daemon.host.submit(Probed(why)))
    until(lambda: bool(row_of(daemon).wireguard_why))
    assert ", not by WireGuard: this kernel has no WireGuard?" in daemon.ask("status").stdout
    assert "no: this kernel has no WireGuard?" in daemon.ask("peers", "--wide").stdout
    has = msgspec.structs.replace(facts, wireguard=WireguardEnd(b"k" * 32, 7701))
    daemon.call(lambda: daemon.host.submit(Probed(has)))
    until(lambda: row_of(daemon).wireguard_port == 7701)
    assert "1418 sealed, by UDP port 7700, 1370 by WireGuard, UDP port 7701" in (
        daemon.ask("status").stdout
    )
    assert "yes" in daemon.ask("peers", "--wide").stdout


def test_a_host_that_cannot_seal_says_where_to_look(daemon: Daemon) -> None:
    facts = msgspec.structs.replace(daemon.host.node.host.facts, tunnel_port=0)
    daemon.call(lambda: daemon.host.submit(Probed(facts)))
    until(lambda: row_of(daemon).tunnel_port == 0)
    assert "it seals none, and its log says why: networks.not-sealed" in daemon.ask("status").stdout
