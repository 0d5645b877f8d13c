"""Folders of people's keys: whole, private, and not taken for another's."""

from collections.abc import Callable
from pathlib import Path

import pytest

from overlayd.adapters import identities, passphrases
from overlayd.adapters.identities import Kind, create, open_identity, read_line, read_public
from overlayd.adapters.nacl_keys import NaclIdentity, NaclVerifier
from overlayd.adapters.passphrases import WrongPassphraseError
from overlayd.ports.keys import KeyFileError


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(passphrases, "PASSES", 1)
    monkeypatch.setattr(passphrases, "MEMORY_BYTES", 8192)


def nobody() -> str:
    raise AssertionError("this key has no passphrase")


def test_an_identity_signs_what_its_public_line_checks(tmp_path: Path) -> None:
    made = create(tmp_path / "ana", Kind.MEMBER, "ana", "")
    identity = open_identity(tmp_path / "ana", nobody)
    assert NaclVerifier().verify(made.key, "order", b"x", identity.sign("order", b"x"))
    assert read_line(made.line) == read_public(tmp_path / "ana") == made


def test_files_are_private_and_nothing_else_is_left(tmp_path: Path) -> None:
    create(tmp_path / "a" / "star", Kind.VO, "star", "secret")
    folder = tmp_path / "a" / "star"
    assert {p.name: oct(p.stat().st_mode & 0o777) for p in folder.iterdir()} == {
        "identity.key": "0o600",
        "identity.pub": "0o644",
    }
    assert folder.stat().st_mode & 0o777 == 0o700
    assert list(folder.parent.iterdir()) == [folder]


def test_a_passphrase_is_needed_and_can_be_changed_and_taken_off(tmp_path: Path) -> None:
    folder = tmp_path / "star"
    made = create(folder, Kind.VO, "star", "one")
    assert identities.has_passphrase(folder)
    with pytest.raises(WrongPassphraseError):
        open_identity(folder, lambda: "two")
    identities.change_passphrase(folder, lambda: "one", lambda: "two")
    assert open_identity(folder, lambda: "two").key == made.key
    before = (folder / "identity.key").read_bytes()
    with pytest.raises(WrongPassphraseError):
        identities.change_passphrase(folder, lambda: "one", nobody)
    assert (folder / "identity.key").read_bytes() == before
    identities.change_passphrase(folder, lambda: "two", lambda: "")
    assert not identities.has_passphrase(folder)
    assert open_identity(folder, nobody).key == made.key
    assert (folder / "identity.key").stat().st_mode & 0o777 == 0o600


def test_an_identity_is_found_by_name_and_by_folder(tmp_path: Path) -> None:
    for name in ("star", "ana"):
        create(identities.new_folder(name), Kind.MEMBER, name, "")
    create(tmp_path / "elsewhere", Kind.MEMBER, "eve", "")
    assert identities.names() == ["ana", "star"]
    assert identities.folder_of("ana") == tmp_path / "config/overlayd/identities/ana"
    assert identities.folder_of(str(tmp_path / "elsewhere")) == tmp_path / "elsewhere"
    with pytest.raises(KeyFileError, match="there are ana, star; `overlayctl identity create"):
        identities.folder_of("eve")
    for name in ("..", "Ana", ""):
        with pytest.raises(KeyFileError):
            identities.folder_of(name)


def test_without_a_place_of_its_own_it_is_in_the_usual_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert identities.new_folder("ana") == tmp_path / ".config/overlayd/identities/ana"


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    folder = tmp_path / "ana"
    folder.mkdir()
    create(folder, Kind.MEMBER, "ana", "")  # An empty folder is free.
    before = {p: p.read_bytes() for p in folder.iterdir()}
    with pytest.raises(KeyFileError, match="not overwritten"):
        create(folder, Kind.MEMBER, "ana", "")
    assert {p: p.read_bytes() for p in folder.iterdir()} == before
    (tmp_path / "file").write_text("")
    with pytest.raises(KeyFileError, match="cannot be made"):
        create(tmp_path / "file" / "ana", Kind.MEMBER, "ana", "")


def _cut(name: str) -> Callable[[Path], object]:
    return lambda f: (f / name).write_text((f / name).read_text()[:-50])


def _other(name: str, what: Callable[[Path], bytes]) -> Callable[[Path], object]:
    return lambda f: (f / name).write_bytes(what(f))


@pytest.mark.parametrize("passphrase", ["", "secret"])
@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda f: (f / "identity.key").chmod(0o640), "chmod 600"),
        (lambda f: (f / "identity.key").unlink(), "cannot be read"),
        (_cut("identity.key"), "damaged|is not an overlayd private key"),
        (_other("identity.key", lambda f: b""), "is not an overlayd private key"),
        (_other("identity.key", lambda f: b"\xff" * 20000), "too large"),
        (_cut("identity.pub"), "damaged"),
        (_other("identity.pub", lambda f: b"member ana"), "damaged: a public line is"),
        (lambda f: (f / "identity.pub").unlink(), "cannot be read"),
        (
            lambda f: (f / "identity.pub").write_text(
                identities.Public(Kind.MEMBER, "ana", NaclIdentity(b"0" * 32).key).line
            ),
            "is not the key of",
        ),
    ],
)
def test_what_is_damaged_or_shared_is_refused(
    tmp_path: Path, passphrase: str, spoil: Callable[[Path], object], says: str
) -> None:
    create(tmp_path / "ana", Kind.MEMBER, "ana", passphrase)
    spoil(tmp_path / "ana")
    with pytest.raises(KeyFileError, match=says):
        open_identity(tmp_path / "ana", lambda: passphrase)


def test_a_public_line_with_one_wrong_letter_is_refused() -> None:
    line = identities.Public(Kind.MEMBER, "ana", NaclIdentity(b"1" * 32).key).line
    kind, name, key, *words = line.split()
    wrong = "0" if key[9] != "0" else "1"
    for bad in (
        f"{kind} {name} {key[:9]}{wrong}{key[10:]} {' '.join(words)}",
        f"{kind} {name} {key} {' '.join(words[:5])}",
        f"{kind} {name} {key}",
        f"{kind} {name} {key[1:]} {' '.join(words)}",
        f"site {name} {key} {' '.join(words)}",
        f"{kind} A/b {key} {' '.join(words)}",
        "",
    ):
        with pytest.raises(ValueError):
            read_line(bad)
    assert read_line(f"  {line.replace(' ', '  ')}\n").line == line
