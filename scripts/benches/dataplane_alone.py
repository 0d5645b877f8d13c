"""A forwarder by itself: how soon another table is in force, what it takes while it has nothing to do."""

import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from benches.dataplane_carriers import TAP, sealed
from benches.dataplane_hosts import HOSTS, MTU, Hosts
from benches.overlayds import resident_mib
from netns.kernel import namespaces
from netns.model import SEALED_OVERHEAD_BYTES, mac_of
from netns.tunnel import client
from netns.tunnel.tables import Member, Networks, SealedNetwork

MEMBERS = 200
CHANGES = 9
IDLES_S = 10.0


class Bound(NamedTuple):
    """A figure, in that unit, and the most that it should be."""

    what: str
    unit: str
    most: float


CHANGED = Bound(
    f"{MEMBERS} workspaces' places change, until in force, the slowest of {CHANGES}", "ms", 50
)
IDLE = Bound(f"idle for {IDLES_S:.0f} s with {MEMBERS} members", "% of a core", 0.1)
RESIDENT = Bound(f"resident with {MEMBERS} members", "MiB", 40)


def alone() -> dict[Bound, float]:
    """The first host's forwarder, which knows one peer, and then that many members."""
    with (
        tempfile.TemporaryDirectory(prefix="ovl", dir="/tmp") as folder,
        Hosts(Path(folder)) as hosts,
    ):
        sealed(hosts)
        run_dir = hosts.folder / "run0"
        slowest_s = max(_change_s(run_dir, epoch) for epoch in range(2, 2 + CHANGES))
        pid = client.state(run_dir).pid
        before_s = _worked_s(pid)
        time.sleep(IDLES_S)
        idle = (_worked_s(pid) - before_s) / IDLES_S * 100
        return {CHANGED: slowest_s * 1e3, IDLE: idle, RESIDENT: resident_mib(pid)}


def places(epoch: int) -> Networks:
    """A table in which every member is somewhere else than in the table before."""
    members = tuple(
        Member(mac_of(TAP, f"10.42.1.{n}"), f"10.42.1.{n}", f"host{(n + epoch) % 8}")
        for n in range(MEMBERS)
    )
    mtu = MTU - SEALED_OVERHEAD_BYTES
    return Networks(epoch, (SealedNetwork(7, TAP, mtu, (), "02:00:00:00:00:01", members),))


def _change_s(run_dir: Path, epoch: int) -> float:
    told, began_s = places(epoch), time.monotonic()
    state = namespaces.inside(HOSTS[0], lambda: client.tell_networks(run_dir, told))
    took_s = time.monotonic() - began_s
    if state.networks_epoch != epoch:
        raise RuntimeError(f"table {epoch} is not in force: {state}")
    return took_s


def _worked_s(pid: int) -> float:
    """What all threads of a process have worked, finer than the kernel's ticks of ten milliseconds."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9
