"""How many more fit: host by host, what stops the next, and what is left over."""

from asking import GIB, host
from hypothesis import given
from hypothesis import strategies as st

from protocol.capacity.quantum import Quantum
from protocol.placement.headroom import headroom
from protocol.terms.refusal import Constraint


@given(st.integers(1, 64), st.integers(1, 64), st.integers(1, 8), st.integers(1, 8))
def test_one_more_never_fits(cpus: int, memory: int, asked_cpus: int, asked_memory: int) -> None:
    shape = Quantum(asked_cpus * 1000, asked_memory * GIB)
    offer = host("a", cpus=cpus, memory_gib=memory)
    found = headroom(shape, (offer,)).hosts[0]
    assert not shape.fits(found.left)
    assert found.fits * shape.cpus_milli + found.left.cpus_milli == offer.free.cpus_milli
    assert found.stops.short_by > 0


def test_what_stops_most_hosts_comes_last() -> None:
    offers = (host("a", cpus=2), host("b", memory_gib=2), host("c", cpus=3))
    found = headroom(Quantum(1000, GIB), offers)
    assert found.fits == 2 + 2 + 3
    assert [(r.constraint, r.hosts) for r in found.stops] == [
        (Constraint.MEMORY, 1),
        (Constraint.CPUS, 2),
    ]


def test_devices_count() -> None:
    offers = (host("a", devices=(("gpu", 3),)), host("b"))
    found = headroom(Quantum(1000, GIB, 0, (("gpu", 2),)), offers)
    assert [room.fits for room in found.hosts] == [1, 0]
    assert found.stops[0].nearest.what == "device gpu"
