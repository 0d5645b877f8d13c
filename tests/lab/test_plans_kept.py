"""Plans that are kept or held, and taken up: overlayctl and real daemons on loopback."""

import json
from pathlib import Path
from typing import Any

import pytest
from federation import orders
from federation.launch import wait_for
from loopback import Daemons

from protocol.requesting.request import RequestState
from protocol.trust.order import Action

GRID = """\
grid: {name}
clusters:
  n: {{count: {count}, image: "{image}", cpus: 0.1, memory: {memory}}}
placement: {{spread: host{sites}}}
"""

ASKED_AT = "h2"


def written(
    daemons: Daemons, folder: Path, name: str, count: int, memory: str, site: str = ""
) -> str:
    file = folder / f"{name}.yaml"
    sites = f", sites: [{site}]" if site else ""
    image = f"guest@sha256:{daemons.image.digest[:12]}"
    grid = GRID.format(name=name, count=count, memory=memory, sites=sites, image=image)
    file.write_text(grid)
    return str(file)


def planned(daemons: Daemons, file: str, *options: str) -> dict[str, Any]:
    said = daemons.ctl(ASKED_AT, "plan", file, *options, "--output", "json")
    assert said.returncode == 0, said.stderr
    view: dict[str, Any] = json.loads(said.stdout)
    return view


def placed(view: dict[str, Any]) -> dict[str, str]:
    return {row["workspace"]: row["host"] for row in view["placement"]}


def carried(daemons: Daemons, name: str) -> dict[str, str]:
    view = orders.grid(daemons.hosts[ASKED_AT], name)
    return {row.workspace: row.host for row in view.workspaces} if view is not None else {}


def down(daemons: Daemons, name: str) -> None:
    about = orders.id_of(daemons.hosts[ASKED_AT], name)
    order = orders.signed(daemons.identity("bnl"), Action.DOWN, about)
    gone = orders.obeyed(daemons.hosts[ASKED_AT], order)
    assert gone.state is RequestState.DONE, gone.answer


def holders(daemons: Daemons, *without: str) -> list[str]:
    up = {name: host for name, host in daemons.hosts.items() if name not in without}
    return [name for name, host in up.items() if orders.me(host).holds]


def test_a_quote_is_made_exactly_or_it_is_said_what_moved(daemons: Daemons, tmp_path: Path) -> None:
    file = written(daemons, tmp_path, "exact", 6, "64M")
    quotes = [planned(daemons, file, "--quote") for _ in range(2)]
    assert holders(daemons) == []
    made = daemons.ctl(ASKED_AT, "up", "--quote", quotes[0]["id"])
    assert made.returncode == 0, made.stderr
    assert carried(daemons, "exact") == placed(quotes[0])
    again = daemons.ctl(ASKED_AT, "up", "--quote", quotes[1]["id"])
    assert "a grid named exact exists already" in again.stderr
    down(daemons, "exact")

    large = planned(daemons, written(daemons, tmp_path, "large", 1, "1500M", "bnl"), "--quote")
    assert placed(large) == {"n-1": "h2"}
    other = daemons.ctl("h3", "up", written(daemons, tmp_path, "other", 1, "1G", "bnl"), site="bnl")
    assert other.returncode == 0, other.stderr
    moved = daemons.ctl(ASKED_AT, "up", "--quote", large["id"])
    assert moved.returncode == 1
    assert f"({large['id']}): the world moved" in moved.stderr
    assert "  h2 has 1 fewer 0.1cpu/1500M now: 0 fit, 1 was to go there (n-1)" in moved.stderr
    assert "  would work: " in moved.stderr
    assert holders(daemons) == []
    down(daemons, "other")
    retried = daemons.ctl(ASKED_AT, "up", "--quote", large["id"])
    assert retried.returncode == 0, "the quote stands, and so it can be had again"
    down(daemons, "large")


def test_a_host_that_died_since_its_quote(daemons: Daemons, tmp_path: Path) -> None:
    quote = planned(daemons, written(daemons, tmp_path, "mourned", 1, "64M", "uc"), "--quote")
    assert placed(quote) == {"n-1": "h3"}
    daemons.kill("h3")
    refused = daemons.ctl(ASKED_AT, "up", "--quote", quote["id"], "--output", "json")
    assert refused.returncode == 1
    view = json.loads(refused.stdout)
    assert [(one["host"], one["workspaces"]) for one in view["moved"]] == [("h3", ["n-1"])]
    assert view["moved"][0]["detail"] in ("gave no answer in time", "is not there any more")
    daemons.restart("h3")


@pytest.mark.parametrize("restarted", [False, True])
def test_a_held_plan_counts_as_used_and_becomes_the_grid(
    daemons: Daemons, tmp_path: Path, restarted: bool
) -> None:
    """It does so even when the peer that asked for it was killed and started again meanwhile."""
    name = f"tested-{restarted}".lower()
    file = written(daemons, tmp_path, name, 1, "1500M", "uc")
    plan = planned(daemons, file, "--hold", "60s")
    assert (plan["state"], placed(plan), holders(daemons)) == ("held", {"n-1": "h3"}, ["h3"])
    other = daemons.ctl("h1", "up", written(daemons, tmp_path, "late", 1, "1G", "uc"), site="ams")
    assert other.returncode == 1
    assert "lacks memory" in other.stderr
    if restarted:
        daemons.kill(ASKED_AT)
        daemons.restart(ASKED_AT)
        assert holders(daemons) == ["h3"]
    made = daemons.ctl(ASKED_AT, "up", "--quote", plan["id"])
    assert made.returncode == 0, made.stderr
    assert carried(daemons, name) == {"n-1": "h3"}
    assert holders(daemons) == []
    down(daemons, name)


def test_a_held_plan_is_cancelled_and_nothing_is_left(daemons: Daemons, tmp_path: Path) -> None:
    plan = planned(daemons, written(daemons, tmp_path, "let-go", 4, "64M"), "--hold", "5m")
    assert len(holders(daemons)) == 4
    for _ in range(2):
        said = daemons.ctl(ASKED_AT, "request", "cancel", plan["id"])
        assert (said.returncode, said.stdout) == (0, "cancelled; nothing is held\n")
    wait_for(lambda: not holders(daemons), 10, "every host let go")
    again = daemons.ctl(ASKED_AT, "up", "--quote", plan["id"])
    assert f'there is no quote "{plan["id"]}"' in again.stderr


def test_a_requester_that_dies_leaves_no_hold_beyond_its_time(
    daemons: Daemons, tmp_path: Path
) -> None:
    planned(daemons, written(daemons, tmp_path, "orphan", 4, "64M"), "--hold", "10s")
    daemons.kill(ASKED_AT)
    assert len(holders(daemons, ASKED_AT)) == 3
    wait_for(lambda: not holders(daemons, ASKED_AT), 30, "every other host let go by itself")
    daemons.restart(ASKED_AT)
    daemons.wait_nothing_left()
