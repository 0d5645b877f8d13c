"""A few seconds of coverage-guided fuzzing; `scripts/fuzz` goes on for longer."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
TOP = HERE.parents[1]
SECONDS = 6


@pytest.mark.parametrize("what", ["codec", "node", "archive", "sealed"])
def test_nothing_is_found_in_a_few_seconds(what: str, tmp_path: Path) -> None:
    argv = [sys.executable, str(HERE / "guided.py"), what, "--seconds", str(SECONDS)]
    env = {**os.environ, "PYTHONPATH": f"{TOP}:{TOP / 'scripts'}"}
    done = subprocess.run(
        [*argv, "--corpus", str(tmp_path)],
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    assert "stat::number_of_executed_units" in done.stderr
