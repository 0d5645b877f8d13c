"""`overlayctl login`, `logout`, and who acts."""

import time
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from overlayd.adapters import identities, passphrases, people
from overlayd.adapters.nacl_keys import NaclVerifier
from overlayd.cli import passphrase
from overlayd.cli.failure import Failure
from overlayd.cli.main import app
from overlayd.cli.person import person_of
from overlayd.cli.session import Output, Session
from protocol.terms.ids import KeyId
from protocol.trust.order import Action, check_order


@pytest.fixture(autouse=True)
def config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "run").mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.delenv("OVERLAYD_AS", raising=False)
    monkeypatch.setattr(passphrases, "PASSES", 1)
    monkeypatch.setattr(passphrases, "MEMORY_BYTES", 8192)
    monkeypatch.setattr(passphrase, "there_is_a_terminal", lambda: True)


def ask(*words: object, code: int = 0, typed: str = "") -> Result:
    result = CliRunner().invoke(app, [str(word) for word in words], input=typed)
    assert result.exit_code == code, result.output
    return result


@pytest.fixture
def star() -> str:
    """A VO's name, whose passphrase is `secret`."""
    ask("identity", "create", "--vo", "star", typed="secret\nsecret\n")
    return "star"


def test_a_passphrase_is_typed_once(star: str, monkeypatch: pytest.MonkeyPatch) -> None:
    said = ask("login", "--for", "30m", typed="wrong\nsecret\n")
    assert "logged in as star until 20" in said.stdout
    monkeypatch.setattr(passphrase, "there_is_a_terminal", lambda: False)
    person = person_of(star)
    assert person.signer.key != person.public.key
    assert "star is logged out" in ask("logout").stdout
    assert "star was not logged in" in ask("--as", star, "logout").stdout
    with pytest.raises(Failure, match="star has a passphrase, and there is no terminal"):
        person_of("")


def test_three_wrong_passphrases_are_no_login(star: str) -> None:
    said = ask("login", typed="a\nb\nc\nsecret\n", code=1).stderr
    assert "wrong passphrase for star, 3 times; nothing was done" in said
    assert "was not logged in" in ask("--as", star, "logout").stdout


def test_a_login_issues_no_grant_so_the_passphrase_is_asked_for_that(star: str) -> None:
    ask("login", typed="secret\n")
    given = ("--as", star, "grant", "issue", "--to", "ab" * 32, "--verbs", "act")
    ask(*given, typed="wrong\nwrong\nwrong\n", code=1)
    line = ask(*given, typed="secret\n").stdout
    assert len(people.read_chain(line[line.index("overlayd-grant") :])) == 1


@pytest.mark.parametrize(
    ("over", "says"),
    [
        ("8d", "a login lasts at most 7 d, not 8d"),
        ("0s", "a login lasts at most 7 d, not 0s"),
        ("-1h", "write for example 90s"),
        ("long", "write for example 90s"),
    ],
)
def test_how_long_is_bounded(star: str, over: str, says: str) -> None:
    assert says in ask("--as", star, "login", "--for", over, code=2).stderr


def test_without_a_folder_that_is_gone_at_reboot_there_is_no_login(
    star: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "")
    said = " ".join(ask("--as", star, "login", typed="secret\n", code=1).stderr.split())
    assert "XDG_RUNTIME_DIR names no folder of your own that is gone at reboot" in said


def test_a_grant_without_room_for_a_login_is_said_to_be_left_out(star: str) -> None:
    names = ("a", "b", "c", "d")
    for name in names:
        ask("identity", "create", name, "--no-passphrase")
    for giver, to in zip((star, *names), names, strict=False):
        key = identities.read_public(identities.folder_of(to)).key
        words = ("grant", "issue", "--to", key, "--verbs", "act,delegate")
        said = ask("--as", giver, *words, typed="secret\n").stdout
        ask("grant", "add", said[said.index("overlayd-grant") :].strip())
    assert "a chain has at most 4" in ask("--as", "d", "login", code=1).stderr
    key = identities.read_public(identities.folder_of("d")).key
    said = ask(
        "--as", star, "grant", "issue", "--to", key, "--verbs", "act", typed="secret\n"
    ).stdout
    ask("grant", "add", said[said.index("overlayd-grant") :].strip())
    assert "not with 1 grant, which ended" in ask("--as", "d", "login").stderr


def test_orders_are_signed_by_whom_as_names_with_the_grant(star: str) -> None:
    ask("identity", "create", "ana", "--no-passphrase")
    ana = identities.read_public(identities.folder_of("ana"))
    words = ("grant", "issue", "--to", ana.line, "--verbs", "act")
    said = ask("--as", star, *words, typed="secret\n").stdout
    ask("grant", "add", said[said.index("overlayd-grant") :].strip())
    session = Session(Path("none"), Output.TABLE, None, "ana")
    assert (session.label, session.site) == ("vo:star", "")
    key = identities.read_public(identities.folder_of(star)).key
    signed = session.sign(Action.DOWN, "demo")
    checked = check_order(signed, KeyId("fe" * 32), time.time(), NaclVerifier(), fresh=True)
    assert (checked.owner.key, checked.owner.by) == (key, ana.key)
    ask("--as", "ana", "login")
    logged_in = Session(Path("none"), Output.TABLE, None, "ana").sign(Action.DOWN, "demo")
    checked = check_order(logged_in, KeyId("fe" * 32), time.time(), NaclVerifier(), fresh=True)
    assert checked.owner.by == ana.key != checked.owner.signer


def test_who_names_two_identities_is_asked_for_one(tmp_path: Path) -> None:
    session = Session(Path("none"), Output.TABLE, tmp_path, "ana")
    with pytest.raises(Failure) as failed:
        session.sign(Action.DOWN, "demo")
    assert failed.value.lines[1].endswith(
        "one of --identity (OVERLAYD_IDENTITY) and --as (OVERLAYD_AS)"
    )


def test_who_was_granted_nothing_signs_nothing() -> None:
    ask("identity", "create", "ana", "--no-passphrase")
    with pytest.raises(Failure, match="ana has no grant"):
        Session(Path("none"), Output.TABLE, None, "ana").sign(Action.DOWN, "demo")


def test_without_an_identity_it_is_said_how_to_make_one() -> None:
    with pytest.raises(Failure) as failed:
        person_of("")
    assert failed.value.lines[1].endswith("would work: overlayctl identity create NAME")
    with pytest.raises(Failure, match="there is no identity eve"):
        person_of("eve")


@pytest.mark.parametrize("command", ["login", "logout"])
def test_login_help_has_an_example(command: str) -> None:
    assert "Example: overlayctl log" in ask(command, "--help").stdout
