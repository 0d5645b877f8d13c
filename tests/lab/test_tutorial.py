"""Tutorials in examples/ are run as they stand: each command, in a copy of its folder, and what it is to say.

A block that begins with ```console has lines that begin with `$ `, each a command for one bash, and beneath
each what it says; `...` stands for anything, on a line for as many lines as there are. Each command succeeds;
in a block that begins with ```console refused, each is refused.
"""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from federation.launch import BIN

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
WITHIN_S = 60
_BLOCK = re.compile(r"^```console( refused)?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Step(msgspec.Struct, frozen=True):
    """A command, what it says, and whether it is refused."""

    command: str
    said: str
    refused: bool


def steps(text: str) -> Iterator[Step]:
    """The commands of a tutorial, in order."""
    for refused, block in _BLOCK.findall(text):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, said = part.partition("\n")
            yield Step(command, said, refused=bool(refused))


def fits(expected: str, said: str) -> bool:
    """Whether that was said, where `...` stands for anything on its line, and alone on one for any lines."""
    pattern = ""
    for line in expected.splitlines():
        inside = ".*".join(map(re.escape, line.split("...")))
        pattern += r"(?:.*\n)*" if line == "..." else rf"{inside}\n"
    return re.fullmatch(pattern, said) is not None


class Shell:
    """One bash, which is told commands and says what came of each."""

    def __init__(self, folder: Path) -> None:
        home, path = folder.parent / "home", f"{BIN}:{os.environ['PATH']}"
        runtime = folder.parent / "runtime"
        for made in (home, runtime):
            made.mkdir(mode=0o700)
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("OVERLAYD_", "XDG_"))}
        self.bash = subprocess.Popen(
            ["bash", "--norc"],
            cwd=folder,
            env={**kept, "PATH": path, "HOME": str(home), "XDG_RUNTIME_DIR": str(runtime)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, command: str) -> tuple[str, int]:
        """What it said, and its exit code."""
        assert self.bash.stdin is not None
        assert self.bash.stdout is not None
        self.bash.stdin.write(f"{{ {command}\n}} < /dev/null\necho =====$?\n")
        self.bash.stdin.flush()
        said = ""
        for line in self.bash.stdout:
            before, mark, code = line.partition("=====")
            said += before
            if mark:
                return said, int(code)
        raise AssertionError(f"bash ended at {command}: {said}")

    def end(self) -> None:
        """Ends it with all that it started."""
        try:
            os.killpg(self.bash.pid, signal.SIGTERM)
            self.bash.wait(15)
        finally:
            self.bash.kill()


@pytest.mark.timeout(WITHIN_S + 30)
def test_the_tutorial_of_a_federation_is_true(folder: Path) -> None:
    copy = folder / "star"
    shutil.copytree(EXAMPLES / "federation", copy)
    shell = Shell(copy)
    try:
        for step in steps((copy / "README.md").read_text()):
            said, code = shell.run(step.command)
            assert (code != 0) == step.refused, f"$ {step.command}\n{said}"
            assert fits(step.said, said), (
                f"$ {step.command}\n{said}\n-- the tutorial says:\n{step.said}"
            )
    finally:
        shell.end()


def test_what_a_tutorial_says_is_compared() -> None:
    (one, other) = steps(
        "```console\n$ true\na ... c\n...\nz\n```\n```console refused\n$ false\n```\n"
    )
    assert (one.command, one.refused) == ("true", False)
    assert (other.command, other.said, other.refused) == ("false", "", True)
    assert fits(one.said, "a b c\nd\ne\nz\n")
    assert fits(one.said, "a b c\nz\n")
    assert not fits(one.said, "a b\nz\n")
    assert not fits(one.said, "a b c\nz\nmore\n")
    assert not fits(other.said, "something\n")
