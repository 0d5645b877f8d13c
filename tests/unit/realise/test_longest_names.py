"""A name that is allowed works: the longest of each kind, through everything a host makes of a grid.

What the adapters say of names is asked of their own checks. Nothing here touches the kernel or a disk.
"""

import re
from pathlib import Path

import pytest
from msgspec.structs import replace

from netns import saved
from netns.model import IFNAME_MAX
from netns.plan import dnsmasq
from netns.plan.wanted import alias_of
from overlayd.adapters import image_format, seeds, volumes
from overlayd.adapters.libvirt.driver import DomainType, Driver, embed_root
from overlayd.adapters.libvirt.xml import DEVICES_MAX, domain_xml
from overlayd.adapters.roots import DirectoryRoots
from overlayd.config.places import CONSOLE_SOCKET, LIBVIRT_ROOT, LIBVIRT_ROOT_MAX, SOCKET_PATH_MAX
from overlayd.config.values import Label, Name
from overlayd.ports.compute import Disk, DiskBoot
from overlayd.realise.paths import Paths, root_name
from overlayd.realise.plan import Site, disks, machine, mtu_of, networks, seed
from protocol.grid import addresses, limits
from protocol.grid.check import problems
from protocol.grid.expand import workspaces
from protocol.grid.lifecycle import Wanted
from protocol.grid.model import ClusterSpec, GridSpec, ImageRef, Mount, NetworkSpec, VolumeSpec
from protocol.grid.record import Assignment, GridRecord, GridState, HostRef
from protocol.hosting.part import Part, PartOf
from protocol.image.facts import Firmware
from protocol.terms.ids import GridId, KeyId, PeerId
from protocol.trust.order import SignedOrder

STATE = Path("/var/lib/overlayd")
ME = PeerId("a" * 64)
OTHER = PeerId("b" * 64)
GRID_ID = GridId(f"{'f' * 20}.1000000-{'f' * 6}")
"""After a million attempts at one order."""

KERNEL_LINK = re.compile(rf"[A-Za-z0-9_-]{{1,{IFNAME_MAX}}}")
LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
"""Of DNS, RFC 1123: 63 octets."""
HOSTNAME_MAX = 64
"""Of Linux."""
SERIAL_MAX = 20
"""Of a virtio disk, in bytes."""
FILE_NAME_MAX = 255
NFT_NAME_MAX = 128


def longest(length: int, mark: str) -> str:
    """A name of that length that is like no other."""
    return f"{mark}{'x' * (length - 2)}1"


IMAGE = longest(limits.IMAGE_NAME_MAX, "i")
NETWORKS = tuple(
    NetworkSpec(longest(limits.NAME_MAX, chr(97 + n)), f"10.{n}.0.0/20")
    for n in range(limits.NETWORKS_MAX)
)
VOLUMES = tuple(
    VolumeSpec(longest(limits.VOLUME_NAME_MAX, chr(97 + n)), limits.VOLUME_BYTES_MIN)
    for n in range(limits.DISKS_AND_CARDS_MAX - limits.NETWORKS_MAX - 1)
)
ONE = ClusterSpec(
    name=longest(limits.NAME_MAX, "a"),
    count=1,
    image=ImageRef(IMAGE, "d" * 64),
    cpus_milli=1000,
    memory_bytes=1 << 30,
    networks=tuple(network.name for network in NETWORKS),
    mounts=tuple(Mount(v.name, f"/srv/{n}{'m' * 200}") for n, v in enumerate(VOLUMES)),
    scratch_bytes=1 << 30,
    provides=(longest(limits.NAME_MAX, "s"),),
    labels=(f"{'l' * (limits.TAG_MAX - 2)}=b",),
)
MANY = replace(
    ONE,
    name=longest(limits.NAME_MAX, "b"),
    count=limits.WORKSPACES_MAX - 1,
    mounts=(),
    scratch_bytes=0,
    provides=(),
    requires=ONE.provides,
)
SPEC = GridSpec(
    name=longest(limits.GRID_NAME_MAX, "g"),
    vo=longest(limits.NAME_MAX, "v"),
    clusters=(ONE, MANY),
    networks=NETWORKS,
    volumes=VOLUMES,
)
RECORD = GridRecord(
    id=GRID_ID,
    name=SPEC.name,
    owner=KeyId("c" * 64),
    owner_site=longest(limits.NAME_MAX, "u"),
    epoch=1,
    state=GridState.UP,
    order=SignedOrder(b"", b"", ()),
    stewards=(ME,),
    hosts=(
        HostRef(ME, longest(limits.NAME_MAX, "h"), "s1"),
        HostRef(OTHER, longest(limits.NAME_MAX, "o"), "s1"),
    ),
    assignments=tuple(
        Assignment(w.name, ME if w.index in (1, MANY.count) else OTHER) for w in workspaces(SPEC)
    ),
    vnis=tuple((network.name, n + 1) for n, network in enumerate(NETWORKS)),
)
HERE = tuple(PartOf(w, Wanted(w.name), ()) for w in workspaces(SPEC) if w.name in RECORD.on(ME))
PART = Part(RECORD, SPEC, addresses.plan(SPEC), HERE, ())
SITE = Site(ME, "abc123", "10.99.0.1", 1450)


def test_the_grid_is_one_that_may_be_asked_for() -> None:
    assert problems(SPEC) == ()
    assert max(len(workspace.name) for workspace in workspaces(SPEC)) == limits.NAME_MAX + 5


def test_its_networks_can_be_made(tmp_path: Path) -> None:
    plans = networks(PART, SITE)
    assert len(plans) == limits.NETWORKS_MAX
    for plan in plans:
        plan.check()
        folder = saved.directory_of(tmp_path, plan.network)
        folder.mkdir()
        assert len(alias_of(plan.owner_tag, plan.network)) <= FILE_NAME_MAX
        links = [plan.bridge, plan.vxlan, plan.veth, *(port.tap for port in plan.ports)]
        assert all(KERNEL_LINK.fullmatch(link) for link in links)
        assert len(plan.table) <= NFT_NAME_MAX
        labels = [label for m in plan.ports for label in f"{m.name}.{plan.domain}".split(".")]
        assert all(LABEL.fullmatch(label) for label in labels)
        assert max(len(line) for line in dnsmasq.names(plan).splitlines()) < 1024


def test_its_guests_can_be_told_who_they_are() -> None:
    for mine in HERE:
        told = seed(PART, mine, mtu_of(PART, SITE))
        assert len(told.hostname) <= HOSTNAME_MAX
        assert set(seeds.files_of(told)) == {
            "meta-data",
            "user-data",
            "vendor-data",
            "network-config",
        }


def test_its_machines_and_disks_can_be_made(tmp_path: Path) -> None:
    paths = Paths(STATE)
    boots = DiskBoot(Firmware.UEFI, "/r/variables.fd")
    there, roots = volumes.DirectoryVolumes(tmp_path / "v"), DirectoryRoots(tmp_path / "r")
    for mine in HERE:
        found = disks(PART, mine)
        for _, on_host, _ in found:
            assert len(there._path(on_host).name) <= FILE_NAME_MAX
        at = {name: f"/v/{name}" for name, _, _ in found}
        on_host = roots._folder(root_name(GRID_ID, mine.workspace.name, 10**8)).name
        assert len(on_host) <= FILE_NAME_MAX
        root = Disk(f"/r/{on_host}", "root", "qcow2", backing="/i")
        made = machine(PART, mine, boots, (root,), "/seed.iso", at, paths, mtu_of(PART, SITE))
        assert seeds._MACHINE.fullmatch(made.name)
        assert all(len(disk.serial) <= SERIAL_MAX for disk in made.disks)
        assert len(made.disks) + len(made.nics) <= DEVICES_MAX + 1, "its root disk has its own"
        assert len(made.console_socket) <= SOCKET_PATH_MAX
        assert "<domain" in domain_xml(made, Driver(DomainType.QEMU))


def test_what_one_machine_may_have_is_what_its_bus_takes() -> None:
    assert limits.DISKS_AND_CARDS_MAX == DEVICES_MAX


def test_a_state_directory_as_long_as_is_allowed_holds_every_socket() -> None:
    root = f"/{'s' * (LIBVIRT_ROOT_MAX - len(LIBVIRT_ROOT) - 2)}"
    assert embed_root(f"qemu:///embed?root={root}/{LIBVIRT_ROOT}") == f"{root}/{LIBVIRT_ROOT}"
    _, socket = Paths(STATE).console(GRID_ID, HERE[0].workspace.name)
    assert len(str(socket.relative_to(STATE))) == len(CONSOLE_SOCKET)


@pytest.mark.parametrize("name", [IMAGE, "Debian-12", "9front", "a.", "x_"])
def test_an_image_that_may_be_added_may_be_named_in_a_file(name: str) -> None:
    image_format.check_label(name)
    assert problems(replace(SPEC, clusters=(replace(ONE, image=ImageRef(name)), MANY))) == ()


def test_hosts_and_sites_have_the_names_that_files_may_name() -> None:
    name = longest(limits.NAME_MAX, "h")
    assert Name.from_written(name) == name
    placement = replace(SPEC.placement, exclude=(name,), sites=(name,))
    assert problems(replace(SPEC, placement=placement)) == ()
    label = ONE.labels[0]
    assert Label.from_written(label) == label
