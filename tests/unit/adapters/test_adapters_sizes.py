"""What a domain is given while it runs, and what is left to it. Real guests are in tests/contract."""

from pathlib import Path

import libvirt
import msgspec
import pytest
from test_domain_xml import HEAD

from overlayd.adapters.libvirt import sizes
from overlayd.adapters.libvirt.driver import DomainType
from overlayd.adapters.libvirt.xml import DISK_GROUP
from overlayd.ports.compute import NO_DISK_RATE, DiskRate, Sizes

GIB_KIB = 1 << 20
LIVE = libvirt.VIR_DOMAIN_AFFECT_LIVE


class SomeDomain:
    """A domain that does at once what it is told. Sizes are KiB."""

    def __init__(self, has: int, most: int, free: int | None) -> None:
        self.has, self.most, self.free, self.granted = has, most, free, has
        self.limit = sizes._UNLIMITED_KIB
        self.vcpus, self.weight = 1, 1024
        self.disks: dict[str, str] = {}
        """By target: what is in its `iotune`."""
        self.throttled: list[tuple[str, dict[str, object], int]] = []

    def info(self) -> tuple[int, int, int, int, int]:
        return 1, self.most, self.has, self.vcpus, 0

    def maxMemory(self) -> int:
        return self.most

    def maxVcpus(self) -> int:
        return 4

    def setVcpusFlags(self, count: int, flags: int) -> None:
        if flags & libvirt.VIR_DOMAIN_VCPU_GUEST:
            raise libvirt.libvirtError("no agent")
        self.vcpus = count

    def agentSetResponseTimeout(self, within_s: int) -> None:
        return

    def setMemoryFlags(self, kib: int, flags: int) -> None:
        assert self.free is None or kib >= self.has - self.free, "it would kill what runs in it"
        if flags == LIVE:
            self.free = None if self.free is None else self.free + kib - self.has
            self.has = kib
        else:
            self.granted = kib

    def setMemoryStatsPeriod(self, period_s: int, flags: int) -> None:
        return

    def memoryStats(self) -> dict[str, int]:
        return {} if self.free is None else {"usable": self.free, "last_update": 1 << 40}

    def schedulerParameters(self) -> dict[str, int]:
        quotas = {"global_period": 100_000, "global_quota": 100_000, "vcpu_period": 100_000}
        return {"cpu_shares": self.weight, **quotas}

    def memoryParameters(self, flags: int = 0) -> dict[str, int]:
        return {"hard_limit": self.limit}

    def setMemoryParameters(self, wanted: dict[str, int], flags: int) -> None:
        self.limit = wanted["hard_limit"]

    def setSchedulerParametersFlags(self, wanted: dict[str, int], flags: int) -> None:
        self.weight = wanted["cpu_shares"]

    def XMLDesc(self, flags: int = 0) -> str:
        disks = (
            f"<disk><target dev='{name}'/>{f'<iotune>{tune}</iotune>' if tune else ''}</disk>"
            for name, tune in self.disks.items()
        )
        has = f"<currentMemory>{self.granted}</currentMemory>"
        return f"<domain>{has}<devices>{''.join(disks)}</devices></domain>"

    def setBlockIoTune(self, disk: str, wanted: dict[str, object], flags: int) -> None:
        self.throttled.append((disk, wanted, flags))
        self.disks[disk] = "".join(f"<{name}>{to}</{name}>" for name, to in wanted.items())

    def ID(self) -> int:
        return 1


def wanted(kib: int, vcpus: int = 1) -> Sizes:
    return Sizes(1000, vcpus, kib * 1024)


def test_its_qemu_is_held_to_what_its_guest_was_granted() -> None:
    domain = SomeDomain(GIB_KIB, 4 * GIB_KIB, GIB_KIB // 2)
    sizes.hold(domain, DomainType.QEMU)
    before = domain.limit
    assert GIB_KIB < before < 3 * GIB_KIB
    sizes.resize(domain, DomainType.QEMU, wanted(2 * GIB_KIB))
    assert domain.limit == before + GIB_KIB
    sizes.resize(domain, DomainType.QEMU, wanted(4 * GIB_KIB))
    assert domain.limit == sizes._UNLIMITED_KIB, "there is no more that it could take"
    sizes.resize(domain, DomainType.QEMU, wanted(GIB_KIB))
    assert domain.limit == before
    sizes.let_go(domain, DomainType.QEMU)
    assert domain.limit == sizes._UNLIMITED_KIB


def test_what_a_guest_uses_is_left_to_it_with_something_to_spare() -> None:
    domain = SomeDomain(1024 * 1024, 1024 * 1024, 512 * 1024)
    left = sizes.resize(domain, DomainType.QEMU, wanted(256 * 1024))
    assert left.waits == "its guest keeps 576 MiB of memory, since it uses 512 MiB"
    assert domain.has == domain.granted == 576 * 1024
    left = sizes.resize(domain, DomainType.QEMU, wanted(256 * 1024))
    assert "since it uses 512 MiB" in left.waits


def test_a_guest_that_says_nothing_is_left_alone_and_granted_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sizes, "SETTLES_S", 0.0)
    domain = SomeDomain(4 * GIB_KIB, 4 * GIB_KIB, None)
    domain.granted = GIB_KIB
    left = sizes.resize(domain, DomainType.QEMU, wanted(GIB_KIB))
    assert "does not say (yet) how much of it is free" in left.waits
    assert (domain.has, domain.granted) == (4 * GIB_KIB, GIB_KIB)
    assert domain.limit < 3 * GIB_KIB, "it does not get it by taking it"


def test_a_weight_that_somebody_changed_comes_back() -> None:
    domain = SomeDomain(GIB_KIB, GIB_KIB, 0)
    assert sizes.of(domain, DomainType.QEMU, True).cpu_milli == 1000
    domain.weight = 2
    assert sizes.of(domain, DomainType.QEMU, True).cpu_milli == 0
    sizes.resize(domain, DomainType.QEMU, wanted(GIB_KIB))
    assert domain.weight == 1024


def rate_of(domain: SomeDomain) -> DiskRate:
    return sizes.of(domain, DomainType.QEMU, True).disk_rate


def test_all_disks_of_a_guest_share_one_rate_and_what_is_otherwise_is_mended() -> None:
    domain = SomeDomain(GIB_KIB, GIB_KIB, 0)
    asked = msgspec.structs.replace(wanted(GIB_KIB), disk_rate=DiskRate(50 << 20, 500))
    assert rate_of(domain) == NO_DISK_RATE, "one without disks has none"
    domain.disks = {"vda": "", "vdb": ""}
    sizes.resize(domain, DomainType.QEMU, asked)
    assert rate_of(domain) == asked.disk_rate
    assert {(disk, flags) for disk, _, flags in domain.throttled} == {
        (disk, flags) for disk in ("vda", "vdb") for flags in sizes._BOTH
    }
    assert all(said["group_name"] == DISK_GROUP for _, said, _ in domain.throttled)
    domain.throttled.clear()
    sizes.resize(domain, DomainType.QEMU, asked)
    assert domain.throttled == [], "nothing is otherwise"
    for amiss in (
        "",
        "<total_bytes_sec>1</total_bytes_sec>",
        domain.disks["vda"].replace(DISK_GROUP, "of its own"),
    ):
        domain.disks["vdb"] = amiss
        assert rate_of(domain) not in (asked.disk_rate, NO_DISK_RATE)
        sizes.resize(domain, DomainType.QEMU, asked)
        assert rate_of(domain) == asked.disk_rate
    sizes.resize(domain, DomainType.QEMU, wanted(GIB_KIB))
    assert rate_of(domain) == NO_DISK_RATE
    assert domain.throttled[-1][1]["total_bytes_sec"] == 0, "0 is no limit"


def test_cpus_are_added_and_not_taken_away() -> None:
    domain = SomeDomain(GIB_KIB, GIB_KIB, 0)
    assert "4" in sizes.resize(domain, DomainType.QEMU, wanted(GIB_KIB, 6)).restart
    assert domain.vcpus == 4
    assert sizes.resize(domain, DomainType.QEMU, wanted(GIB_KIB, 1)).restart == ""
    assert domain.vcpus == 4


def test_a_container_is_given_any_limit_and_left_what_it_uses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sizes, "used_kib", lambda pid: 512 * 1024)
    domain = SomeDomain(0, 256 * 1024, None)
    assert sizes.resize(domain, DomainType.LXC, wanted(1024 * 1024)).waits == ""
    assert domain.limit == 1024 * 1024
    left = sizes.resize(domain, DomainType.LXC, wanted(256 * 1024))
    assert left.waits == "it keeps 528 MiB of memory, since it uses 512 MiB"
    assert domain.limit == 528 * 1024


def test_a_container_of_which_it_is_not_known_what_it_uses_keeps_what_it_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sizes, "used_kib", lambda pid: 0)
    domain = SomeDomain(0, 1024 * 1024, None)
    domain.limit = 1024 * 1024
    left = sizes.resize(domain, DomainType.LXC, wanted(256 * 1024))
    assert left.waits == "it keeps 1 GiB of memory: what it uses is not known"
    assert domain.limit == 1024 * 1024


@pytest.mark.parametrize(
    ("line", "place", "stat"),
    [
        ("0::/a/b", "a/b", "anon 1048576\nfile 9\nshmem 1024"),
        ("5:memory:/a/b", "memory/a/b", "rss 9\ntotal_rss 1048576\ntotal_shmem 1024"),
    ],
)
def test_what_a_container_uses_is_its_control_groups(
    tmp_path: Path, line: str, place: str, stat: str
) -> None:
    (tmp_path / "proc" / "7").mkdir(parents=True)
    (tmp_path / "proc" / "7" / "cgroup").write_text(f"9:cpu:/c\n{line}\n")
    assert sizes.used_kib(7, tmp_path / "proc", tmp_path) == 0, "it is not known"
    (tmp_path / place).mkdir(parents=True)
    (tmp_path / place / "memory.stat").write_text(stat)
    assert sizes.used_kib(7, tmp_path / "proc", tmp_path) == 1025


def test_no_machine_has_room_for_more_than_its_host_has() -> None:
    grows = msgspec.structs.replace(HEAD, memory_max_bytes=8 << 30)
    assert sizes.within(grows, 4 << 30).memory_max_bytes == 4 << 30
    assert sizes.within(grows, 1 << 20).memory_max_bytes == HEAD.memory_bytes
    assert sizes.within(grows, 1 << 40) == grows
