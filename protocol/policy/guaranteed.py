"""Guaranteed quanta: what a site keeps for a virtual organisation, split among its hosts.

Each host keeps a part in proportion to what it has of all that the site's hosts have, rounded up, so that the
parts are never less than the whole. So none has to be asked, and a host that dies leaves its part to the
others. A workspace that is larger than one host's part is guaranteed nothing.
"""

from protocol.capacity.quantum import Quantum


def part_of(guaranteed: Quantum, own: Quantum, beside: Quantum) -> Quantum:
    """The cpus and memory of it that a host keeps that has `own`, where others of its site have `beside`."""
    both = own + beside
    return Quantum(
        _part(guaranteed.cpus_milli, own.cpus_milli, both.cpus_milli),
        _part(guaranteed.memory_bytes, own.memory_bytes, both.memory_bytes),
    )


def part_of_alike(guaranteed: Quantum, hosts: int) -> Quantum:
    """The part of one of so many hosts that have enough, and all as much."""
    return Quantum(-(-guaranteed.cpus_milli // hosts), -(-guaranteed.memory_bytes // hosts))


def _part(amount: int, own: int, all_: int) -> int:
    return min(own, -(-amount * own // all_)) if all_ > 0 else 0
