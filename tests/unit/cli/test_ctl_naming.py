"""Two owners with a grid of one name: both are shown, and each is named by its site, its id or its identity."""

import json

import msgspec
import pytest
from asked_daemon import Daemon

from overlayd.cli.client import Client
from overlayd.cli.session import Session
from protocol.node.rows import GridRow
from protocol.node.snapshot import PeerView
from protocol.trust.order import Action


@pytest.fixture
def two(daemon: Daemon) -> dict[str, str]:
    """Grid demo of site ams, and another of site uc. By site, their ids."""
    daemon.up()
    text = daemon.grid_file.read_text().replace("count: 2", "count: 1")
    daemon.grid_file.write_text(text)
    daemon.ask("up", daemon.grid_file, "--identity", daemon.host.other_site_dir)
    rows = json.loads(daemon.ask("ps", "-o", "json").stdout)
    assert [row["name"] for row in rows] == ["demo", "demo"]
    return {row["owner_site"]: row["grid"] for row in rows}


def test_show_and_ps_of_a_name_of_two_owners_show_both(daemon: Daemon, two: dict[str, str]) -> None:
    shown = daemon.ask("show", "demo").stdout.splitlines()
    for site, grid in two.items():
        assert f"{site}/demo, id {grid}:" in shown
        assert f"owner       site {site}'s admin" in shown
    listed = daemon.ask("ps", "demo").stdout.splitlines()
    assert [line for line in listed if line.startswith(tuple(two))] == [
        f"{site}/demo, id {grid}:" for site, grid in two.items()
    ]
    assert sum(line.startswith(("head-", "worker-")) for line in listed) == 5
    both = json.loads(daemon.ask("show", "demo", "-o", "json").stdout)
    assert [view["grid"]["owner_site"] for view in both] == ["ams", "uc"]


def test_site_and_name_or_an_id_are_of_one(daemon: Daemon, two: dict[str, str]) -> None:
    for name in ("uc/demo", two["uc"], f"uc/{two['uc']}"):
        assert len(daemon.ask("ps", name).stdout.splitlines()) == 3
        view = json.loads(daemon.ask("show", name, "-o", "json").stdout)
        assert view["grid"]["owner_site"] == "uc"
    error = daemon.ask("show", "bnl/demo", code=1).stderr
    assert error.startswith('error: there is no grid "bnl/demo"; there are ams/demo and uc/demo')


def test_an_order_is_about_the_grid_of_who_signs_it(daemon: Daemon, two: dict[str, str]) -> None:
    mine = ("--identity", daemon.host.other_site_dir)
    assert daemon.ask("pause", "uc/demo/worker-1", *mine).stdout.endswith(": pause done\n")
    assert daemon.ask("resume", "demo/worker-1", *mine).stdout.endswith(": resume done\n")
    assert daemon.ask("pause", "uc/demo", *mine).stdout.endswith(": pause done\n")
    refused = daemon.ask("down", "uc/demo", "--delete-volumes", code=1).stderr
    assert refused == (
        f"error: {two['uc']} belongs to site uc's admin\n"
        "  would work: the same with --identity of site uc's admin\n"
    )
    daemon.ask("down", "uc/demo", "--delete-volumes", *mine)
    rows = json.loads(daemon.ask("ps", "-o", "json").stdout)
    assert [row["owner_site"] for row in rows] == ["ams"]
    shown = daemon.ask("show", "demo").stdout
    assert shown.startswith("demo  up, epoch "), "what is down is no second one"


def test_a_site_that_has_no_such_grid(daemon: Daemon, two: dict[str, str]) -> None:
    error = daemon.ask("pause", "bnl/demo/worker-1", code=1).stderr
    assert error == (
        'error: there is no grid "demo" of "bnl"\n'
        "  would work: `overlayctl ps` lists the grids there are\n"
    )
    for target in ("a/b/c/d", "demo//x", "/demo"):
        error = daemon.ask("pause", target, code=2).stderr
        assert error.startswith(f"error: {target} is not a workspace; write GRID/WORKSPACE")


def test_one_of_several_that_goes_meanwhile_hides_no_other(
    daemon: Daemon, two: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    raw, goes = Client.raw, f"/grids/{two['uc']}"

    def asked(client: Client, method: str, path: str, *more: bytes, **named: float) -> bytes:
        return raw(client, method, "/grids/gone.0" if path == goes else path, *more, **named)

    monkeypatch.setattr(Client, "raw", asked)
    shown = daemon.ask("show", "demo").stdout
    assert shown.startswith("demo  up, epoch "), "the other one"
    assert "has volumes" in daemon.ask("down", "demo", code=2).stderr, "and it is asked about"


def test_a_name_of_two_grids_of_one_owner_is_asked_about_and_an_id_is_one(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two sides of a partition gave it."""
    daemon.up()
    get = Client.get

    def twice(
        client: Client, path: str, kind: type, params: dict[str, str] | None = None
    ) -> object:
        found = get(client, path, kind, params)
        if path != "/grids":
            return found
        return [*found, *(msgspec.structs.replace(row, grid="f" * 20) for row in found)]

    (row,) = json.loads(daemon.ask("ps", "-o", "json").stdout)
    monkeypatch.setattr(Client, "get", twice)
    for words in (("down", "demo"), ("lease", "extend", "demo", "1h"), ("pause", "demo/head-1")):
        error = daemon.ask(*words, code=1).stderr
        assert error == (
            "error: demo is the name of 2 grids\n"
            f"  would work: the same with {row['grid']} or {'f' * 20}\n"
        )
    assert daemon.ask("pause", row["grid"]).stdout.endswith(": pause done\n")


@pytest.mark.parametrize("state", ["up", "down"])
def test_a_grid_that_is_only_told_of_stands_in_nobodys_way(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    """A member may tell of any grid of any name. Where none is confirmed, it is the one that is meant."""
    daemon.up()
    grids = PeerView.grids
    lie = {
        "grid": "f" * 20,
        "confirmed": False,
        "state": state,
        "detail": "unconfirmed: told by h6",
    }

    def told(view: PeerView, now: float) -> list[GridRow]:
        found = grids(view, now)
        return [*found, *(msgspec.structs.replace(row, **lie) for row in found)]

    monkeypatch.setattr(PeerView, "grids", told)
    listed = daemon.ask("ps").stdout
    assert "unconfirmed: told by h6" in listed
    assert listed.splitlines()[2].split()[1] == "unconfirmed", listed
    assert daemon.ask("pause", "demo/head-1").stdout.endswith(": pause done\n")
    monkeypatch.setattr(PeerView, "grids", lambda view, now: told(view, now)[-1:])
    error = daemon.ask("pause", "demo/head-1", code=1).stderr
    assert f"there is no grid named {'f' * 20}" in error, "it is the one that is asked about"


def test_of_a_site_that_is_named_only_its_grids_are_shown(
    daemon: Daemon, two: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Members tell of two, none of them is confirmed, and another site has one that is."""
    grids, find = PeerView.grids, PeerView.find_grids

    def told(view: PeerView, now: float) -> list[GridRow]:
        found = {row.owner_site: row for row in grids(view, now)}
        mine = msgspec.structs.replace(found["ams"], confirmed=False)
        return [found["uc"], mine, msgspec.structs.replace(mine, grid="f" * 20)]

    def several(view: PeerView, name: str, site: str = "") -> list[str]:
        return [two["ams"], "f" * 20] if (name, site) == ("demo", "ams") else find(view, name, site)

    monkeypatch.setattr(PeerView, "grids", told)
    monkeypatch.setattr(PeerView, "find_grids", several)
    view = json.loads(daemon.ask("show", "ams/demo", "-o", "json").stdout)
    assert view["grid"]["owner_site"] == "ams"


def test_an_order_names_a_grid_by_its_id(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    daemon.up()
    (row,) = json.loads(daemon.ask("ps", "-o", "json").stdout)
    named: list[str] = []
    sign = Session.sign

    def signed(
        session: Session, action: Action, grid: str, *more: object, **rest: object
    ) -> object:
        named.append(grid)
        return sign(session, action, grid, *more, **rest)  # type: ignore[arg-type]  # as they came

    monkeypatch.setattr(Session, "sign", signed)
    daemon.ask("pause", "demo")
    daemon.ask("resume", "demo/head-1")
    daemon.ask("lease", "extend", "demo", "1h")
    daemon.ask("down", "demo", "--delete-volumes")
    assert named == [row["grid"]] * 4
