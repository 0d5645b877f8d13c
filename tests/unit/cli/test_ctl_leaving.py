"""`overlayctl leave`: what a person is told while others take the seats of a host that leaves."""

import json
from types import SimpleNamespace

import pytest
from asked_daemon import Daemon

from overlayd.api.views import LeavingBody
from overlayd.cli import leaving as module
from overlayd.cli.failure import Failure
from overlayd.cli.leaving import leave
from overlayd.cli.session import Output


class Client:
    """A daemon of which the seats are those, one look after the other, and then the last."""

    def __init__(self, *seats: int, carried: int = 0) -> None:
        self._rows = iter(SimpleNamespace(name="h3", seats=n, carried=carried) for n in seats)
        self._last = SimpleNamespace(name="h3", seats=seats[-1], carried=carried)
        self.said: list[LeavingBody] = []

    def post(self, path: str, body: LeavingBody, kind: object) -> object:
        assert path == "/leaving"
        self.said.append(body)
        return next(self._rows)

    def raw(self, method: str, path: str) -> bytes:
        assert (method, path) == ("GET", "/self")
        return b"{}"

    def get(self, path: str, kind: object) -> object:
        assert path == "/self"
        return next(self._rows, self._last)


class Clock:
    """Time, which passes only while it is waited for."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def monotonic(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(module, "time", made)
    return made


def run(client: Client, *, stay: bool = False, plain: bool = False) -> None:
    session = SimpleNamespace(client=client, plain=plain, output=Output.JSON)
    leave(SimpleNamespace(find_object=lambda _: session), stay)  # type: ignore[arg-type]


def test_it_waits_until_others_have_its_seats(capsys: pytest.CaptureFixture[str]) -> None:
    client = Client(3, 3, 1, 1, 0)
    run(client)
    assert client.said == [LeavingBody(True)]
    assert capsys.readouterr().out.splitlines() == [
        "h3 is one of the stewards of 3 grids",
        "waiting for others to take its place, 5 min at most",
        "h3 is one of the stewards of 1 grid",
        "h3 can be stopped for good: no grid's record needs it",
    ]


def test_what_it_carries_ends_with_it(capsys: pytest.CaptureFixture[str]) -> None:
    run(Client(0, carried=2))
    assert capsys.readouterr().out.splitlines() == [
        "h3 can be stopped for good: no grid's record needs it",
        "it still carries workspaces of 2 grids, which end with it",
    ]


def test_seats_that_nobody_takes_are_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(Failure) as failed:
        run(Client(2, 1))
    assert list(failed.value.lines) == [
        "h3 is still one of the stewards of 1 grid: no other host took its place",
        "  would work: another host at a site that carries them, or at their owner's, then"
        " `overlayctl leave` again; `down` and `up` for a grid that was made when there were fewer than"
        " three hosts",
    ]


def test_a_script_is_answered_once_others_have_its_seats(
    capsys: pytest.CaptureFixture[str], clock: Clock
) -> None:
    run(Client(3, 3, 0), plain=True)
    assert clock.now_s == 2 * module.LOOK_EVERY_S
    assert capsys.readouterr().out == "{}\n"
    with pytest.raises(Failure):
        run(Client(1), plain=True)
    assert capsys.readouterr().out == ""


def test_a_daemon_is_told_and_told_that_it_stays(daemon: Daemon) -> None:
    said = daemon.ask("leave").stdout
    assert said == "h1 can be stopped for good: no grid's record needs it\n"
    assert "this one, leaving" in " ".join(daemon.ask("peers").stdout.split())
    assert json.loads(daemon.ask("leave", "-o", "json").stdout)["leaving"] is True
    assert daemon.ask("leave", "--stay").stdout == "h1 stays\n"
    assert "leaving" not in daemon.ask("peers").stdout
    assert json.loads(daemon.ask("leave", "--stay", "-o", "json").stdout)["leaving"] is False


def test_a_host_that_leaves_says_so_in_its_status_and_nothing_is_placed_on_it(
    daemon: Daemon,
) -> None:
    daemon.up()
    daemon.ask("leave", code=1)
    told = daemon.ask("status").stdout
    assert "room         none is offered: it is to be stopped for good\n" in told
    assert "leaves       for good: it takes nothing new, is one of the stewards of 1 grid" in told
    assert "`overlayctl leave --stay` takes it back" in told
    assert json.loads(daemon.ask("status", "-o", "json").stdout)["leaving"] is True
    daemon.grid_file.write_text(daemon.grid_file.read_text().replace("grid: demo", "grid: second"))
    said = daemon.ask("plan", daemon.grid_file, code=1).stderr
    assert "1 host: unfit: it is to be stopped for good" in said
    assert sorted(row["name"] for row in json.loads(daemon.ask("ps", "-o", "json").stdout)) == [
        "demo"
    ]
    daemon.ask("leave", "--stay")
    assert "leaves" not in daemon.ask("status").stdout
    daemon.ask("plan", daemon.grid_file)
