"""`overlayd recover`: a way back from a store that is damaged or lost, and an end for what nobody remembers.

It runs while the daemon does not. It reads the store, the hypervisor and the disks, says what it finds and what
would be done, and does it only when told. Nothing that runs is ended and no data deleted, except by `--forget`,
which says first what that is. What the store has lost, the stewards of each grid are asked for by the daemon.
"""

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex

from overlayd.adapters.credentials import load_credentials
from overlayd.adapters.network import KernelNetwork
from overlayd.adapters.roots import DirectoryRoots
from overlayd.adapters.sqlite_store import own
from overlayd.adapters.store_salvage import STORE, Examined, examine, finish, replace
from overlayd.adapters.volumes import DirectoryVolumes
from overlayd.assembly import OWNER_TAG
from overlayd.config.daemonfile import ComputeUri, DaemonConfig, load_daemon
from overlayd.config.places import LIBVIRT_ROOT
from overlayd.hosting import compute_of
from overlayd.ports.compute import Compute
from overlayd.ports.network import Network
from overlayd.ports.roots import Roots
from overlayd.ports.volumes import Volumes
from overlayd.realise.paths import grid_of
from overlayd.realise.strays import (
    PROCESS,
    ROOT_DISK,
    disk_found,
    lost_found,
    machine_found,
    root_found,
)
from protocol.hosting.events import Found
from protocol.node.kept import asked_of, carried_in, raised
from protocol.terms.ids import GridId, short_hash
from protocol.trust.own_store import ID_BYTES as STORE_BYTES

Say = Callable[[str], None]
Agree = Callable[[str], bool]
"""Asks a person a question, and answers whether it was a yes."""


class Unrecovered(Exception):
    """What was asked cannot be done. The text says why, and what would help."""


@dataclass(frozen=True)
class Host:
    """One host, as it is found without its daemon."""

    state: Path
    compute: Compute | None
    """None if there is no hypervisor whose machines could be found."""
    network: Network
    volumes: Volumes | None
    """None if there is no directory of disks."""
    roots: Roots | None = None
    """None if there is no directory of root disks."""


def host_of(config: DaemonConfig) -> Host:
    """The host that a configuration is about. Raises KeyFileError."""
    state = Path(config.host.state)
    files = config.identity
    credentials = load_credentials(Path(files.key), Path(files.certificate), Path(files.federation))
    tag = short_hash(credentials.identity.key, digits=OWNER_TAG)
    embedded = config.compute.uri is ComputeUri.EMBED
    found = config.compute.uri is not ComputeUri.TEST
    if embedded and not (state / LIBVIRT_ROOT).is_dir():
        found = False
    return Host(
        state,
        compute_of(config, state, tag) if found else None,
        KernelNetwork(state / "networks", tag),
        DirectoryVolumes(state / "volumes") if (state / "volumes").is_dir() else None,
        DirectoryRoots(state / "roots") if (state / "roots").is_dir() else None,
    )


def recover(config: Path, agree: Agree | None, say: Say, stamp: str, now: float) -> int:
    """Says how the store is, and mends it if `agree` says so. Answers the exit code: 1 if it is not whole.

    `stamp` becomes part of the name of what is moved aside. Raises what loading a configuration does, and
    StoreError and ComputeError.
    """
    host = host_of(load_daemon(config))
    with _owned(host.state):
        if finish(host.state):
            say(f"{host.state / STORE}: an earlier recover was cut short; it is whole now")
        examined = examine(host.state)
        found = asyncio.run(_look(host))
        for line in _report(host, examined, found):
            say(line)
        if not examined.problem:
            return 0
        if agree is None or not agree(
            "Move the old store aside, and make a new one of what can be read?"
        ):
            say("nothing was changed; `overlayd recover --yes` does it")
            return 1
        aside = asyncio.run(
            replace(host.state, raised(examined.rows, now, token_hex(STORE_BYTES)), stamp)
        )
        if aside is not None:
            say(f"the old store is {aside}")
        say("done; start the daemon, which asks the stewards, and look at `overlayctl ps`")
        return 0


def forget(config: Path, grid: str, disks: bool, agree: Agree | None, say: Say) -> int:
    """Ends what is here of a grid that this host does not carry. Its disks are deleted only with `disks`.

    Raises Unrecovered if the store says that the grid is carried, and what `recover` raises.
    """
    if not grid:
        raise Unrecovered(
            "--forget takes a grid's id; `overlayd recover` lists those that are here"
        )
    host = host_of(load_daemon(config))
    with _owned(host.state):
        name = carried_in(examine(host.state).rows).get(GridId(grid))
        if name is not None:
            raise Unrecovered(
                f"{grid} is {name}, which this host carries; `overlayctl down {name}` ends it, and asks "
                "nobody to forget"
            )
        return asyncio.run(_forget(host, GridId(grid), disks, agree, say))


async def _forget(host: Host, grid: GridId, disks: bool, agree: Agree | None, say: Say) -> int:
    grids = await _look(host, close=False)
    found = grids.get(grid, [])
    try:
        networks = [n for n in await host.network.observe() if grid_of(n) == grid]
        ends = [t for t in found if t.power is not None]
        kept = [t for t in found if t.power is None]
        if not ends and not networks and not (kept and disks):
            stay = f"; kept: {', '.join(t.what for t in kept)}" if kept else ""
            raise Unrecovered(f"nothing of {grid} is here that could be ended{stay}")
        # Nothing says whose a lost machine is: it may be on these networks, and write to these disks.
        lost = next((t for t in grids.get(GridId(""), []) if t.what.startswith(PROCESS)), None)
        if lost is not None and (networks or (kept and disks)):
            raise Unrecovered(
                f"{lost.what} {lost.detail}; it may be of {grid}, and has to end first"
            )
        for thing in ends:
            say(f"ends {thing.what}, which {thing.detail}")
        for network in networks:
            say(f"removes network {network}")
        for thing in kept:
            more = "" if disks else ", which stays: --delete-volumes deletes it"
            say(f"{'deletes' if disks else 'keeps'} {thing.what} {thing.detail}{more}")
        if agree is None or not agree(f"End what is here of {grid}?"):
            say("nothing was changed")
            return 1
        for thing in ends:
            assert host.compute is not None
            await host.compute.stop(thing.what.removeprefix("machine "))
        for network in networks:
            await host.network.remove(network)
        for thing in kept if disks else []:
            await _delete(host, thing)
        say("done")
        return 0
    finally:
        if host.compute is not None:
            await host.compute.close()


async def _delete(host: Host, thing: Found) -> None:
    if thing.what.startswith(ROOT_DISK):
        assert host.roots is not None
        await host.roots.remove(thing.what.removeprefix(ROOT_DISK))
    else:
        assert host.volumes is not None
        await host.volumes.remove(thing.what.removeprefix("disk "))


async def _look(host: Host, close: bool = True) -> dict[GridId, list[Found]]:
    """Machines and disks that are here, by grid."""
    found: list[Found] = []
    if host.compute is not None:
        await host.compute.open(lambda _: None)
        found += [machine_found(seen) for seen in await host.compute.observe()]
        found += [lost_found(machine) for machine in await host.compute.lost()]
        if close:
            await host.compute.close()
    if host.volumes is not None:
        disks = await host.volumes.observe()
        found += [disk_found(disk, size_bytes) for disk, size_bytes in disks.items()]
    if host.roots is not None:
        disks = await host.roots.observe()
        found += [root_found(root, size_bytes) for root, size_bytes in disks.items()]
    grids: dict[GridId, list[Found]] = {}
    for thing in found:
        grids.setdefault(thing.grid, []).append(thing)
    return grids


def _report(host: Host, examined: Examined, found: dict[GridId, list[Found]]) -> Iterator[str]:
    store = host.state / STORE
    yield f"{store}: {examined.problem or 'whole'}"
    counts = ", ".join(f"{count} {table}" for table, count in examined.counts.items())
    yield f"  can be read: {counts or 'nothing'}"
    if examined.unreadable:
        yield f"  left out: {examined.unreadable} rows that make no sense"
    carried = carried_in(examined.rows)
    for grid in dict.fromkeys((*carried, *found)):
        things = found.get(grid, [])
        yield f"{_name(grid, carried, things)}: {_fate(grid, carried, things)}"
        for thing in things:
            yield f"  {thing.what} {thing.detail}".rstrip()


def _name(grid: GridId, carried: dict[GridId, str], things: list[Found]) -> str:
    asked = next((a for t in things if (a := asked_of(t.keepsake)) is not None), None)
    name = carried.get(grid) or (asked.name if asked is not None else "")
    return f"{name} ({grid})" if name else grid or "of no grid"


def _fate(grid: GridId, carried: dict[GridId, str], things: list[Found]) -> str:
    """What becomes of a grid when the daemon starts."""
    if grid in carried:
        return "in the store"
    asked = next((a for t in things if (a := asked_of(t.keepsake)) is not None), None)
    if asked is None:
        return "not in the store; kept until other peers say who its stewards are"
    stewards = ", ".join(steward[:16] for steward in asked.stewards)
    return f"not in the store; kept, and its stewards are asked: {stewards}"


@contextmanager
def _owned(state: Path) -> Iterator[None]:
    """Holds the store's lock. Raises StoreBusy while a daemon runs, StoreError if there is no directory."""
    lock = own(state / "store.lock")
    try:
        yield
    finally:
        os.close(lock)
