"""`overlayctl show GRID --network`: how hosts reach each other, in columns or as the API says it."""

import json

import pytest
from asked_daemon import Daemon

from protocol.node.messages import PathsTold
from protocol.terms.paths import PathTold


@pytest.fixture
def up(daemon: Daemon) -> Daemon:
    daemon.up()
    return daemon


def test_on_one_host_there_is_nothing_to_show(up: Daemon) -> None:
    said = up.ask("show", "demo", "--network").stdout
    assert said == "demo has no network that is on two hosts of those that answer\n"


def test_each_path_has_a_row(up: Daemon) -> None:
    me = up.host.node.me
    up.host.paths_told[me] = PathsTold(
        "",
        (
            PathTold(
                "lan", me, "sealed", "aes-256-gcm", "native", 1418, "198.51.100.7:7700",
                round_trip_s=0.01234, probes=16,
            ),
            PathTold("lan", me, "sealed", "", "python", 1318, "", me, lost=2, probes=3),
            PathTold("lan", me, "plain", mtu=1450, place="198.51.100.7"),
        ),
        "",
    )  # fmt: skip
    lines = [line.split("  ") for line in up.ask("show", "demo", "--network").stdout.splitlines()]
    rows = [[cell.strip() for cell in line if cell.strip()] for line in lines]
    ends = ["lan", "ams/h1", "ams/h1"]
    assert rows == [
        ["NETWORK", "FROM", "TO", "CARRIED", "WAY", "MTU", "ROUND TRIP", "LOST", "SENT TO"],
        [*ends, "sealed, aes-256-gcm, native", "direct", "1418", "12.3 ms", "0 of 16", "198.51.100.7:7700"],
        [*ends, "sealed, no keys yet, python", "by h1", "1318", "-", "2 of 3", "-"],
        [*ends, "plain", "direct", "1450", "-", "-", "198.51.100.7"],
    ]  # fmt: skip
    (first, *_) = json.loads(up.ask("--output", "json", "show", "demo", "--network").stdout)[
        "paths"
    ]
    assert (first["cipher"], first["mtu"], first["round_trip_s"]) == ("aes-256-gcm", 1418, 0.01234)


def test_a_host_that_does_not_answer_is_named(up: Daemon) -> None:
    up.host.paths_told[up.host.node.me] = PathsTold("", (), "it does not answer")
    said = up.ask("show", "demo", "--network").stdout
    assert said.splitlines()[-1] == "h1 tells none of its paths: it does not answer"
