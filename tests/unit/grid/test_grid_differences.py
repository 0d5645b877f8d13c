"""What is up otherwise than the file has it is said field by field, and no field of the model is forgotten."""

from enum import StrEnum
from types import UnionType
from typing import get_args

import msgspec
import pytest
from msgspec.structs import replace
from test_grid_check import GRID, HEAD, KEY, WORKER, head, worker

from protocol.grid.differences import DIFFERENCES_MOST, difference_lines, differences
from protocol.grid.expand import workspaces
from protocol.grid.model import (
    ClusterSpec,
    DeviceCount,
    Exposure,
    GridSpec,
    ImageRef,
    LeaseTerms,
    Mount,
    NetworkSpec,
    OwnSize,
    PlacementSpec,
    Transport,
    VolumeSpec,
)
from protocol.grid.written import keys_of

OLD, NEW = ImageRef("guest", "a" * 64), ImageRef("guest", "b" * 64)


def said(wanted: GridSpec, standing: GridSpec = GRID) -> list[str]:
    return [str(difference) for difference in differences(wanted, standing)]


TABLE = {
    "count": (worker(count=2), "clusters.worker.count: 2 in the file, 4 up"),
    "memory": (
        worker(memory_bytes=1 << 30),
        "clusters.worker.memory: 1 GiB in the file, 128 MiB up",
    ),
    "memory to the byte": (
        worker(memory_bytes=(128 << 20) + 4096),
        "clusters.worker.memory: 134221824 in the file, 134217728 up",
    ),
    "root disk": (
        worker(disk_bytes=20 << 30),
        "clusters.worker.disk: 20 GiB in the file, as large as the image up",
    ),
    "scratch disk": (
        worker(scratch_bytes=20 << 30),
        "clusters.worker.scratch: 20 GiB in the file, none up",
    ),
    "console": (
        worker(console_bytes=12 << 20),
        "clusters.worker.console: 12 MiB in the file, none up",
    ),
    "cpus to grow to": (
        worker(max_cpus_milli=4000),
        "clusters.worker.max-cpus: 4 in the file, as cpus up",
    ),
    "memory to grow to": (
        worker(max_memory_bytes=8 << 30),
        "clusters.worker.max-memory: 8 GiB in the file, as memory up",
    ),
    "user data": (
        worker(user_data="ab" * 32),
        "clusters.worker.user-data: abababababab in the file, none up",
    ),
    "time to shut down": (
        worker(stop_within_s=60),
        "clusters.worker.stop-within: 1 min in the file, 30 s up",
    ),
    "how it is started anew": (
        worker(update_at_once=2),
        "clusters.worker.update.at-once: 2 in the file, 1 up",
    ),
    "min": (worker(minimum=2), "clusters.worker.min: 2 in the file, as many as count up"),
    "labels": (
        worker(labels=("ssd", "x=1")),
        "clusters.worker.labels.required: ssd and x=1 in the file, none up",
    ),
    "mounts": (head(mounts=()), "clusters.head.volumes: none in the file, scratch at /srv up"),
    "devices": (
        worker(devices=(DeviceCount("gpu", 2),)),
        "clusters.worker.devices: 2 gpu in the file, none up",
    ),
    "exposed ports": (
        worker(expose=(Exposure(443), Exposure(53, Transport.UDP, 5353))),
        "clusters.worker.expose: 443 and 53/udp as 5353 in the file, none up",
    ),
    "another image": (
        worker(image=ImageRef("alpine")),
        "clusters.worker.image: alpine in the file, guest up",
    ),
    "cluster more": (
        replace(GRID, clusters=(HEAD, WORKER, replace(WORKER, name="more"))),
        "clusters.more: in the file, not up",
    ),
    "cluster less": (replace(GRID, clusters=(HEAD,)), "clusters.worker: up, not in the file"),
    "clusters in another order": (
        replace(GRID, clusters=(WORKER, HEAD)),
        "clusters: worker and head in the file, head and worker up; addresses follow the order",
    ),
    "network": (
        replace(GRID, networks=(NetworkSpec("lan", "10.43.0.0/24"),)),
        "networks.lan.cidr: 10.43.0.0/24 in the file, 10.42.0.0/24 up",
    ),
    "lease": (replace(GRID, lease_s=3600), "lease.for: 1 h in the file, 1 d up"),
    "start": (
        replace(GRID, lease=LeaseTerms(start_s=1.8e9)),
        "lease.start: 2027-01-15 08:00 UTC in the file, none up",
    ),
    "warnings": (
        replace(GRID, lease=LeaseTerms(warn_s=(600, 60))),
        "lease.warn: 10 min and 1 min in the file, none up",
    ),
    "keys": (
        replace(GRID, ssh_authorized_keys=(KEY, "ssh-ed25519 AAAAC3NzaC12345678")),
        "ssh-authorized-keys: ann and ...12345678 in the file, ann up",
    ),
    "within": (
        replace(GRID, placement=PlacementSpec(within_ms=30)),
        "placement.within: 30 ms in the file, any up",
    ),
    "best effort": (
        replace(GRID, lease=LeaseTerms(best_effort=True)),
        "lease.best-effort: true in the file, false up",
    ),
}


@pytest.mark.parametrize("row", TABLE)
def test_each_difference_in_the_words_of_the_file(row: str) -> None:
    wanted, line = TABLE[row]
    assert said(wanted) == [line]


def test_a_name_that_means_another_image_now() -> None:
    wanted, standing = worker(image=NEW), worker(image=OLD)
    assert said(wanted, standing) == [
        "clusters.worker.image: guest bbbbbbbbbbbb in the file, guest aaaaaaaaaaaa up;"
        " the name has another content now"
    ]


def test_what_only_is_in_another_order_is_the_same_where_order_means_nothing() -> None:
    some, other = (
        worker(labels=("a", "b"), provides=("x", "y")),
        worker(labels=("b", "a"), provides=("y", "x")),
    )
    assert said(some, other) == []
    two = (NetworkSpec("lan", "10.42.0.0/24"), NetworkSpec("wan", "10.43.0.0/24"))
    on_both = worker(networks=("lan", "wan"))
    assert said(replace(on_both, networks=two), replace(on_both, networks=two[::-1])) == []
    swapped = worker(networks=("wan", "lan"))
    assert said(swapped, on_both) == [
        "clusters.worker.networks: wan and lan in the file, lan and wan up"
    ]


def test_workspaces_that_were_taken_out_are_missed_where_the_file_needs_them() -> None:
    names = [workspace.name for workspace in workspaces(GRID)]
    assert differences(GRID, GRID, names) == ()
    (found,) = differences(GRID, GRID, names[:-1])
    assert str(found) == (
        "clusters.worker.count: 4 in the file, 3 up; others were taken out, or never made"
    )
    fewer = worker(minimum=2)
    assert differences(fewer, fewer, names[:-1]) == ()


def test_many_differences_are_counted() -> None:
    clusters = tuple(replace(WORKER, name=f"w{n}") for n in range(DIFFERENCES_MOST + 4))
    lines = difference_lines(differences(replace(GRID, clusters=clusters), GRID))
    assert len(lines) == DIFFERENCES_MOST + 1
    assert lines[-1] == "  and 6 more"


# -- every field of the model

FULL = GridSpec(
    name="star",
    vo="star",
    lease=LeaseTerms(warn_s=(60,)),
    networks=(NetworkSpec("lan", "10.42.0.0/24"),),
    volumes=(VolumeSpec("scratch", 1 << 30),),
    clusters=(replace(HEAD, count=3),),
    placement=PlacementSpec(sites=("uc",)),
)
PARTS: dict[type[msgspec.Struct], str] = {
    GridSpec: "",
    LeaseTerms: "lease",
    NetworkSpec: "networks",
    VolumeSpec: "volumes",
    ClusterSpec: "clusters",
    PlacementSpec: "placement",
}
"""Where each struct of a grid is in it."""


def changed(type_: type, value: object) -> object:
    """Another value of that type."""
    if isinstance(type_, UnionType):
        type_ = next(each for each in get_args(type_) if each is not type(None))
    match value:
        case bool():
            return not value
        case int() | float():
            return value + 1
        case tuple():
            return (*value, value[0]) if value else _first(get_args(type_)[0])
        case ImageRef():
            return ImageRef(value.name + "x")
    if issubclass(type_, StrEnum):
        return next(each for each in type_ if each != value)
    if issubclass(type_, int):
        return 1
    return f"{value}x"


def _first(entry: type) -> tuple[object, ...]:
    made = {
        Exposure: Exposure(443),
        Mount: Mount("v", "/v"),
        DeviceCount: DeviceCount("gpu", 1),
        int: 7,
    }
    return (next(iter(entry)) if issubclass(entry, StrEnum) else made.get(entry, "other"),)


def fields() -> list[tuple[type[msgspec.Struct], msgspec.structs.FieldInfo]]:
    return [
        (struct, field)
        for struct in PARTS
        for field in msgspec.structs.fields(struct)
        if PARTS.get(field.type) is None
        and not (struct is GridSpec and field.name in PARTS.values())
        and not (field.name == "name" and struct is not GridSpec)
    ]


@pytest.mark.parametrize(
    ("struct", "field"), fields(), ids=[f"{s.__name__}.{f.name}" for s, f in fields()]
)
def test_no_field_of_the_model_is_forgotten(
    struct: type[msgspec.Struct], field: msgspec.structs.FieldInfo
) -> None:
    part: msgspec.Struct = FULL
    if at := PARTS[struct]:
        found = getattr(FULL, at)
        part = found[0] if isinstance(found, tuple) else found
    other = replace(part, **{field.name: changed(field.type, getattr(part, field.name))})
    if at:
        whole = isinstance(getattr(FULL, at), tuple)
        wanted = replace(FULL, **{at: (other,) if whole else other})
    else:
        wanted = other
    (found,) = differences(wanted, FULL)
    assert found.path.split(".")[-1] == keys_of(field.name)[-1]
    assert found.wanted != found.standing


def test_the_structs_of_a_grid_are_all_walked() -> None:
    """So that a new one joins PARTS, or is one of those that are compared whole."""
    whole = {ImageRef, Mount, DeviceCount, OwnSize, Exposure}
    seen: set[type] = set()
    todo: list[object] = [GridSpec]
    while todo:
        type_ = todo.pop()
        todo += get_args(type_)
        if isinstance(type_, type) and issubclass(type_, msgspec.Struct) and type_ not in seen:
            seen.add(type_)
            todo += [field.type for field in msgspec.structs.fields(type_)]
    assert seen == PARTS.keys() | whole
