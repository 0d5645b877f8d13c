"""What deletes data says what it deletes, and asks."""

from asked_daemon import Daemon

LISTED = "scratch (1 GiB) on h1"


def test_down_deletes_no_volume_unless_it_is_told_to(daemon: Daemon) -> None:
    daemon.up()
    assert daemon.ask("down", "demo", code=2).stderr == (
        f"error: demo has volumes, and `down` deletes them: {LISTED}\n"
        "  would work: overlayctl down demo --delete-volumes\n"
    )
    assert "volumes     scratch (1 GiB) of head-1 on h1" in daemon.ask("show", "demo").stdout
    assert daemon.ask("down", "demo", "--delete-volumes").stdout.endswith("demo is gone\n")


def test_terminate_says_what_becomes_of_the_volumes(daemon: Daemon) -> None:
    daemon.up()
    said = daemon.ask("terminate", "demo/worker-2").stdout
    assert said.endswith("demo/worker-2 is gone\n"), "it had none"
    said = daemon.ask("terminate", "demo/head-1").stdout
    assert said.endswith(f"its volumes stay; `overlayctl down demo` deletes them: {LISTED}\n")
    assert "volumes     scratch (1 GiB) of head-1 on h1" in daemon.ask("show", "demo").stdout


def test_terminate_deletes_them_when_told_to(daemon: Daemon) -> None:
    daemon.up()
    said = daemon.ask("terminate", "demo/head-1", "--delete-volumes").stdout
    assert said.endswith(f"its volumes are deleted: {LISTED}\n")
    assert "volumes  " not in daemon.ask("show", "demo").stdout
    assert daemon.ask("down", "demo").stdout.endswith("demo is gone\n"), (
        "nothing is left to ask about"
    )
