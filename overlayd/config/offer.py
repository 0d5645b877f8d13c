"""What a host offers: a table of its daemon's configuration."""

from collections.abc import Iterator
from typing import Annotated

import msgspec
from msgspec import Meta

from overlayd.config.documents import KeyPath
from overlayd.config.values import Cpus, DiskRate, Label, Operations, Rate, Size
from protocol.grid.problem import quoted
from protocol.grid.syntax import label_problem
from protocol.terms.quantities import (
    format_byte_rate,
    format_cpus,
    format_operations,
    format_rate,
    format_size,
)

LABELS_MAX = 32
"""Labels of a host, and names of devices. Every advert carries them."""

DEVICES_MAX = 1024


class Table(msgspec.Struct, frozen=True, rename="kebab", forbid_unknown_fields=True):
    """One table of the file. Keys are as the fields, with dashes."""


class OfferTable(Table, frozen=True, kw_only=True):
    """Caps on what is offered. What is left out is offered whole."""

    cpus: Cpus | None = None
    memory: Size | None = None
    disk: Size | None = None
    labels: Annotated[tuple[Label, ...], Meta(examples=[["ssd", "rack=b7"]])] = ()
    """What grid files can ask for under `labels`."""
    devices: Annotated[dict[str, int], Meta(examples=[{"gpu": 2}])] = {}
    """How many of each, by a name of your choosing. Each is promised once, and not handed to guests yet."""
    network_rate: Annotated[Rate | None, Meta(examples=["10G"])] = None
    """Bits a second of its links that are promised to workspaces with a `network-rate`, together, each way. If
    left out, these are held to their rates and not counted."""
    disk_rate: Annotated[DiskRate | None, Meta(examples=["500M"])] = None
    """Bytes a second of its disks, read and written together, that are promised to workspaces with a
    `disk-rate`, together. If left out, these are held to their rates and not counted."""
    disk_operations: Annotated[Operations | None, Meta(examples=[20000])] = None
    """The same in reads and writes a second, of workspaces with `disk-operations`."""


def offer_problems(offer: OfferTable) -> Iterator[tuple[KeyPath, str]]:
    """What is wrong with it, each with the keys that lead there."""
    for key, value, written in (
        ("cpus", offer.cpus, format_cpus),
        ("memory", offer.memory, format_size),
        ("disk", offer.disk, format_size),
        ("network-rate", offer.network_rate, format_rate),
        ("disk-rate", offer.disk_rate, format_byte_rate),
        ("disk-operations", offer.disk_operations, format_operations),
    ):
        if value == 0:
            whole = "offer all of it" if key in ("cpus", "memory", "disk") else "not count it"
            yield ("offer", key), f"found {written(0)}; leave it out to {whole}"
    if len(offer.labels) > LABELS_MAX:
        found = f"found {len(offer.labels)} labels"
        yield ("offer", "labels"), f"{found}; at most {LABELS_MAX} are allowed"
    for index, label in enumerate(offer.labels):
        if label in offer.labels[:index]:
            yield ("offer", "labels", index), f"found {quoted(label)} a second time"
    if len(offer.devices) > LABELS_MAX:
        found = f"found {len(offer.devices)} names of devices"
        yield ("offer", "devices"), f"{found}; at most {LABELS_MAX} are allowed"
    for name, count in offer.devices.items():
        if problem := label_problem(name):
            yield ("offer", "devices", name), problem
        elif not 1 <= count <= DEVICES_MAX:
            yield ("offer", "devices", name), f"found {count}; allowed are 1 to {DEVICES_MAX}"
