"""The advert: what a host tells everybody about its room. It is a hint; the host's own answer is final.

An advert says how many of each standard shape fit. It does not say sums, since sums lie about fragments.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from protocol.capacity.allotments import Parts
from protocol.capacity.quantum import Quantum
from protocol.capacity.rates import Rates
from protocol.capacity.room import Step
from protocol.terms.coordinate import NOWHERE, Coordinate
from protocol.terms.ids import KeyId
from protocol.terms.limits import MTU_MOST
from protocol.terms.login import Login
from protocol.terms.ranges import (
    PORT_MOST,
    Amount,
    Count,
    Line,
    Moment,
    Name,
    Place,
    Port,
    Size,
    shown,
)
from protocol.terms.wireguard import WireguardEnd

KIND = "advert"

SPENT_MOST = 64
"""Keys of which a host tells what they have there, those with most workspaces: 7 KiB at most."""

_G = 1 << 30

SHAPES: tuple[tuple[str, Quantum], ...] = (
    ("0.25cpu/128M", Quantum(250, 128 << 20, 0)),
    ("1cpu/1G", Quantum(1000, 1 * _G, 0)),
    ("2cpu/4G", Quantum(2000, 4 * _G, 0)),
    ("4cpu/8G", Quantum(4000, 8 * _G, 0)),
)
"""Standard shapes. A request is compared with the nearest that is not smaller."""


CONFINED_MOST = 200
"""Characters of what a host says of how its guests are confined."""


class GivenPorts(msgspec.Struct, frozen=True):
    """The ports of a host at which it lets guests be reached."""

    first: Annotated[int, Meta(ge=0, le=PORT_MOST)] = 0
    """0: it gives none."""
    last: Annotated[int, Meta(ge=0, le=PORT_MOST)] = 0
    address: Place = ""
    """Where they are, for people and their programs."""
    used: tuple[tuple[Port, Line], ...] = ()
    """Those of them that are the host's own, and for what. Others are not told."""

    def __contains__(self, number: int) -> bool:
        return 0 < self.first <= number <= self.last

    def why_not(self, number: int) -> str:
        """Why a port is none of these, for people; empty if it is one. Of 0: why none is."""
        if not self.first:
            return "it gives no ports at which guests are reached"
        if number not in self:
            return f"it gives the ports {self.first}-{self.last}, asked: {number}"
        return ""


class HostFacts(msgspec.Struct, frozen=True):
    """What the shell probed of its host. It seldom changes."""

    capacity: Quantum
    architecture: Name
    driver: Line
    accelerator: Name
    accelerator_why: Line
    underlay: Place
    """The address other hosts send traffic of overlay networks to."""
    encrypts: bool
    """Whether it encrypts the traffic of grids' networks between hosts."""
    labels: tuple[Name, ...] = ()
    """What its configuration says of it. Its devices are part of `capacity`."""
    suspends: bool = True
    """Whether it can save a machine's memory to disk. Containers cannot be saved. Where it cannot, best-effort
    work keeps its room to its end."""
    mtu: Annotated[int, Meta(ge=0, le=MTU_MOST)] = 0
    """The largest packet its guests may send, in bytes. 0: it does not say."""
    underlay_fault: Line = ""
    """Why no network of a grid can be made here, for people; empty if one can."""
    egress: bool = False
    """Whether its guests may reach the outside by networks with `internet`."""
    egress_fault: Line = ""
    """Why they may not though they are to, for people; empty if nothing stops it."""
    ports: GivenPorts = GivenPorts()
    """At which of its ports guests may be reached. How many are free is part of `capacity`."""
    ports_fault: Line = ""
    """Why they may not though they are to, for people; empty if nothing stops it."""
    unfit: Line = ""
    """Why this host takes nothing new, however much room it has; empty if it takes what fits."""
    confined: Annotated[str, Meta(max_length=CONFINED_MOST)] = ""
    """What its guests' processes are confined by: at best `user, seccomp, namespaces, mac`. It begins with
    `root` where they run as root. Empty: it does not say."""
    tunnel_port: Annotated[int, Meta(ge=0, le=65535)] = 0
    """Where its forwarder takes what is sealed, UDP. 0: it does not say, or cannot seal."""
    wireguard: WireguardEnd | None = None
    """Its end of WireGuard; None if it does not say, or could make no interface when it tried."""
    wireguard_why: Line = ""
    """Why it could not, for people; empty if it could."""
    relay_bytes_s: Amount = 0
    """What it lends for passing on between hosts that do not reach each other."""
    disk_rate_fault: Line = ""
    """Why it cannot hold its guests to a rate of their disks, for people; empty if it can."""

    def sayable(self) -> "HostFacts":
        """The same as it can be said to others: what a probe found may be of any length or size."""
        return msgspec.structs.replace(
            self,
            capacity=self.capacity.bounded(),
            driver=shown(self.driver),
            accelerator_why=shown(self.accelerator_why),
            underlay_fault=shown(self.underlay_fault),
            egress_fault=shown(self.egress_fault),
            ports_fault=shown(self.ports_fault),
            unfit=shown(self.unfit),
            wireguard_why=shown(self.wireguard_why),
            disk_rate_fault=shown(self.disk_rate_fault),
        )

    def without_reasons(self) -> "HostFacts":
        """The same without what only people read, and no rule of placement does."""
        return msgspec.structs.replace(self, accelerator_why="", wireguard_why="")

    def public(self) -> "HostFacts":
        """The same without what only this host goes by: which of its ports are its own."""
        if not self.ports.used:
            return self
        return msgspec.structs.replace(self, ports=msgspec.structs.replace(self.ports, used=()))

    @property
    def runs_by(self) -> tuple[str, ...]:
        """The drivers it answers to: libvirt's scheme, and also `kvm` if it runs by that. Machines that only
        pretend pretend to be QEMU's, too."""
        family = self.driver.partition(":")[0]
        if family == "test":
            return (family, "qemu")
        return (family, "kvm") if self.accelerator == "kvm" else (family,)


UNPROBED = HostFacts(
    capacity=Quantum(),
    architecture="",
    driver="",
    accelerator="",
    accelerator_why="the hypervisor was not tried yet",
    underlay="",
    encrypts=False,
)
"""The facts of a host in its first moments: nothing fits."""


class ImageLabel(msgspec.Struct, frozen=True):
    """An image that this host has."""

    name: Name
    """Empty of an image that is known by its digest only."""
    digest: str
    size_bytes: Amount
    """What it takes of that host's disk."""
    kind: Name = "appliance"
    """An `ImageKind`, or what a newer version calls it."""
    virtual_bytes: Amount = 0
    """How long its content is: of a disk, what a guest sees. 0: it is not said."""
    firmware: Name = ""
    architecture: Name = ""
    default_user: Login = ""
    """Who logs in to a guest of it. Empty: nobody said."""
    heard: bool = False
    """Whether the name came with a grid that uses the image: nobody at that host gave it."""


class Spent(msgspec.Struct, frozen=True, array_like=True):
    """What a host holds and leases by orders of one key: of an owner, or of a member and all below."""

    key: KeyId
    cpus_milli: Size
    memory_bytes: Size
    disk_bytes: Size
    workspaces: Count
    devices: Size
    """Of all names together."""


class Advert(msgspec.Struct, frozen=True):
    """Body of the record of kind `advert`."""

    facts: HostFacts
    free: Quantum
    shapes: tuple[tuple[Name, Amount], ...]
    images: tuple[ImageLabel, ...]
    workspaces: Count
    later: tuple[Step, ...] = ()
    """Free room from now on."""
    rates: Rates = Rates()
    here: Coordinate = NOWHERE
    """Where the host is in the network. Others estimate their distance from it."""
    apart_s: Moment = 0.0
    """By how many seconds its clock is ahead of its neighbours', if it takes nothing new for that; else 0."""
    spent: Annotated[tuple[Spent, ...], Meta(max_length=SPENT_MOST)] = ()
    """By key, for the other hosts of its site: a ceiling there counts what all of them have."""
    lacks: Parts = ()
    """What it asks them to give back of their allotments (allotments.py)."""


def shapes_in(free: Quantum) -> tuple[tuple[str, int], ...]:
    """How many of each standard shape fit."""
    return tuple((name, shape.times_in(free)) for name, shape in SHAPES)
