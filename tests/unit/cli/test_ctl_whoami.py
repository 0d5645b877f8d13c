"""`overlayctl whoami`: by whom, and what was granted."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from overlayd.adapters import identities, passphrases
from overlayd.adapters.credentials import add_site, create_federation
from overlayd.adapters.identities import Kind
from overlayd.cli import passphrase
from overlayd.cli.main import app


@pytest.fixture(autouse=True)
def config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "run").mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.delenv("OVERLAYD_AS", raising=False)
    monkeypatch.delenv("OVERLAYD_IDENTITY", raising=False)
    monkeypatch.setattr(passphrases, "PASSES", 1)
    monkeypatch.setattr(passphrases, "MEMORY_BYTES", 8192)
    monkeypatch.setattr(passphrase, "there_is_a_terminal", lambda: False)
    identities.create(identities.new_folder("star"), Kind.VO, "star", "")
    identities.create(identities.new_folder("ana"), Kind.MEMBER, "ana", "secret")


def ask(*words: object, code: int = 0, env: dict[str, str] | None = None) -> Result:
    result = CliRunner().invoke(app, [str(word) for word in words], env=env)
    assert result.exit_code == code, result.output
    return result


def granted(*limits: object) -> None:
    line = identities.read_public(identities.folder_of("ana")).line
    words = ("--as", "star", "grant", "issue", "--to", line, "--verbs", "act,deploy", *limits)
    ask("grant", "add", ask(*words).stdout.strip())


def test_a_member_is_told_what_was_granted_and_asked_for_no_passphrase() -> None:
    ana = identities.read_public(identities.folder_of("ana"))
    first = f"member ana: key {ana.key}, {ana.words}"
    said = ask("--as", "ana", "whoami").stdout.splitlines()
    assert said == [first, "nothing was granted yet; `overlayctl grant add` takes what was"]
    granted("--sites", "ams", "--cpus", 4)
    said = ask("--as", "ana", "whoami").stdout.splitlines()
    assert said[:2] == [first, "VO star: may deploy, act at ams"]
    assert said[2].startswith("  at most 4 cpus, until 20")


def test_a_login_is_said_and_what_it_may() -> None:
    granted()
    ask("--as", "ana", "login", "--for", "1h", env={"OVERLAYD_PASSPHRASE": "secret"})
    said = ask("--as", "ana", "whoami").stdout
    assert "logged in until 20" in said
    assert "VO star: may deploy, act at every site" in said
    view = json.loads(ask("--as", "ana", "whoami", "-o", "json").stdout)
    assert view["login_until_s"] == view["grants"][0]["grants"][-1]["not_after_s"]
    assert view["grants"][0]["grants"][-1]["login"] is True


def test_a_grant_that_is_over_is_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    granted("--for", "1s")
    view = json.loads(ask("--as", "ana", "whoami", "-o", "json").stdout)
    ends_s = view["grants"][0]["grants"][0]["not_after_s"]
    monkeypatch.setattr("time.time", lambda: ends_s + 5)
    assert "VO star: the grant to ana ended 5 s ago" in ask("--as", "ana", "whoami").stdout


def test_a_vo_and_a_site_may_do_everything_that_sites_let_them(tmp_path: Path) -> None:
    said = ask("--as", "star", "whoami").stdout
    assert "may do everything in the VO's name" in said
    create_federation(tmp_path / "f")
    site = add_site(tmp_path / "f", "ams")
    assert ask("--identity", site, "whoami").stdout.startswith("site ams: key ")


def test_who_is_nobody_is_told_so() -> None:
    assert "none was named; there are ana, star" in ask("whoami", code=2).stderr
    assert "there is no identity eve" in ask("--as", "eve", "whoami", code=1).stderr
