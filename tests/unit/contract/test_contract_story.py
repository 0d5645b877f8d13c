"""What of a grid's notes is worth a line, how a story stays short, and how several hosts' become one."""

import pytest
from negotiating import NOW, A, B

from protocol.contract.story import GridLine, joined, line_of, longer
from protocol.terms.effects import Note
from protocol.terms.limits import STORY_AGAIN_S, STORY_CHARACTERS, STORY_KEPT, STORY_TOLD

LATER = NOW + STORY_AGAIN_S


def line(text: str, at_s: float = NOW, kind: str = "lease.warning") -> GridLine:
    return GridLine(at_s, kind, text)


@pytest.mark.parametrize(
    ("kind", "subject", "detail", "text"),
    [
        ("lease.warning", "shop", "ends in 10 min", "ends in 10 min"),
        ("machine.ended", "shop/web-1", "killed by signal 9", "web-1: killed by signal 9"),
        ("workspace.phase", "shop/web-1", "failed no such image", "web-1: failed no such image"),
        ("workspace.phase", "shop/web-1", "suspended", "web-1: suspended"),
    ],
)
def test_what_people_are_to_know_is_a_line(kind: str, subject: str, detail: str, text: str) -> None:
    assert line_of(Note(kind, subject, detail), NOW) == GridLine(NOW, kind, text)


@pytest.mark.parametrize(
    ("kind", "detail"),
    [
        ("workspace.phase", "booting"),
        ("workspace.phase", "reachable"),
        ("grid.decided", "epoch 1, up"),
        ("grid.host-lost", "host beta (web-2) was not heard for 1 s"),
    ],
)
def test_what_hosts_do_all_the_time_is_none(kind: str, detail: str) -> None:
    assert line_of(Note(kind, "shop/web-1", detail), NOW) is None


def test_a_line_is_short() -> None:
    told = line_of(Note("lease.warning", "shop", "x" * 1000), NOW)
    assert told is not None
    assert len(told.text) == STORY_CHARACTERS


def test_the_oldest_lines_go_first() -> None:
    story = ()
    for number in range(STORY_KEPT + 3):
        story = longer(story, line(str(number), NOW + number))
    assert [one.text for one in story] == [str(n) for n in range(3, STORY_KEPT + 3)]


def test_what_repeats_itself_is_told_again_after_a_while_and_not_twice() -> None:
    story = longer(longer((), line("a")), line("b"))
    assert longer(story, line("a", LATER - 1)) is story
    assert longer(story, line("a", LATER)) == (line("b"), line("a", LATER))


def test_a_start_that_fails_again_and_again_is_one_line() -> None:
    kind = "workspace.phase"
    story = longer((), line("web-1: failed in 7 s", kind=kind))
    story = longer(story, line("web-1: failed in 3 s", NOW + 4, kind))
    assert story == (line("web-1: failed in 3 s", NOW + 4, kind),)
    assert len(longer(story, line("web-2: failed in 3 s", NOW + 4, kind))) == 2
    assert len(longer(story, line("web-1: suspended", NOW + 4 + STORY_AGAIN_S, kind))) == 2


def test_stories_of_several_hosts_are_one_by_time_and_say_nothing_twice() -> None:
    told = joined([(A, (line("ends"), line("b", NOW + 9))), (B, (line("ends", NOW + 1),))])
    assert [(one.host, one.text) for one in told] == [(A, "ends"), (A, "b")]


def test_a_strangers_story_is_cut() -> None:
    long = tuple(line("x" * 999 + str(n), NOW + n, "k" * 999) for n in range(100))
    told = joined([(A, long)])
    assert len(told) <= STORY_TOLD
    assert all(len(one.text) == len(one.kind) == STORY_CHARACTERS for one in told)
