"""`overlayctl usage`: added up by VO, member, grid or site, for people and spreadsheets; receipts checked."""

import csv
import io
import json

import pytest
from asked_daemon import Daemon
from used_leases import fill


def table(daemon: Daemon, *words: str) -> dict[str, dict[str, str]]:
    said = daemon.ask("usage", *words, "-o", "csv").stdout
    rows = list(csv.DictReader(io.StringIO(said)))
    return {next(iter(row.values())): row for row in rows}


@pytest.mark.parametrize(
    ("by", "hours"),
    [
        ("vo", {"ams": "4.000", "vo:star": "8.000"}),
        ("member", {"ams": "4.000", "vo:star/cccccccccccc": "2.000", "vo:star/kate": "6.000"}),
        (
            "grid",
            {
                "ams/web web-id": "4.000",
                "vo:star/night night-id": "2.000",
                "vo:star/reco reco-id": "2.000",
                "vo:star/sim sim-id": "4.000",
            },
        ),
        ("site", {"ams": "12.000"}),
    ],
)
def test_what_is_added_up(daemon: Daemon, by: str, hours: dict[str, str]) -> None:
    fill(daemon.host)
    found = table(daemon, "--by", by)
    assert {of: row["cpu_hours_reserved"] for of, row in found.items()} == hours
    assert all(next(iter(row)) == by for row in found.values())


def test_each_column_of_a_spreadsheet(daemon: Daemon) -> None:
    fill(daemon.host)
    row = table(daemon, "--by", "vo", "--since", "2015-08-19T17:00:00+00:00")["vo:star"]
    assert row == {
        "vo": "vo:star",
        "cpu_hours_reserved": "6.000",
        "cpu_hours_used": "1.500",
        "memory_gib_hours_reserved": "3.000",
        "memory_gib_hours_used": "1.500",
        "disk_gib_hours_reserved": "30.000",
        "disk_read_bytes": str(3 << 20),
        "disk_written_bytes": str(6 << 20),
        "network_received_bytes": str(9 << 20),
        "network_sent_bytes": str(12 << 20),
        "from_unix_s": "1440003600",
        "until_unix_s": "1440007200",
    }


def test_a_table_and_json_for_others(daemon: Daemon) -> None:
    assert daemon.ask("usage").stdout == "nothing was counted\n"
    fill(daemon.host)
    said = daemon.ask("usage").stdout.splitlines()
    assert said[2].split() == [
        "vo:star", "8.000", "2.000", "4.000", "2.000", "40.000", "12", "MiB", "28", "MiB",
        "2015-08-19", "16:00", "UTC",
    ]  # fmt: skip
    found = json.loads(daemon.ask("usage", "--by", "site", "-o", "json").stdout)
    assert [(row["of"], row["total"]["reserved"][0]) for row in found] == [("ams", 12 * 3600_000)]


def test_receipts_are_checked_and_each_forged_one_is_named(daemon: Daemon) -> None:
    fill(daemon.host)
    path = daemon.folder / "receipts"
    lines = daemon.ask("usage", "--receipts").stdout.splitlines()
    path.write_text("\n".join(lines))
    said = daemon.ask("usage", "--verify", path).stdout
    assert said == "5 receipts are signed by the hosts that they name\n"
    forged = json.loads(lines[1])
    forged["signature"] = json.loads(lines[2])["signature"]
    path.write_text("\n".join([lines[0], json.dumps(forged), "{}", lines[0]]))
    failed = daemon.ask("usage", "--verify", path, code=1)
    first, second, third = failed.stderr.splitlines()
    assert first.startswith("error: 3 lines are wrong: line 2 is no receipt: bad-signature")
    assert second.startswith("line 3 is no receipt: ")
    assert third.startswith("line 4 is about the same as line 1: sim on h1, 2015-08-19 16:00")


def test_a_host_that_told_nothing_is_named(daemon: Daemon) -> None:
    daemon.host.usage.full = True
    said = daemon.ask("usage")
    assert said.stdout == "nothing was counted\n"
    assert said.stderr == "error: not all of h1 is in it: usage.sqlite: the disk is gone\n"


def test_what_is_typed_wrongly(daemon: Daemon) -> None:
    said = daemon.ask("usage", "--since", "soon", code=2).stderr
    assert said.startswith('error: --since: "soon" is no time: write for example 2h')
    said = daemon.ask("peers", "-o", "csv", code=2).stderr
    assert "only usage is written as CSV" in said
    missing = daemon.folder / "none"
    said = daemon.ask("usage", "--verify", missing, code=2).stderr
    assert said == f"error: {missing}: No such file or directory\n"
