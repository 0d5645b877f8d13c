"""What overlayctl says of a grid file that cannot be sent, and of an identity that cannot sign."""

from pathlib import Path

import pytest
from asked_daemon import GRID, Daemon
from typer.testing import CliRunner

from overlayd.cli.main import app


@pytest.mark.parametrize("command", ["plan", "up"])
def test_every_problem_with_its_place(daemon: Daemon, command: str) -> None:
    daemon.grid_file.write_text(GRID.replace("cpus: 0.5", "cpu: 0.5").replace("1G", "much"))
    error = daemon.ask(command, daemon.grid_file, code=2).stderr
    file = daemon.grid_file
    assert error.splitlines() == [
        f'{file}:6:19: volumes.scratch.size: found "much"; write for example 512M, 4G or 1.5T',
        f"{file}:8:3: clusters.head.cpus: missing; write for example 2",
        f'{file}:10:5: clusters.head.cpu: unknown key; did you mean "cpus"?',
    ]


@pytest.mark.parametrize("command", ["plan", "up"])
def test_an_unknown_image_is_shown_where_it_is_written(daemon: Daemon, command: str) -> None:
    daemon.grid_file.write_text(GRID.replace("image: guest", "image: debian-12", 1))
    error = daemon.ask(command, daemon.grid_file, code=2).stderr
    assert error == (
        f'{daemon.grid_file}:9:12: clusters.head.image: found "debian-12", which is no image;'
        " there is guest\n"
    )


def test_an_unknown_image_of_a_profile_is_shown_in_the_profile(daemon: Daemon) -> None:
    error = daemon.ask("plan", daemon.grid_file, "--profile", "strange", code=2).stderr
    assert error == (
        f"{daemon.grid_file}:23:40: profiles.strange.clusters.worker.image:"
        ' found "gest", which is no image; did you mean "guest"?\n'
    )


def test_no_image_at_all(daemon: Daemon) -> None:
    daemon.ask("image", "remove", "guest")
    error = daemon.ask("plan", daemon.grid_file, code=2).stderr
    assert error.splitlines()[0] == (
        f'{daemon.grid_file}:9:12: clusters.head.image: found "guest";'
        " no host has an image yet, overlayctl image add adds one"
    )


def test_a_file_that_is_not_there(daemon: Daemon) -> None:
    error = daemon.ask("plan", "nowhere.yaml", code=2).stderr
    assert error == "nowhere.yaml: cannot be read: no such file or directory\n"


def test_with_detailed_exit_codes_a_mistake_is_no_change(daemon: Daemon) -> None:
    assert daemon.ask("plan", "nowhere.yaml", "--detailed-exitcode", code=1).stderr


def test_what_was_typed_is_checked_before_a_daemon_is_asked() -> None:
    for words in (
        ("plan", "grid.yaml", "--hold", "lots"),
        ("image", "gc", "--keep", "lots"),
        ("forward", "demo/head-1", "99999"),
    ):
        result = CliRunner().invoke(app, ["--peer", "/nonexistent", *words])
        assert result.exit_code == 2, words
        assert "no daemon" not in result.stderr


def test_signing_needs_an_identity(daemon: Daemon, tmp_path: Path) -> None:
    def up(*options: str) -> str:
        words = ["--peer", str(daemon.socket), *options, "up", str(daemon.grid_file)]
        result = CliRunner().invoke(app, words, env={"OVERLAYD_IDENTITY": ""})
        assert result.exit_code == 2
        return result.stderr

    assert up() == (
        "error: this has to be signed, and no identity was named\n"
        "  would work: --as NAME (OVERLAYD_AS), of `overlayctl identity create`; or --identity DIR"
        " (OVERLAYD_IDENTITY), the folder `overlayctl site add` wrote\n"
    )
    assert up("--identity", str(tmp_path)) == (
        f"error: {tmp_path}/site.key cannot be read: No such file or directory\n"
        "  would work: the folder `overlayctl site add` wrote\n"
    )
