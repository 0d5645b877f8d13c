"""What a change does to a workspace that stays: nothing, live, by a restart, or by a rebuild."""

import msgspec
import pytest

from protocol.grid.apply import Manner, cpus_seen, manner_of
from protocol.grid.model import Driver, ImageRef, Mount, Workspace

GIB = 1 << 30
HEAD = Workspace(
    "head-1",
    "head",
    1,
    1500,
    2 * GIB,
    0,
    ImageRef("guest", "a" * 64),
    ("lan",),
    max_cpus_milli=4000,
)


@pytest.mark.parametrize(
    ("old", "new", "manner"),
    [
        ({}, {}, Manner.SAME),
        ({}, {"labels": ("ssd",)}, Manner.SAME),
        ({}, {"cpus_milli": 4000}, Manner.LIVE),
        ({}, {"cpus_milli": 100, "memory_bytes": GIB}, Manner.LIVE),
        ({}, {"max_memory_bytes": 2 * GIB}, Manner.LIVE),
        ({}, {"network_bits_s": 10**8}, Manner.LIVE),
        ({"network_bits_s": 10**8}, {}, Manner.LIVE),
        ({}, {"disk_bytes_s": 10**8}, Manner.LIVE),
        ({"disk_operations_s": 500}, {}, Manner.LIVE),
        ({}, {"max_memory_bytes": 4 * GIB}, Manner.RESTART),
        ({}, {"max_cpus_milli": 4001}, Manner.RESTART),
        ({}, {"max_cpus_milli": 3000}, Manner.LIVE),
        ({"max_memory_bytes": 3 * GIB}, {"max_memory_bytes": 0}, Manner.LIVE),
        (
            {"driver": Driver.LXC},
            {"driver": Driver.LXC, "max_memory_bytes": 9 * GIB},
            Manner.LIVE,
        ),
        ({}, {"cpus_milli": 4001}, Manner.RESTART),
        ({"max_cpus_milli": 0}, {"cpus_milli": 2000}, Manner.LIVE),
        ({"max_cpus_milli": 0}, {"cpus_milli": 2001}, Manner.RESTART),
        ({}, {"memory_bytes": 3 * GIB}, Manner.RESTART),
        ({}, {"memory_bytes": 3 * GIB, "max_memory_bytes": 4 * GIB}, Manner.RESTART),
        ({"max_memory_bytes": 3 * GIB}, {"memory_bytes": 3 * GIB}, Manner.LIVE),
        ({"driver": Driver.LXC}, {"driver": Driver.LXC, "memory_bytes": 9 * GIB}, Manner.LIVE),
        ({}, {"mounts": (Mount("data", "/srv"),), "cpus_milli": 2000}, Manner.RESTART),
        ({}, {"user_data": "b" * 64, "memory_bytes": 3 * GIB}, Manner.REBUILD),
    ],
)
def test_a_change_disturbs_as_little_as_it_can(
    old: dict[str, object], new: dict[str, object], manner: Manner
) -> None:
    before, after = (msgspec.structs.replace(HEAD, **changes) for changes in (old, new))
    if "max_cpus_milli" in old:
        after = msgspec.structs.replace(after, max_cpus_milli=0)
    assert manner_of(before, after) is manner


def test_a_guest_sees_whole_cpus() -> None:
    assert [cpus_seen(milli) for milli in (10, 1000, 1001, 4000)] == [1, 1, 2, 4]
