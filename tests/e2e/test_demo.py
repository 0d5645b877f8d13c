"""The demo is the story of the whole system, so it must hold."""

import subprocess
from pathlib import Path

import pytest

DEMO = Path(__file__).resolve().parents[2] / "scripts" / "demo"
WITHIN_S = 700


@pytest.mark.timeout(WITHIN_S + 60)
def test_the_demo_holds() -> None:
    with subprocess.Popen(
        [str(DEMO)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as demo:
        try:
            said, _ = demo.communicate(timeout=WITHIN_S)
        except subprocess.TimeoutExpired:
            demo.terminate()
            said, _ = demo.communicate()
            subprocess.run([str(DEMO), "--down"], check=False)
            pytest.fail(f"no end within {WITHIN_S} s:\n{said[-4000:]}")
    assert demo.returncode == 0, said[-6000:]
    assert "The demo holds." in said.splitlines()[-1], said[-1000:]
