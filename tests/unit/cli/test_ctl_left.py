"""What `overlayctl whoami` says is left, and where."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from asked_daemon import Daemon
from typer.testing import CliRunner

from overlayd.adapters import identities
from overlayd.cli.left import left_lines, left_of
from overlayd.cli.main import app
from overlayd.cli.session import Session
from protocol.node.rows import SpentRow
from protocol.terms.ids import KeyId
from protocol.trust.ceilings import Ceilings
from protocol.trust.owner import Link, Owner

POLICY = """\
[vo.star]
key = "{line}"
ceiling = {{cpus = 3, workspaces = 6}}
"""
GRID = """\
grid: small
lease: {for: 1h}
clusters:
  head: {image: guest, cpus: 1, memory: 64M}
"""


@pytest.fixture(autouse=True)
def config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("OVERLAYD_AS", raising=False)


def run(*words: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == code, result.output
    return result.output


def line_of(name: str) -> str:
    return identities.read_public(identities.folder_of(name)).line


@pytest.fixture
def kate(tmp_path: Path) -> str:
    """A member with a grant of VO star: deploy and act at most 2 cpus."""
    run("identity", "create", "--vo", "star", "--no-passphrase")
    run("identity", "create", "kate", "--no-passphrase")
    grant = tmp_path / "kate.grant"
    issue = ("grant", "issue", "--as", "star", "--verbs", "deploy,act", "--cpus", "2")
    run(*issue, "--to", line_of("kate"), "--file", grant)
    run("grant", "add", grant)
    return "kate"


def admit(daemon: Daemon, tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text(POLICY.format(line=line_of("star")))
    daemon.ask("policy", "sign", policy, "--into", tmp_path / "1.policy")
    daemon.ask("policy", "publish", tmp_path / "1.policy")


def who(daemon: Daemon, *words: str) -> Any:
    return json.loads(run("--peer", daemon.socket, "whoami", "-o", "json", *words))


def test_without_a_daemon_it_is_said_that_sites_are_not_known(kate: str, tmp_path: Path) -> None:
    said = run("--peer", tmp_path / "none", "--as", kate, "whoami")
    assert "what is left at which site is not known: no daemon answers on" in said


def test_a_site_that_has_published_nothing_lends_nothing(daemon: Daemon, kate: str) -> None:
    (acting,) = who(daemon, "--as", kate)["left"]
    (site,) = acting["sites"]
    assert "has published no policy" in site["refused"]
    said = run("--peer", daemon.socket, "--as", kate, "whoami")
    assert f"{site['site']}: nothing: site {site['site']} has published no policy" in said


def test_what_is_left_is_the_least_of_grant_and_policy(
    daemon: Daemon, kate: str, tmp_path: Path
) -> None:
    admit(daemon, tmp_path)
    (site,) = who(daemon, "--as", kate)["left"][0]["sites"]
    assert site["left"]["cpus_milli"] == 2000
    grid = tmp_path / "small.yaml"
    grid.write_text(GRID)
    run("--peer", daemon.socket, "--as", kate, "up", grid)
    (acting,) = who(daemon, "--as", kate)["left"]
    (site,) = acting["sites"]
    assert (acting["used"]["workspaces"], site["used"]["workspaces"]) == (1, 1)
    assert site["left"]["cpus_milli"] == 1000, "her grant has least"
    grid.write_text(GRID.replace("small", "other").replace("cpus: 1", "cpus: 2"))
    run("--peer", daemon.socket, "--as", "star", "up", grid)
    (acting,) = who(daemon, "--as", kate)["left"]
    assert (acting["used"]["cpus_milli"], acting["sites"][0]["used"]["cpus_milli"]) == (1000, 3000)
    said = run("--peer", daemon.socket, "--as", kate, "whoami")
    assert "left are 0 cpus, 4 workspaces" in said
    assert "lends star at most 3 cpus, 6 workspaces; of that is used: 2 workspaces, 3 cpus" in said


def test_a_site_may_do_anything_at_home(daemon: Daemon) -> None:
    view = json.loads(daemon.ask("whoami", "-o", "json").stdout)
    (acting,) = view["left"]
    (site,) = acting["sites"]
    assert (view["kind"], acting["owner"], site["refused"]) == ("site", view["name"], "")


def left_by(spent: list[SpentRow], *sites: str) -> str:
    """What is said to ann, who may have two cpus at those sites together."""
    ann, vo = KeyId("a" * 64), KeyId("b" * 64)
    link = Link(ann, "ann", "c" * 64, sites, Ceilings(cpus_milli=2000))

    def get(path: str, shape: object) -> list[SpentRow]:
        return spent if path == f"/spent/{ann}" else []

    session = cast(Session, SimpleNamespace(client=SimpleNamespace(get=get)))
    (view,), _ = left_of(session, [Owner(vo, vo="star", links=(link,))])
    return "\n".join(left_lines(view))


def test_it_is_said_what_is_more_than_a_grant_for_several_sites() -> None:
    def at(site: str, cpus_milli: int) -> SpentRow:
        return SpentRow(site, "h1", 0.0, cpus_milli, 0, 0, 1, 0)

    over = [at("here", 1500), at("there", 1500)]
    said = left_by(over, "here", "there")
    assert "more than was granted, at all sites together: 3 cpus of 2 cpus" in said
    assert "what was ordered last is asked to go" in said
    assert "3 cpus of 2 cpus" in left_by(over), "a grant that names no site is for all"
    assert "more than" not in left_by(over[:1], "here", "there")
    assert "more than" not in left_by(over, "here"), "at one site nothing goes"
