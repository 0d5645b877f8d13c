"""`overlayctl identity`, and where passphrases come from."""

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from overlayd.adapters import identities, passphrases
from overlayd.cli import passphrase
from overlayd.cli.main import app


@pytest.fixture(autouse=True)
def config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("OVERLAYD_PASSPHRASE", raising=False)
    monkeypatch.setattr(passphrases, "PASSES", 1)
    monkeypatch.setattr(passphrases, "MEMORY_BYTES", 8192)
    monkeypatch.setattr(passphrase, "there_is_a_terminal", lambda: False)
    return tmp_path


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passphrase, "there_is_a_terminal", lambda: True)


def ask(*words: str | Path, typed: str = "", code: int = 0) -> Result:
    result = CliRunner().invoke(app, [str(word) for word in words], input=typed)
    assert result.exit_code == code, result.output
    return result


def test_a_vo_and_a_member_are_made_and_shown(config: Path) -> None:
    made = ask("identity", "create", "--vo", "star", "--no-passphrase").stdout
    assert made.startswith("vo star\n  key: ")
    assert "next: overlayctl identity export star" in made
    ask("identity", "create", "ana", "--no-passphrase")
    shown = ask("identity", "show").stdout
    ana, star = (identities.read_public(identities.folder_of(n)) for n in ("ana", "star"))
    assert f"member ana\n  key: {ana.key}\n  words: {ana.words}\n" in shown
    assert f'[vo.star] with key = "vo:{star.key}"' in shown
    assert ask("identity", "export", "ana").stdout == f"{ana.line}\n"
    assert json.loads(ask("identity", "show", "star", "-o", "json").stdout) == {
        "kind": "vo",
        "name": "star",
        "key": star.key,
        "words": star.words,
        "folder": str(config / "overlayd/identities/star"),
        "passphrase": False,
    }


def test_without_a_name_all_are_shown() -> None:
    assert (
        "there is no identity yet; overlayctl identity create NAME"
        in ask("identity", "show").stdout
    )
    assert json.loads(ask("identity", "show", "-o", "json").stdout) == []
    for name in ("bo", "ana"):
        ask("identity", "create", name, "--no-passphrase")
    shown = json.loads(ask("identity", "show", "-o", "json").stdout)
    assert [view["name"] for view in shown] == ["ana", "bo"]


def test_the_key_of_a_vo_may_have_another_name_here_and_another_place(tmp_path: Path) -> None:
    ask("identity", "create", "mine", "--vo", "star", "--no-passphrase")
    assert ask("identity", "export", "mine").stdout.startswith("vo star ")
    ask("identity", "create", "ana", "--folder", tmp_path / "stick", "--no-passphrase")
    assert ask("identity", "export", tmp_path / "stick").stdout.startswith("member ana ")


@pytest.mark.usefixtures("terminal")
def test_a_person_types_a_passphrase_twice() -> None:
    said = ask("identity", "create", "ana", typed="one\ntwo\none\none\n")
    assert "do not match" in said.output
    assert "one" not in said.stdout.split()
    assert "under the passphrase" in said.stdout
    assert identities.has_passphrase(identities.folder_of("ana"))


@pytest.mark.usefixtures("terminal")
def test_an_empty_passphrase_is_none() -> None:
    assert "without a passphrase" in ask("identity", "create", "ana", typed="\n\n").stdout


@pytest.mark.usefixtures("terminal")
def test_a_passphrase_that_is_wrong_three_times_is_refused() -> None:
    ask("identity", "create", "ana", typed="one\none\n")
    before = (identities.folder_of("ana") / "identity.key").read_bytes()
    refused = ask("identity", "passwd", "ana", typed="a\nb\nc\none\ntwo\ntwo\n", code=1)
    assert refused.stderr.count("that is not it") == 2
    assert "error: wrong passphrase for ana, 3 times; nothing was done" in refused.stderr
    assert (identities.folder_of("ana") / "identity.key").read_bytes() == before
    assert (
        "under the new passphrase"
        in ask("identity", "passwd", "ana", typed="a\nb\none\ntwo\ntwo\n").output
    )
    ask("identity", "passwd", "ana", "--no-passphrase", typed="two\n")
    assert not identities.has_passphrase(identities.folder_of("ana"))


@pytest.mark.usefixtures("terminal")
def test_who_types_nothing_has_done_nothing() -> None:
    ask("identity", "create", "ana", typed="", code=130)
    assert identities.names() == []


def test_a_script_gives_it_in_a_file_or_in_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, text in (("one", "one two\nnot this\n"), ("new", "three\r\n")):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o600)
    one, new = tmp_path / "one", tmp_path / "new"
    ask("identity", "create", "ana", "--passphrase-file", one)
    monkeypatch.setenv("OVERLAYD_PASSPHRASE", "one two")
    ask("identity", "passwd", "ana", "--new-passphrase-file", new)
    refused = ask("identity", "passwd", "ana", "--no-passphrase", code=1)
    assert refused.stderr.strip() == "error: wrong passphrase for ana; nothing was done"
    monkeypatch.setenv("OVERLAYD_PASSPHRASE", "three")
    said = ask("identity", "passwd", "ana", code=2).stderr
    assert "no terminal to ask on" in said, "the old passphrase is not taken for the new one"
    monkeypatch.delenv("OVERLAYD_PASSPHRASE")
    monkeypatch.setenv("OVERLAYD_PASSPHRASE_FILE", str(new))
    ask("identity", "passwd", "ana", "--no-passphrase")


def test_a_file_that_others_may_read_is_no_place_for_it_and_a_pipe_is(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.write_text("one\n")
    shared.chmod(0o644)
    said = ask("identity", "create", "ana", "--passphrase-file", shared, code=2).stderr
    assert "can be used by others" in said
    reader, writer = os.pipe()
    os.write(writer, b"one\n")
    os.close(writer)
    ask("identity", "create", "ana", "--passphrase-file", f"/dev/fd/{reader}")
    os.close(reader)
    assert identities.has_passphrase(identities.folder_of("ana"))


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("create",), 2, "an identity has a name"),
        (("create", "Ana", "--no-passphrase"), 1, "a letter first"),
        (("create", "../x", "--no-passphrase"), 1, "a letter first"),
        (("create", "--vo", "s t", "--no-passphrase"), 1, "a letter first"),
        (("create", "ana"), 2, "--passphrase-file FILE, or OVERLAYD_PASSPHRASE"),
        (("create", "ana", "--passphrase-file", "/no/such"), 2, "cannot be read"),
        (("show", "eve"), 1, "there is none yet"),
        (("export", "eve"), 1, "there is no identity eve"),
        (("passwd", "eve"), 1, "there is no identity eve"),
    ],
)
def test_what_cannot_be_done_is_said(words: tuple[str, ...], code: int, says: str) -> None:
    assert says in " ".join(ask("identity", *words, code=code).stderr.split())
    assert identities.names() == []


def test_a_passphrase_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OVERLAYD_PASSPHRASE", "x" * 1025)
    assert "at most 1024 bytes" in ask("identity", "create", "ana", code=2).stderr


def test_nothing_is_asked_for_an_identity_that_is_there() -> None:
    ask("identity", "create", "ana", "--no-passphrase")
    assert "not overwritten" in ask("identity", "create", "ana", code=1).stderr


def test_what_is_typed_on_is_the_terminal_and_not_the_input(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.undo()

    def absent(*_: object) -> int:
        raise OSError("no such device")

    monkeypatch.setattr(os, "open", absent)
    assert not passphrase.there_is_a_terminal()
    monkeypatch.setattr(os, "open", lambda *_: os.dup(0))
    assert passphrase.there_is_a_terminal()


@pytest.mark.parametrize("command", ["create", "show", "export", "passwd"])
def test_its_help_has_an_example(command: str) -> None:
    assert "Example: overlayctl identity" in ask("identity", command, "--help").stdout
