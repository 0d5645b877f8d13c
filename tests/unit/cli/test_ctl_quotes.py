"""From a plan to exactly that grid, against a real node: what is typed, what is printed."""

import json
import re

from asked_daemon import Daemon
from test_ctl_grids import PLAN

from protocol.requesting.proposal import TABLE

QUOTED = re.compile(
    r"quote (quote-[0-9a-f]{12}), until [-\d]{10} [:\d]{8} UTC: `overlayctl up --quote \1`\n"
)


def quote_of(daemon: Daemon) -> str:
    said = daemon.ask("plan", daemon.grid_file, "--quote").stdout
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
    view = json.loads(daemon.ask("plan", daemon.grid_file, "--quote", "--output", "json").stdout)
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
    assert daemon.host.view.this_peer().holds == 0


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


HELD = re.compile(
    r"quote ([0-9a-f]{20}), until [-\d]{10} [:\d]{8} UTC: `overlayctl up --quote \1`\n"
    r"  `overlayctl request cancel \1` lets it go\n"
)


def held(daemon: Daemon, hold: str = "60s") -> str:
    said = daemon.ask("plan", daemon.grid_file, "--hold", hold).stdout
    plan = PLAN.replace("Nothing is held.", "All of this is held.")
    assert said.startswith(plan)
    match = HELD.fullmatch(said.removeprefix(plan))
    assert match is not None, said
    return match[1]


def test_a_plan_is_held_counted_as_used_and_taken_up(daemon: Daemon) -> None:
    plan = held(daemon)
    node = daemon.host.node
    (row,) = node.host.holds.rows()
    assert (row.plan, len(row.workspaces), len(node.host.ledger)) == (True, 3, 3)
    assert daemon.ask("request", "list").stdout.splitlines()[1].split()[1:5] == [
        *("hold", "demo", "held", "held"),
    ]
    assert re.fullmatch(
        rf"no grids\n\na plan of demo is held until [-:\d ]+ UTC: `overlayctl up --quote {plan}`\n",
        daemon.ask("ps").stdout,
    )
    other = daemon.ask("up", daemon.grid_file, code=1).stderr
    assert other == (
        f"error: a plan of demo is held already, {plan}\n"
        f"  would work: `overlayctl up --quote {plan}`, or `overlayctl request cancel {plan}`\n"
    )
    lines = daemon.ask("up", "--quote", plan).stdout.splitlines()
    assert lines[-1] == "demo is up: 3 workspaces"
    assert (len(node.host.holds), len(node.host.ledger)) == (0, 3)
    assert daemon.ask("explain", plan).stdout.splitlines()[-1].startswith("taken up by request ")


def test_a_held_plan_is_cancelled_and_again(daemon: Daemon) -> None:
    plan = held(daemon)
    for _ in range(2):
        said = daemon.ask("request", "cancel", plan).stdout
        assert said == "cancelled; nothing is held\n"
    assert len(daemon.host.node.host.ledger) == 0
    error = daemon.ask("up", "--quote", plan, code=1).stderr
    assert error.startswith(f'error: there is no quote "{plan}"')
    daemon.up()


def test_down_of_what_is_only_held_says_what_lets_it_go(daemon: Daemon) -> None:
    plan = held(daemon)
    assert daemon.ask("down", "demo", code=1).stderr == (
        "error: there is no grid named demo\n"
        f"  would work: `overlayctl request cancel {plan}` lets the plan of it go\n"
    )


def test_how_long_a_plan_can_be_held(daemon: Daemon) -> None:
    for hold in ("5s", "11m", "soon"):
        error = daemon.ask("plan", daemon.grid_file, "--hold", hold, code=2).stderr
        assert "--hold 60s; 10 s to 10 min are taken" in error
    both = daemon.ask("plan", daemon.grid_file, "--hold", "60s", "--quote", code=2).stderr
    assert "give --quote or --hold" in both


def changed(daemon: Daemon, *options: str) -> tuple[str, str]:
    """What a plan of one worker more says, and the id of its quote."""
    daemon.up()
    daemon.grid_file.write_text(daemon.grid_file.read_text().replace("count: 2", "count: 3"))
    said = daemon.ask("plan", daemon.grid_file, *options).stdout
    match = re.search(r"`overlayctl up --quote (\S+)`", said)
    assert match is not None, said
    return said, match[1]


def test_a_change_is_quoted_and_taken_up_without_another_question(daemon: Daemon) -> None:
    said, quote = changed(daemon, "--quote")
    assert said.startswith(
        "demo, epoch 1 > 2\n  + worker-3 on h1\n  = 3 unchanged\n1 to add\nquote "
    )
    lines = daemon.ask("up", "--quote", quote).stdout.splitlines()
    assert "as quoted: worker-3 on h1" in lines
    assert lines[-1] == "demo is changed (+1 worker): 4 workspaces on 1 host, epoch 2"
    assert "nothing changes" in daemon.ask("up", "--quote", quote).stdout


def test_a_change_is_held_beside_what_is_up_and_taken_up(daemon: Daemon) -> None:
    said, plan = changed(daemon, "--hold", "60s")
    assert "\n1 to add\nAll of this is held.\nquote " in said
    assert said.endswith(f"`overlayctl request cancel {plan}` lets it go\n")
    node = daemon.host.node
    (row,) = node.host.holds.rows()
    assert (row.plan, row.workspaces, len(node.host.ledger)) == (True, ("worker-3",), 4)
    assert re.search(
        rf"a change of demo is held until [-:\d ]+ UTC: .* {plan}`", daemon.ask("ps").stdout
    )
    other = daemon.ask("scale", "demo/worker=4", "-y", code=1).stderr
    assert other == (
        f"error: a change of demo is held already, {plan}\n"
        f"  would work: `overlayctl up --quote {plan}`, or `overlayctl request cancel {plan}`\n"
    )
    lines = daemon.ask("up", "--quote", plan).stdout.splitlines()
    assert lines[-1] == "demo is changed (+1 worker): 4 workspaces on 1 host, epoch 2"
    assert (len(node.host.holds), len(node.host.ledger)) == (0, 4)


def test_a_change_that_is_held_is_cancelled(daemon: Daemon) -> None:
    _, plan = changed(daemon, "--hold", "60s")
    assert daemon.ask("request", "cancel", plan).stdout == "cancelled; nothing is held\n"
    assert len(daemon.host.node.host.ledger) == 3
    daemon.ask("scale", "demo/worker=4", "-y")


def test_a_quote_of_a_change_is_for_the_grid_as_it_was(daemon: Daemon) -> None:
    _, quote = changed(daemon, "--quote")
    daemon.ask("scale", "demo/worker=1", "-y")
    error = daemon.ask("up", "--quote", quote, code=1).stderr
    assert error == (
        "error: cannot change demo: it was quoted for epoch 1 of demo, which is at 2\n"
        "  would work: `overlayctl plan --quote` again\n"
    )
