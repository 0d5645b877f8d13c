"""The requester killed after single effects of an `up`, for real: a whole grid or nothing, no hold left.

Three hosts only carry grids, and some are asked for them. Each of those dies in each round after another
number of effects, is started again at once, and dies again in the next.
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from federation import orders
from federation.launch import wait_for
from loopback import Daemons, image_file, make_daemons

from protocol.requesting.request import RequestState
from protocol.terms.ids import RequestId
from protocol.trust.order import Action

PROGRAM = Path(__file__).parent / "dying_daemon.py"
SITES = ("ams", "bnl", "uc", "ams", "bnl", "uc", "ams")
CARRIERS = 3
REQUESTERS = tuple(f"h{number}" for number in range(CARRIERS + 1, len(SITES) + 1))
ROUNDS = 5
WORKSPACES = 6


class Dying(Daemons):
    """Daemons of which some are told to die."""

    def start_dying(self, name: str, after: int) -> None:
        host = self.hosts[name]
        config, count = host.folder / "overlayd.toml", host.folder / "count"
        argv = [sys.executable, str(PROGRAM), str(after), str(count), "run", "-c", str(config)]
        with host.log.open("ab") as log:
            host.process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def count(self, name: str) -> int:
        return int((self.hosts[name].folder / "count").read_text() or 0)

    def ask(self, name: str, grid: str) -> RequestId | None:
        """Gives the order; None if the daemon died while it took it."""
        try:
            spec = orders.spec(grid, self.image, WORKSPACES)
            order = orders.up(self.identity("ams"), spec, self.hosts[name])
            return orders.give(self.hosts[name], order)
        except httpx.TransportError:
            return None

    def over(self, name: str, request: RequestId | None) -> bool:
        """Whether the daemon is dead or, if it had fewer effects than that, the request is done."""
        process = self.hosts[name].process
        assert process is not None
        if process.poll() is not None:
            return True
        try:
            return request is not None and (
                orders.view(self.hosts[name], request).state is not RequestState.RUNNING
            )
        except httpx.TransportError:
            return False

    def whole_or_nothing(self, grids: list[str]) -> list[str]:
        """What is left in between. Empty when every grid runs whole or is nowhere, and nothing is held."""
        carried = dict.fromkeys(self.hosts, 0)
        wrong = []
        for grid in grids:
            views = {name: orders.grid(host, grid) for name, host in self.hosts.items()}
            seen = [view for view in views.values() if view is not None]
            states = {view.grid.state for view in seen}
            if states == {"up"} and len(seen) == len(self.hosts):
                rows = seen[0].workspaces
                for host in dict.fromkeys(row.host for row in rows):
                    carried[host] += 1
                if [row.phase for row in rows] != ["running"] * WORKSPACES:
                    wrong.append(f"{grid}: {[(row.host, row.phase) for row in rows]}")
            elif states:
                wrong.append(f"{grid}: {[(n, v and v.grid.state) for n, v in views.items()]}")
        for name, host in self.hosts.items():
            me = orders.me(host)
            if me.holds or me.carried != carried[name]:
                said = f"{me.holds} held, {me.carried} carried, not {carried[name]}"
                wrong.append(f"{name}: {said}")
        return wrong

    def settle(self, grids: list[str]) -> None:
        try:
            wait_for(lambda: not self.whole_or_nothing(grids), 40, "whole or nothing")
        except RuntimeError:
            raise AssertionError(self.whole_or_nothing(grids)) from None

    def take_down(self, grids: list[str]) -> list[str]:
        """Takes grids down. Answers those that were whole."""
        host = self.hosts["h1"]
        whole = [grid for grid in grids if orders.grid(host, grid) is not None]
        down = [
            orders.signed(self.identity("ams"), Action.DOWN, orders.id_of(host, grid))
            for grid in whole
        ]
        given = [orders.give(host, order) for order in down]
        for request in given:
            assert orders.answer(host, request).state is RequestState.DONE
        self.wait_nothing_left()
        return whole


@pytest.fixture
def dying(folder: Path) -> Iterator[Dying]:
    made = make_daemons(folder, SITES)
    with Dying(folder, uri=made.uri, caps=made.caps, hosts=made.hosts) as daemons:
        for name in daemons.names[:CARRIERS]:
            daemons.start(name)
        for name in REQUESTERS:
            daemons.start_dying(name, 0)
        for host in daemons.hosts.values():
            daemons.wait_ready(host)
        daemons.image = orders.add_image(daemons.hosts["h1"], image_file(folder / "image"))
        daemons.wait_converged()
        daemons.wait_image_known()
        yield daemons


def test_whole_or_nothing_whenever_the_requester_dies(dying: Dying) -> None:
    effects = _effects_of_an_up(dying)
    deaths = len(REQUESTERS) * ROUNDS
    after = [round(effects * number / deaths) for number in range(1, deaths + 1)]
    grids: dict[str, int] = {}
    died: list[str] = []
    for turn in range(ROUNDS):
        # What earlier rounds left undecided is settled while the next are asked for, so nothing waits for it.
        mine = dict(zip(REQUESTERS, after[turn::ROUNDS], strict=True))
        for name, k in mine.items():
            dying.kill(name)
            dying.start_dying(name, k)
        for name in REQUESTERS:
            dying.wait_ready(dying.hosts[name])
        dying.wait_converged()
        asked = {name: dying.ask(name, f"g{k}") for name, k in mine.items()}
        for name, request in asked.items():
            wait_for(lambda n=name, r=request: dying.over(n, r), 60, f"{name} is over")
        grids |= {f"g{k}": k for k in mine.values()}
        died += [f"g{k}" for name, k in mine.items() if _dead(dying, name)]
    for name in REQUESTERS:
        dying.kill(name)
        dying.start(name)
    for name in REQUESTERS:
        dying.wait_ready(dying.hosts[name])
    dying.settle(list(grids))
    whole = dying.take_down(list(grids))
    story = {k: "whole" if grid in whole else "nothing" for grid, k in grids.items()}
    assert len(died) >= deaths // 2, story
    assert {grid in whole for grid in died} == {True, False}, story


def _dead(dying: Dying, name: str) -> bool:
    process = dying.hosts[name].process
    return process is not None and process.poll() is not None


def _effects_of_an_up(dying: Dying) -> int:
    """How many effects there are when no daemon dies, and all are asked at once, as they will be."""
    asked = {name: dying.ask(name, f"calm-{name}") for name in REQUESTERS}
    for name, request in asked.items():
        assert request is not None
        assert orders.answer(dying.hosts[name], request).state is RequestState.DONE
    effects = max(dying.count(name) for name in REQUESTERS)
    grids = [f"calm-{name}" for name in REQUESTERS]
    dying.settle(grids)
    assert dying.take_down(grids) == grids
    return effects
