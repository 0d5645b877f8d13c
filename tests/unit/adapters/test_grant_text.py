"""Chains of grants as a line to paste: they come back the same, or are called damaged."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overlayd.adapters import people
from overlayd.adapters.grant_text import MARK, TEXT_MOST, read_chain_text, write_chain_text
from overlayd.adapters.identities import Kind, Public
from overlayd.adapters.nacl_keys import NaclIdentity
from protocol.trust.grants import GRANTS_MOST

STAR = NaclIdentity(b"s" * 32)
GRANTS = people.pass_on(
    (),
    people.new_grant((), Public(Kind.VO, "star", STAR.key), NaclIdentity(b"a" * 32).key, 0.0, 9.0),
    STAR,
    0.0,
)
LINE = write_chain_text(GRANTS)


@pytest.mark.parametrize("links", range(1, GRANTS_MOST + 1))
def test_a_chain_comes_back_as_it_was(links: int) -> None:
    line = write_chain_text(GRANTS * links)
    assert line.startswith(MARK)
    assert len(line.split()) == 1
    assert read_chain_text(line) == GRANTS * links


def test_mail_may_break_the_line_and_people_may_write_above_it() -> None:
    broken = "\r\n".join(LINE[start : start + 40] + " " for start in range(0, len(LINE), 40))
    assert read_chain_text(f"# to ana\n  # until monday\n\n{broken}\n") == GRANTS


@given(place=st.integers(0, len(LINE) - 1), by=st.sampled_from("aZ09-_.!\x00é"))
@settings(max_examples=300)
def test_one_wrong_letter_is_seen(place: int, by: str) -> None:
    if LINE[place] != by:
        with pytest.raises(ValueError):
            read_chain_text(LINE[:place] + by + LINE[place + 1 :])


@given(st.integers(0, len(LINE) - 1))
def test_a_line_without_its_end_is_seen(length: int) -> None:
    with pytest.raises(ValueError):
        read_chain_text(LINE[:length])


@pytest.mark.parametrize(
    "text", ["", "#", MARK, f"{MARK}.", f"{MARK}kZA.00", "x" * (TEXT_MOST + 1)]
)
def test_rubbish_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        read_chain_text(text)
