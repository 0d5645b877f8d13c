"""The lab itself is made, cut, healed, and taken down, whole or half made."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace
from netns_world import eventually
from typer.testing import CliRunner

from netns import apply, cli, program
from netns.failures import NetnsError
from netns.kernel import namespaces
from netns.lab.lab import Lab
from netns.lab.topology import Host, Site, Topology
from netns.model import NetworkPlan, vni_of

EXAMPLE = Path(__file__).parents[2] / "examples" / "three-sites.toml"
NAME = f"lab-test-{os.getpid():x}"
SMALL = Topology(
    NAME,
    (
        Site("x", "192.0.2.0/25", (Host("x-1", "192.0.2.1"), Host("x-2", "192.0.2.2")), 10**8),
        Site("y", "192.0.2.128/25", (Host("y-1", "192.0.2.129"),)),
    ),
)


@pytest.fixture
def lab() -> Iterator[Lab]:
    made = Lab(SMALL)
    try:
        yield made
    finally:
        made.down(force=True)


def _left() -> list[str]:
    return [name for name in namespaces.names() if NAME in name]


def _pings(lab: Lab, host: str, to: str) -> bool:
    """Whether an answer comes; asks again for a while, for the machine may be busy."""
    return _ping(lab, host, "-i", "0.2", "-w", "5", lab.address(to))


def _misses(lab: Lab, host: str, to: str) -> bool:
    """Whether one echo request stays without an answer."""
    return not _ping(lab, host, "-W", "0.5", lab.address(to))


def _ping(lab: Lab, host: str, *words: str) -> bool:
    return program.attempt(lab.command(host, "ping", "-c", "1", *words))[0] == 0


def test_all_hosts_of_the_example_reach_each_other() -> None:
    lab = Lab.from_file(EXAMPLE, f"{NAME}-six")
    try:
        assert lab.up()
        assert lab.hosts == ("uc-1", "uc-2", "fnal-1", "fnal-2", "bnl-1", "bnl-2")
        assert all(_pings(lab, "uc-1", to) for to in lab.hosts)
        assert all(_pings(lab, host, "bnl-2") for host in lab.hosts)
    finally:
        lab.down(force=True)
    assert _left() == []


def test_up_and_down_can_be_said_twice(lab: Lab) -> None:
    assert not lab.is_up()
    assert lab.up()
    assert not lab.up()
    assert lab.down()
    assert not lab.down()
    assert _left() == []


def test_a_site_has_its_rate_both_ways(lab: Lab) -> None:
    lab.up()
    wan = lab.namespace("x-1").replace("x-1", "wan")
    shapes = program.run(["tc", "-n", wan, "qdisc", "show"]).splitlines()
    limited = [line for line in shapes if "tbf" in line]
    assert len(limited) == 2
    assert all("rate 100Mbit" in line for line in limited)


def test_a_cut_site_talks_only_to_itself_until_healed(lab: Lab) -> None:
    lab.up()
    lab.partition("x")
    lab.partition("x")
    assert [entry.is_cut for entry in lab.status()] == [True, True, False]
    assert _pings(lab, "x-1", "x-2")
    assert _misses(lab, "x-1", "y-1")
    assert _misses(lab, "y-1", "x-2")
    assert lab.heal() == 1
    assert _pings(lab, "x-1", "y-1")
    assert lab.heal() == 0


def test_a_cut_host_does_not_reach_its_own_site(lab: Lab) -> None:
    lab.up()
    lab.partition("x-1")
    assert _misses(lab, "x-1", "x-2")
    assert _pings(lab, "x-2", "y-1")


def test_two_labs_do_not_meet(lab: Lab) -> None:
    lab.up()
    twin = Lab(replace(SMALL, name=f"{NAME}-twin"))
    try:
        twin.up()
        twin.partition("x")
        assert _pings(lab, "x-1", "y-1")
        twin.down()
        assert _pings(lab, "x-1", "y-1")
    finally:
        twin.down(force=True)


def test_another_topology_of_the_same_name_is_not_mixed_in(lab: Lab) -> None:
    lab.up()
    with pytest.raises(NetnsError, match="another topology is up under this name"):
        Lab(replace(SMALL, sites=SMALL.sites[:1])).up()


def test_what_still_runs_is_named_and_ended_only_by_force(lab: Lab) -> None:
    lab.up()
    child = subprocess.Popen(lab.command("x-1", "sleep", "600"))
    try:
        eventually(lambda: child.pid in namespaces.pids(lab.namespace("x-1")), "entering")
        with pytest.raises(NetnsError, match=f"process {child.pid} .*600"):
            lab.down()
        assert lab.is_up()
        assert child.poll() is None
        assert lab.down(force=True)
        assert child.wait(10) == -signal.SIGTERM
    finally:
        child.kill()
        child.wait()


def test_a_forgotten_grid_network_is_named_and_removed_only_by_force(
    lab: Lab, tmp_path: Path
) -> None:
    lab.up()
    tag, network = "tforg", f"{NAME}-net"
    plan = NetworkPlan(
        network, tag, vni_of(network), "10.42.0.0/24", "10.42.0.1", 1400,
        lab.address("x-1"), "star", 1,
    )  # fmt: skip
    namespaces.inside(lab.namespace("x-1"), lambda: apply.ensure(plan, tmp_path))
    with pytest.raises(NetnsError, match=f"{plan.namespace}: network of a grid"):
        lab.down()
    assert lab.down(force=True)
    assert plan.namespace not in namespaces.names()


def test_killed_anywhere_in_up_it_can_go_down_or_up(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(12):
        _up_killed_at(number, lab, monkeypatch)
        if number % 2:
            assert lab.up()
            assert _pings(lab, "x-1", "y-1")
        lab.down()
        assert _left() == []


def _up_killed_at(number: int, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """`lab.up()` in a child that is killed for good before its `number`th program."""
    pid = os.fork()
    if pid == 0:
        real, started = program.run, 0

        def counted(argv: Sequence[str], *, text: str = "", timeout_s: float = 30) -> str:
            nonlocal started
            if started == number:
                os.kill(os.getpid(), signal.SIGKILL)
            started += 1
            return real(argv, text=text, timeout_s=timeout_s)

        monkeypatch.setattr(program, "run", counted)
        try:
            lab.up()
        finally:
            os._exit(0)
    assert os.WIFSIGNALED(os.waitpid(pid, 0)[1]), "there were not that many programs"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["partition", "{file}", "nowhere"], "no site or host 'nowhere'"),
        (["exec", "{file}", "uc-1", "--", "true"], "is not up"),
        (["heal", "{file}"], "is not up"),
        (["up", "{file}.missing"], "No such file"),
    ],
)
def test_a_wrong_command_says_what_is_wrong(words: list[str], said: str) -> None:
    filled = [word.format(file=EXAMPLE) for word in words]
    result = CliRunner().invoke(cli.app, ["lab", *filled[:2], "--name", f"{NAME}-cli", *filled[2:]])
    assert result.exit_code == 1
    assert said in result.output


def test_the_command_line_from_up_to_down() -> None:
    def lab(what: str, *rest: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "netns", "lab", what, str(EXAMPLE), "--name", f"{NAME}-cli"]
        return subprocess.run([*argv, *rest], capture_output=True, text=True, check=False)

    try:
        assert "6 hosts at 3 sites, up" in lab("up").stdout
        ping = ("uc-1", "--", "ping", "-c", "1", "-w", "2", "10.99.3.2")
        assert lab("exec", *ping).returncode == 0
        assert lab("partition", "bnl").returncode == 0
        assert lab("exec", *ping).returncode == 1
        assert lab("status").stdout.count("cut off") == 2
        assert "partitions undone: 1" in lab("heal").stdout
    finally:
        ended = lab("down", "--force")
    assert ended.returncode == 0
    assert _left() == []
