"""The identities of a federation, made by command and read as a daemon reads them."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from overlayd.adapters import credentials
from overlayd.adapters.nacl_keys import NaclIdentity
from overlayd.cli.main import app
from overlayd.ports.keys import KeyFileError
from protocol.trust.certificate import Role

DAY_S = 86400.0


def run(*words: str | Path, ok: bool = True) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert (result.exit_code == 0) is ok, result.output
    assert result.exit_code in (0, 1)
    return result.output


@pytest.fixture
def federation(tmp_path: Path) -> Path:
    folder = tmp_path / "federation"
    run("federation", "init", folder)
    run("site", "add", "ams", "--federation", folder)
    return folder


def test_the_three_commands_make_a_host_a_daemon_can_start_with(
    federation: Path, tmp_path: Path
) -> None:
    run("host", "enrol", "ams", "h1", "--federation", federation, "--output", tmp_path / "h1")
    assert sorted(path.name for path in (tmp_path / "h1").iterdir()) == [
        "federation.pub",
        "host.cert",
        "host.key",
    ]
    host = credentials.load_host(tmp_path / "h1")
    who = host.principal
    assert (who.role, who.site, who.name) == (Role.HOST, "ams", "h1")
    assert 89 * DAY_S < who.expires_s - time.time() <= 90 * DAY_S
    assert host.federation == NaclIdentity.load(federation / "federation.key").key
    keys = list(tmp_path.rglob("*.key"))
    assert len(keys) == 3
    assert {path.stat().st_mode & 0o777 for path in keys} == {0o600}


def test_each_step_says_what_is_next(federation: Path, tmp_path: Path) -> None:
    said = run("host", "enrol", "ams", "h1", "-f", federation, "--output", tmp_path / "h1")
    key = said.split()[2]
    assert said.splitlines()[-1] == (
        f"next: copy {tmp_path / 'h1'} to /etc/overlayd on h1, write overlayd.toml beside it (host.name h1,"
        f" host.site ams; examples/overlayd.toml), then there: overlayd run; others join {key}@HOST:PORT,"
        " by its name, its address, or [its IPv6 address]"
    )
    assert "next: overlayctl host enrol" in run("site", "add", "fra", "-f", federation)


def test_a_site_is_the_identity_of_its_admin(federation: Path) -> None:
    site = credentials.load_site(federation / "sites" / "ams")
    assert (site.principal.role, site.principal.site) == (Role.SITE, "ams")
    assert 364 * DAY_S < site.principal.expires_s - time.time() <= 365 * DAY_S


def test_a_site_can_be_given_by_its_folder(federation: Path) -> None:
    folder = federation / "sites" / "ams"
    assert f"wrote {folder}/hosts/h2" in run("host", "enrol", folder, "h2", "--days", "1")
    host = credentials.load_host(folder / "hosts" / "h2")
    assert host.principal.expires_s - time.time() <= DAY_S
    with pytest.raises(KeyFileError, match="expired"):
        credentials.load_host(folder / "hosts" / "h2", now_s=time.time() + 2 * DAY_S)


def test_nothing_is_overwritten(federation: Path) -> None:
    run("host", "enrol", "ams", "h1", "-f", federation)
    before = {path: path.read_bytes() for path in federation.rglob("*") if path.is_file()}
    for words in (
        ("federation", "init", federation),
        ("site", "add", "ams", "-f", federation),
        ("host", "enrol", "ams", "h1", "-f", federation),
    ):
        assert "not overwritten" in run(*words, ok=False)
    assert before == {path: path.read_bytes() for path in federation.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            ("site", "add", "Ams!"),
            "a name is 1 to 40 lower-case letters, digits and inner dashes, a letter first",
        ),
        (
            ("site", "add", "../x"),
            "a name is 1 to 40 lower-case letters, digits and inner dashes, a letter first",
        ),
        (("site", "add", "fra", "--days", "0"), "up to 3650 days"),
        (("site", "add", "fra", "--days", "nan"), "up to 3650 days"),
        (("host", "enrol", "fra", "h1"), "has ams"),
        (("host", "enrol", "ams", "-h1"), None),
        (
            ("host", "enrol", "ams", "h 1"),
            "a name is 1 to 40 lower-case letters, digits and inner dashes, a letter first",
        ),
    ],
)
def test_an_error_says_what_would_work(
    federation: Path, words: tuple[str, ...], says: str | None
) -> None:
    if says is None:
        assert CliRunner().invoke(app, list(words)).exit_code == 2
    else:
        assert says in run(*words, "-f", federation, ok=False)


def test_no_federation_says_how_to_make_one(tmp_path: Path) -> None:
    assert "federation init" in run("site", "add", "ams", "-f", tmp_path / "none", ok=False)


def test_a_folder_of_another_federation_is_left_alone(federation: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    run("federation", "init", other)
    target = tmp_path / "mixed"
    target.mkdir()
    (target / "federation.pub").write_bytes((other / "federation.pub").read_bytes())
    said = run("site", "add", "fra", "-f", federation, "--output", target, ok=False)
    assert "another federation" in said
    assert [path.name for path in target.iterdir()] == ["federation.pub"]


def test_what_is_missing_or_in_the_way_is_said(federation: Path, tmp_path: Path) -> None:
    said = run("host", "enrol", "fra", "h1", "--federation", federation, ok=False)
    assert f"has ams, `overlayctl site add fra --federation {federation}` makes one" in said
    (tmp_path / "file").write_text("")
    said = run("federation", "init", tmp_path / "file", ok=False)
    assert said == f"error: the folder {tmp_path / 'file'} cannot be made: it is a file\n"


@pytest.mark.parametrize("command", [("federation", "init"), ("site", "add"), ("host", "enrol")])
def test_help_has_an_example(command: tuple[str, str]) -> None:
    assert "Example: overlayctl" in run(*command, "--help")


def _another_key(host: Path) -> None:
    (host / "host.key").unlink()
    NaclIdentity.generate().save(host / "host.key")


def _another_federation(host: Path) -> None:
    (host / "federation.pub").write_text("ab" * 32)


def _cut_short(host: Path) -> None:
    path = host / "host.cert"
    path.write_text(path.read_text().replace("\n-----END", "!\n-----END", 1))


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (_another_key, "not for the key"),
        (_another_federation, "wrong-federation"),
        (_cut_short, "damaged"),
        (lambda host: (host / "host.cert").write_text("# nothing\n"), "holds no certificate"),
        (lambda host: (host / "host.cert").unlink(), "cannot be read"),
        (lambda host: (host / "federation.pub").write_text("hello"), "64 hexadecimal digits"),
        (lambda host: (host / "host.key").chmod(0o644), "chmod 600"),
    ],
)
def test_files_that_do_not_belong_together_are_refused(
    federation: Path, spoil: Callable[[Path], object], says: str
) -> None:
    run("host", "enrol", "ams", "h1", "-f", federation)
    host = federation / "sites" / "ams" / "hosts" / "h1"
    spoil(host)
    with pytest.raises(KeyFileError, match=says):
        credentials.load_host(host)
