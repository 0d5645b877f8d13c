"""Hosts that are not heard: their workspaces are lost, and people are told who and what would work."""

import pytest
from negotiating import NAMES, NOW, A, B, C

from protocol.grid.lifecycle import Phase, Status
from protocol.grid.record import GridState
from protocol.membership.liveness import Health
from protocol.requesting.silence import (
    Silence,
    Unanswered,
    majority_silent,
    whereabouts,
    without_majority,
)
from protocol.terms.ids import PeerId
from protocol.wire.codec import Malformed, decode, encode

DEAD = Silence(Health.DEAD, NOW - 125)
PLACED = (("web-1", A), ("web-2", B), ("web-3", B))


class Hears:
    """Everybody is heard, except those in `silent`."""

    def __init__(self, silent: dict[PeerId, Silence]) -> None:
        self.silent = silent

    def name(self, peer: PeerId) -> str:
        return NAMES[peer]

    def silence(self, peer: PeerId, now: float) -> Silence | None:
        return self.silent.get(peer)


def test_a_majority_is_what_decides() -> None:
    assert not majority_silent((A, B, C), Hears({C: DEAD}), NOW)
    assert majority_silent((A, B, C), Hears({B: DEAD, C: DEAD}), NOW)


@pytest.mark.parametrize(
    ("silence", "said"),
    [
        (DEAD, "was not heard for 2 min"),
        (Silence(Health.DEAD, 0.0), "is not heard"),
        (Silence(Health.LEFT, NOW - 3600), "was stopped 1 h ago"),
        (Silence(Health.LEFT, 0.0), "is stopped"),
        (Silence(None, 0.0), "is no member of the overlay"),
    ],
)
def test_a_silence_in_words(silence: Silence, said: str) -> None:
    assert silence.said(NOW) == said


@pytest.mark.parametrize(
    ("told", "silence", "state", "phase", "detail"),
    [
        (Phase.BOOTING, None, GridState.UP, Phase.BOOTING, "40 %"),
        (Phase.REACHABLE, DEAD, GridState.UP, Phase.LOST, "last reachable 2 min ago"),
        (Phase.REACHABLE, Silence(Health.DEAD, 0.0), GridState.UP, Phase.LOST, "last reachable"),
        (
            Phase.PAUSED,
            Silence(Health.LEFT, NOW - 20),
            GridState.UP,
            Phase.LOST,
            "last paused 20 s ago; its daemon was stopped",
        ),
        (
            Phase.RUNNING,
            DEAD,
            GridState.DOWN,
            Phase.LOST,
            "last running 2 min ago; cleared when its host is back",
        ),
        (Phase.GONE, DEAD, GridState.DOWN, Phase.GONE, "40 %"),
    ],
)
def test_where_a_workspace_is(
    told: Phase, silence: Silence | None, state: GridState, phase: Phase, detail: str
) -> None:
    where = whereabouts(Status("web-1", told, "40 %"), True, state, silence, NOW)
    assert (where.phase, where.detail, where.told) == (phase, detail, told)


@pytest.mark.parametrize(
    ("heard", "silence", "state", "phase", "detail"),
    [
        (False, None, GridState.UP, Phase.HELD, ""),
        (False, DEAD, GridState.UP, Phase.LOST, "its host has not told of it"),
        (True, None, GridState.DOWN, Phase.GONE, ""),
        (False, None, GridState.DOWN, Phase.ENDING, ""),
        (True, DEAD, GridState.DOWN, Phase.GONE, ""),
    ],
)
def test_where_a_workspace_is_of_which_its_host_told_nothing(
    heard: bool, silence: Silence | None, state: GridState, phase: Phase, detail: str
) -> None:
    where = whereabouts(None, heard, state, silence, NOW)
    assert (where.phase, where.detail) == (phase, detail)


def test_a_host_that_says_itself_that_it_is_lost_is_not_believed() -> None:
    with pytest.raises(ValueError, match="has not lost it"):
        Status("web-1", Phase.LOST)
    told = encode(Status("web-1", Phase.GONE)).replace(b"gone", b"lost")
    with pytest.raises(Malformed):
        decode(told, Status)


def unanswered(silent: dict[PeerId, Silence], *peers: PeerId) -> Unanswered:
    return Unanswered("shop", PLACED, peers, Hears(silent), NOW)


def test_who_did_not_answer_and_what_would_work() -> None:
    away = unanswered({A: DEAD}, A)
    assert away.silent
    assert away.who() == "host alpha (web-1) was not heard for 2 min"
    assert away.would_work("extend again") == (
        "`overlayctl terminate shop/web-1` takes it out of the grid, then extend again; "
        "or wait until its host is back"
    )


def test_several_workspaces_are_each_taken_out() -> None:
    away = unanswered({B: DEAD}, A, B)
    assert not away.silent, "alpha is heard, so it may still answer"
    assert away.who() == (
        "host alpha (web-1) does not answer, host beta (web-2 and web-3) was not heard for 2 min"
    )
    assert away.would_work() == (
        "`overlayctl terminate shop/web-2`, and the same for web-3, takes them out of the grid; "
        "or wait until their hosts are back"
    )


def test_a_grid_that_is_lost_whole_is_brought_up_anew() -> None:
    assert unanswered({A: DEAD, B: DEAD}, A, B).would_work() == (
        "`overlayctl down shop`, and `up` again on hosts that are heard; or wait until these are back"
    )


def test_hosts_that_are_heard_are_asked_again() -> None:
    assert unanswered({}, A).would_work("extend again") == (
        "the same again; `overlayctl peers` shows when a host was heard last"
    )


def test_stewards_that_are_not_heard_are_named() -> None:
    assert without_majority((A, B, C), Hears({C: DEAD}), NOW) == [
        "  steward gamma was not heard for 2 min",
        "  would work: the same again when gamma is back",
    ]
