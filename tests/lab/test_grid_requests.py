"""People who ask at the same time, change their mind, or go away: real daemons on loopback."""

import os
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from federation import orders
from federation.launch import wait_for
from loopback import Daemons

from protocol.requesting.request import RequestState, RequestView
from protocol.trust.order import Action

GRID_FILE = """\
grid: {name}
clusters:
  n: {{count: 6, image: guest, cpus: 0.1, memory: 64M}}
placement: {{spread: site}}
"""


def down(daemons: Daemons, at: str, grid: str, site: str = "ams") -> RequestView:
    about = orders.id_of(daemons.hosts[at], grid)
    order = orders.signed(daemons.identity(site), Action.DOWN, about)
    return orders.obeyed(daemons.hosts[at], order)


def phases(daemons: Daemons, at: str, grid: str) -> list[str]:
    view = orders.grid(daemons.hosts[at], grid)
    return [row.phase for row in view.workspaces] if view is not None else []


def test_a_grid_is_made_and_taken_down_through_any_peer(daemons: Daemons) -> None:
    for number, (asked, other) in enumerate(
        zip(daemons.names, reversed(daemons.names), strict=True)
    ):
        name = f"any-{number}"
        made = orders.obeyed(
            daemons.hosts[asked],
            orders.up(
                daemons.identity("ams"), orders.spec(name, daemons.image, 5), daemons.hosts[asked]
            ),
        )
        assert made.state is RequestState.DONE, made.answer
        wait_for(
            lambda name=name, other=other: phases(daemons, other, name) == ["running"] * 5,
            20,
            f"{other} hears that {name} runs",
        )
        gone = down(daemons, other, name)
        assert gone.state is RequestState.DONE, gone.answer
    daemons.wait_nothing_left()


def test_of_two_at_once_for_one_name_exactly_one_wins(daemons: Daemons) -> None:
    asked = [
        (
            daemons.hosts[name],
            orders.up(
                daemons.identity("ams"),
                orders.spec("wanted", daemons.image, count),
                daemons.hosts[name],
            ),
        )
        for name, count in (("h2", 8), ("h3", 7))
    ]
    with ThreadPoolExecutor(2) as pool:
        views = list(pool.map(lambda one: orders.obeyed(*one), asked))
    states = sorted(view.state for view in views)
    assert states == [RequestState.DONE, RequestState.FAILED], [view.answer for view in views]
    lost = next(view for view in views if view.state is RequestState.FAILED)
    said = "\n".join(lost.answer)
    assert "wanted is up, and not as the file has it" in said or "a grid named wanted" in said
    assert "  clusters.n.count: " in said or "choose another name" in said
    assert "would work: " in said
    assert [orders.me(host).holds for host in daemons.hosts.values()] == [0] * 4
    view = orders.grid(daemons.hosts["h1"], "wanted")
    assert view is not None
    assert len(view.workspaces) in (7, 8)
    assert down(daemons, "h4", "wanted").state is RequestState.DONE


def test_down_in_the_middle_of_up_leaves_nothing(daemons: Daemons) -> None:
    """It is given right behind the up, once the stewards are asked, and while the grid is built."""
    host = daemons.hosts["h2"]
    for moment in ("queued", "all held", "committed"):
        name = f"short-{moment[:3]}"
        up = orders.up(daemons.identity("ams"), orders.spec(name, daemons.image, 8), host)
        request = orders.give(host, up)

        def reached(request: str = request, moment: str = moment) -> bool:
            view = orders.view(host, request)  # type: ignore[arg-type]
            told = [line.text for line in view.story]
            return moment == "queued" or any(text.startswith(moment) for text in told)

        wait_for(reached, 20, f"{name} gets to {moment}")
        gone = down(daemons, "h2", name)
        assert gone.state is RequestState.DONE, gone.answer
        ended = orders.answer(host, request)
        assert ended.state in (RequestState.CANCELLED, RequestState.FAILED, RequestState.DONE)
        daemons.wait_nothing_left()
        for other in daemons.hosts.values():
            wait_for(
                lambda other=other, name=name: _is_down(other, name),
                10,
                f"{name} is down everywhere",
            )


def _is_down(host: object, name: str) -> bool:
    view = orders.grid(host, name)  # type: ignore[arg-type]
    return view is None or view.grid.state == "down"


def test_a_client_killed_in_the_middle_does_not_stop_its_grid(
    daemons: Daemons, tmp_path: Path
) -> None:
    file = tmp_path / "lone.yaml"
    file.write_text(GRID_FILE.format(name="lone"))
    host = daemons.hosts["h3"]
    client = subprocess.Popen(
        daemons.ctl_argv("h3", "up", str(file), site="ams"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:

        def asked() -> bool:
            assert client.poll() is None, "the client ended before it could be killed"
            rows = host.ask("GET", "requests").json()
            return any(row["grid"] == "lone" for row in rows)

        wait_for(asked, 20, "the order has come in")
        os.kill(client.pid, signal.SIGKILL)
    finally:
        client.kill()
        client.wait()
    assert client.returncode == -signal.SIGKILL
    rows = host.ask("GET", "requests").json()
    request = next(row["id"] for row in rows if row["grid"] == "lone")
    view = orders.answer(host, request)
    assert view.state is RequestState.DONE, view.answer
    assert view.answer == ("lone is up: 6 workspaces",)
    explained = daemons.ctl("h3", "explain", "lone")
    assert "lone is up: 6 workspaces" in explained.stdout
    console = daemons.ctl("h1", "console", "lone/n-1", site="ams")
    assert console.returncode == 1
    assert "does not show the console of lone/n-1: it has no console, or none yet" in console.stderr
    assert down(daemons, "h1", "lone").state is RequestState.DONE
