"""When partners are probed, and what is known of the way to each."""

from random import Random

import pytest

from protocol.terms.effects import Probing, Sealed
from protocol.terms.ids import PeerId
from protocol.terms.sealed import (
    Cipher,
    SealedPeer,
    SealedSession,
    Secret,
    TunnelAnswer,
    TunnelPlace,
)
from protocol.tunnel_paths.limits import (
    BEGIN_S,
    EVERY_S,
    GRAIN_BYTES,
    HURRIES,
    HURRY_S,
    LAST,
    LEAST_BYTES,
    LOST,
    MORE_BYTES,
    PROBES_PER_S,
    SILENT_S,
    SIZED_AT_ONCE,
    SPREAD,
)
from protocol.tunnel_paths.path import Path
from protocol.tunnel_paths.paths import TunnelPaths

NOW = 1_000_000.0
B, C = PeerId("b" * 64), PeerId("c" * 64)
TOLD, THERE, SEEN = (
    TunnelPlace("10.0.0.2", 7700),
    TunnelPlace("192.0.2.2", 7700),
    TunnelPlace("198.51.100.7", 31_000),
)


def row(peer: PeerId, *indexes: int) -> SealedPeer:
    sessions = tuple(
        SealedSession(i, i, Secret(b"s" * 32), Secret(b"r" * 32), NOW, Cipher.AES_256_GCM)
        for i in indexes
    )
    return SealedPeer(peer, TOLD.address, TOLD.port, sessions)


def answer(peer: PeerId, number: int) -> TunnelAnswer:
    return TunnelAnswer(peer, number, 0.02, THERE, SEEN)


class NobodyAround:
    """No relay, and nobody behind NAT."""

    def are_hidden(self, _peer: PeerId) -> bool:
        return False

    def relays(self, _peer: PeerId) -> list[PeerId]:
        return []

    def place(self, _peer: PeerId) -> TunnelPlace | None:
        return None

    def may_be_at(self, _place: TunnelPlace) -> bool:
        return False

    def life(self, _peer: PeerId) -> int:
        return 0


class World:
    """One host, the clock, and the partners that answer."""

    def __init__(self, *rows: SealedPeer) -> None:
        self.now = NOW
        self.paths = TunnelPaths(PeerId("a" * 64), Random(7), NobodyAround())
        self.answering: set[PeerId] = set()
        self.sent: list[tuple[float, PeerId]] = []
        self.paths.told(Sealed("one", rows), {}, NOW)

    def run(self, seconds: float) -> None:
        end_s = self.now + seconds
        while (due := self.paths.next_deadline()) is not None and due.at_s <= end_s:
            self.now = max(self.now, due.at_s)
            for effect in self.paths.tick(self.now):
                assert isinstance(effect, Probing)
                for probe in effect.probes:
                    self.sent.append((self.now, probe.peer))
                    if probe.peer in self.answering:
                        given = (answer(probe.peer, probe.number),)
                        self.paths.answered(effect.instance, given, self.now + 0.02)
            self.paths.check()
        self.now = end_s

    def path(self, peer: PeerId) -> Path:
        found = self.paths.path(peer)
        assert found is not None
        return found


def test_only_partners_with_keys_are_probed() -> None:
    world = World(row(B, 1), row(C))
    world.answering = {B, C}
    world.run(60.0)
    assert {peer for _, peer in world.sent} == {B}
    assert world.sent[0][0] == NOW + BEGIN_S
    assert world.paths.path(C) is None


def test_a_partner_that_answers_is_probed_seldom_and_its_way_is_known() -> None:
    world = World(row(B, 1))
    world.answering = {B}
    world.run(20 * EVERY_S)
    assert 20 / (1 + SPREAD) - 1 <= len(world.sent) <= 20 / (1 - SPREAD) + 2
    pauses = [b[0] - a[0] for a, b in zip(world.sent, world.sent[1:], strict=False)]
    assert len({round(pause, 3) for pause in pauses}) > 10, "not in step with others"
    path = world.path(B)
    assert path.works
    assert (path.round_trip_s, path.place, path.seen) == (0.02, THERE, SEEN)
    assert path.loss == (0, LAST)
    assert world.paths.silent(world.now) == []


def test_one_that_breaks_is_noticed_and_one_that_heals_too() -> None:
    world = World(row(B, 1))
    world.answering = {B}
    world.run(30.0)
    world.answering = set()
    world.run((EVERY_S + (LOST + 1) * HURRY_S) * (1 + SPREAD))
    assert not world.path(B).works
    assert world.path(B).loss[0] >= LOST
    world.answering = {B}
    world.run(EVERY_S * (1 + SPREAD))
    assert world.path(B).works


def test_one_that_never_answers_is_soon_probed_as_seldom_as_others() -> None:
    world = World(row(B, 1))
    world.run(HURRIES * HURRY_S * (1 + SPREAD) + BEGIN_S)
    assert len(world.sent) >= HURRIES
    before = len(world.sent)
    world.run(20 * EVERY_S)
    assert len(world.sent) - before <= 20 / (1 - SPREAD) + 1


def test_it_is_told_that_nothing_comes_back_and_no_sooner() -> None:
    world = World(row(B, 1))
    world.run(SILENT_S - 1)
    assert world.paths.silent(world.now) == []
    world.run(1.0)
    assert world.paths.silent(world.now) == [(B, world.path(B))]
    assert world.path(B).told == TOLD
    world.answering = {B}
    world.run(EVERY_S)
    assert world.paths.silent(world.now) == []


@pytest.mark.parametrize("wrong", ["number", "peer", "instance", "late"])
def test_only_an_answer_to_the_probe_under_way_counts(wrong: str) -> None:
    world = World(row(B, 1), row(C, 2))
    (effect,) = world.paths.tick(NOW + BEGIN_S)
    assert isinstance(effect, Probing)
    number = next(probe.number for probe in effect.probes if probe.peer == B)
    said = {
        "number": ("one", answer(B, number + 5)),
        "peer": ("one", answer(C, number)),
        "instance": ("two", answer(B, number)),
        "late": ("one", answer(B, number)),
    }[wrong]
    if wrong == "late":
        world.run(2 * HURRY_S)
    world.paths.answered(said[0], (said[1],), world.now)
    assert not world.path(B).works
    assert world.path(B).answered_s is None


def test_an_answer_counts_once() -> None:
    world = World(row(B, 1))
    (effect,) = world.paths.tick(NOW + BEGIN_S)
    assert isinstance(effect, Probing)
    given = (answer(B, effect.probes[0].number),) * 3
    world.paths.answered("one", given, NOW + 1.0)
    assert world.path(B).loss == (0, 1)


def test_keys_that_are_gone_end_the_path_and_new_ones_begin_another() -> None:
    world = World(row(B, 1))
    world.answering = {B}
    world.run(5.0)
    world.paths.told(Sealed("one", (row(B, 1, 2),)), {}, world.now)
    assert world.path(B).works, "a new session is the same path"
    world.paths.told(Sealed("one", (row(B),)), {}, world.now)
    assert world.paths.path(B) is None
    assert world.paths.next_deadline() is None
    world.paths.told(Sealed("one", (row(B, 3),)), {}, world.now)
    assert not world.path(B).works


def test_many_partners_cost_no_more_than_so_many_probes_a_second() -> None:
    peers = [PeerId(f"{number:064x}") for number in range(2_000)]
    world = World(*(row(peer, number + 1) for number, peer in enumerate(peers)))
    world.answering = set(peers)
    world.run(100.0)
    begun = len(world.sent)
    world.run(100.0)
    assert len(world.sent) - begun <= 100.0 * PROBES_PER_S / (1 - SPREAD)
    assert {peer for _, peer in world.sent} == set(peers)


def sized(world: World) -> dict[PeerId, list[int]]:
    """Sizes that were probed by a tick, by partner; guests' packets of 1,300 bytes get there, no larger."""
    sent: dict[PeerId, list[int]] = {}
    for effect in world.paths.tick(world.now):
        assert isinstance(effect, Probing)
        for probe in effect.probes:
            sent.setdefault(probe.peer, []).append(probe.size_bytes)
            if probe.size_bytes <= MORE_BYTES + 1300:
                world.paths.answered("one", (answer(probe.peer, probe.number),), world.now)
    world.paths.check()
    return sent


def test_how_much_a_path_takes_is_found_once_it_works_and_something_is_asked_for() -> None:
    world = World()
    world.paths.told(Sealed("one", (row(B, 1), row(C, 2))), {B: 1418}, NOW)
    world.now = world.paths.next_deadline().at_s  # type: ignore[union-attr]
    assert sized(world) == {B: [0], C: [0]}
    assert sized(world) == {B: [0, LEAST_BYTES + MORE_BYTES, 1418 + MORE_BYTES]}
    end_s = world.now + 60.0
    while world.now < end_s:
        world.now = max(world.now, world.paths.next_deadline().at_s)  # type: ignore[union-attr]
        assert max(sized(world).get(C, [0])) == 0, "nobody knows how much is asked for there"
    assert 1300 - GRAIN_BYTES < world.paths.takes(B) <= 1300
    assert world.paths.settled() == {B: world.paths.takes(B)}
    world.paths.told(Sealed("one", (row(B, 1), row(C, 2))), {B: 1200}, world.now)
    assert world.paths.settled() == {}
    world.paths.told(Sealed("one", (row(C, 2),)), {}, world.now)
    assert world.paths.takes(B) == 0


def test_many_partners_are_not_sized_in_one_burst() -> None:
    rows = [row(PeerId(f"{n:064}"), n + 1) for n in range(SIZED_AT_ONCE * 3)]
    world = World()
    mosts = {one.peer: 1418 for one in rows}
    world.paths.told(Sealed("one", tuple(rows)), mosts, NOW)
    world.now += BEGIN_S
    found: set[PeerId] = set()
    sized(world)
    while len(found) < len(rows):
        sent = {peer for peer, sizes in sized(world).items() if max(sizes) > 1400}
        assert len(sent) <= SIZED_AT_ONCE
        found |= sent
        world.now = max(world.now + 0.01, world.paths.next_deadline().at_s)  # type: ignore[union-attr]


def test_what_was_found_is_tried_again_with_each_probe_of_the_path_and_not_besides() -> None:
    world = World()
    world.paths.told(Sealed("one", (row(B, 1),)), {B: 1300}, NOW)
    sent: list[list[int]] = []
    while world.now < NOW + 10 * EVERY_S:
        world.now = world.paths.next_deadline().at_s  # type: ignore[union-attr]
        sent += sized(world).values()
    assert sent[0] == [0]
    assert sent[1:] == [[0, LEAST_BYTES + MORE_BYTES, 1300 + MORE_BYTES]] + [
        [0, 0, 1300 + MORE_BYTES]
    ] * (len(sent) - 2)
    assert len(sent) < 16
