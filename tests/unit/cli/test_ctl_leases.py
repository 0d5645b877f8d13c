"""`overlayctl lease extend | shorten`, and what `up` and `ps` say of best effort."""

import time
from collections.abc import Callable

from asked_daemon import Daemon


def until(condition: Callable[[], bool]) -> None:
    """Hosts tell of their grids a few times a second."""
    deadline = time.monotonic() + 10.0
    while not condition():
        assert time.monotonic() < deadline, "not told"


def test_extended_and_shortened(daemon: Daemon) -> None:
    daemon.up()
    said = daemon.ask("lease", "extend", "demo", "2h").stdout
    assert "the lease of demo is extended by 2 h, until " in said
    until(lambda: "8 h left" in daemon.ask("ps").stdout)
    daemon.ask("lease", "shorten", "demo", "7h")
    until(lambda: "60 min left" in daemon.ask("ps").stdout)
    said = daemon.ask("lease", "shorten", "demo", "2h", code=1).stderr
    assert "would work: less, or `overlayctl down demo`" in said


def test_what_is_no_duration_is_said(daemon: Daemon) -> None:
    said = daemon.ask("lease", "extend", "demo", "soon", code=2).stderr
    assert said == (
        'error: a lease cannot be changed by "soon"\n'
        "  would work: write for example 90s, 30m, 6h or 2d\n"
    )
    for much in ("0s", "367d"):
        said = daemon.ask("lease", "shorten", "demo", much, code=2).output
        assert "would work: a second to 366 d" in said


def test_best_effort_is_queued_and_ps_says_why(daemon: Daemon) -> None:
    text = daemon.grid_file.read_text()
    text = text.replace("{for: 6h}", "{for: 6h, best-effort: true}").replace(
        "grid: demo", "grid: big"
    )
    text = text.replace("memory: ", "memory: 9")
    file = daemon.grid_file.with_name("big.yaml")
    file.write_text(text)
    said = daemon.ask("up", file).stdout
    assert "big is queued until there is room, or until " in said
    listed = daemon.ask("ps").stdout
    assert "big is queued" in listed
    assert "`overlayctl down big` ends the waiting" in listed
    assert "queued" in daemon.ask("explain", "big").stdout
    daemon.ask("down", "big", "--delete-volumes")
    assert "queued" not in daemon.ask("ps").stdout
