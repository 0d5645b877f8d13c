"""The command: what it takes, what it prints, and what it says when something breaks."""

from pathlib import Path

import pytest

from protocol.sim.arguments import parse
from protocol.sim.command import main
from protocol.sim.faults import MANY
from protocol.sim.latency import EXAMPLE
from protocol.sim.scenario import Scenario
from protocol.sim.world import World


def test_a_scenario_is_the_command_that_asks_for_it() -> None:
    words = (
        "--seed 7 --peers 40 --seconds 90.5 --sites 4 --tell 3 --die 0.25 --split 20 --stop 60 "
        "--quiet-within 90 --faults some --loss 0.05 --drift 100 --liars 1 --most-faults 9 --warm"
    )
    scenario = parse(words.split()).scenario
    assert scenario.command() == f"scripts/sim {words}"
    assert parse(scenario.command().split()[1:]).scenario == scenario


def test_a_command_says_every_figure_exactly() -> None:
    """A shortened run ends at a moment between two steps. Rounded, it is another run, which may hold."""
    scenario = Scenario(seed=770020, seconds=1 / 3, stop_s=17.123456789, split_s=1e-7)
    again = parse(scenario.command().split()[1:]).scenario
    assert (again.seconds, again.stop_s, again.split_s) == (1 / 3, 17.123456789, 1e-7)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--peers 2 --sites 3", "a site has at least one peer"),
        ("--loss 2", "2 is not a share; 0 is none, 1 is all"),
        ("--seeds 2 --plot x.svg", "--trace and --plot show one world"),
        ("--faults net --grids 3", "a steward that loses its disk can vote twice"),
        ("--latencies /nowhere.toml", "it should look like"),
        ("--peers 10001", "10001 is not within 1 to 10000"),
    ],
)
def test_arguments_that_make_no_sense(
    words: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        parse(words.split())
    assert stopped.value.code == 2
    assert told in capsys.readouterr().err


def test_latencies_from_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "sites.toml"
    file.write_text(EXAMPLE)
    latencies = parse(["--latencies", str(file)]).scenario.latencies
    world = World(1, 3, 3, latencies=latencies)
    assert [peer.site for peer in world.peers] == ["chicago", "geneva", "tokyo"]
    assert world.latency_s("geneva", "tokyo") == 0.110
    assert world.latency_s("tokyo", "geneva") == 0.118
    file.write_text(EXAMPLE.replace("48,  75", "48"))
    with pytest.raises(SystemExit):
        parse(["--latencies", str(file)])
    assert "chicago: 2 figures for 3 sites" in capsys.readouterr().err


def test_many_seeds_on_all_cores(capsys: pytest.CaptureFixture[str]) -> None:
    words = "--peers 4 --seconds 4 --faults net --seed 30 --seeds 4 --jobs 2"
    assert main(words.split()) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sorted(line.split(":")[0] for line in lines[:4]) == [f"seed {s}" for s in range(30, 34)]
    assert "4 seeds held" in lines[5]
    digests = {line.split(":")[0]: line.split("digest ")[1][:16] for line in lines[:4]}
    assert main(["--peers", "4", "--seconds", "4", "--faults", "net", "--seed", "33"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith(f"digest {digests['seed 33']}")


def test_a_report_and_a_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "run.svg"
    words = f"--peers 14 --seconds 20 --tell 4 --die 0.2 --plot {picture}"
    assert main(words.split()) == 0
    text = capsys.readouterr().out
    for word in ("news         4 told", "payloads", "deaths       2", "neighbours", "busiest peer"):
        assert word in text
    drawn = picture.read_text()
    assert drawn.count("Gossip") == 1
    for title in ("news:", "deaths:", "neighbours", "bytes"):
        assert title in drawn


def test_a_picture_that_cannot_be_written(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--peers", "2", "--sites", "1", "--seconds", "1", "--plot", "/nowhere/x.svg"]) == 2
    assert "--plot /nowhere/x.svg" in capsys.readouterr().err


def test_a_failing_run_is_made_short_and_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The protocol is broken on purpose: a peer that is back from the dead stays dead to others."""
    monkeypatch.setattr("protocol.membership.liveness.Liveness.heard", lambda *_: [])
    monkeypatch.setattr("protocol.membership.liveness.Liveness.present", _never_back())
    words = "--peers 4 --seconds 40 --faults none --crash-every 4 --seed 3 --quiet-within 20"
    assert main(words.split()) == 1
    told = capsys.readouterr().err
    assert "believes" in told
    assert "dead" in told
    assert "what went wrong on purpose" in told
    command = told.strip().splitlines()[-1].strip()
    assert parse(command.split()[1:]).scenario.length_s < 20.0
    assert main([*command.split()[1:], "--no-shrink"]) == 1
    assert main([*command.split()[1:], "--no-shrink"]) == 1


def _never_back() -> object:
    from protocol.membership.liveness import Health, Liveness

    true = Liveness.present

    def present(self: Liveness, peer: object, *rest: object, **more: object) -> list[object]:
        if self.health(peer) is Health.DEAD:  # type: ignore[arg-type]
            return []
        return list(true(self, peer, *rest, **more))  # type: ignore[arg-type]

    return present


def test_a_scenario_at_another_seed() -> None:
    scenario = Scenario(seed=3, plan=MANY)
    assert scenario.at_seed(4) == Scenario(seed=4, plan=MANY)
