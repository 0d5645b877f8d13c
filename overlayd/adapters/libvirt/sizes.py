"""What a domain has of cpus, memory and its disks' rate, and how that is changed while it runs. Blocking.

The cap and the weight are its control group's, and hold at once. Cpus are plugged in, up to what the domain was
made with; they are not pulled out again, since the cap holds without that and a guest may take for ever.

Memory is its guest's to give back: its kernel fills a balloon with what it does not use. It would also fill it
with what it does use, and kill its processes for that, so it is asked for no more than it says is free. For a
container memory is a limit, and what it uses cannot be taken from it either.

A rate of disks is kept by QEMU, and holds at once; a container's is its control group's (`io_limits.py`).
"""

import contextlib
import time
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as ET

import libvirt
import msgspec

from overlayd.adapters.libvirt import io_limits
from overlayd.adapters.libvirt.driver import DomainType, runs_qemu
from overlayd.adapters.libvirt.xml import (
    CPU_MILLI,
    DISK_GROUP,
    NAMESPACE,
    cpu_period_us,
    cpu_quota_us,
    cpu_shares,
    quota_names,
)
from overlayd.ports.compute import NO_DISK_RATE, DiskRate, Machine, Resized, Sizes
from protocol.terms.quantities import format_size

SPARE_KIB: Final = 16 << 10
"""So much that is free is left to a guest, or a sixteenth of what it has."""
SETTLES_S: Final = 3.0
"""How long a guest is waited for here. libvirt hears of its balloon once a second."""
_LOOK_S: Final = 0.05
_FRESH_S: Final = 5
"""What a guest said of its memory so long ago is believed."""
QEMU_KIB: Final = 1 << 20
"""A gibibyte: so much code of its guest's a QEMU may keep translated."""
_UNLIMITED_KIB: Final = 9007199254740991
"""libvirt's word for no limit."""
_RATE: Final = ("total_bytes_sec", "total_iops_sec")
"""What libvirt calls a rate of disks."""
_BOTH: Final = (libvirt.VIR_DOMAIN_AFFECT_CONFIG, libvirt.VIR_DOMAIN_AFFECT_LIVE)
"""Its next start, and this one. Some calls of libvirt, and of its bindings, take one at a time."""


def within(machine: Machine, host_bytes: int) -> Machine:
    """A machine with no more room to grow than its host has memory: a kernel may refuse to map more."""
    most_bytes = max(machine.memory_bytes, min(machine.memory_max_bytes, host_bytes))
    return msgspec.structs.replace(machine, memory_max_bytes=most_bytes)


def of(domain: libvirt.virDomain, type_: DomainType, running: bool) -> Sizes:
    """What a domain has now."""
    _, limit_kib, balloon_kib, vcpus, _ = domain.info()
    if type_ is not DomainType.LXC:
        rate = _disk_rate(domain)
        return Sizes(_cap(domain, type_, running), vcpus, balloon_kib * 1024, rate)
    # Of a container, the second number is what it uses, not what it may use.
    limit_kib = _limit_kib(domain) or limit_kib
    rate = io_limits.seen(domain.ID()) if running else NO_DISK_RATE
    return Sizes(_cap(domain, type_, running), 0, limit_kib * 1024, rate)


def resize(domain: libvirt.virDomain, type_: DomainType, wanted: Sizes) -> Resized:
    """Gives a domain that runs these sizes as far as it can have them now. Raises libvirtError."""
    has = of(domain, type_, True)
    if has.cpu_milli != wanted.cpu_milli:
        _set_cap(domain, type_, wanted.cpu_milli)
    if type_ is DomainType.LXC:
        kept = _limit(domain, wanted.memory_bytes // 1024, has.memory_bytes // 1024)
        unheld = ""
        if has.disk_rate != wanted.disk_rate:
            unheld = io_limits.hold(domain.ID(), wanted.disk_rate)
        return Resized(waits="; ".join(filter(None, (kept, unheld))))
    if has.disk_rate != wanted.disk_rate:
        _throttle(domain, type_, wanted.disk_rate)
    restart = [_plug(domain, type_, has.vcpus, wanted.vcpus)]
    most_kib = domain.maxMemory()
    wanted_kib = wanted.memory_bytes // 1024
    if wanted_kib > most_kib:
        restart.append(
            f"{format_size(wanted.memory_bytes)} of memory: it was started with room for"
            f" {format_size(most_kib * 1024)}"
        )
        wanted_kib = most_kib
    waits, has_kib = "", has.memory_bytes // 1024
    if has_kib <= wanted_kib:
        _grant(domain, wanted_kib)
        hold(domain, type_)
    if has_kib < wanted_kib:
        domain.setMemoryFlags(wanted_kib, libvirt.VIR_DOMAIN_AFFECT_LIVE)
        waits = _arrived(domain, wanted_kib)
    elif has_kib > wanted_kib:
        waits = _take_back(domain, type_, has_kib, wanted_kib)
        hold(domain, type_)
    return Resized("; ".join(filter(None, restart)), waits)


# -- cpus


def _cap(domain: libvirt.virDomain, type_: DomainType, running: bool) -> int:
    """The cap in force, as the kernel says it; 0 also if the weight is not that of the cap. If no guest runs,
    it is what the domain says; also if libvirt was just opened and has not found the control group of an
    earlier life's guest yet.
    """
    period = quota = weight = 0
    if type_ is DomainType.TEST:
        with contextlib.suppress(libvirt.libvirtError):
            text = domain.metadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, NAMESPACE)
            if told := ET.fromstring(text).get(CPU_MILLI):  # noqa: S314, libvirt's own
                return int(told)
    elif running:
        with contextlib.suppress(libvirt.libvirtError):
            now = domain.schedulerParameters()
            period, quota = (now.get(name, 0) for name in _quota_parameters(type_))
            weight = now.get("cpu_shares", 0)
    if not period:
        tune = ET.fromstring(domain.XMLDesc()).find("cputune")  # noqa: S314, libvirt's own
        period, quota = (
            int((tune.findtext(name) if tune is not None else None) or 0)
            for name in quota_names(type_)
        )
    cap = int(quota * 1000 // period) if period > 0 and quota > 0 else 0
    return 0 if weight not in (0, cpu_shares(cap)) else cap


def _set_cap(domain: libvirt.virDomain, type_: DomainType, cpu_milli: int) -> None:
    if type_ is DomainType.TEST:
        # It has no caps, so it only remembers what it was told.
        text = domain.metadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, NAMESPACE)
        mark = ET.fromstring(text)  # noqa: S314, libvirt's own
        mark.set(CPU_MILLI, str(cpu_milli))
        kind = libvirt.VIR_DOMAIN_METADATA_ELEMENT
        for which in _BOTH:
            domain.setMetadata(kind, ET.tostring(mark, "unicode"), "overlayd", NAMESPACE, which)
        return
    period, quota = _quota_parameters(type_)
    wanted = {
        "cpu_shares": cpu_shares(cpu_milli),
        period: cpu_period_us(cpu_milli),
        quota: cpu_quota_us(cpu_milli),
    }
    for which in _BOTH:
        domain.setSchedulerParametersFlags(wanted, which)


def _quota_parameters(type_: DomainType) -> tuple[str, str]:
    """libvirt's names for (period, quota) of all of a running domain."""
    prefix = "vcpu" if type_ is DomainType.LXC else "global"
    return f"{prefix}_period", f"{prefix}_quota"


def _plug(domain: libvirt.virDomain, type_: DomainType, has: int, wanted: int) -> str:
    """Plugs in cpus. Answers what needs a restart."""
    most = domain.maxVcpus()
    if has < min(wanted, most):
        for which in _BOTH:
            domain.setVcpusFlags(min(wanted, most), which)
        if runs_qemu(type_):
            _online(domain, min(wanted, most))
    if wanted <= most:
        return ""
    return f"{wanted} cpus in its guest: it was started with places for {most}"


def _online(domain: libvirt.virDomain, vcpus: int) -> None:
    """Has the guest use them, by its agent if it has one. Others have rules of their own for that."""
    with contextlib.suppress(libvirt.libvirtError):
        domain.agentSetResponseTimeout(1)
        domain.setVcpusFlags(vcpus, libvirt.VIR_DOMAIN_VCPU_GUEST)


# -- disks


def _disk_rate(domain: libvirt.virDomain) -> DiskRate:
    """The rate of its disks, as libvirt has set it; -1 in both if it is not that of all of them together."""
    found = dict.fromkeys(_rates(domain).values())
    return next(iter(found)) if len(found) == 1 else io_limits.MIXED if found else NO_DISK_RATE


def _rates(domain: libvirt.virDomain) -> dict[str, DiskRate]:
    """By disk, as the guest's hypervisor calls it."""
    xml = ET.fromstring(domain.XMLDesc())  # noqa: S314, libvirt's own
    rates = {}
    for disk in xml.iterfind("devices/disk"):
        rate = DiskRate(*(int(disk.findtext(f"iotune/{name}") or 0) for name in _RATE))
        alone = rate != NO_DISK_RATE and disk.findtext("iotune/group_name") != DISK_GROUP
        target = disk.find("target")
        assert target is not None
        rates[target.attrib["dev"]] = io_limits.MIXED if alone else rate
    return rates


def _throttle(domain: libvirt.virDomain, type_: DomainType, wanted: DiskRate) -> None:
    values = dict(zip(_RATE, (wanted.bytes_s, wanted.operations_s), strict=True))
    if type_ is DomainType.TEST:
        # It takes a burst of 0 for the most, where QEMU takes it for none in particular.
        values |= {f"{name}_max": value for name, value in values.items()}
    for target in _rates(domain):
        for which in _BOTH:
            domain.setBlockIoTune(target, {"group_name": DISK_GROUP, **values}, which)


# -- memory


def hold(domain: libvirt.virDomain, type_: DomainType) -> None:
    """Holds the QEMU of a guest that was made with room to grow to what that guest was granted.

    Its kernel could take all that room. It is no limit for one that does not: there is enough for QEMU's own
    (code that it translates, above all), for tables, and for what a kernel does before it gives anything back.
    """
    if not runs_qemu(type_):
        return
    most_kib, granted_kib = domain.maxMemory(), _granted_kib(domain)
    if granted_kib >= most_kib:
        let_go(domain, type_)
        return
    limit_kib = granted_kib + most_kib // 32 + QEMU_KIB
    domain.setMemoryParameters({"hard_limit": limit_kib}, libvirt.VIR_DOMAIN_AFFECT_LIVE)


def let_go(domain: libvirt.virDomain, type_: DomainType) -> None:
    """Takes that limit away. When a domain with one is started, libvirt locks memory by it, which not every
    host lets it. So it is in no definition, and in nothing that is saved.
    """
    if runs_qemu(type_) and _limit_kib(domain):
        domain.setMemoryParameters({"hard_limit": _UNLIMITED_KIB}, libvirt.VIR_DOMAIN_AFFECT_LIVE)


def _granted_kib(domain: libvirt.virDomain) -> int:
    """What its guest may have: it is what its next start would have, by its definition."""
    xml = ET.fromstring(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))  # noqa: S314, libvirt's own
    return int(xml.findtext("currentMemory") or 0)


def _grant(domain: libvirt.virDomain, memory_kib: int) -> None:
    if _granted_kib(domain) != memory_kib:
        domain.setMemoryFlags(memory_kib, libvirt.VIR_DOMAIN_AFFECT_CONFIG)


def _limit_kib(domain: libvirt.virDomain) -> int:
    """What its control group may use; 0 if anything."""
    try:
        kib = int(domain.memoryParameters(libvirt.VIR_DOMAIN_AFFECT_CURRENT).get("hard_limit", 0))
    except libvirt.libvirtError:
        return 0
    return kib if kib < _UNLIMITED_KIB // 8 else 0


def _arrived(domain: libvirt.virDomain, wanted_kib: int) -> str:
    """Waits a moment for the guest's balloon. Answers what is amiss."""
    until_s = time.monotonic() + SETTLES_S
    while (has_kib := domain.info()[2]) != wanted_kib:
        if time.monotonic() > until_s:
            more, less = format_size(wanted_kib * 1024), format_size(has_kib * 1024)
            return f"its guest has {less} of memory so far, not {more}"
        time.sleep(_LOOK_S)
    return ""


def _take_back(domain: libvirt.virDomain, type_: DomainType, has_kib: int, wanted_kib: int) -> str:
    """Asks the guest for what it has too much, as far as that is free. Answers what it keeps, and why."""
    if type_ is DomainType.TEST:
        domain.setMemoryFlags(wanted_kib, libvirt.VIR_DOMAIN_AFFECT_LIVE)
        _grant(domain, wanted_kib)
        return ""
    has = format_size(has_kib * 1024)
    free_kib = _free_kib(domain)
    if free_kib is None:
        return (
            f"its guest keeps {has} of memory: its kernel does not say (yet) how much of it is free"
        )
    spare_kib = max(SPARE_KIB, has_kib // 16)
    least_kib = min(has_kib, has_kib - free_kib + spare_kib)
    target_kib = max(wanted_kib, least_kib)
    if target_kib < has_kib:
        domain.setMemoryFlags(target_kib, libvirt.VIR_DOMAIN_AFFECT_LIVE)
        if said := _arrived(domain, target_kib):
            return said
    # One that never gave back what it began with was not granted that.
    _grant(domain, min(target_kib, max(wanted_kib, _granted_kib(domain))))
    if target_kib == wanted_kib:
        return ""
    keeps, uses = (format_size(kib * 1024) for kib in (target_kib, has_kib - free_kib))
    return f"its guest keeps {keeps} of memory, since it uses {uses}"


def _free_kib(domain: libvirt.virDomain) -> int | None:
    """What the guest's kernel could give without harm, as it says now; None if it says nothing."""
    asked_s = time.time()
    until_s = time.monotonic() + SETTLES_S
    domain.setMemoryStatsPeriod(1, libvirt.VIR_DOMAIN_AFFECT_LIVE)
    try:
        while True:
            told = domain.memoryStats()
            free_kib = told.get("usable", told.get("unused"))
            if free_kib is not None and told.get("last_update", 0) >= int(asked_s):
                return int(free_kib)
            if time.monotonic() > until_s:
                return None
            time.sleep(_LOOK_S)
    finally:
        domain.setMemoryStatsPeriod(0, libvirt.VIR_DOMAIN_AFFECT_LIVE)


def _limit(domain: libvirt.virDomain, wanted_kib: int, has_kib: int) -> str:
    """A container's limit. What it uses is left to it: it would be killed for it."""
    if wanted_kib == has_kib:
        return ""
    target_kib, uses_kib = wanted_kib, 0
    if wanted_kib < has_kib:
        if not (uses_kib := used_kib(domain.ID())):
            return f"it keeps {format_size(has_kib * 1024)} of memory: what it uses is not known"
        target_kib = max(wanted_kib, min(has_kib, uses_kib + SPARE_KIB))
    if target_kib != has_kib:
        for which in _BOTH:
            domain.setMemoryParameters({"hard_limit": target_kib}, which)
    if target_kib == wanted_kib:
        return ""
    keeps, uses = (format_size(kib * 1024) for kib in (target_kib, uses_kib))
    return f"it keeps {keeps} of memory, since it uses {uses}"


def used_kib(pid: int, proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")) -> int:
    """What the control group of a process uses that cannot be dropped; 0 if that is not known."""
    for line in (proc / str(pid) / "cgroup").read_text().splitlines():
        _, controllers, group = line.split(":", 2)
        if controllers not in ("", "memory"):
            continue
        names = ("total_rss", "total_shmem") if controllers else ("anon", "shmem")
        with contextlib.suppress(OSError):
            told = Path(groups, controllers, group.strip("/"), "memory.stat").read_text()
            uses = dict(each.split(" ", 1) for each in told.splitlines())
            return sum(int(uses.get(name, 0)) for name in names) // 1024
    return 0
