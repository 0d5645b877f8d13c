"""`overlayctl policy`: checked and signed offline, and asked why."""

from pathlib import Path

import pytest
from asked_daemon import Daemon
from typer.testing import CliRunner

from overlayd.adapters.credentials import add_site, create_federation
from overlayd.cli.main import app
from protocol.terms.ids import KeyId
from protocol.trust.fingerprint import words_of

KEY = "9f" * 32
POLICY = f"""\
[vo.star]
key = "vo:{KEY}"
share = 60
ceiling = {{cpus = 64, memory = "256G", longest-lease = "7d"}}
guaranteed = {{cpus = 8, memory = "32G"}}
"""
GRID = """\
grid: demo
lease: {for: 9d}
clusters:
  head: {image: guest, cpus: 1, memory: 1G}
"""


def run(*words: str | Path, code: int = 0) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == code, result.output
    return " ".join(result.output.split())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "policy.toml"
    path.write_text(POLICY)
    return path


def test_a_right_file_is_said_in_words(file: Path) -> None:
    said = run("policy", "check", file)
    assert "is right the site's own work comes before" in said
    assert f"star, share 60, key {KEY[:16]}..., {words_of(KeyId(KEY))} at most 64 cpus," in said
    assert "256 GiB of memory, leases of 7 d" in said
    assert "guaranteed: 8 cpus, 32 GiB memory note: each host keeps its part of that" in said
    assert "a part is 4 cpus and 16 GiB of 2, 2 cpus and 8 GiB of 4, 1 cpu and 4 GiB of 8" in said
    assert "every image; ports from outside: none" in said
    assert "note: without `stewards`, hosts count ceilings by what they tell each other" in said


def test_a_typo_is_shown_with_line_and_column(file: Path) -> None:
    file.write_text(POLICY.replace("share", "shares"))
    said = run("policy", "check", file, code=2)
    assert 'policy.toml:3:1: vo.star.shares: unknown key; did you mean "share"?' in said


def test_an_empty_policy_shuts_everybody_out(file: Path) -> None:
    file.write_text('[site]\npriority = "shares"\nshare = 5\n')
    said = run("policy", "check", file)
    assert (
        "the site's own work has a share of 5 nobody but the site itself may use its hosts" in said
    )


def test_a_site_signs_with_the_next_number(file: Path, tmp_path: Path) -> None:
    create_federation(tmp_path / "f")
    site = add_site(tmp_path / "f", "ams")
    assert "policy 1 of site ams" in run("policy", "sign", file, "--identity", site)
    said = run("policy", "sign", file, "--identity", site)
    assert "policy 2 of site ams" in said
    assert f"next, at any peer: overlayctl policy publish {site}/policies/2.policy" in said
    assert "is signed already" in run(
        "policy", "sign", file, "--number", "2", "--identity", site, code=1
    )
    assert "no identity was named" in run("policy", "sign", file, code=2)


def test_why_names_the_line_and_what_would_be_allowed(file: Path, tmp_path: Path) -> None:
    grid = tmp_path / "demo.yaml"
    grid.write_text(GRID)
    said = run("policy", "why", "star", grid, "--file", file, code=1)
    assert "policy.toml, line 4, `ceiling = {cpus = 64" in said
    assert "star asks for a lease of 9 d would work: at most a lease of 7 d" in said
    grid.write_text(GRID.replace("9d", "7d"))
    for who in ("star", f"vo:{KEY}", KEY):
        assert "policy.toml: allowed star, share 60, key" in run(
            "policy", "why", who, grid, "--file", file
        )
    assert "does not name vo:cms" in run("policy", "why", "cms", "--file", file, code=1)


def test_a_policy_is_published_shown_and_asked_at_a_peer(tmp_path: Path) -> None:
    with Daemon(tmp_path) as daemon:
        file = tmp_path / "policy.toml"
        file.write_text(POLICY)
        said = daemon.ask("policy", "show", code=1).output
        assert "no site has published a policy would work" in " ".join(said.split())
        daemon.ask("policy", "sign", file)
        folder = daemon.host.site_dir / "policies"
        assert (
            "published: policy 1 of site"
            in daemon.ask("policy", "publish", folder / "1.policy").output
        )
        file.write_text(POLICY.replace("60", "30"))
        daemon.ask("policy", "sign", file)
        daemon.ask("policy", "publish", folder / "2.policy")
        old = daemon.ask("policy", "publish", folder / "1.policy", code=1).output
        assert "policy 2 of site ams is known here; this needs a greater number" in " ".join(
            old.split()
        )
        assert "policy 2 of site ams," in daemon.ask("policy", "show", "ams").output
        assert "share 30" in daemon.ask("policy", "show").output
        assert '"number": 2' in daemon.ask("policy", "show", "--output", "json").output
        assert "site fra has published none" in daemon.ask("policy", "show", "fra", code=1).output
        assert "ams: allowed" in daemon.ask("policy", "why", "star", daemon.grid_file).output
        daemon.grid_file.write_text(daemon.grid_file.read_text().replace("6h", "8d"))
        no = " ".join(daemon.ask("policy", "why", "star", daemon.grid_file, code=1).output.split())
        assert "ams: refused: policy 2 of site ams, line 4," in no
        daemon.ask("policy", "publish", file, code=1)


def test_a_member_brings_up_what_the_site_lends_and_is_told_the_line_beyond_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", "")
    run("identity", "create", "--no-passphrase", "--vo", "star")
    run("identity", "create", "--no-passphrase", "ann")
    vo, line = (run("identity", "export", name) for name in ("star", "ann"))
    verbs = ("--verbs", "deploy,act,connect")
    given = run("--as", "star", "grant", "issue", "--to", line, *verbs)
    chain = next(word for word in given.split() if word.startswith("overlayd-grant."))
    run("--as", "ann", "grant", "add", chain)
    with Daemon(tmp_path) as daemon:

        def ann(*words: str | Path, code: int = 0) -> str:
            return run("--peer", daemon.socket, "--as", "ann", *words, code=code)

        assert "no site's policy names VO star" in ann("up", daemon.grid_file, code=1)
        policy = tmp_path / "policy.toml"
        policy.write_text(f'[vo.star]\nkey = "{vo}"\nceiling = {{longest-lease = "1h"}}\n')
        daemon.ask("policy", "sign", policy)
        daemon.ask("policy", "publish", daemon.host.site_dir / "policies" / "1.policy")
        said = ann("up", daemon.grid_file, code=1)
        assert 'policy 1 of site ams, line 3, `ceiling = {longest-lease = "1h"}`' in said
        assert "star asks for a lease of 6 h; allowed: at most a lease of 1 h" in said
        daemon.grid_file.write_text(daemon.grid_file.read_text().replace("6h", "1h"))
        ann("up", daemon.grid_file)
        assert "demo" in ann("ps")
