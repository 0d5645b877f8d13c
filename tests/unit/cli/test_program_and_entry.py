"""Both programs as processes: version, help, Ctrl-C while they are imported, output that cannot be written."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

CTL, DAEMON = "overlayd.cli.entry", "overlayd.daemon"


def run(module: str, *words: str, shell: str = "", **env: str) -> subprocess.CompletedProcess[str]:
    """A program with these words, its streams as `shell` redirects them."""
    line = f'"$0" -m {module} "$@" {shell}'
    return subprocess.run(
        ["sh", "-c", line, sys.executable, *words],
        capture_output=True,
        text=True,
        env={**os.environ, **env},
        check=False,
    )


@pytest.mark.parametrize(("module", "name"), [(CTL, "overlayctl"), (DAEMON, "overlayd")])
def test_a_program_says_its_version(module: str, name: str) -> None:
    ran = run(module, "--version")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.split()[0] == name
    assert ran.stdout.split()[1][0].isdigit()


@pytest.mark.parametrize(
    ("module", "words", "whole"),
    [
        (CTL, ("scale",), "or those that --which names. Their guests are asked"),
        (CTL, ("image", "add"), "each also compressed (xz, gz, zst, bz2)"),
        (DAEMON, ("recover",), "moved aside, never deleted, and a new one is made of what can"),
    ],
)
def test_help_is_wrapped_where_the_terminal_ends_and_nowhere_else(
    module: str, words: tuple[str, ...], whole: str
) -> None:
    wide = run(module, *words, "--help", COLUMNS="600").stdout
    assert whole in wide


@pytest.mark.parametrize(
    ("module", "words"), [(CTL, ("--version",)), (CTL, ("--help",)), (DAEMON, ("--help",))]
)
@pytest.mark.parametrize("shell", [">/dev/full", ">&-"])
def test_output_that_cannot_be_written_is_one_line_and_an_error(
    module: str, words: tuple[str, ...], shell: str
) -> None:
    ran = run(module, *words, shell=shell)
    assert ran.returncode == 1, ran.stderr
    assert len(ran.stderr.splitlines()) == 1, ran.stderr
    assert ran.stderr.startswith("error: ")


def test_an_answer_on_a_full_disk_is_an_error_in_the_form_that_was_asked_for() -> None:
    ran = run(CTL, "-o", "json", "schema", shell=">/dev/full")
    assert ran.returncode == 1
    assert ran.stderr.count("\n") == 1, ran.stderr
    assert "no space left on device" in ran.stderr
    assert ran.stderr.startswith("{")


def test_a_reader_that_has_enough_is_no_error() -> None:
    ran = run(CTL, "schema", shell="| head -c 1")
    assert (ran.stdout, ran.stderr) == ("{", "")


def test_closed_standard_error_and_input_are_no_reason_to_fail(tmp_path: Path) -> None:
    ran = run(CTL, "schema", shell="2>&- <&-")
    assert ran.returncode == 0
    assert run(CTL, "--peer", str(tmp_path / "s"), "peers", shell="2>&-").returncode == 1
    assert run(CTL, "nonsense", shell="2>/dev/full").returncode != 0


@pytest.mark.parametrize(
    ("module", "slow"), [(CTL, "typer"), (DAEMON, "typer"), (DAEMON, "msgspec")]
)
def test_ctrl_c_while_it_is_imported_ends_it_in_silence(
    module: str, slow: str, tmp_path: Path
) -> None:
    """What takes as long to be imported as a person takes to think better of it takes for ever here."""
    told, hear = os.pipe()
    (tmp_path / f"{slow}.py").write_text(
        f"import os, time\nos.write({hear}, b'x')\nwhile True: time.sleep(0.01)\n"
    )
    paths = os.pathsep.join([str(tmp_path), str(Path(__file__).parents[3])])
    with subprocess.Popen(
        ["env", "--default-signal=INT", sys.executable, "-m", module, "--help"],
        env={**os.environ, "PYTHONPATH": paths},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        pass_fds=[hear],
    ) as running:
        os.close(hear)
        assert os.read(told, 1) == b"x"
        os.close(told)
        running.send_signal(signal.SIGINT)
        assert running.communicate(timeout=30) == (b"", b"")
    assert running.returncode == 130
