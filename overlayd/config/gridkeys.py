"""The grid file's keys, as types. gridfile.py reads by them, schema.py describes them to editors.

Descriptions are for the person who writes the file; examples appear in messages too.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta, field

from overlayd.config.moments import Moment
from overlayd.config.values import (
    Cpus,
    DiskRate,
    DiskSize,
    Duration,
    ExposedPort,
    Milliseconds,
    Operations,
    Rate,
    Size,
)
from protocol.grid.model import (
    SIX_AUTO,
    Compact,
    Driver,
    Encryption,
    OnExpiry,
    Restart,
    Spread,
    Strict,
    Wait,
)
from protocol.terms.architecture import Architecture

NO_SIX = "none"
"""What a file calls a network without IPv6."""


class Keys(msgspec.Struct, frozen=True, rename="kebab", forbid_unknown_fields=True):
    """Keys of one mapping: as the fields, with dashes."""


class LeaseKeys(Keys, frozen=True, kw_only=True):
    """When and how long the grid is wanted: at once, or by one of start, before and best-effort."""

    for_: Annotated[Duration, Meta(description="How long, 1m to 366d.", examples=["6h"])] = field(
        name="for"
    )
    start: Annotated[
        Moment | None,
        Meta(description="A reservation: it begins then.", examples=["tomorrow 14:00"]),
    ] = None
    before: Annotated[
        Moment | None,
        Meta(description="A deadline: any start that ends by then.", examples=["friday 18:00"]),
    ] = None
    best_effort: Annotated[
        bool, Meta(description="Wait for room rather than be refused; make room for reservations.")
    ] = False
    on_expiry: Annotated[
        OnExpiry,
        Meta(description="At its end: stop (disks are kept), suspend (memory too), delete."),
    ] = OnExpiry.STOP
    grace: Annotated[
        Duration | None,
        Meta(description="How long what is left is kept; 24h, at most 30d.", examples=["24h"]),
    ] = None
    warn: Annotated[
        tuple[Duration, ...] | None,
        Meta(description="How long before its end to warn.", examples=[["1h", "10m"]]),
    ] = None


class NetworkKeys(Keys, frozen=True, kw_only=True):
    """A private network between workspaces, wherever they run."""

    cidr: Annotated[
        str, Meta(description="A private IPv4 range of its own.", examples=["10.42.0.0/24"])
    ]
    cidr6: Annotated[
        str,
        Meta(
            description="Its IPv6: auto (a /64 of its own), none, or a /64.",
            examples=["auto", "none", "fd42:17::/64"],
        ),
    ] = SIX_AUTO
    encryption: Annotated[
        Encryption,
        Meta(
            description="What goes from host to host is sealed. `none`: anybody on the way can read it."
        ),
    ] = Encryption.REQUIRED
    internet: Annotated[
        bool,
        Meta(description="Its guests get out, through the hosts that allow it."),
    ] = False
    multicast: Annotated[
        bool,
        Meta(
            description="What a guest sends to a group of IPv4, or to all, goes to all others, wherever they"
            " are. If not, it ends at its host."
        ),
    ] = False


class VolumeKeys(Keys, frozen=True, kw_only=True):
    """A disk that outlives the workspace that mounts it."""

    size: Annotated[Size, Meta(description="Its size.", examples=["20G"])]
    replicas: Annotated[int, Meta(description="Copies on different hosts; 1 for now.")] = 1


class LabelKeys(Keys, frozen=True, kw_only=True):
    """Labels of hosts, as their configurations name them."""

    required: Annotated[
        tuple[str, ...], Meta(description="Only hosts with all of these.", examples=[["ssd"]])
    ] = ()
    preferred: Annotated[
        tuple[str, ...],
        Meta(description="Hosts with more of these first.", examples=[["rack=b7"]]),
    ] = ()


class NearKeys(Keys, frozen=True, kw_only=True):
    """What to be near, as far as there is room: on the same host, else at its site, else not far."""

    volume: Annotated[str, Meta(description="A volume of this grid.", examples=["scratch"])] = ""
    image: Annotated[
        str, Meta(description="An image: near hosts that have it.", examples=["debian-12"])
    ] = ""


class UpdateKeys(Keys, frozen=True, kw_only=True):
    """How another image, or what else needs another start, goes through a cluster: some after others."""

    at_once: Annotated[
        int,
        Meta(description="How many may be on their way at once; 1 if left out.", examples=[1]),
    ] = 1
    wait: Annotated[
        Wait,
        Meta(
            description="What the next ones wait for: ready (as `up` does) or running. The first that does not"
            " come so far stops it."
        ),
    ] = Wait.READY


class SizeKeys(Keys, frozen=True, kw_only=True):
    """How large one workspace is, where that is not as its cluster says."""

    cpus: Annotated[Cpus | None, Meta(description="Its cpus.", examples=[2])] = None
    memory: Annotated[Size | None, Meta(description="Its memory.", examples=["4G"])] = None
    network_rate: Annotated[
        Rate | None, Meta(description="Its rate on each network.", examples=["100M"])
    ] = None
    disk_rate: Annotated[
        DiskRate | None, Meta(description="The rate of its disks.", examples=["50M"])
    ] = None
    disk_operations: Annotated[
        Operations | None, Meta(description="Reads and writes a second.", examples=[500])
    ] = None


class ClusterKeys(Keys, frozen=True, kw_only=True):
    """A number of equal workspaces, named CLUSTER-1, CLUSTER-2, ..."""

    NOT_YET: ClassVar[Mapping[str, str]] = {
        "within": "it is a rule of the whole grid; write it under placement",
    }
    count: Annotated[int, Meta(description="How many workspaces, 1 to 1024.")] = 1
    min: Annotated[
        int | None,
        Meta(description="Fewest that still make a grid; as many as count if left out."),
    ] = None
    elastic: Annotated[
        bool,
        Meta(
            description="Whether it grows to count as room comes, and gives room down to min when others need"
            " it, the newest first. It needs a min below count, and lease.best-effort."
        ),
    ] = False
    image: Annotated[
        str,
        Meta(
            description="Its name, as the asked host, its site or yours calls it, or NAME@sha256:DIGITS.",
            examples=["debian-12", "debian-12@sha256:4f1c66a08f3b"],
        ),
    ]
    cpus: Annotated[Cpus, Meta(description="Cpus of each workspace.", examples=[2])]
    memory: Annotated[Size, Meta(description="Memory of each workspace.", examples=["4G"])]
    max_cpus: Annotated[
        Cpus | None,
        Meta(
            description="How far cpus can be raised while it runs, at most 240; no further than cpus if left"
            " out. They are not reserved.",
            examples=[4],
        ),
    ] = None
    max_memory: Annotated[
        Size | None,
        Meta(
            description="How far memory can be raised while it runs, at most 16 times memory; no further than"
            " memory if left out. It is not reserved, and its guest's own tables for it take a 64th of it.",
            examples=["16G"],
        ),
    ] = None
    sizes: Annotated[
        dict[str, SizeKeys],
        Meta(
            description="Workspaces of it that are larger or smaller than the others, by name.",
            examples=[{"worker-3": {"memory": "8G"}}],
        ),
    ] = {}
    disk: Annotated[
        DiskSize | None,
        Meta(
            description="The size of each workspace's root disk, which begins as its image; the image's own"
            " size if left out. It is kept when it is stopped or restarted, and gone with it.",
            examples=["20G"],
        ),
    ] = None
    scratch: Annotated[
        Size | None,
        Meta(
            description="Another disk of each workspace's own, mounted at /scratch: empty at first, kept when"
            " it is suspended or restarted, and gone with it. What is to stay is put on a volume. 0 is none.",
            examples=["50G"],
        ),
    ] = None
    console: Annotated[
        Size | None,
        Meta(
            description="What the log of each workspace's console may take of its host's disk, 4M to 1G; 12M if"
            " left out. Of what it says beyond that, the oldest goes.",
            examples=["12M"],
        ),
    ] = None
    user_data: Annotated[
        str,
        Meta(
            description="A file for its first boot, beside this one: cloud-config, a script or MIME.",
            examples=["head.yaml"],
        ),
    ] = ""
    restart: Annotated[
        Restart,
        Meta(description="Whether it is started again when it ends by itself."),
    ] = Restart.ON_FAILURE
    stop_within: Annotated[
        Duration | None,
        Meta(
            description="How long it may take to shut down before it is cut off; 30s, 0s (at once) to 10m.",
            examples=["30s"],
        ),
    ] = None
    update: Annotated[
        UpdateKeys,
        Meta(description="How its workspaces are started anew, when the grid is changed."),
    ] = UpdateKeys()
    networks: Annotated[
        tuple[str, ...], Meta(description="Networks it is on.", examples=[["lan"]])
    ] = ()
    network_rate: Annotated[
        Rate | None,
        Meta(
            description="What each workspace can send, and be sent, on each of its networks, in bits a second:"
            " it is promised so much, and has no more. It can be changed while it runs. If left out, nothing is"
            " promised, and it has what there is.",
            examples=["100M"],
        ),
    ] = None
    disk_rate: Annotated[
        DiskRate | None,
        Meta(
            description="What each workspace can read and write, together, of all its disks, in bytes a second"
            " (powers of 1024): it is promised so much, and has no more. It can be changed while it runs."
            " If left out, nothing is promised, and it has what there is. A container"
            " may read so much and write so much on each disk.",
            examples=["50M"],
        ),
    ] = None
    disk_operations: Annotated[
        Operations | None,
        Meta(
            description="The same in reads and writes a second, whatever their size.",
            examples=[500],
        ),
    ] = None
    expose: Annotated[
        tuple[ExposedPort, ...],
        Meta(
            description="Ports of each workspace that are reached from outside, at ports of its host: one that"
            " the host chooses and `overlayctl show` tells, or the one under `as`, which a host has once.",
            examples=[[443, "53/udp", {"port": 22, "as": 2222}]],
        ),
    ] = ()
    volumes: Annotated[
        dict[str, str],
        Meta(description="Volumes and where to mount them.", examples=[{"scratch": "/srv"}]),
    ] = {}
    provides: Annotated[
        tuple[str, ...],
        Meta(description="Services others can require.", examples=[["nfs-server"]]),
    ] = ()
    requires: Annotated[
        tuple[str, ...],
        Meta(description="Services that must be ready first.", examples=[["nfs-server"]]),
    ] = ()
    labels: Annotated[
        LabelKeys,
        Meta(description="Of the hosts it may be on.", examples=[{"required": ["ssd"]}]),
    ] = LabelKeys()
    architecture: Annotated[
        Architecture | None,
        Meta(description="Of the hosts; any if left out.", examples=["x86_64"]),
    ] = None
    driver: Annotated[
        Driver | None,
        Meta(description="What runs it: `kvm`, `qemu` (kvm or emulated), `lxc`.", examples=["kvm"]),
    ] = None
    devices: Annotated[
        dict[str, int],
        Meta(
            description="Devices of each workspace, by the names hosts give them. They are kept free"
            " for it on its host; handing them to the guest is not built yet.",
            examples=[{"gpu": 1}],
        ),
    ] = {}
    near: Annotated[
        NearKeys, Meta(description="What to be near.", examples=[{"volume": "scratch"}])
    ] = NearKeys()


class PlacementKeys(Keys, frozen=True, kw_only=True):
    """Where the workspaces may be."""

    spread: Annotated[
        Spread, Meta(description="What workspaces should not share, where possible.")
    ] = Spread.NONE
    sites: Annotated[
        tuple[str, ...], Meta(description="Only these sites.", examples=[["uc", "fnal"]])
    ] = ()
    exclude: Annotated[
        tuple[str, ...], Meta(description="Never on these hosts.", examples=[["uc-4"]])
    ] = ()
    exclude_sites: Annotated[
        tuple[str, ...], Meta(description="Never at these sites.", examples=[["bnl"]])
    ] = ()
    prefer: Annotated[
        tuple[str, ...],
        Meta(description="Sites, the best first; others only behind them.", examples=[["uc"]]),
    ] = ()
    compact: Annotated[
        Compact, Meta(description="What workspaces should share, where possible.")
    ] = Compact.NONE
    strict: Annotated[
        tuple[Strict, ...],
        Meta(
            description="Rules to be kept, or the grid is refused: with spread no two workspaces"
            " share it, with compact all do.",
            examples=[["spread"]],
        ),
    ] = ()
    within: Annotated[
        Milliseconds | None,
        Meta(description="Longest round trip between any two members' hosts.", examples=["30ms"]),
    ] = None
    apart: Annotated[
        tuple[str, ...],
        Meta(description="Grids of yours to share no host with.", examples=[["star-main"]]),
    ] = ()


class GridKeys(Keys, frozen=True, kw_only=True):
    """A virtual grid: clusters of virtual machines, their networks and their storage."""

    grid: Annotated[str, Meta(description="Its name.", examples=["star-sim"])]
    vo: Annotated[
        str,
        Meta(
            description="The virtual organisation it runs for: kept with the grid, not checked yet."
        ),
    ] = ""
    lease: Annotated[
        LeaseKeys | None, Meta(description="24 hours if left out.", examples=[{"for": "6h"}])
    ] = None
    networks: Annotated[
        dict[str, NetworkKeys],
        Meta(description="By name.", examples=[{"lan": {"cidr": "10.42.0.0/24"}}]),
    ] = {}
    volumes: Annotated[
        dict[str, VolumeKeys],
        Meta(description="By name.", examples=[{"scratch": {"size": "20G"}}]),
    ] = {}
    clusters: Annotated[
        dict[str, ClusterKeys],
        Meta(
            description="By name.",
            examples=[{"worker": {"count": 2, "image": "debian-12", "cpus": 1, "memory": "1G"}}],
        ),
    ]
    placement: Annotated[
        PlacementKeys,
        Meta(description="Anywhere if left out.", examples=[{"spread": "site"}]),
    ] = PlacementKeys()
    ssh_authorized_keys: Annotated[
        tuple[str, ...],
        Meta(description="Who may log in.", examples=[["ssh-ed25519 AAAAC3... name"]]),
    ] = ()
    profiles: Annotated[
        dict[str, dict[str, Any]],
        Meta(
            description="Parts of this file to write over it, chosen by --profile.",
            examples=[{"test": {"clusters": {"worker": {"count": 2}}}}],
        ),
    ] = {}
