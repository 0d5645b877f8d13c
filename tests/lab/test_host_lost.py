"""A daemon is killed while its grid runs: every face says the same, what would work works, the story stays."""

import json

import msgspec
from federation import orders
from federation.launch import wait_for
from loopback import Daemons

from protocol.grid.model import PlacementSpec, Spread
from protocol.requesting.request import RequestState
from protocol.trust.order import Action

ASKED, NAME = "h1", "lone"


def lost(daemons: Daemons) -> list[tuple[str, str]]:
    """(workspace, host) of what is lost, as the API says it."""
    view = orders.grid(daemons.hosts[ASKED], NAME)
    rows = view.workspaces if view is not None else ()
    return [(row.workspace, row.host) for row in rows if row.phase == "lost"]


def test_a_killed_daemon_is_told_in_every_face_and_taken_out_and_remembered(
    daemons: Daemons,
) -> None:
    host, identity = daemons.hosts[ASKED], daemons.identity("ams")
    spread = PlacementSpec(spread=Spread.HOST)
    spec = msgspec.structs.replace(orders.spec(NAME, daemons.image, 8), placement=spread)
    assert orders.obeyed(host, orders.up(identity, spec, host)).state is RequestState.DONE
    view = orders.grid(host, NAME)
    assert view is not None
    victim = next(row.host for row in view.workspaces if row.host != ASKED)
    names = [row.workspace for row in view.workspaces if row.host == victim]
    daemons.kill(victim)
    wait_for(lambda: [n for n, _ in lost(daemons)] == names, 30, "what ran there is lost")

    ps, show = daemons.ctl(ASKED, "ps").stdout, daemons.ctl(ASKED, "show", NAME).stdout
    assert f"{len(names)} lost" in ps
    assert f"{len(names)} lost" in show
    assert show.count("last running") == len(names)
    assert f"host {victim} ({names[0]}" in show
    assert f"`overlayctl terminate {NAME}/{names[0]}`" in show
    rows = json.loads(daemons.ctl(ASKED, "-o", "json", "show", NAME).stdout)["workspaces"]
    assert [row["workspace"] for row in rows if row["phase"] == "lost"] == names
    assert "grid.host-lost" in daemons.ctl(ASKED, "events").stdout

    refused = daemons.ctl(ASKED, "lease", "extend", NAME, "1h", site="ams")
    assert refused.returncode == 1
    assert f"host {victim} ({names[0]}" in refused.stderr
    assert f"`overlayctl terminate {NAME}/{names[0]}`" in refused.stderr
    for name in names:
        order = orders.signed(identity, Action.TERMINATE, NAME, name)
        ended = orders.obeyed(host, order)
        assert ended.state is RequestState.DONE, ended.answer
    extended = daemons.ctl(ASKED, "lease", "extend", NAME, "1h", site="ams")
    assert extended.returncode == 0, extended.stderr

    daemons.kill(ASKED)
    daemons.restart(ASKED)
    told = f"host {victim} ({names[0]}"
    wait_for(
        lambda: told in daemons.ctl(ASKED, "explain", NAME).stdout, 30, "the story is told again"
    )
    kept = daemons.ctl(ASKED, "request", "list").stdout
    assert f"the lease of {NAME} is extended by 1 h" in kept

    daemons.restart(victim)
    wait_for(
        lambda: orders.me(daemons.hosts[victim]).carried == 0,
        60,
        "its room is free once it is back",
    )
    down = orders.signed(identity, Action.DOWN, NAME)
    assert orders.obeyed(host, down).state is RequestState.DONE
