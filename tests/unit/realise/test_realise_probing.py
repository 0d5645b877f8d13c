"""The node's probes reach the forwarder, and every answer reaches the node."""

import pytest

from netns.tunnel.tables import PROBE_BYTES_MIN, PROBES_MAX, Probe, ProbeAnswer
from overlayd.fakes.forwarder import FakeForwarder
from overlayd.realise import probing
from overlayd.realise.probing import WAITING_MAX, Prober
from protocol.node.events import Event, ProbesAnswered
from protocol.terms.effects import Probing
from protocol.terms.ids import PeerId
from protocol.terms.sealed import TunnelAnswer, TunnelPlace, TunnelProbe

B = PeerId("b" * 64)
ANSWER = ProbeAnswer(B, 1, 0.02, "192.0.2.2", 7700, "198.51.100.7", 31_000)


class World:
    """A forwarder that runs, and what the node hears."""

    def __init__(self) -> None:
        self.forwarder = FakeForwarder(7700)
        self.forwarder.runs, self.forwarder.starts = True, 1
        self.heard: list[Event] = []
        self.prober = Prober(self.forwarder, self.heard.append)

    def probe(self, *numbers: int, instance: str = "1") -> None:
        probes = tuple(TunnelProbe(B, number) for number in numbers)
        self.prober.probe(Probing(instance, probes))


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(probing, "FETCH_S", (0.001, 0.001))
    return World()


async def test_probes_are_sent_and_the_answer_is_told(world: World) -> None:
    world.probe(1)
    place = TunnelPlace("192.0.2.9", 9)
    world.prober.probe(Probing("1", (TunnelProbe(B, 2, 1_400, place),)))
    world.forwarder.answers = [ANSWER]
    await world.prober.settle()
    assert world.forwarder.probed == [
        Probe(B, 1, PROBE_BYTES_MIN),
        Probe(B, 2, 1_400, "192.0.2.9", 9),
    ]
    told = TunnelAnswer(
        B, 1, 0.02, TunnelPlace("192.0.2.2", 7700), TunnelPlace("198.51.100.7", 31_000)
    )
    assert world.heard == [ProbesAnswered("1", (told,))]


async def test_an_answer_that_comes_later_is_fetched(world: World) -> None:
    calls: list[int] = []

    async def probe(_instance: str, probes: tuple[Probe, ...]) -> tuple[ProbeAnswer, ...]:
        calls.append(len(probes))
        return (ANSWER,) if len(calls) == 2 else ()

    world.forwarder.probe = probe  # type: ignore[method-assign]  # answers when it is asked again
    world.probe(1)
    await world.prober.settle()
    assert len(world.heard) == 1
    assert calls == [1, 0], "and then nothing is missing"


async def test_what_never_comes_is_not_asked_for_for_ever(world: World) -> None:
    world.probe(1)
    await world.prober.settle()
    assert len(world.forwarder.probed) == 1
    assert world.heard == []


async def test_many_are_sent_in_parts(world: World) -> None:
    world.probe(*range(PROBES_MAX + 5))
    await world.prober.settle()
    assert len(world.forwarder.probed) == PROBES_MAX + 5


async def test_a_forwarder_that_is_gone_or_another_one_gets_none(world: World) -> None:
    world.probe(1, instance="0")
    await world.prober.settle()
    world.forwarder.end()
    world.probe(2)
    await world.prober.settle()
    assert world.forwarder.probed == []
    assert world.heard == []


async def test_what_waits_is_bounded(world: World) -> None:
    for number in range(WAITING_MAX + 3):
        world.probe(number)
    await world.prober.settle()
    assert [probe.number for probe in world.forwarder.probed] == list(range(3, WAITING_MAX + 3))
