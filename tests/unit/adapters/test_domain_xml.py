"""A machine as XML: golden files for each driver, and libvirt's own schema as a second opinion."""

import os
from base64 import b64decode
from pathlib import Path
from xml.etree import ElementTree as ET

import libvirt
import msgspec
import pytest

from overlayd.adapters.libvirt.driver import DomainType, Driver, domain_type, embed_root
from overlayd.adapters.libvirt.users import ROOT as ROOT_USER
from overlayd.adapters.libvirt.users import User, UserRange
from overlayd.adapters.libvirt.xml import (
    DEVICES_MAX,
    KEEPSAKE,
    NAMESPACE,
    cpu_period_us,
    cpu_quota_us,
    cpu_shares,
    domain_xml,
)
from overlayd.ports.compute import (
    ComputeError,
    ContainerBoot,
    Disk,
    DiskBoot,
    DiskRate,
    KernelBoot,
    Machine,
    Nic,
)
from protocol.image.facts import Firmware

GOLDEN = Path(__file__).parent / "golden"

HEAD = Machine(
    name="ovl-4f2a-head",
    uuid="6f3f6b1e-1111-4222-8333-444455556666",
    title='head of "star" <b> & co',
    grid="4f2a90c1d2e3f4a5b6c7",
    epoch=3,
    boot=2,
    vcpus=2,
    cpu_milli=1500,
    memory_bytes=512 << 20,
    boots=KernelBoot(
        "/var/lib/overlayd/images/abc/vmlinuz",
        "/var/lib/overlayd/images/abc/initrd.img",
        "console=ttyS0 quiet",
    ),
    seed="/var/lib/overlayd/seeds/head.iso",
    disks=(Disk(path="/var/lib/overlayd/volumes/home.raw", serial="home"),),
    nics=(
        Nic(tap="ovt4f2a0", mac="52:54:00:12:34:56", mtu=1370),
        Nic(tap="ovt4f2a1", mac="52:54:00:12:34:57", mtu=1450),
    ),
    console_log="/var/lib/overlayd/console/head.log",
    console_socket="/var/lib/overlayd/console/head.sock",
    workspace="head-1",
    keepsake=b"\x00whom to ask\xff",
    agent_socket="/var/lib/overlayd/console/head.agent",
)
BARE = msgspec.structs.replace(
    HEAD,
    seed="",
    disks=(),
    nics=(),
    console_log="",
    console_socket="",
    agent_socket="",
    cpu_milli=10,
    keepsake=b"",
)
ROOT = Disk(
    path="/var/lib/overlayd/roots/4f2a.head-1.1/disk.qcow2",
    serial="root",
    format="qcow2",
    backing="/var/lib/overlayd/images/abc/content",
)
FROM_DISK = msgspec.structs.replace(HEAD, disks=(ROOT, *HEAD.disks), boots=DiskBoot(Firmware.BIOS))
BY_UEFI = msgspec.structs.replace(
    FROM_DISK,
    boots=DiskBoot(Firmware.UEFI, "/var/lib/overlayd/roots/4f2a.head-1.1/variables.fd"),
)
CONTAINER = msgspec.structs.replace(HEAD, disks=(), nics=())
BOX = msgspec.structs.replace(
    HEAD,
    boots=ContainerBoot("/var/lib/overlayd/roots/4f2a.head-1.1/root.ext4"),
    disks=(Disk("/var/lib/overlayd/volumes/scratch.raw", "scratch", mount="/srv"),),
    nics=(Nic("ovt-0123456789a", "02:00:0a:2a:00:02", 1450, card="ovc-0123456789a"),),
)

GROWS = msgspec.structs.replace(BARE, vcpus_max=8, memory_max_bytes=2 << 30)

RATED = msgspec.structs.replace(HEAD, disk_rate=DiskRate(50 << 20, 500))

CASES = {
    "qemu": (HEAD, Driver(DomainType.QEMU)),
    "qemu-bare": (BARE, Driver(DomainType.QEMU)),
    "qemu-grows": (GROWS, Driver(DomainType.QEMU)),
    "qemu-rated": (RATED, Driver(DomainType.QEMU)),
    "kvm": (HEAD, Driver(DomainType.KVM)),
    "kvm-as-root": (HEAD, Driver(DomainType.KVM, owner="peer-1"), ROOT_USER),
    "kvm-confined": (HEAD, Driver(DomainType.KVM, owner="peer-1"), User(1879048193, 108)),
    "disk-bios": (FROM_DISK, Driver(DomainType.QEMU)),
    "disk-uefi": (BY_UEFI, Driver(DomainType.KVM)),
    "lxc": (msgspec.structs.replace(CONTAINER, vcpus_max=8), Driver(DomainType.LXC)),
    "lxc-own-root": (BOX, Driver(DomainType.LXC), None, UserRange(0x24010000, 0x10000)),
    "test": (HEAD, Driver(DomainType.TEST)),
}


@pytest.mark.parametrize("case", CASES)
def test_golden(case: str) -> None:
    written = domain_xml(*CASES[case])
    path = GOLDEN / f"{case}.xml"
    if os.environ.get("OVERLAYD_WRITE_GOLDEN"):
        path.write_text(written)
    assert written == path.read_text()


def test_golden_files_are_all_used() -> None:
    assert sorted(path.stem for path in GOLDEN.iterdir()) == sorted(CASES)


@pytest.mark.parametrize("case", CASES)
def test_libvirt_finds_it_valid(case: str) -> None:
    """The schema is checked before the driver; the test driver then takes only its own type."""
    written = domain_xml(*CASES[case]).replace(
        f'<domain type="{CASES[case][1].type}"', '<domain type="test"', 1
    )
    connection = libvirt.open("test:///default")
    try:
        domain = connection.defineXMLFlags(written, libvirt.VIR_DOMAIN_DEFINE_VALIDATE)
        domain.undefine()
    finally:
        connection.close()


def test_the_schema_is_really_asked() -> None:
    written = domain_xml(*CASES["test"]).replace("<vcpu>", "<vcpus>").replace("</vcpu>", "</vcpus>")
    connection = libvirt.open("test:///default")
    try:
        with pytest.raises(libvirt.libvirtError, match="vcpus"):
            connection.defineXMLFlags(written, libvirt.VIR_DOMAIN_DEFINE_VALIDATE)
    finally:
        connection.close()


def test_as_many_devices_as_allowed_have_a_slot() -> None:
    full = msgspec.structs.replace(
        HEAD, disks=HEAD.disks * 2, nics=HEAD.nics[:1] * (DEVICES_MAX - 2)
    )
    assert domain_xml(full, Driver(DomainType.QEMU)).count('bus="0x00"') == DEVICES_MAX + 4


def test_a_root_disk_takes_no_slot_of_the_others() -> None:
    full = msgspec.structs.replace(
        FROM_DISK, disks=(ROOT, *HEAD.disks * 2), nics=HEAD.nics[:1] * (DEVICES_MAX - 2)
    )
    xml = ET.fromstring(domain_xml(full, Driver(DomainType.QEMU)))
    slots = [address.attrib["slot"] for address in xml.iterfind("devices/*/address")]
    assert len(slots) == len(set(slots)) == DEVICES_MAX + 5


def test_no_disks_format_is_left_to_be_guessed() -> None:
    xml = ET.fromstring(domain_xml(FROM_DISK, Driver(DomainType.QEMU)))
    root = xml.find("devices/disk")
    assert root is not None
    assert root.find("driver[@type='qcow2']") is not None
    assert root.find("backingStore/format[@type='raw']") is not None
    assert root.find("backingStore/backingStore") is not None, "the image lies on nothing"


def test_carries_who_it_is() -> None:
    mark = ET.fromstring(domain_xml(HEAD, Driver(DomainType.QEMU, owner="me"))).find(
        f"metadata/{{{NAMESPACE}}}machine"
    )
    assert mark is not None
    about = {"owner": "me", "grid": HEAD.grid, "workspace": "head-1", "epoch": "3", "boot": "2"}
    assert mark.attrib == about
    assert b64decode(mark.findtext(f"{{{NAMESPACE}}}{KEEPSAKE}") or "") == HEAD.keepsake


@pytest.mark.parametrize("machine", [CONTAINER, BARE])
def test_a_container_never_shares_the_hosts_network(machine: Machine) -> None:
    xml = ET.fromstring(domain_xml(machine, Driver(DomainType.LXC)))
    assert xml.find("features/privnet") is not None


@pytest.mark.parametrize(
    ("milli", "period", "quota"),
    [
        (1500, 20_000, 30_000),
        (1000, 20_000, 20_000),
        (50, 20_000, 1_000),
        (49, 100_000, 4_900),
        (10, 100_000, 1_000),
    ],
)
def test_quota_is_the_exact_cap_over_a_period_in_which_it_is_enough(
    milli: int, period: int, quota: int
) -> None:
    assert (cpu_period_us(milli), cpu_quota_us(milli)) == (period, quota)


def test_shares_stay_within_what_the_kernel_takes() -> None:
    """Control groups of version 2 take no more than 10,000, and libvirt then starts no guest with more."""
    assert [cpu_shares(milli) for milli in (1, 1000, 1500, 10**9)] == [2, 1024, 1536, 10_000]


@pytest.mark.parametrize(
    ("uri", "type_", "root"),
    [
        ("qemu:///embed?root=/run/o", DomainType.QEMU, "/run/o"),
        ("qemu:///system", DomainType.QEMU, None),
        ("qemu+unix:///system?socket=/run/x", DomainType.QEMU, None),
        ("lxc:///", DomainType.LXC, None),
        ("test:///default", DomainType.TEST, None),
    ],
)
def test_uris(uri: str, type_: DomainType, root: str | None) -> None:
    assert domain_type(uri) is type_
    assert embed_root(uri) == root


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("qemu:///embed", "absolute directory"),
        ("qemu:///embed?root=here", "absolute directory"),
        (f"qemu:///embed?root=/{'d' * 60}", "11 characters too long"),
    ],
)
def test_impossible_roots_say_what_would_work(uri: str, words: str) -> None:
    with pytest.raises(ComputeError, match=words):
        embed_root(uri)


def test_unknown_uri_says_what_would_work() -> None:
    with pytest.raises(ComputeError, match="lxc:///"):
        domain_type("vmware://host")
