"""The same seed is the same world, whatever Python's hashes are."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from protocol.sim.command import main

_ROOT = Path(__file__).parents[2]
_ARGUMENTS = ["--peers", "6", "--seed", "5", "--seconds", "8", "--grids", "4", "--faults", "many"]


def _digest(hash_seed: str) -> str:
    command = [sys.executable, "-m", "protocol.sim", *_ARGUMENTS]
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(_ROOT)}
    done = subprocess.run(
        command,
        env=environment,
        cwd=_ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


def test_same_seed_same_trace() -> None:
    first, second = _digest("1"), _digest("4242")
    assert first == second
    assert first.startswith("digest ")


def test_another_seed_is_another_world(capsys: pytest.CaptureFixture[str]) -> None:
    digests = []
    for seed in ("1", "2"):
        assert main(["--peers", "3", "--seconds", "1", "--seed", seed]) == 0
        digests.append(capsys.readouterr().out.splitlines()[-1])
    assert digests[0] != digests[1]


def test_arguments_that_make_no_sense(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--peers", "2", "--sites", "3"])
    assert stopped.value.code == 2
    assert "a site has at least one peer" in capsys.readouterr().err


def test_trace_is_one_line_a_step(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "trace.jsonl"
    assert main(["--peers", "2", "--sites", "1", "--seconds", "1", "--trace", str(file)]) == 0
    lines = file.read_text().splitlines()
    assert lines[0].startswith('[0.0,"h1","Started"')
    assert " steps" in capsys.readouterr().out
    assert len(lines) > 10
