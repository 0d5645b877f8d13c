"""A machine as libvirt domain XML: pure functions, compared with golden files in the tests.

The guest is light, for emulation: no video, no USB, no option ROMs, and virtio devices straight on the root bus
instead of one PCIe port each. The seed is a read-only virtio disk rather than a CD drive, so the guest needs no
ATA or SCSI for it.

Its quantum: `global_quota` over `global_period` caps the whole process, its vcpus and its emulator threads
together, so that 1500 really is one and a half host cpus. Shares follow the cap, so that guests that compete
get what they were promised in proportion. The disks share one group of QEMU's throttling, so that the rate is
that of all of them together, whatever the page cache of the host makes of it later.
"""

from base64 import b64encode
from typing import assert_never
from xml.etree import ElementTree as ET

from overlayd.adapters.libvirt.controller import AT
from overlayd.adapters.libvirt.driver import DomainType, Driver
from overlayd.adapters.libvirt.plans import held_by
from overlayd.adapters.libvirt.users import User, UserRange
from overlayd.ports.compute import (
    NO_DISK_RATE,
    ContainerBoot,
    Disk,
    DiskBoot,
    DiskRate,
    KernelBoot,
    Machine,
    Nic,
)
from protocol.image.facts import Firmware

NAMESPACE = "urn:overlayd:machine:1"
"""The namespace of the metadata element that marks a domain as ours."""
KEEPSAKE = "keepsake"
"""The element in it, of the same namespace, that has what the machine keeps, in base64."""
CONSOLE_LOG, CONSOLE_SOCKET = "console-log", "console-socket"
"""Its attributes that say where a container's console is to be heard."""

CPU_MILLI = "cpu-milli"
"""The attribute that says what cap a test driver's domain was given while it ran."""

PERIOD_US = 20_000
"""The cpu cap holds over so many microseconds. A guest that uses its cpus up takes them in one go and is still
for the rest: over 100 ms, the kernel's default, whoever answers beside it was late by that."""

LONG_PERIOD_US = 100_000
"""The same for caps of which `PERIOD_US` would have too little."""

QUOTA_MIN_US = 1_000
"""libvirt refuses less: a hundredth of a cpu."""

FIRST_SLOT, LAST_SLOT = 4, 30
"""PCI slots of the root bus that are ours; the others are libvirt's (host bridge, ISA)."""

AGENT_SLOT = FIRST_SLOT - 1
"""The slot of the agent's port. It came later, and takes none of the others'."""

ROOT_SLOT = FIRST_SLOT - 2
"""The slot of the disk that a guest boots from. It takes none of the others', either."""

UEFI_CODE = "/usr/share/OVMF/OVMF_CODE_4M.fd"
"""The UEFI that guests are started by, of Debian's package ovmf."""

DEVICES_MAX = LAST_SLOT - FIRST_SLOT + 1 - 3
"""Disks and cards of one machine. Seed, balloon and random source have a slot, too."""

AGENT = "org.qemu.guest_agent.0"
"""By this name a guest's agent finds its port."""

DISK_GROUP = "workspace"
"""What its disks share of a rate. QEMU knows it by this name, each QEMU its own."""

_TRY_OUT_KIB = 16 << 10


def domain_xml(
    machine: Machine, driver: Driver, user: User | None = None, ids: UserRange | None = None
) -> str:
    """The whole `<domain>`. The same arguments always give the same text.

    `user` is who a virtual machine's process runs as, which has its files already. `ids` are a container's,
    which is started with its plan (`plans.py`).
    """
    ET.register_namespace("overlayd", NAMESPACE)
    domain = ET.Element("domain", type=driver.type.value)
    _text(domain, "name", machine.name)
    _text(domain, "uuid", machine.uuid)
    _text(domain, "title", machine.title)
    _mark(ET.SubElement(domain, "metadata"), machine, driver)
    _sizes(domain, machine, driver)
    if driver.type is DomainType.LXC:
        _container(domain, machine, driver, ids)
    else:
        _guest(domain, machine, driver)
    _runs_as(domain, user)
    ET.indent(domain)
    return ET.tostring(domain, encoding="unicode") + "\n"


def try_out_name(driver: Driver) -> str:
    """What the guest is called that a host starts to see whether it can."""
    return f"overlayd-try-{driver.owner}"


def try_out_xml(driver: Driver, user: User | None = None) -> str:
    """A guest with what every guest needs of its host (emulator, control group, memory) and nothing else.

    It has no metadata, so no daemon takes it for a machine of its own.
    """
    domain = ET.Element("domain", type=driver.type.value)
    _text(domain, "name", try_out_name(driver))
    _text(domain, "memory", str(_TRY_OUT_KIB), unit="KiB")
    _text(domain, "vcpu", "1")
    if driver.type is not DomainType.TEST:
        tune = ET.SubElement(domain, "cputune")
        period, quota = quota_names(driver.type)
        _text(tune, period, str(LONG_PERIOD_US))
        _text(tune, quota, str(QUOTA_MIN_US))
    _text(ET.SubElement(domain, "os"), "type", "hvm", arch=driver.architecture, machine="q35")
    devices = ET.SubElement(domain, "devices")
    ET.SubElement(devices, "controller", type="usb", model="none")
    ET.SubElement(devices, "memballoon", model="none")
    _runs_as(domain, user)
    return ET.tostring(domain, encoding="unicode")


def cpu_period_us(cpu_milli: int) -> int:
    """Over how many microseconds such a cap holds."""
    return PERIOD_US if cpu_milli * PERIOD_US // 1000 >= QUOTA_MIN_US else LONG_PERIOD_US


def cpu_quota_us(cpu_milli: int) -> int:
    """Microseconds of cpu time in each of these periods."""
    return cpu_milli * cpu_period_us(cpu_milli) // 1000


def quota_names(type_: DomainType) -> tuple[str, str]:
    """The elements that cap all of a domain. A container has no emulator beside its cpus."""
    return ("period", "quota") if type_ is DomainType.LXC else ("global_period", "global_quota")


def cpu_shares(cpu_milli: int) -> int:
    """The weight among competing guests: 1024 for each cpu, within what any control groups take."""
    return min(max(cpu_milli * 1024 // 1000, 2), 10_000)


def _runs_as(domain: ET.Element, user: User | None) -> None:
    if user is not None:
        label = ET.SubElement(domain, "seclabel", type="static", model="dac", relabel="no")
        _text(label, "label", user.label)


def _mark(metadata: ET.Element, machine: Machine, driver: Driver) -> None:
    mark = ET.SubElement(
        metadata,
        f"{{{NAMESPACE}}}machine",
        owner=driver.owner,
        grid=machine.grid,
        workspace=machine.workspace,
        epoch=str(machine.epoch),
        boot=str(machine.boot),
    )
    if machine.build > 1:
        mark.set("build", str(machine.build))
    if driver.type is DomainType.LXC and machine.console_log and machine.console_socket:
        mark.set(CONSOLE_LOG, machine.console_log)
        mark.set(CONSOLE_SOCKET, machine.console_socket)
    if machine.keepsake:
        _text(mark, f"{{{NAMESPACE}}}{KEEPSAKE}", b64encode(machine.keepsake).decode())


def _sizes(domain: ET.Element, machine: Machine, driver: Driver) -> None:
    """What it has, and what it can be given while it runs. A container can be given anything."""
    most_kib, most_vcpus = machine.memory_bytes // 1024, machine.vcpus
    if driver.type is not DomainType.LXC:
        most_kib = max(most_kib, machine.memory_max_bytes // 1024)
        most_vcpus = max(most_vcpus, machine.vcpus_max)
    _text(domain, "memory", str(most_kib), unit="KiB")
    _text(domain, "currentMemory", str(machine.memory_bytes // 1024), unit="KiB")
    vcpus = {"current": str(machine.vcpus)} if most_vcpus > machine.vcpus else {}
    _text(domain, "vcpu", str(most_vcpus), **vcpus)
    _quantum(domain, machine, driver)


def _quantum(domain: ET.Element, machine: Machine, driver: Driver) -> None:
    tune = ET.SubElement(domain, "cputune")
    _text(tune, "shares", str(cpu_shares(machine.cpu_milli)))
    period, quota = quota_names(driver.type)
    _text(tune, period, str(cpu_period_us(machine.cpu_milli)))
    _text(tune, quota, str(cpu_quota_us(machine.cpu_milli)))


def _guest(domain: ET.Element, machine: Machine, driver: Driver) -> None:
    system = ET.SubElement(domain, "os")
    _text(system, "type", "hvm", arch=driver.architecture, machine="q35")
    _boots(system, machine)
    ET.SubElement(ET.SubElement(domain, "features"), "acpi")
    if driver.type is DomainType.KVM:
        ET.SubElement(domain, "cpu", mode="host-passthrough", check="none")
    elif not isinstance(machine.boots, KernelBoot):
        # A distribution may want more of a cpu than the oldest one that is emulated.
        ET.SubElement(domain, "cpu", mode="maximum", check="none")
    ET.SubElement(domain, "clock", offset="utc")
    _endings(domain)
    devices = ET.SubElement(domain, "devices")
    ET.SubElement(devices, "controller", type="usb", model="none")
    root = [ROOT_SLOT] if isinstance(machine.boots, DiskBoot) else []
    slots = iter([*root, *range(FIRST_SLOT, LAST_SLOT + 1)])
    disks = list(machine.disks)
    if machine.seed:
        disks.append(Disk(path=machine.seed, serial="seed", read_only=True))
    for index, disk in enumerate(disks):
        slot = next(slots)
        element = _disk(devices, disk, f"vd{chr(ord('a') + index)}", slot, slot == ROOT_SLOT)
        _throttled(element, machine.disk_rate)
    for nic in machine.nics:
        _nic(devices, nic, next(slots))
    _serial(devices, machine)
    _slot(ET.SubElement(devices, "memballoon", model="virtio"), next(slots))
    rng = ET.SubElement(devices, "rng", model="virtio")
    _text(rng, "backend", "/dev/urandom", model="random")
    _slot(rng, next(slots))
    if machine.agent_socket:
        _agent(devices, machine)
    # Where the guest's kernel has the driver, a panic is told as one instead of as a restart.
    ET.SubElement(devices, "panic", model="isa")


def _boots(system: ET.Element, machine: Machine) -> None:
    """What the guest is started by."""
    match machine.boots:
        case KernelBoot(kernel, initrd, cmdline):
            _text(system, "kernel", kernel)
            _text(system, "initrd", initrd)
            _text(system, "cmdline", cmdline)
        case DiskBoot(firmware, variables):
            if firmware is Firmware.BIOS:
                ET.SubElement(system, "bios", useserial="yes")
            elif firmware is Firmware.UEFI:
                _text(system, "loader", UEFI_CODE, readonly="yes", type="pflash")
                _text(system, "nvram", variables)
        case ContainerBoot():
            raise ValueError("a root directory does not boot as a virtual machine")
        case unknown:
            assert_never(unknown)


def _container(domain: ET.Element, machine: Machine, driver: Driver, ids: UserRange | None) -> None:
    system = ET.SubElement(domain, "os")
    _text(system, "type", "exe")
    _text(system, "init", "/sbin/init" if isinstance(machine.boots, ContainerBoot) else "/init")
    if ids is not None:
        mapped = ET.SubElement(domain, "idmap")
        for kind in ("uid", "gid"):
            ET.SubElement(mapped, kind, start="0", target=str(ids.first), count=str(ids.count))
    # Never leave this out. A container with no card of its own would be given the host's network namespace, and
    # its init would configure the host's interfaces (it did, once: eth0 lost its address).
    ET.SubElement(ET.SubElement(domain, "features"), "privnet")
    ET.SubElement(domain, "clock", offset="utc")
    _endings(domain)
    devices = ET.SubElement(domain, "devices")
    _text(devices, "emulator", driver.emulator)
    for number, held in enumerate(held_by(machine)):
        mounted = ET.SubElement(devices, "filesystem", type="mount", accessmode="passthrough")
        ET.SubElement(mounted, "source", dir=f"{AT}/{number}")
        ET.SubElement(mounted, "target", dir=held.target)
    for nic in machine.nics:
        moved = ET.SubElement(devices, "hostdev", mode="capabilities", type="net")
        _text(ET.SubElement(moved, "source"), "interface", nic.card)
    # libvirt's LXC driver would keep no log of it, and has no socket: consoles.py does both.
    ET.SubElement(devices, "console", type="pty")


def _endings(domain: ET.Element) -> None:
    _text(domain, "on_poweroff", "destroy")
    _text(domain, "on_reboot", "restart")
    _text(domain, "on_crash", "destroy")


def _throttled(disk: ET.Element, rate: DiskRate) -> None:
    if rate != NO_DISK_RATE:
        tune = ET.SubElement(disk, "iotune")
        _text(tune, "total_bytes_sec", str(rate.bytes_s))
        _text(tune, "total_iops_sec", str(rate.operations_s))
        _text(tune, "group_name", DISK_GROUP)


def _disk(devices: ET.Element, disk: Disk, target: str, slot: int, boots: bool) -> ET.Element:
    """Every format is named, down to the last backing file, so that nothing is ever guessed from content."""
    element = ET.SubElement(devices, "disk", type="file", device="disk")
    ET.SubElement(element, "driver", name="qemu", type=disk.format)
    ET.SubElement(element, "source", file=disk.path)
    if disk.backing:
        below = ET.SubElement(element, "backingStore", type="file")
        ET.SubElement(below, "format", type="raw")
        ET.SubElement(below, "source", file=disk.backing)
        ET.SubElement(below, "backingStore")
    ET.SubElement(element, "target", dev=target, bus="virtio")
    if disk.read_only:
        ET.SubElement(element, "readonly")
    _text(element, "serial", disk.serial)
    if boots:
        ET.SubElement(element, "boot", order="1")
    _slot(element, slot)
    return element


def _nic(devices: ET.Element, nic: Nic, slot: int) -> None:
    element = ET.SubElement(devices, "interface", type="ethernet")
    ET.SubElement(element, "mac", address=nic.mac)
    ET.SubElement(element, "target", dev=nic.tap, managed="no")
    ET.SubElement(element, "model", type="virtio")
    ET.SubElement(element, "mtu", size=str(nic.mtu))
    ET.SubElement(element, "rom", enabled="no")
    _slot(element, slot)


def _serial(devices: ET.Element, machine: Machine) -> None:
    """One serial port. A socket types into it, and a file that outlives the guest logs it."""
    if machine.console_socket:
        element = ET.SubElement(devices, "serial", type="unix")
        ET.SubElement(element, "source", mode="bind", path=machine.console_socket)
    else:
        element = ET.SubElement(devices, "serial", type="null")
    if machine.console_log:
        ET.SubElement(element, "log", file=machine.console_log, append="on")
    ET.SubElement(element, "target", port="0")


def _agent(devices: ET.Element, machine: Machine) -> None:
    """A port for the guest's agent, which is told the time. The path is ours; libvirt's would be too long."""
    _slot(ET.SubElement(devices, "controller", type="virtio-serial", index="0"), AGENT_SLOT)
    element = ET.SubElement(devices, "channel", type="unix")
    ET.SubElement(element, "source", mode="bind", path=machine.agent_socket)
    ET.SubElement(element, "target", type="virtio", name=AGENT)


def _slot(device: ET.Element, slot: int) -> None:
    ET.SubElement(
        device,
        "address",
        type="pci",
        domain="0x0000",
        bus="0x00",
        slot=f"0x{slot:02x}",
        function="0x0",
    )


def _text(parent: ET.Element, tag: str, text: str, **attributes: str) -> None:
    ET.SubElement(parent, tag, attributes).text = text
