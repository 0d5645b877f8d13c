"""A member's whole way, as typed: an identity, a grant, a grid, and the day it is taken back."""

from pathlib import Path

import pytest
from asked_daemon import Daemon
from typer.testing import CliRunner, Result

from overlayd.adapters import identities
from overlayd.adapters.identities import Kind
from overlayd.cli.main import app


@pytest.fixture(autouse=True)
def config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", "")
    monkeypatch.delenv("OVERLAYD_AS", raising=False)
    monkeypatch.delenv("OVERLAYD_IDENTITY", raising=False)
    for kind, name in ((Kind.VO, "star"), (Kind.MEMBER, "ana"), (Kind.MEMBER, "bo")):
        identities.create(identities.new_folder(name), kind, name, "")


@pytest.fixture
def admitting(daemon: Daemon) -> Daemon:
    """A daemon whose site admits VO star."""
    file = daemon.folder / "policy.toml"
    key = identities.read_public(identities.folder_of("star")).key
    file.write_text(f'[vo.star]\nkey = "vo:{key}"\n')
    daemon.ask("policy", "sign", file)
    daemon.ask("policy", "publish", daemon.host.site_dir / "policies" / "1.policy")
    return daemon


def ask(daemon: Daemon, who: str, *words: object, code: int = 0) -> Result:
    said = ["--peer", str(daemon.socket), "--as", who, *map(str, words)]
    result = CliRunner().invoke(app, said)
    assert result.exit_code == code, (result.exit_code, result.output, result.exception)
    return result


def grant(daemon: Daemon, to: str, verbs: str, by: str = "star") -> str:
    line = identities.read_public(identities.folder_of(to)).line
    made = ask(daemon, by, "grant", "issue", "--to", line, "--verbs", verbs).stdout.strip()
    ask(daemon, to, "grant", "add", made)
    return made


def test_a_member_and_whoever_is_above_change_a_grid_until_the_member_is_revoked(
    admitting: Daemon,
) -> None:
    daemon = admitting
    grant(daemon, "ana", "deploy,reserve,act,delegate")
    grant(daemon, "bo", "act", by="ana")
    assert "demo is up: 3 workspaces" in ask(daemon, "ana", "up", daemon.grid_file).stdout
    assert "owner       VO star, by ana" in ask(daemon, "ana", "show", "demo").stdout
    assert "pause done" in ask(daemon, "ana", "pause", "demo").stdout
    assert "another member of VO star" in ask(daemon, "bo", "resume", "demo", code=1).stderr
    assert "resume done" in ask(daemon, "star", "resume", "demo").stdout
    line = identities.read_public(identities.folder_of("ana")).line
    ask(daemon, "star", "grant", "revoke", line)
    (file,) = (identities.folder_of("star") / "revocations").iterdir()
    said = ask(daemon, "star", "revoke", file).stdout
    assert said.startswith("published: member ana of VO star, serial ")
    for who in ("ana", "bo"):
        for words in (("pause", "demo"), ("up", daemon.grid_file)):
            refused = ask(daemon, who, *words, code=1).stderr
            assert "revoked: the grant to ana was revoked" in refused
    assert "demo is gone" in ask(daemon, "star", "down", "demo", "--delete-volumes").stdout
    again = ("grant", "issue", "--to", line, "--verbs", "act")
    said = ask(daemon, "star", *again, code=1).stderr
    assert "nobody would believe it: the grant to ana was revoked" in said
