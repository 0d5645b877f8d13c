"""scripts/mutate on a small checkout: which mutants survive, and what is said of them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[3] / "scripts"
SOURCE = '''"""A room's only file."""

from pathlib import Path

LIMIT = 3


def within(number: int) -> bool:
    """Whether `number` is."""
    return number < LIMIT


def doubled(number: int) -> int:
    """Twice `number`."""
    return number + number


def forgotten() -> int:
    """No test comes here."""
    return 5
'''
HANGING = """def drained(queue: list[int]) -> None:
    while queue:
        queue.pop()
"""
DRAINING = """from protocol.room.waiting import drained


def test_drains() -> None:
    queue = [0]
    drained(queue)
    assert queue == []
"""
TESTS = """from functools import cache

from protocol.room.counting import doubled, within


@cache
def counted() -> int:
    return doubled(1)


def test_counts() -> None:
    assert counted() < 3


def test_counts_right() -> None:
    assert counted() == 2


def test_within() -> None:
    assert within(2)
    assert not within(4)
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    room, tests = tmp_path / "protocol" / "room", tmp_path / "tests" / "unit" / "room"
    room.mkdir(parents=True)
    tests.mkdir(parents=True)
    (tmp_path / "scripts" / "mutants").mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
    for package in (room.parent, room):
        (package / "__init__.py").write_text("")
    (room / "counting.py").write_text(SOURCE)
    (tests / "test_counting.py").write_text(TESTS)
    return tmp_path


def mutate(checkout: Path, *words: str) -> subprocess.CompletedProcess[str]:
    path = f"{checkout}:{SCRIPTS}"
    return subprocess.run(
        [sys.executable, "-m", "mutants", *words],
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def survivors(said: str) -> list[str]:
    lines = [line for line in said.splitlines() if line.startswith("protocol/room/counting.py:")]
    return [line.removeprefix("protocol/room/counting.py:") for line in lines]


def test_names_the_survivors_and_only_those(checkout: Path) -> None:
    ran = mutate(checkout, "room", "--jobs", "2", "--most", "58")
    assert ran.returncode == 0, ran.stderr
    assert survivors(ran.stdout) == [
        "5  3 -> 4  (no test fails)",
        "10  number < LIMIT -> number <= LIMIT  (no test fails)",
        "20  return 5 -> return None  (no test comes here)",
        "20  5 -> 6  (no test comes here)",
    ]
    *_, whole = (line for line in ran.stdout.splitlines() if line.startswith("room"))
    assert whole.split() == ["room", "7", "3", "4", "57.1", "%"]
    assert "    return number < LIMIT\n" in ran.stdout


def test_the_status_says_that_too_many_survive(checkout: Path) -> None:
    assert mutate(checkout, "room", "--most", "57").returncode == 1


def test_what_is_known_to_change_nothing_is_left_out(checkout: Path) -> None:
    known = checkout / "scripts" / "mutants" / "equivalent.txt"
    known.write_text(
        "# path: source line: old -> new — why\n"
        "protocol/room/counting.py: LIMIT = 3: 3 -> 4 — only a limit\n"
        "protocol/room/counting.py: LIMIT = 2: 2 -> 3 — of an older text\n"
    )
    ran = mutate(checkout, "protocol/room/counting.py")
    assert not any("3 -> 4" in line for line in survivors(ran.stdout))
    assert "no longer a mutant: protocol/room/counting.py: LIMIT = 2: 2 -> 3\n" in ran.stdout
    assert "LIMIT = 3" not in ran.stdout
    known.write_text("protocol/room/counting.py: LIMIT = 3: 3 -> 4\n")
    ran = mutate(checkout, "room")
    assert (ran.returncode, "needs a reason" in ran.stderr) == (2, True)


def test_a_sample_is_the_same_each_time(checkout: Path) -> None:
    first, again = (mutate(checkout, "room", "--sample", "3", "--seed", "3") for _ in range(2))
    assert first.returncode == 0, first.stderr
    assert first.stdout == again.stdout
    *_, whole = (line for line in first.stdout.splitlines() if line.startswith("room"))
    assert whole.split()[1] == "3"


def test_a_mutant_that_hangs_is_noticed(checkout: Path) -> None:
    (checkout / "protocol" / "room" / "waiting.py").write_text(HANGING)
    (checkout / "tests" / "unit" / "room" / "test_waiting.py").write_text(DRAINING)
    ran = mutate(checkout, "protocol/room/waiting.py")
    assert ran.returncode == 0, ran.stderr
    _, whole = (
        line for line in ran.stdout.splitlines() if line.startswith("protocol/room/waiting.py")
    )
    assert whole.split()[1:4] == ["2", "2", "0"]


def test_tests_that_fail_judge_nothing(checkout: Path) -> None:
    (checkout / "tests" / "unit" / "room" / "test_wrong.py").write_text(
        "def test_no():\n    assert 0\n"
    )
    ran = mutate(checkout, "room")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "the tests must pass" in ran.stderr


@pytest.mark.parametrize("words", [["hall"], ["room", "--tests", "tests/unit/hall"]])
def test_a_room_or_tests_that_are_not_there_are_named(checkout: Path, words: list[str]) -> None:
    ran = mutate(checkout, *words)
    assert ran.returncode == 2
    assert "hall" in ran.stderr


def test_sources_and_their_bytecode_stay_as_they_are(checkout: Path) -> None:
    before = {path: path.read_bytes() for path in sorted(checkout.rglob("*")) if path.is_file()}
    assert mutate(checkout, "room").returncode == 0
    after = {path: path.read_bytes() for path in sorted(checkout.rglob("*")) if path.is_file()}
    assert after == before


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (["room", "--sample", "-3"], "'-3' is not a whole number from 1 up"),
        (["room", "--sample", "0"], "'0' is not a whole number from 1 up"),
        (["room", "--jobs", "many"], "'many' is not a whole number from 1 up"),
        (["--seed", "2"], "required: ROOM"),
        (["protocol"], "no room or source file protocol"),
        (["protocol/room/notes.md"], "no room or source file protocol/room/notes.md"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_words(
    checkout: Path, wrong: list[str], said: str
) -> None:
    (checkout / "protocol" / "room" / "notes.md").write_text("of the room\n")
    ran = mutate(checkout, *wrong)
    assert (ran.returncode, said in ran.stderr, "Traceback" in ran.stderr) == (2, True, False)
