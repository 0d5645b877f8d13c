"""People with the grants they hold, and their logins."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from overlayd.adapters import identities, passphrases, people
from overlayd.adapters.grant_text import write_chain_text
from overlayd.adapters.identities import Kind
from overlayd.adapters.nacl_keys import NaclVerifier
from overlayd.adapters.people import Person, load_itself, load_person, log_in, log_out
from overlayd.ports.keys import KeyFileError
from protocol.trust.grants import Grants, check_grants, read_grant
from protocol.trust.verbs import EVERY_VERB, Verb

NOW_S = 1_800_000_000.0
HOUR_S = 3600.0
DAY_S = 86400.0


@pytest.fixture(autouse=True)
def runtime(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(passphrases, "PASSES", 1)
    monkeypatch.setattr(passphrases, "MEMORY_BYTES", 8192)
    folder = tmp_path / "run"
    folder.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    return folder


@pytest.fixture
def made(tmp_path: Path) -> Callable[..., Path]:
    """Makes an identity; a VO's has the passphrase `star`, the others have none."""

    def make(name: str, kind: Kind = Kind.MEMBER) -> Path:
        identities.create(tmp_path / name, kind, name, "star" if kind is Kind.VO else "")
        return tmp_path / name

    return make


def star() -> str:
    return "star"


def nobody() -> str:
    raise AssertionError("no passphrase is needed")


def granted(
    giver: Path, to: Path, *, verbs: tuple[Verb, ...] = EVERY_VERB, for_s: float = DAY_S
) -> Grants:
    """A grant of all that the giver has, kept by who is given it."""
    person = load_itself(giver, star, NOW_S)
    parent = people.passed_on(person.chain(NOW_S))
    audience = identities.read_public(to).key
    grant = people.new_grant(parent, person.public, audience, NOW_S, NOW_S + for_s)
    chain = people.pass_on(
        parent, msgspec.structs.replace(grant, verbs=verbs), person.signer, NOW_S
    )
    people.keep_grants(to, chain)
    return chain


def checked(person: Person, now_s: float = NOW_S) -> tuple[str, ...]:
    return check_grants(person.chain(now_s), now_s, NaclVerifier()).line


def test_a_vo_acts_with_a_grant_to_itself(made: Callable[..., Path]) -> None:
    folder = made("star", Kind.VO)
    person = load_person(folder, star, NOW_S)
    assert set(checked(person)) == {identities.read_public(folder).key}
    assert read_grant(person.chain(NOW_S)[-1]).verbs == EVERY_VERB


def test_a_member_acts_with_what_was_granted(made: Callable[..., Path]) -> None:
    vo, ana = made("star", Kind.VO), made("ana")
    chain = granted(vo, ana)
    person = load_person(ana, nobody, NOW_S)
    assert person.chains == (chain,)
    assert checked(person) == (
        identities.read_public(vo).key,
        identities.read_public(ana).key,
    )


def test_a_grant_is_kept_once_and_a_damaged_one_is_named(made: Callable[..., Path]) -> None:
    vo, ana = made("star", Kind.VO), made("ana")
    chain = granted(vo, ana)
    path = people.keep_grants(ana, chain)
    assert people.read_grants(ana) == (chain,)
    path.write_text(write_chain_text(chain)[:-1])
    with pytest.raises(KeyFileError, match=r"\.grant: it is damaged"):
        load_person(ana, nobody, NOW_S)


def test_of_several_the_one_that_lasts_longest_is_used_and_the_vo_is_to_be_said(
    made: Callable[..., Path],
) -> None:
    vo, other, ana = made("star", Kind.VO), made("cms", Kind.VO), made("ana")
    granted(vo, ana, for_s=HOUR_S)
    longer = granted(vo, ana, for_s=9 * HOUR_S)
    granted(vo, ana, for_s=2 * HOUR_S)
    assert load_person(ana, nobody, NOW_S).chain(NOW_S) == longer
    theirs = granted(other, ana)
    person = load_person(ana, nobody, NOW_S)
    with pytest.raises(KeyFileError, match=r"several VOs; say which: cms \(\w{16}\), star"):
        person.chain(NOW_S)
    assert person.chain(NOW_S, "star") == longer
    assert person.chain(NOW_S, identities.read_public(other).key) == theirs
    with pytest.raises(KeyFileError, match="no grant of VO atlas; it has grants of cms, star"):
        person.chain(NOW_S, "atlas")
    with pytest.raises(KeyFileError, match="of VO star to ana ended"):
        person.chain(NOW_S + 9 * HOUR_S, "star")


def test_who_was_granted_nothing_is_told_how_to_ask(made: Callable[..., Path]) -> None:
    with pytest.raises(KeyFileError, match=r"ana has no grant; it has none yet; .*export ana"):
        load_person(made("ana"), nobody, NOW_S).chain(NOW_S)


@pytest.mark.parametrize("verbs", [(Verb.DEPLOY,), EVERY_VERB])
def test_a_login_acts_for_a_member_without_a_passphrase_until_it_is_over(
    made: Callable[..., Path], runtime: Path, verbs: tuple[Verb, ...]
) -> None:
    vo, ana = made("star", Kind.VO), made("ana")
    granted(vo, ana, verbs=verbs)
    identities.change_passphrase(ana, nobody, lambda: "secret")
    log_in(load_itself(ana, lambda: "secret", NOW_S), NOW_S, NOW_S + 8 * HOUR_S)
    person = load_person(ana, nobody, NOW_S + HOUR_S)
    owner = check_grants(person.chain(NOW_S), NOW_S + HOUR_S, NaclVerifier())
    assert owner.by == identities.read_public(ana).key, "what a login does, ana does"
    assert owner.signer == person.signer.key != owner.by
    assert Verb.DELEGATE not in owner.verbs
    key = next(runtime.rglob("login.key"))
    assert key.stat().st_mode & 0o777 == 0o600
    assert key.parent.stat().st_mode & 0o777 == 0o700
    again = load_person(ana, lambda: "secret", NOW_S + 8 * HOUR_S)
    assert again.signer.key == owner.by
    assert not key.exists(), "what is over is deleted"


def test_a_login_of_a_vo_acts_for_the_vo(made: Callable[..., Path]) -> None:
    vo = made("star", Kind.VO)
    log_in(load_itself(vo, star, NOW_S), NOW_S, NOW_S + HOUR_S)
    assert checked(load_person(vo, nobody, NOW_S)) == (identities.read_public(vo).key,)


def test_a_login_ends_with_the_grant_and_on_logout_and_a_new_one_replaces_it(
    made: Callable[..., Path],
) -> None:
    vo, ana = made("star", Kind.VO), made("ana")
    granted(vo, ana, for_s=HOUR_S)
    itself = load_itself(ana, nobody, NOW_S)
    first = log_in(itself, NOW_S, NOW_S + 8 * HOUR_S)
    assert read_grant(first.chains[0][-1]).not_after_s == NOW_S + HOUR_S
    second = log_in(itself, NOW_S, NOW_S + 60)
    loaded = load_person(ana, nobody, NOW_S)
    assert loaded.signer.key == second.signer.key != first.signer.key
    assert log_out(itself.public.key)
    assert not log_out(itself.public.key)
    assert load_person(ana, nobody, NOW_S).signer.key == itself.public.key


def test_a_chain_of_four_has_no_room_for_a_login(made: Callable[..., Path]) -> None:
    line = [made("star", Kind.VO), *map(made, ("a", "b", "c", "d", "e"))]
    for giver, to in pairwise(line[:5]):
        granted(giver, to)
    log_in(load_itself(line[3], nobody, NOW_S), NOW_S, NOW_S + HOUR_S)
    with pytest.raises(KeyFileError, match="a chain has at most 4"):
        log_in(load_itself(line[4], nobody, NOW_S), NOW_S, NOW_S + HOUR_S)
    with pytest.raises(KeyFileError, match="a chain has at most 4 grants, and this one has"):
        granted(line[4], line[5])


def test_a_login_is_kept_nowhere_but_in_a_private_folder_that_is_gone_at_reboot(
    made: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    vo = made("star", Kind.VO)
    itself = load_itself(vo, star, NOW_S)
    shared = tmp_path / "shared"
    shared.mkdir(mode=0o755)
    for named in ("", "relative", str(tmp_path / "absent"), str(shared)):
        monkeypatch.setenv("XDG_RUNTIME_DIR", named)
        with pytest.raises(KeyFileError, match="XDG_RUNTIME_DIR names no folder of your own"):
            log_in(itself, NOW_S, NOW_S + HOUR_S)
        assert not log_out(itself.public.key)
        assert load_person(vo, star, NOW_S).signer.key == itself.public.key


def test_a_login_passes_nothing_on(made: Callable[..., Path]) -> None:
    vo, ana = made("star", Kind.VO), made("ana")
    login = log_in(load_itself(vo, star, NOW_S), NOW_S, NOW_S + HOUR_S)
    chain = login.chains[0]
    grant = people.new_grant(
        chain, login.public, identities.read_public(ana).key, NOW_S, NOW_S + 60
    )
    grant = msgspec.structs.replace(grant, issuer=login.signer.key)
    with pytest.raises(KeyFileError, match="nobody would believe it"):
        people.pass_on(chain, grant, login.signer, NOW_S)
