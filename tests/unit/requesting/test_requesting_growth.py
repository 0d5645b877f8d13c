"""Who looks for room for an elastic grid, when, and how often."""

from itertools import pairwise

from negotiating import NOW, B, C, record_of
from one_requester import FULL, LITTLE, ME, Scene, advert
from test_requesting_growing import LATER, MINE, Carrying

from protocol.contract.messages import QuoteAsk
from protocol.grid.record import GridRecord
from protocol.requesting.growth import Nothing
from protocol.terms.effects import Effect, Send


def looks(scene: Scene, now: float) -> list[Effect]:
    effects, _ = scene.requester.tick(now)
    return [e for e in effects if isinstance(e, Send) and isinstance(e.message, QuoteAsk)]


def scene_of(record: GridRecord = MINE) -> tuple[Scene, Carrying]:
    carrying = Carrying(record)
    return Scene(carries=carrying), carrying


def test_the_first_living_host_of_the_record_does_it() -> None:
    assert looks(scene_of()[0], LATER)
    second = record_of(MINE.order, {"web-1": B, "web-2": ME})
    scene, _ = scene_of(second)
    assert looks(scene, LATER) == []
    scene.directory._membership.sites_alive = lambda: {C: "s3"}  # type: ignore[method-assign]
    assert looks(scene, LATER + 10.0), "B is dead"


def test_only_when_somebody_seems_to_have_room() -> None:
    scene, _ = scene_of()
    for peer in (B, C):
        scene.requester.advertised(peer, advert(LITTLE), NOW)
    assert looks(scene, LATER) == []
    scene.requester.advertised(C, advert(), NOW)
    assert looks(scene, LATER + 10.0)


def test_one_attempt_at_a_time_and_ever_rarer_where_nothing_comes_of_it() -> None:
    scene, _ = scene_of()
    times = []
    now = LATER
    while now < LATER + 600.0:
        effects, _ = scene.requester.tick(now)
        if any(isinstance(e, Send) and isinstance(e.message, QuoteAsk) for e in effects):
            times.append(now)
            assert looks(scene, now + 0.5) == [], "it runs"
        scene.answer_quotes(effects, FULL, now)
        scene.requester.notes()
        now += 1.0
    gaps = [b - a for a, b in pairwise(times)]
    assert 8 <= len(times) <= 40
    assert max(gaps) <= 90.0
    assert gaps[0] < gaps[-1]


def test_a_peer_that_carries_nothing_has_nothing_to_look_for() -> None:
    assert Nothing().elastic() == []
    assert Nothing().stewards(MINE.id) == ()
    scene, carrying = scene_of()
    carrying.grids = []
    assert looks(scene, LATER) == []
    assert scene.requester.next_deadline() is None
