"""Two real forwarders, two hosts and a guest on each: frames cross sealed."""

from collections.abc import Iterator

import pytest
from sealed_world import SealedWorld

from netns.tunnel import client, process


@pytest.fixture(scope="module")
def world() -> Iterator[SealedWorld]:
    made = SealedWorld()
    try:
        made.start()
        yield made
    finally:
        made.tear_down()


def test_guests_of_two_hosts_reach_each_other(world: SealedWorld) -> None:
    assert world.pings(world.a)
    assert world.pings(world.b, "-s", "1390", "-M", "do")
    state = world.a.state()
    assert state.counters["sent"] >= 2
    assert state.counters["received"] >= 2
    assert state.peers[0].last_heard_s > 0


def test_a_forwarder_that_runs_is_not_started_again(world: SealedWorld) -> None:
    before = world.a.state()
    again = world.a.on(lambda: client.ensure(world.a.run_dir, before.port))
    assert (again.instance, again.pid) == (before.instance, before.pid)
    assert process.running(world.a.run_dir) is not None
