"""`overlayctl grant`: given, taken, shown and checked, with no daemon."""

import json
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner, Result

from overlayd.adapters import identities, people
from overlayd.adapters.grant_text import write_chain_text
from overlayd.adapters.identities import Kind
from overlayd.adapters.revocation_files import read_revocation_file
from overlayd.cli import passphrase
from overlayd.cli.grant_words import ceilings_in_words
from overlayd.cli.main import app
from protocol.trust.ceilings import NO_CEILINGS, Ceilings
from protocol.trust.grants import read_grant
from protocol.trust.record import read_record
from protocol.wire.codec import encode

ALL = "deploy,reserve,act,resize,connect,expose,commit,devices,delegate"


@pytest.fixture(autouse=True)
def config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", "")
    monkeypatch.delenv("OVERLAYD_AS", raising=False)
    monkeypatch.setattr(passphrase, "there_is_a_terminal", lambda: False)
    for name in ("star", "ana", "bo"):
        make(name)


def ask(*words: object, code: int = 0, typed: str = "") -> Result:
    result = CliRunner().invoke(app, [str(word) for word in words], input=typed)
    assert result.exit_code == code, result.output
    return result


def make(name: str) -> None:
    kind = Kind.VO if name == "star" else Kind.MEMBER
    identities.create(identities.new_folder(name), kind, name, "")


def line_of(name: str) -> str:
    return identities.read_public(identities.folder_of(name)).line


def key_of(name: str) -> str:
    return str(identities.read_public(identities.folder_of(name)).key)


def issue(giver: str, to: str, *words: object, code: int = 0) -> Result:
    said = ("--as", giver, "grant", "issue", "--to", line_of(to), *words)
    return ask(*said, code=code)


def flat(result: Result) -> str:
    return " ".join(result.stderr.split())


@pytest.fixture
def to_ana() -> str:
    """What star gave to ana, who took it: a line."""
    limits = ("--cpus", 8, "--memory", "32G", "--disk", "100G", "--workspaces", 5, "--devices", 1)
    more = ("--longest-lease", "1d", "--for", "7d")
    verbs = "act,connect,deploy,delegate"
    given = issue("star", "ana", "--verbs", verbs, "--sites", "ams, uc", *limits, *more)
    line = given.stdout.strip()
    ask("grant", "add", line)
    return line


def test_a_grant_is_given_taken_shown_and_checked(to_ana: str) -> None:
    shown = ask("grant", "show", to_ana).stdout
    words = {
        name: identities.read_public(identities.folder_of(name)).words for name in ("ana", "star")
    }
    assert shown.startswith(
        f"VO star: key {key_of('star')}, {words['star']}\n"
        f"star lets ana (key {key_of('ana')[:16]}..., {words['ana']}) deploy, act, connect, delegate\n"
        "  at ams, uc; at most 8 cpus, 32 GiB of memory, 100 GiB of disk, 5 workspaces, 1 device,"
        " leases of 1 d; from 20"
    )
    assert "it holds: ana (key " in ask("grant", "check", to_ana).stdout
    listed = ask("grant", "list").stdout
    assert "ana       star  deploy, act, connect, delegate  at ams, uc  at most 8 cpus" in listed
    assert ask("--as", "bo", "grant", "list").stdout.startswith("nothing was granted yet")


def test_programs_read_it_as_it_is(to_ana: str) -> None:
    view = json.loads(ask("grant", "show", to_ana, "-o", "json").stdout)
    assert view["problem"] == ""
    assert view["grants"][0]["ceilings"]["cpus_milli"] == 8000
    kept = json.loads(ask("grant", "list", "-o", "json").stdout)
    assert [one["identity"] for one in kept] == ["ana"]
    assert kept[0]["chain"] == view
    assert json.loads(ask("grant", "check", to_ana, "-o", "json").stdout) == view


def test_what_is_not_limited_is_as_the_giver_has_it(to_ana: str) -> None:
    assert to_ana
    made = people.read_chain(issue("ana", "bo", "--verbs", "act", "--cpus", 2).stdout)
    ana, bo = map(read_grant, made)
    assert bo.sites == ana.sites == ("ams", "uc")
    assert bo.ceilings == msgspec.structs.replace(ana.ceilings, cpus_milli=2000)
    assert bo.not_after_s == ana.not_after_s
    assert (ana.member, bo.member) == ("ana", "bo")


def test_a_vo_that_says_no_ceiling_gives_as_much_as_there_is_everywhere() -> None:
    given = issue("star", "ana", "--verbs", ALL, "--member", "doctor")
    assert "star lets doctor (key" in given.stderr
    assert "at every site; as much as there is; from" in given.stderr


def test_it_can_be_a_file_or_come_from_a_pipe_and_the_key_is_enough(tmp_path: Path) -> None:
    file = tmp_path / "ana.grant"
    ask("--as", "star", "grant", "issue", "--to", key_of("ana"), "--verbs", "act", "--file", file)
    assert "# star lets key" in file.read_text()
    assert "it holds" in ask("grant", "check", file).stdout
    assert "it holds" in ask("grant", "check", "-", typed=file.read_text()).stdout
    ask("grant", "add", file)
    again = ("grant", "issue", "--to", key_of("ana"), "--verbs", "act", "--file", file)
    assert "not overwritten" in flat(ask("--as", "star", *again, code=1))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--verbs", "act,resize"), "it allows to resize, which its parent does not"),
        (("--sites", "ams,fra"), "it is for fra, its parent for ams, uc"),
        (("--cpus", "8.001"), "cpu"),
        (("--memory", "32769M"), "memory"),
        (("--disk", "101G"), "disk"),
        (("--workspaces", "6"), "workspaces"),
        (("--devices", "2"), "devices"),
        (("--longest-lease", "25h"), "lease"),
        (("--for", "8d"), "it ends after its parent"),
        (("--from", "in 1d", "--for", "7d"), "it ends after its parent"),
    ],
    ids=str,
)
def test_nobody_gives_more_than_they_have(to_ana: str, words: tuple[str, ...], says: str) -> None:
    assert to_ana
    verbs = () if "--verbs" in words else ("--verbs", "act")
    refused = flat(issue("ana", "bo", *verbs, *words, code=1))
    assert "nobody would believe it: the grant to bo is larger: " in refused
    assert says in refused
    assert (
        "would work: what ana has: deploy, act, connect, delegate at ams, uc, at most 8 cpus"
        in refused
    )


def test_who_may_not_delegate_gives_nothing() -> None:
    ask("grant", "add", issue("star", "ana", "--verbs", "act").stdout.strip())
    refused = flat(issue("ana", "bo", "--verbs", "act", code=1))
    assert "ana may not pass on what was granted to it" in refused


def test_a_chain_does_not_come_back_and_has_at_most_four_links(to_ana: str) -> None:
    assert to_ana
    again = flat(issue("ana", "star", "--verbs", "act", code=1))
    assert "comes back to one of its keys" in again
    for name in ("c", "d", "e"):
        make(name)
    for giver, to in (("ana", "bo"), ("bo", "c"), ("c", "d")):
        ask("grant", "add", issue(giver, to, "--verbs", "act,delegate").stdout.strip())
    assert "a chain has at most 4 grants" in flat(issue("d", "e", "--verbs", "act", code=1))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--verbs", "act,fly"), 'there is no verb "fly" would work: --verbs with some of deploy,'),
        (("--verbs", ""), "allows at least one thing"),
        (("--verbs", "act", "--cpus", "-1"), "write for example 2, 0.5 or 500m"),
        (("--verbs", "act", "--cpus", "nan"), "write for example 2, 0.5 or 500m"),
        (("--verbs", "act", "--memory", "-4G"), "write for example 512M"),
        (("--verbs", "act", "--memory", "99999999P"), "more than anybody could use"),
        (("--verbs", "act", "--workspaces", "-1"), "greater than or equal to 0"),
        (("--verbs", "act", "--workspaces", str(1 << 61)), "less than or equal to"),
        (("--verbs", "act", "--devices", "-1"), "greater than or equal to 0"),
        (("--verbs", "act", "--longest-lease", "forever"), "write for example 90s"),
        (("--verbs", "act", "--for", "-7d"), "write for example 90s"),
        (("--verbs", "act", "--for", "0s"), "ends before it begins"),
        (("--verbs", "act", "--for", "99999d"), "more than anybody could use"),
        (("--verbs", "act", "--from", "2020-01-01 09:00"), "is over, or too far ahead"),
        (("--verbs", "act", "--from", "someday"), "write for example tomorrow"),
        (("--verbs", "act", "--sites", "Ams"), "at most 32 sites, each by its name"),
        (("--verbs", "act", "--sites", ",".join(f"s{i}" for i in range(33))), "at most 32 sites"),
        (("--verbs", "act", "--member", "A b"), "a name is"),
        (("--verbs", "act", "--vo", "atlas"), "no grant of VO atlas"),
    ],
    ids=str,
)
def test_absurd_grants_are_refused_in_words(words: tuple[str, ...], says: str) -> None:
    said = ["--as", "star", "grant", "issue", "--to", line_of("ana"), *words]
    result = CliRunner().invoke(app, said)
    assert result.exit_code in (1, 2), result.output
    assert says in " ".join(result.stderr.replace("│", " ").split())
    assert not result.stdout


@pytest.mark.parametrize("to", ["", "ana", "ab" * 31, "member ana"])
def test_who_is_meant_is_a_key_or_a_whole_line(to: str) -> None:
    said = flat(ask("--as", "star", "grant", "issue", "--to", to, "--verbs", "act", code=2))
    assert 'would work: "$(overlayctl identity export NAME)", or a key' in said


def test_a_line_whose_key_lost_a_letter_is_refused() -> None:
    kind, name, key, words = line_of("ana").split(" ", 3)
    to = f"{kind} {name} {key[:-1]}{'0' if key[-1] != '0' else '1'} {words}"
    said = flat(ask("--as", "star", "grant", "issue", "--to", to, "--verbs", "act", code=2))
    assert "the words are not those of key" in said


def test_what_is_altered_is_not_taken_and_check_says_which_link(to_ana: str) -> None:
    made = people.read_chain(issue("ana", "bo", "--verbs", "act").stdout)
    wider = msgspec.structs.replace(read_grant(made[0]), ceilings=NO_CEILINGS)
    forged = write_chain_text((msgspec.structs.replace(made[0], payload=encode(wider)), made[1]))
    for command in ("check", "add"):
        said = flat(ask("grant", command, forged, code=1))
        assert f"this grant is not signed by {key_of('star')[:16]}" in said
        assert "would work: ask who gave it for a new one" in said
    assert "it does not hold: " in ask("grant", "show", forged).stdout
    swapped = write_chain_text((made[1], made[0]))
    assert "that VO star did not give" in flat(ask("grant", "check", swapped, code=1))
    alone = write_chain_text(made[1:])
    assert "that VO star did not give" in flat(ask("grant", "check", alone, code=1))
    view = json.loads(ask("grant", "check", forged, "-o", "json", code=1).stdout)
    assert "is not signed by" in view["problem"]
    assert ask("--as", "bo", "grant", "list").stdout.startswith("nothing was granted")
    assert to_ana


def test_a_grant_that_is_over_is_said_to_be(monkeypatch: pytest.MonkeyPatch, to_ana: str) -> None:
    ends_s = read_grant(people.read_chain(to_ana)[-1]).not_after_s
    monkeypatch.setattr("time.time", lambda: ends_s + 1)
    assert "the grant to ana ended 1 s ago" in flat(ask("grant", "check", to_ana, code=1))
    assert "the grant to ana ended 1 s ago" in ask("grant", "list").stdout
    assert "of VO star to ana ended" in flat(issue("ana", "bo", "--verbs", "act", code=1))


def test_one_that_begins_later_is_taken_now() -> None:
    later = issue("star", "ana", "--verbs", "act", "--from", "in 2h", "--for", "1h").stdout.strip()
    assert "check the clock" in flat(ask("grant", "check", later, code=1))
    assert "wrote " in ask("grant", "add", later).stdout


def test_one_for_another_key_is_not_taken(to_ana: str) -> None:
    (identities.folder_of("ana") / "identity.pub").unlink()
    said = flat(ask("grant", "add", to_ana, code=1))
    assert "no identity here has that key" in said


@pytest.mark.parametrize("command", ["add", "show", "check"])
@pytest.mark.parametrize(
    ("chain", "says"),
    [
        ("overlayd-grant.kZA.00000000", "it is damaged, or cut short"),
        ("overlayd-grant.", "it is damaged, or cut short"),
        ("/no/such/file", "/no/such/file cannot be read"),
        ("-", "a grant begins with overlayd-grant."),
    ],
)
def test_what_is_no_grant_is_refused(command: str, chain: str, says: str) -> None:
    assert says in flat(ask("grant", command, chain, code=1, typed="hello"))


def test_a_chain_without_links_is_no_grant() -> None:
    said = flat(ask("grant", "show", write_chain_text(()), code=1))
    assert "a chain has at least one grant" in said


def test_who_acts_is_the_only_one_or_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    said = flat(ask("grant", "issue", "--to", key_of("ana"), "--verbs", "act", code=2))
    assert "there are ana, bo, star would work: --as NAME, or OVERLAYD_AS" in said
    monkeypatch.setenv("OVERLAYD_AS", str(identities.folder_of("star")))
    ask("grant", "issue", "--to", key_of("ana"), "--verbs", "act")


def test_ceilings_in_words() -> None:
    assert ceilings_in_words(NO_CEILINGS) == "as much as there is"
    assert ceilings_in_words(Ceilings(devices=0, workspaces=1)) == "at most 1 workspace, 0 devices"


def revoked(said: Result) -> tuple[str, str]:
    """What is revoked, and the key that signed the file that was written."""
    file = said.stdout.splitlines()[1].removeprefix("wrote ")
    assert said.stdout.endswith(f"next, at any peer: overlayctl revoke {file}\n")
    return said.stdout.splitlines()[0], read_record(read_revocation_file(Path(file))).owner


def test_a_vo_revokes_a_grant_or_a_member(to_ana: str, tmp_path: Path) -> None:
    given = ask("--as", "star", "grant", "revoke", to_ana, "--reason", "left")
    assert revoked(given) == ("revokes grant to ana of VO star", key_of("star"))
    by_line = ask("--as", "star", "grant", "revoke", line_of("ana"))
    assert revoked(by_line) == ("revokes member ana of VO star", key_of("star"))
    file = tmp_path / "bo.revocation"
    by_key = ask("--as", "star", "grant", "revoke", key_of("bo"), "--file", file)
    assert revoked(by_key)[0] == f"revokes member {key_of('bo')[:16]} of VO star"
    assert "not overwritten" in flat(ask("--as", "star", "grant", "revoke", line_of("ana"), code=1))


def test_what_is_not_a_vos_is_not_revoked(to_ana: str) -> None:
    said = flat(ask("--as", "ana", "grant", "revoke", to_ana, code=1))
    assert "ana is a member, and a VO revokes would work: --as with the VO's identity" in said
    passed_on = issue("ana", "bo", "--verbs", "act").stdout.strip()
    said = flat(ask("--as", "star", "grant", "revoke", passed_on, code=1))
    assert "takes back what it gave itself" in said
    assert "would work: the member's key in place of the grant: overlayctl grant revoke KEY" in said
    assert "does not revoke itself" in flat(
        ask("--as", "star", "grant", "revoke", line_of("star"), code=1)
    )
    assert "the words are not those" in flat(
        ask("--as", "star", "grant", "revoke", f"{line_of('ana')} more", code=2)
    )
    assert "cannot be read" in flat(ask("--as", "star", "grant", "revoke", "nothing", code=1))


@pytest.mark.parametrize("command", ["issue", "revoke", "add", "show", "check", "list"])
def test_its_help_shows_how(command: str) -> None:
    assert "Example: overlayctl" in ask("grant", command, "--help").stdout
