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
from contextlib import contextmanager
from pathlib import Path

import msgspec

from federation.launch import BIN

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
_BLOCK = re.compile(r"^```console( refused)?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_STEP = re.compile(r"^\$ ", re.MULTILINE)


class Untrue(Exception):
    """A command of a tutorial did not do what the tutorial says."""


class Step(msgspec.Struct, frozen=True):
    """A command, what it says, and whether it is refused."""

    command: str
    said: str
    refused: bool


def steps(text: str) -> Iterator[Step]:
    """The commands of a tutorial, in order."""
    for refused, block in _BLOCK.findall(text):
        for part in _STEP.split(block)[1:]:
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
            # Whoever is killed cannot end it, and a tutorial waits for things with loops.
            ["setpriv", "--pdeathsig", "TERM", "bash", "--norc"],  # noqa: S607
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
        raise Untrue(f"bash ended at {command}: {said}")

    def follow(self, step: Step) -> str:
        """Does a step, and returns what it said. Raises Untrue if the tutorial says otherwise."""
        said, code = self.run(step.command)
        if (code != 0) != step.refused:
            raise Untrue(f"$ {step.command}\n{said}")
        if not fits(step.said, said):
            raise Untrue(f"$ {step.command}\n{said}\n-- the tutorial says:\n{step.said}")
        return said

    def end(self) -> None:
        """Ends it with all that it started."""
        try:
            os.killpg(self.bash.pid, signal.SIGTERM)
            self.bash.wait(15)
        finally:
            self.bash.kill()


@contextmanager
def copied(example: str, folder: Path) -> Iterator[tuple[Shell, list[Step]]]:
    """A shell in a copy of an example's folder, made in `folder`, and the steps of its README."""
    copy = folder / example
    shutil.copytree(EXAMPLES / example, copy)
    shell = Shell(copy)
    try:
        yield shell, list(steps((copy / "README.md").read_text()))
    finally:
        shell.end()
