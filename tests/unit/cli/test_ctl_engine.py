"""`overlayctl place` and `capacity`: the engine on a file of hosts, with no daemon anywhere."""

import json
from pathlib import Path

import pytest
from asked_daemon import Daemon
from typer.testing import CliRunner, Result

from overlayd.cli.main import app

EXAMPLES = Path(__file__).parents[3] / "examples"
HOSTS = EXAMPLES / "hosts.toml"
GRID = """\
grid: big
clusters:
  worker: {count: 16, image: debian-12, cpus: 4, memory: 16G}
"""


def ask(*words: object, code: int = 0) -> Result:
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == code, result.output
    return result


@pytest.fixture
def grid(tmp_path: Path) -> Path:
    """A grid file that asks for too much."""
    file = tmp_path / "big.yaml"
    file.write_text(GRID)
    return file


def test_the_example_is_placed_on_the_example() -> None:
    told = ask("place", EXAMPLES / "star.yaml", "--hosts", HOSTS).stdout.splitlines()
    assert told[0].split() == ["WORKSPACE", "HOST", "SITE", "CPUS", "MEMORY", "DISK", "IMAGE"]
    assert [line.split()[0] for line in told[1:6]] == [
        "head-1",
        "worker-1",
        "worker-2",
        "worker-3",
        "worker-4",
    ]
    assert told[6].startswith("5 workspaces on ")


def test_its_own_disks_are_shown_together(tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text(
        "grid: own\nclusters:\n"
        "  web: {image: debian-12, cpus: 1, memory: 1G, disk: 20G, scratch: 30G}\n"
    )
    (_, row, *_) = ask("place", file, "--hosts", HOSTS).stdout.splitlines()
    assert "50 GiB" in row


def test_same_seed_same_place() -> None:
    asked = ("place", EXAMPLES / "star.yaml", "--hosts", HOSTS, "--output", "json")
    places = [ask(*asked, "--seed", seed).stdout for seed in range(8)]
    assert ask(*asked, "--seed", 3).stdout == places[3]
    assert len(set(places)) > 1, "lots decide among equals"


def test_what_is_not_placed_is_explained(grid: Path) -> None:
    told = ask("place", grid, "--hosts", HOSTS, code=1)
    assert (told.stdout, told.stderr) == (
        "",
        "error: cannot place 6 of 16 worker: each needs 4 cpus, 16 GiB\n"
        "  4 hosts hold 10 of the 16 workspaces\n"
        "  6 hosts lack memory; the nearest, fnal-1, by 8 GiB\n"
        "  would work: count 10 of worker, now\n",
    )
    answer = json.loads(ask("place", grid, "--hosts", HOSTS, "-o", "json", code=1).stdout)
    assert answer["placed"] is False
    assert answer["why_not"]["would_work"] == [{"type": "fewer", "counts": [["worker", 10]]}]


def test_what_is_wrong_with_the_files_is_said(grid: Path, tmp_path: Path) -> None:
    hosts = tmp_path / "hosts.toml"
    hosts.write_text('[hosts.a]\nsite = "uc"\ncpus = 4\nmemroy = "8G"\nencrypts = 1\ncount = 0\n')
    told = ask("place", grid, "--hosts", hosts, code=2).stderr
    assert told.splitlines() == [
        f"{hosts}:1:1: hosts.a.memory: missing; write for example 32G",
        f'{hosts}:4:1: hosts.a.memroy: unknown key; did you mean "memory"?',
        f"{hosts}:5:12: hosts.a.encrypts: found the number 1; write true or false",
        f"{hosts}:6:9: hosts.a.count: found 0; allowed are 1 to 10000",
    ]


def test_how_many_more_fit() -> None:
    told = ask("capacity", "--shape", "4cpu/8G", "--hosts", HOSTS).stdout.splitlines()
    assert told[-5:] == [
        "fnal-2  fnal  1     memory      0 cpus, 0 B, 100 GiB disk",
        "12 more of 4cpu/8G fit on 6 hosts",
        "  2 hosts then lack memory",
        "  4 hosts then lack cpus",
        "  left over: 0 cpus, 80 GiB, 1.3 TiB disk",
    ]
    answer = json.loads(
        ask("capacity", "--shape", "2/4G/150G", "--hosts", HOSTS, "-o", "json").stdout
    )
    assert answer["fits"] == 6, "one for each 150 GiB of disk"
    told = ask("capacity", "--shape", "0.1cpu/128M/20G", "--hosts", HOSTS).stdout.splitlines()
    assert told[-3:] == [
        "65 more of 0.1cpu/128M/20G fit on 6 hosts",
        "  6 hosts then lack disk",
        "  left over: 41.5 cpus, 167.9 GiB",
    ]


def test_how_many_more_fit_on_live_hosts(daemon: Daemon) -> None:
    told = daemon.ask("capacity", "--shape", "0.5cpu/1G").stdout
    assert told.splitlines()[-3:] == [
        "4 more of 0.5cpu/1G fit on 1 host",
        "  1 host then lacks memory",
        "  left over: 2 cpus, 0 B, 20 GiB disk",
    ]


@pytest.mark.parametrize("shape", ["4cpu", "x/8G", "0/0M", "4/8G/1G/1"])
def test_what_is_no_shape(shape: str) -> None:
    told = ask("capacity", "--shape", shape, "--hosts", HOSTS, code=2).stderr
    assert told.splitlines() == [
        f"error: '{shape}' is no shape",
        "  would work: --shape 4cpu/8G or 4cpu/8G/20G",
    ]
