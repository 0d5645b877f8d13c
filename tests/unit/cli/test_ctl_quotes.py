"""From a plan to exactly that grid, against a real node: what is typed, what is printed."""

import json
import re

from asked_daemon import Daemon
from test_ctl_grids import PLAN

from protocol.negotiation.proposal import TABLE

QUOTED = re.compile(
    r"quote (quote-[0-9a-f]{12}), until \d\d:\d\d:\d\d: `overlayctl up --quote \1`\n"
)


def quote_of(daemon: Daemon) -> str:
    said = daemon.ask("plan", daemon.grid_file, "--quote", code=1).stdout
    assert said.startswith(PLAN)
    match = QUOTED.fullmatch(said.removeprefix(PLAN))
    assert match is not None, said
    return match[1]


def test_a_quote_is_printed_kept_and_taken_up(daemon: Daemon) -> None:
    quote = quote_of(daemon)
    assert daemon.ask("ps").stdout == "no grids\n"
    assert (TABLE, quote) in daemon.host.store
    lines = daemon.ask("up", "--quote", quote).stdout.splitlines()
    assert "as quoted: head-1, worker-1, worker-2 on h1" in lines
    assert lines[-1] == "demo is up: 3 workspaces"


def test_a_quote_as_json_says_until_when_and_what_was_offered(daemon: Daemon) -> None:
    view = json.loads(
        daemon.ask("plan", daemon.grid_file, "--quote", "--output", "json", code=1).stdout
    )
    assert view["until_s"] > view["started_s"]
    assert [row["workspace"] for row in view["placement"]] == ["head-1", "worker-1", "worker-2"]
    made = json.loads(daemon.ask("up", "--quote", view["id"], "--output", "json").stdout)
    assert (made["state"], made["moved"]) == ("done", [])


def test_what_moved_is_said_and_what_would_work(daemon: Daemon) -> None:
    quote = quote_of(daemon)
    other = daemon.folder / "other.yaml"
    other.write_text("grid: other\nclusters:\n  big: {image: guest, cpus: 0.5, memory: 3840M}\n")
    daemon.ask("up", other)
    error = daemon.ask("up", "--quote", quote, code=1).stderr
    assert re.match(
        rf"error: cannot make demo as quoted \d+ s ago \({quote}\): the world moved\n"
        r"  h1 has \d+ fewer 0\.25cpu/128M now: \d fits?, 3 were to go there"
        r" \(head-1, worker-1, worker-2\)\n",
        error,
    ), error
    assert daemon.ask("ps", "demo", code=1)
    assert len(daemon.host.node.host.holds) == 0


def test_an_image_that_is_gone(daemon: Daemon) -> None:
    quote = quote_of(daemon)
    daemon.ask("image", "remove", "guest")
    error = daemon.ask("up", "--quote", quote, code=1).stderr
    assert error == (
        f"error: cannot make demo as quoted ({quote}): the world moved\n"
        "  image guest of cluster head is on no host\n"
        "  would work: one of those there are (none yet), or `overlayctl image add`\n"
    )


def test_a_quote_nobody_made(daemon: Daemon) -> None:
    error = daemon.ask("up", "--quote", "quote-123", code=1).stderr
    assert error == (
        'error: there is no quote "quote-123"; there is none yet\n'
        "  would work: `overlayctl plan --quote` again; a quote lasts 10 min\n"
    )


def test_a_file_and_a_quote_are_one_too_many(daemon: Daemon) -> None:
    for words in ((), (daemon.grid_file, "--quote", "quote-123")):
        error = daemon.ask("up", *words, code=2).stderr
        assert "name one of the two" in error
    error = daemon.ask("up", "--quote", "quote-123", "--profile", "big", code=2).stderr
    assert "takes no --profile" in error
