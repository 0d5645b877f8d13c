"""How hosts reach each other: told of this host, asked of another, and believed of that one alone."""

import asyncio

import pytest
from turns import until

from overlayd.loop import asks, path_asks
from overlayd.loop.path_asks import PathAsks
from protocol.node.events import Say
from protocol.node.messages import PathsAsk, PathsTold
from protocol.terms.ids import GridId, PeerId
from protocol.terms.paths import PathTold

ME, YOU = PeerId("me"), PeerId("you")
GRID = GridId("g")
PATHS = (PathTold("lan", YOU, "plain"),)


class Host:
    """One that carries GRID."""

    def __init__(self) -> None:
        self.said: list[Say] = []
        self.paths = PathAsks(ME, {GRID: PATHS}.get, self.said.append)


@pytest.fixture
def host() -> Host:
    return Host()


async def test_this_hosts_own_are_told_at_once(host: Host) -> None:
    told = await host.paths.ask(ME, GRID)
    assert (told.paths, told.problem) == (PATHS, "")
    assert host.said == []


def test_of_a_grid_that_is_not_carried_here_nothing_is_told(host: Host) -> None:
    assert host.paths.serve(YOU, PathsAsk("s", GridId("other")), "", 0.0)
    assert host.said == [Say(YOU, PathsTold("s", (), "it does not carry this grid"), "")]


def test_who_asks_all_the_time_is_told_now_and_then_and_takes_nothing_of_others(host: Host) -> None:
    told = [host.paths.serve(PeerId("mallory"), PathsAsk("s", GRID), "", 0.0) for _ in range(500)]
    assert told.count(True) == len(host.said) == path_asks.TOLD_AT_ONCE
    assert host.paths.serve(YOU, PathsAsk("s", GRID), "", 0.0)
    assert host.paths.serve(PeerId("mallory"), PathsAsk("s", GRID), "", 1.0)


async def test_anothers_are_asked_there_and_believed_of_nobody_else(host: Host) -> None:
    asking = asyncio.ensure_future(host.paths.ask(YOU, GRID))
    await until(lambda: host.said, "the question")
    (say,) = host.said
    assert say.peer == YOU
    assert isinstance(say.message, PathsAsk)
    told = PathsTold(say.message.session, PATHS, "")
    host.paths.deliver(PeerId("mallory"), told)
    host.paths.deliver(YOU, PathsTold("another", (), ""))
    assert not asking.done()
    host.paths.deliver(YOU, told)
    host.paths.deliver(YOU, PathsTold(say.message.session, (), "again"))
    assert await asking == told


async def test_who_does_not_answer_is_waited_for_no_longer(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asks, "ANSWER_WITHIN_S", 0.0)
    told = await host.paths.ask(YOU, GRID)
    assert "does not answer" in told.problem
    (say,) = host.said
    assert isinstance(say.message, PathsAsk)
    host.paths.deliver(YOU, PathsTold(say.message.session, PATHS, ""))


async def test_two_questions_have_two_names(host: Host) -> None:
    both = [asyncio.ensure_future(host.paths.ask(YOU, GRID)) for _ in range(2)]
    await until(lambda: len(host.said) == 2, "both")
    sessions = [say.message.session for say in host.said if isinstance(say.message, PathsAsk)]
    for session, paths in zip(reversed(sessions), (PATHS, ()), strict=True):
        host.paths.deliver(YOU, PathsTold(session, paths, ""))
    assert [(await asking).paths for asking in both] == [(), PATHS]
