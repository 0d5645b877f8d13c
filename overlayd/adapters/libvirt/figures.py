"""What libvirt counts of a machine: cpu time, memory, disks, cards; some drivers count less."""

import libvirt

from protocol.policy.receipts import Figures

_STATS = (
    libvirt.VIR_DOMAIN_STATS_CPU_TOTAL
    | libvirt.VIR_DOMAIN_STATS_BALLOON
    | libvirt.VIR_DOMAIN_STATS_BLOCK
    | libvirt.VIR_DOMAIN_STATS_INTERFACE
)
_UNSUPPORTED = (libvirt.VIR_ERR_NO_SUPPORT, libvirt.VIR_ERR_OPERATION_UNSUPPORTED)


def figures_of(connection: libvirt.virConnect, domain: libvirt.virDomain) -> Figures:
    """What is said of one that runs. Raises libvirtError, also if it has ended meanwhile."""
    try:
        ((_, said),) = connection.domainListGetStats([domain], _STATS)
    except libvirt.libvirtError as error:
        if error.get_error_code() not in _UNSUPPORTED:
            raise
        said = {}
    if "cpu.time" not in said:
        _, _, memory_kib, _, cpu_ns = domain.info()
        return Figures(int(cpu_ns) // 1_000_000, int(memory_kib) << 10)
    memory_kib = said.get("balloon.current", 0)
    return Figures(
        said["cpu.time"] // 1_000_000,
        memory_kib << 10,
        _sum(said, "block", "rd.bytes"),
        _sum(said, "block", "wr.bytes"),
        _sum(said, "net", "rx.bytes"),
        _sum(said, "net", "tx.bytes"),
    )


def _sum(said: dict[str, int], what: str, which: str) -> int:
    count = said.get(f"{what}.count", 0)
    return sum(said.get(f"{what}.{number}.{which}", 0) for number in range(count))
