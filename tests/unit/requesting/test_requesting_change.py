"""What a change needs of hosts: nothing for what stays, growth where it is, all of what is added."""

from random import Random

import msgspec
from negotiating import FEDERATION, NOW, A, B, C, record_of, shop

from protocol.capacity.quantum import Quantum
from protocol.grid.model import GridSpec, Mount, VolumeSpec
from protocol.grid.record import ApplyTerms
from protocol.requesting.change import Change, made
from protocol.sim.people import Admin

OWNER = Admin(FEDERATION, "s1", Random(8), lambda: (A, B, C))


def web(spec: GridSpec, **changed: object) -> GridSpec:
    return msgspec.structs.replace(
        spec, clusters=(msgspec.structs.replace(spec.clusters[0], **changed),)
    )


def change(new: GridSpec, old: GridSpec | None = None, *, without: tuple[str, ...] = ()) -> Change:
    old = old or shop(2)
    order = OWNER.up(old, NOW)
    hosts = (A, B, C)
    record = record_of(order, {f"web-{i + 1}": hosts[i] for i in range(old.clusters[0].count)})
    return Change(record, old, ApplyTerms(new, 1, without))


def test_what_stays_is_nobody_asked_about() -> None:
    more = change(shop(3))
    assert more.asks
    assert (more.stays, more.fixed, more.gone) == ({"web-1": A, "web-2": B}, {}, {})
    assert more.said == "+1 web"
    fewer = change(shop(1))
    assert not fewer.asks
    assert fewer.gone == {"web-2": B}
    assert not fewer.nothing
    assert change(shop(2)).nothing


def test_of_what_is_changed_a_host_needs_what_it_grows_by() -> None:
    grown = change(web(shop(2), memory_bytes=384 << 20, cpus_milli=250))
    assert grown.fixed == {"web-1": A, "web-2": B}
    assert grown.size("web-1") == Quantum(0, 256 << 20, 0), "fewer cpus get free later"
    assert grown.restarted() == ("web-1", "web-2"), "beyond what it can be raised to while it runs"


def test_what_is_left_out_goes_and_does_not_come_back() -> None:
    left = change(shop(3), without=("web-1", "web-3"))
    assert left.gone == {"web-1": A}
    assert not left.asks


def test_what_has_a_volume_comes_back_where_that_is() -> None:
    with_data = msgspec.structs.replace(
        web(shop(1), mounts=(Mount("data", "/data"),)), volumes=(VolumeSpec("data", 1 << 30),)
    )
    order = OWNER.up(with_data, NOW)
    up = record_of(order, {"web-1": B})
    record = msgspec.structs.replace(up, assignments=())
    back = Change(record, with_data, ApplyTerms(with_data, 2))
    assert back.delta.added == ("web-1",)
    assert back.fixed == {"web-1": B}
    assert back.size("web-1").disk_bytes >= 1 << 30


def test_images_are_looked_for_of_what_is_made_anew() -> None:
    spec = shop(2)
    second = msgspec.structs.replace(spec.clusters[0], name="more", count=1)
    both = msgspec.structs.replace(spec, clusters=(*spec.clusters, second))
    assert [cluster.name for cluster in made(change(both)).clusters] == ["more"]
    assert made(change(shop(1))).clusters == ()
