"""What is guaranteed at a site is split among its hosts, and nothing of it is lost."""

from hypothesis import given
from hypothesis import strategies as st

from protocol.capacity.quantum import Quantum
from protocol.policy.guaranteed import part_of, part_of_alike

GIB = 1 << 30


def test_a_host_keeps_its_part_and_all_of_it_if_it_is_alone() -> None:
    guaranteed = Quantum(8000, 32 * GIB, 99)
    own, beside = Quantum(16000, 64 * GIB), Quantum(48000, 192 * GIB)
    assert part_of(guaranteed, own, Quantum()) == Quantum(8000, 32 * GIB)
    assert part_of(guaranteed, own, beside) == Quantum(2000, 8 * GIB)
    assert part_of(guaranteed, Quantum(), Quantum()) == Quantum(), "it was not probed yet"
    assert part_of(Quantum(99000), own, Quantum()) == Quantum(16000), "not more than there is"


@given(st.integers(0, 10**6), st.integers(0, 1 << 40), st.integers(1, 99))
def test_hosts_that_are_alike_have_the_same_part(cpus: int, memory: int, hosts: int) -> None:
    guaranteed, own = Quantum(cpus, memory), Quantum(10**6, 1 << 40)
    beside = Quantum(own.cpus_milli * (hosts - 1), own.memory_bytes * (hosts - 1))
    assert part_of_alike(guaranteed, hosts) == part_of(guaranteed, own, beside)


@given(st.integers(0, 10**6), st.lists(st.integers(1, 10**5), min_size=1, max_size=9))
def test_the_parts_are_the_whole_and_at_most_one_more_for_each_host(
    cpus_milli: int, hosts: list[int]
) -> None:
    parts = [part_of(Quantum(cpus_milli), Quantum(h), Quantum(sum(hosts) - h)) for h in hosts]
    whole = min(cpus_milli, sum(hosts))
    assert whole <= sum(part.cpus_milli for part in parts) < whole + len(hosts)
