"""Which hosts to ask first: fewer than all, drawn by lot, and never the last word."""

from collections.abc import Iterable
from random import Random

import msgspec
import pytest
from negotiating import ADMIN, AUTHORITY, MIB, NOW, REQUEST, Around

from protocol.capacity.advert import HostFacts
from protocol.capacity.quantum import Quantum
from protocol.contract.messages import Quote, QuoteAsk
from protocol.grid.expand import workspaces
from protocol.grid.model import Compact, Encryption, GridSpec, LeaseTerms, PlacementSpec, Strict
from protocol.placement.fit import Offer
from protocol.requesting.placing import Placing
from protocol.requesting.shortlist import Candidate, possible, shortlist
from protocol.sim.people import grid_spec
from protocol.terms.effects import Effect, Send
from protocol.terms.ids import PeerId

ROOM, FULL = Quantum(4000, 4096 * MIB, 1 << 40), Quantum(0, 0, 1 << 40)
FACTS = HostFacts(ROOM, "x86_64", "qemu:///embed", "kvm", "", "192.0.2.1", True)


def host(number: int, free: Quantum = ROOM, told: bool = True) -> Candidate:
    peer, name = PeerId(f"{number:064x}"), f"h{number}"
    offer = Offer(peer, name, "s1", FACTS, free)
    return Candidate(peer, name, "s1", offer if told else None)


def gang(count: int) -> GridSpec:
    return grid_spec("gang", count, memory_bytes=64 * MIB, encryption=Encryption.NONE)


def asked(hosts: Iterable[Candidate], spec: GridSpec, seed: int = 1) -> list[str]:
    first = shortlist(tuple(hosts), spec, workspaces(spec), Random(seed))
    return [candidate.name for candidate in first]


def test_of_few_hosts_all_are_asked() -> None:
    few = [host(n) for n in range(8)]
    assert asked(few, gang(1)) == [c.name for c in few]


def test_of_many_somewhat_more_than_are_needed() -> None:
    many = [host(n, Quantum(500, 64 * MIB, 1 << 40)) for n in range(1000)]
    assert len(asked(many, gang(16))) == 16 + 16 // 2 + 8


def test_requesters_do_not_all_ask_the_same() -> None:
    many = [host(n) for n in range(200)]
    assert set(asked(many, gang(4), seed=1)) != set(asked(many, gang(4), seed=2))


def test_those_whose_advert_shows_room_are_asked_and_those_that_told_nothing() -> None:
    hosts = [host(n, FULL) for n in range(40)] + [host(n) for n in range(40, 60)]
    found = asked([*hosts, host(99, told=False)], gang(4))
    assert found[0] == "h99"
    assert 4 <= len(found) - 1 <= 20
    assert all(int(name[1:]) >= 40 for name in found)


@pytest.mark.parametrize(
    "spec",
    [
        msgspec.structs.replace(
            gang(4), placement=PlacementSpec(compact=Compact.HOST, strict=(Strict.COMPACT,))
        ),
        msgspec.structs.replace(gang(4), lease=LeaseTerms(start_s=NOW + 3600)),
        msgspec.structs.replace(gang(4), lease=LeaseTerms(before_s=NOW + 90000)),
    ],
)
def test_what_adverts_cannot_tell_is_asked_of_all(spec: GridSpec) -> None:
    hosts = [host(n) for n in range(50)]
    assert len(asked(hosts, spec)) == 50


def test_nobody_is_refused_before_all_were_asked() -> None:
    hosts = [host(n) for n in range(20)] + [host(n, FULL) for n in range(20, 40)]
    order = ADMIN.up(gang(4), NOW)
    world = Around(lambda: tuple(hosts))
    deployment = AUTHORITY.deployment(order, NOW, fresh=True)
    placing = Placing(REQUEST, deployment, order, world, Random(3), NOW)
    first = _peers(placing.start(NOW))
    assert len(first) < 40
    effects: list[Effect] = []
    for peer in first:  # What the adverts said is taken meanwhile.
        effects, _ = placing.quote(peer, _quote(peer, FULL), NOW)
    rest = _peers(effects)
    assert {*first, *rest} == {c.peer for c in hosts}
    assert not set(first) & set(rest)
    for peer in rest:
        effects, _ = placing.quote(peer, _quote(peer, FULL), NOW)
    assert not placing.running
    assert "40 hosts" in placing.answer[0] + placing.answer[1]


def _peers(effects: list[Effect]) -> list[PeerId]:
    return [e.peer for e in effects if isinstance(e, Send) and isinstance(e.message, QuoteAsk)]


def _quote(peer: PeerId, free: Quantum) -> Quote:
    return Quote(REQUEST, peer[-4:], "s1", FACTS, free, ())


@pytest.mark.parametrize(("count", "enough"), [(8, True), (9, False)])
def test_what_hosts_told_and_keep_says_whether_asking_may_help(count: int, enough: bool) -> None:
    spec, (near, far) = gang(count), (host(1), host(2, FULL))
    offers = [c.told for c in (near, far) if c.told is not None]
    size = Quantum(500, 64 * MIB, 0)
    room = msgspec.structs.replace(offers[0], free=Quantum(3000, 4096 * MIB, 0))
    kept = {far.peer: size + size}
    assert possible(spec, workspaces(spec), [room, offers[1]], kept) is enough


def test_hosts_that_do_not_suit_have_no_room_for_it() -> None:
    spec = msgspec.structs.replace(gang(2), placement=PlacementSpec(sites=("s9",)))
    told = host(1).told
    assert told is not None
    assert not possible(spec, workspaces(spec), [told], {})
