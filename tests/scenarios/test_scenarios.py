"""Every scenario file is true, whatever the dice, and written in normal form."""

from pathlib import Path

import pytest
from scenario import FOLDER, WIDTH, Expect, Scenario, load, normal, scenarios

from overlayd.cli.engine import Placement, Seat, placement
from overlayd.config.documents import DocumentError, render
from protocol.placement.explain import words

SEEDS = range(5)


@pytest.mark.parametrize(
    "path", scenarios(), ids=lambda p: str(p.relative_to(FOLDER).with_suffix(""))
)
def test_scenario(path: Path) -> None:
    scenario = load(path)
    for seed in SEEDS:
        answer, told = ask(scenario, seed)
        assert told == scenario.expect.says
        if answer is not None and answer.placed:
            check(scenario.expect, answer)
    assert path.read_text() == normal(scenario)
    written = path.read_text().partition("  says: |")[0]
    assert all(len(line) <= WIDTH for line in written.splitlines())


def ask(scenario: Scenario, seed: int) -> tuple[Placement | None, str]:
    """What `overlayctl place` answers, and what it tells the person."""
    try:
        spec, offers = scenario.read()
    except DocumentError as error:
        return None, render(error.problems) + "\n"
    answer = placement(spec, offers, seed)
    return answer, "\n".join(words(answer.why_not)) + "\n" if answer.why_not else ""


def check(expect: Expect, answer: Placement) -> None:
    """Everything the scenario expects of a placement."""
    seats = {seat.workspace: seat for seat in answer.workspaces}
    by_cluster: dict[str, dict[str, int]] = {}
    hosts: dict[str, int] = {}
    sites: dict[str, int] = {}
    for seat in answer.workspaces:
        on = by_cluster.setdefault(seat.workspace.rpartition("-")[0], {})
        for counted, name in ((on, seat.host), (hosts, seat.host), (sites, seat.site)):
            counted[name] = counted.get(name, 0) + 1
    for cluster, where in expect.placed.items():
        assert by_cluster.get(cluster) == where
    assert not expect.hosts or hosts == expect.hosts
    assert not expect.sites or sites == expect.sites
    assert expect.used in (None, len(hosts))
    if expect.count:
        assert {name: sum(on.values()) for name, on in by_cluster.items()} == expect.count
    assert not [host for host in expect.never if host in hosts]
    assert all(same_host(seats[a], seats[b]) for a, b in expect.together)
    assert not any(same_host(seats[a], seats[b]) for a, b in expect.apart)
    assert expect != Expect(), "it expects nothing"


def same_host(one: Seat, other: Seat) -> bool:
    """Whether two workspaces share a host."""
    return one.host == other.host


def test_there_are_enough_of_them_on_every_topic() -> None:
    topics = [path.parent.name for path in scenarios()]
    assert len(topics) >= 80
    assert min(topics.count(topic) for topic in topics) >= 4
