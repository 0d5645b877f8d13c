"""What would work where a workspace cannot be changed on its host."""

import msgspec
from negotiating import NOW, ROOM, SITES, A, B, C, asks, quote
from one_requester import ME
from test_requesting_applying import OWNER, Changes, of, web

from protocol.capacity.quantum import Quantum
from protocol.capacity.room import Step
from protocol.contract.messages import QuoteAsk
from protocol.grid.model import GridSpec, OwnSize
from protocol.terms.effects import Send
from protocol.terms.ids import RequestId

MIB = 1 << 20
MEGABIT = 10**6
LARGER = of(web(sizes=(OwnSize("web-2", memory_bytes=2048 * MIB),)))
"""web-2, at C, is to have 1,920 MiB more."""


def refused(spec: GridSpec, offered: dict[str, Quantum], later: tuple[Step, ...] = ()) -> list[str]:
    """What is said of a change that does not fit by what hosts offer; C tells what is free `later`."""
    scene = Changes()
    effects = scene.read(OWNER.apply(spec, 1, NOW))
    while asked := [e for e in effects if isinstance(e, Send) and isinstance(e.message, QuoteAsk)]:
        effects = []
        for each in asked:
            told = quote(each.peer if each.peer in SITES else A, offered.get(each.peer, Quantum()))
            steps = later if each.peer == C else ()
            told = msgspec.structs.replace(told, request=RequestId("r"), later=steps)
            more, _ = scene.requester.message(each.peer, told, NOW)
            effects += more
    assert asks(effects) == {}
    scene.settle(scene.up)
    return list(scene.answer)


def test_less_now_where_it_is() -> None:
    lines = refused(LARGER, {B: ROOM, C: Quantum(1000, 300 * MIB, 1 << 40)})
    assert lines == [
        "cannot change web-2 on gamma: it needs 1.9 GiB more memory, and 300 MiB are free there",
        "  would work: memory 428M for web-2, now",
    ]


def test_the_same_later_when_something_ends_there() -> None:
    room = (Step(0.0, Quantum(1000, 0, 1 << 40)), Step(7200.0, Quantum(4000, 4096 * MIB, 1 << 40)))
    lines = refused(LARGER, {C: Quantum(1000, 0, 1 << 40)}, room)
    assert lines[1:] == ["  would work: as asked, in 2 h"]


def test_elsewhere_hosts_are_named_that_were_not_asked_before() -> None:
    large = Quantum(8000, 8192 * MIB, 1 << 40)
    lines = refused(LARGER, {B: Quantum(), C: Quantum(1000, 0, 1 << 40), ME: large})
    assert lines[1:] == [
        "  would work: on alpha, started anew with new disks: `overlayctl terminate shop/web-2`, "
        "then `up` of a file that has it so large",
    ]


def test_a_cluster_is_offered_what_each_of_it_can_have() -> None:
    spec = of(web(memory_bytes=1024 * MIB, cpus_milli=2000))
    lines = refused(
        spec, {B: Quantum(700, 500 * MIB, 1 << 40), C: Quantum(4000, 300 * MIB, 1 << 40)}
    )
    assert lines[-1] == "  would work: cpus 1.2 and memory 428M for web, now"


def test_a_rate_is_offered_as_far_as_it_is_left_on_each_network() -> None:
    spec = of(web(network_bits_s=500 * MEGABIT))
    room = {peer: Quantum(1000, MIB, 1 << 40, (), 200 * MEGABIT) for peer in (B, C)}
    lines = refused(spec, room)
    assert "it needs 500 Mbit/s more network-rate, and 200 Mbit/s are free there" in lines[0]
    assert lines[-1] == "  would work: network-rate 200M for web, now"


def test_rates_of_disks_are_offered_as_far_as_they_are_left() -> None:
    spec = of(web(disk_bytes_s=500 * MIB, disk_operations_s=4000))
    room = Quantum(1000, MIB, 1 << 40, (), 0, 200 * MIB, 1500)
    lines = refused(spec, dict.fromkeys((B, C), room))
    assert "it needs 500 MiB/s more disk-rate, and 200 MiB/s are free there" in lines[0]
    assert lines[-1] == "  would work: disk-rate 200M and disk-operations 1500 for web, now"


def test_nothing_is_offered_where_more_comes_beside() -> None:
    lines = refused(of(web(count=3, memory_bytes=4096 * MIB)), {C: ROOM})
    assert lines[-1] == "  would work: less of it, or the same again when there is more room there"
