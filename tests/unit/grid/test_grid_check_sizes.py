"""Sizes that some workspaces of a cluster have for themselves: what makes sense, and what they are then."""

import msgspec
import pytest
from negotiating import shop

from protocol.grid.apply import Manner, delta
from protocol.grid.check import problems
from protocol.grid.differences import differences
from protocol.grid.expand import as_member, workspaces
from protocol.grid.limits import NAMES_MAX
from protocol.grid.model import ClusterSpec, GridSpec, OwnSize
from protocol.wire.codec import decode, encode

MIB = 1 << 20


def web(*sizes: OwnSize, count: int = 3, **more: object) -> GridSpec:
    spec = shop(count)
    cluster = msgspec.structs.replace(spec.clusters[0], sizes=sizes, **more)  # type: ignore[arg-type]
    return msgspec.structs.replace(spec, clusters=(cluster,))


def test_one_is_larger_and_the_others_are_not() -> None:
    spec = web(OwnSize("web-2", memory_bytes=256 * MIB), OwnSize("web-3", cpus_milli=100))
    assert problems(spec) == ()
    sizes = [(w.name, w.cpus_milli, w.memory_bytes // MIB) for w in workspaces(spec)]
    assert sizes == [("web-1", 500, 128), ("web-2", 500, 256), ("web-3", 100, 128)]
    assert as_member(spec.clusters[0], "web-2").sizes == ()


def test_an_order_of_an_older_build_has_none() -> None:
    plain = shop(3)
    said = {k: v for k, v in msgspec.to_builtins(plain.clusters[0]).items() if k != "sizes"}
    assert decode(encode(said), ClusterSpec) == plain.clusters[0]


@pytest.mark.parametrize(
    ("size", "field", "said"),
    [
        (OwnSize("web-4", 100), "workspace", 'found "web-4"; web has web-1 to web-3'),
        (OwnSize("db-1", 100), "workspace", 'found "db-1"; web has web-1 to web-3'),
        (OwnSize("web-01", 100), "workspace", 'found "web-01"'),
        (OwnSize("web-1"), "", "found neither cpus nor memory nor a rate"),
        (OwnSize("web-1", -1), "cpus_milli", "found no number of cpus; allowed are"),
        (OwnSize("web-1", 1 << 70), "cpus_milli", "found no number of cpus"),
        (OwnSize("web-1", 0, 1), "memory_bytes", "allowed are 32 MiB to"),
        (OwnSize("web-1", 0, 0, 1), "network_bits_s", "allowed are 256 kbit/s to 1 Tbit/s"),
        (OwnSize("web-1", 0, 0, -(1 << 70)), "network_bits_s", "found no rate"),
        (
            OwnSize("web-1", 0, 0, 1 << 70),
            "network_bits_s",
            "found a number beyond 64 bits; allowed are",
        ),
        (OwnSize("web-1", 0, -(1 << 70)), "memory_bytes", "found no size"),
        (OwnSize("web-1", disk_bytes_s=1), "disk_bytes_s", "allowed are 1 MiB/s to 1 TiB/s"),
        (OwnSize("web-1", disk_bytes_s=-1), "disk_bytes_s", "found no rate"),
        (
            OwnSize("web-1", disk_operations_s=1),
            "disk_operations_s",
            "found 1 operation/s; allowed are 16 operations/s to",
        ),
        (OwnSize("web-1", disk_operations_s=1 << 70), "disk_operations_s", "beyond 64 bits"),
    ],
)
def test_what_makes_no_sense(size: OwnSize, field: str, said: str) -> None:
    found = problems(web(size))
    assert [p.path for p in found] == [("clusters", 0, "sizes", 0, *([field] if field else []))]
    assert said in found[0].message


def test_twice_and_too_many_are_too_many() -> None:
    one = OwnSize("web-1", 100)
    (twice,) = problems(web(one, one))
    assert twice.message == 'found "web-1" twice'
    (many,) = problems(web(*(one for _ in range(NAMES_MAX + 1))))
    assert "at most 32 are allowed" in many.message


def test_it_keeps_to_how_far_its_cluster_can_be_raised() -> None:
    larger = OwnSize("web-1", memory_bytes=2048 * MIB)
    (found,) = problems(web(larger, max_memory_bytes=1024 * MIB))
    assert found.message == "found 2 GiB; allowed are 64 MiB to 1 GiB"
    (found,) = problems(web(OwnSize("web-1", 900), max_cpus_milli=800))
    assert found.message.endswith("to 0.8 cpus")


def test_only_the_one_that_is_resized_is_changed() -> None:
    placed = ("web-1", "web-2", "web-3")
    old, new = web(), web(OwnSize("web-2", memory_bytes=256 * MIB))
    assert delta(placed, old, new).changed == (("web-2", Manner.RESTART),)
    assert delta(placed, new, old).changed == (("web-2", Manner.LIVE),)
    assert delta(placed, new, new).changed == ()
    grown = web(OwnSize("web-2", memory_bytes=256 * MIB), memory_bytes=256 * MIB)
    assert delta(placed, new, grown).same == ("web-2",)


def test_what_differs_is_said_by_name() -> None:
    (found,) = differences(web(OwnSize("web-2", 250, 256 * MIB)), web())
    assert str(found) == "clusters.web.sizes: web-2 cpus 0.25 memory 256 MiB in the file, none up"
