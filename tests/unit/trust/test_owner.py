"""Whose an order is, who acts for it, and what the grids of either are called."""

import pytest

from protocol.terms.ids import KeyId
from protocol.trust.owner import Link, Owner, admin, is_called, signing_as

VO, KATE, TOOL, LOGIN = (KeyId(letter * 64) for letter in "abcd")
SITE = Owner(key=VO, site="ams")
MEMBER = Owner(key=VO, vo="star", links=(Link(KATE, "kate", ""), Link(TOOL, "tool", "")))
LOGGED_IN = Owner(
    key=VO, vo="star", links=(Link(KATE, "kate", ""), Link(LOGIN, "", "", login=True))
)
ITSELF = Owner(key=VO, vo="star", links=(Link(VO, "", ""),))


def test_a_site_acts_by_its_own_key() -> None:
    assert (SITE.label, SITE.by, SITE.signer, SITE.line, SITE.member) == ("ams", VO, VO, (VO,), "")


def test_a_vo_that_acts_itself_is_all_of_its_line() -> None:
    assert (ITSELF.label, ITSELF.by, ITSELF.line, ITSELF.member) == ("vo:star", VO, (VO,), "")


def test_who_is_logged_in_acts_as_who_logged_in() -> None:
    assert (LOGGED_IN.by, LOGGED_IN.signer, LOGGED_IN.member) == (KATE, LOGIN, "kate")
    assert LOGGED_IN.line == (VO, KATE)


def test_who_is_above_may_change_and_nobody_else() -> None:
    made = MEMBER.line
    assert made == (VO, KATE, TOOL)
    assert all(owner.may_change(made) for owner in (ITSELF, LOGGED_IN, MEMBER))
    assert not MEMBER.may_change(LOGGED_IN.line)
    assert not SITE.may_change((KATE, VO)), "another VO, in whose line the site's key happens to be"


@pytest.mark.parametrize(
    ("label", "whose", "how"),
    [
        ("ams", "site ams's admin", "with --identity of site ams's admin"),
        ("vo:star", "VO star", "--as a member of star"),
    ],
)
def test_people_are_told_whose_it_is(label: str, whose: str, how: str) -> None:
    assert (admin(label), signing_as(label)) == (whose, how)


def test_people_need_not_say_that_it_is_a_vo() -> None:
    assert all(is_called("vo:star", name) for name in ("", "star", "vo:star"))
    assert not is_called("vo:star", "ams")
    assert not is_called("star", "vo:star"), "a site is no VO"
