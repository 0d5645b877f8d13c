"""How many streams a host carries: for one peer, to one workspace, for one owner, in all."""

import pytest

from protocol.stream.admission import Admission, Carried
from protocol.stream.limits import (
    STREAM_OPENS_BURST,
    STREAM_OPENS_PER_S,
    STREAMS,
    STREAMS_OF_OWNER,
    STREAMS_OF_PEER,
    STREAMS_OF_WORKSPACE,
)
from protocol.terms.ids import GridId, KeyId, PeerId


def stream(peer: int = 0, owner: int = 0, workspace: int = 0) -> Carried:
    return Carried(PeerId(f"p{peer}"), KeyId(f"o{owner}"), GridId("g"), f"w-{workspace}")


def fill(admission: Admission, streams: list[Carried]) -> None:
    for each in streams:
        assert admission.take(each) == ""
    admission.check()


@pytest.mark.parametrize(
    ("streams", "one_more", "another", "said"),
    [
        (
            [stream(workspace=n) for n in range(STREAMS_OF_PEER)],
            stream(),
            stream(peer=1),
            "between these two hosts",
        ),
        (
            [stream(peer=n, owner=n) for n in range(STREAMS_OF_WORKSPACE)],
            stream(peer=999),
            stream(peer=999, workspace=1),
            "to w-0",
        ),
        (
            [stream(peer=n, workspace=n) for n in range(STREAMS_OF_OWNER)],
            stream(peer=999, workspace=999),
            stream(peer=999, owner=1, workspace=999),
            "of this owner",
        ),
    ],
)
def test_a_limit_costs_whom_it_is_about_and_nobody_else(
    streams: list[Carried], one_more: Carried, another: Carried, said: str
) -> None:
    admission = Admission()
    fill(admission, streams)
    assert said in admission.take(one_more)
    fill(admission, [another])
    admission.give_back(another)
    admission.give_back(streams[0])
    fill(admission, [one_more])


def test_a_host_carries_so_many_in_all() -> None:
    admission = Admission()
    fill(admission, [stream(n, n, n) for n in range(STREAMS)])
    assert "at that host" in admission.take(stream(999, 999, 999))


def test_what_is_given_back_leaves_nothing() -> None:
    admission = Admission()
    fill(admission, [stream(), stream(1)])
    admission.give_back(stream())
    admission.give_back(stream(1))
    assert len(admission) == 0
    admission.check()


def test_a_flood_of_asks_is_not_looked_at_and_others_are() -> None:
    admission, now = Admission(), 100.0
    flood = [admission.may_ask(PeerId("p"), now) for _ in range(1000)]
    assert sum(flood) == STREAM_OPENS_BURST
    assert admission.may_ask(PeerId("q"), now)
    later = [admission.may_ask(PeerId("p"), now + 1.0) for _ in range(1000)]
    assert sum(later) == STREAM_OPENS_PER_S
    admission.check()


def test_strangers_that_ask_once_each_are_not_remembered_for_ever() -> None:
    admission = Admission()
    for number in range(5000):
        assert admission.may_ask(PeerId(f"p{number}"), 1.0)
    admission.check()
