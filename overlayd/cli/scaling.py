"""`overlayctl diff`, `scale`, `resize`, `rollback`, `history`: changes of a grid that is up."""

import re
from collections.abc import Callable
from typing import Annotated

import msgspec
import typer

from overlayd.cli.changing import Change, compared, make, preview
from overlayd.cli.completing import complete_grid, complete_workspace
from overlayd.cli.failure import FAILED, USAGE, Failure, failure
from overlayd.cli.gridfile import read_grid
from overlayd.cli.life import NoWait
from overlayd.cli.placing import CHANGES, File, Profile, SshKeys
from overlayd.cli.room import Wait, until_room
from overlayd.cli.session import Session, session_of
from overlayd.cli.show import print_lines, print_table, unchanged
from overlayd.cli.standing import standing_of, standing_of_file
from overlayd.cli.words import clean, moment
from overlayd.config.values import Cpus, DiskRate, Operations, Rate, Size
from protocol.grid.check import problems
from protocol.grid.expand import workspace_name, workspaces
from protocol.grid.limits import WORKSPACES_MAX
from protocol.grid.model import ClusterSpec, OwnSize
from protocol.grid.problem import Problem, listed, quoted
from protocol.grid.written import keys_of
from protocol.node.standing import Standing

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Grid = Annotated[
    str, typer.Argument(help="A grid's name, SITE/NAME or id.", autocompletion=complete_grid)
]
_SCALE = re.compile(r"(?P<grid>[^=]+)/(?P<cluster>[^/=]+)=(?P<by>[+-]?)(?P<number>[0-9]{1,6})")


def diff(
    context: typer.Context, file: File, profile: Profile = None, ssh_key: SshKeys = None
) -> None:
    """Shows what a grid file asks for otherwise than what is up. Nothing is asked of hosts.

    What cannot be changed while the grid is up is said, with what would work instead.

    Exit code 0: nothing. 2: something, or the grid is not up. 1: it cannot be told.

    Example: overlayctl diff examples/star.yaml
    """
    session = session_of(context)
    spec, _, files = read_grid(session, file, profile, ssh_key or (), FAILED)
    standing = standing_of_file(session, spec.name)
    if standing is None:
        if session.plain:
            told = {"grid": spec.name, "epoch": 0, "delta": None, "lines": [], "cannot": []}
            unchanged(session, msgspec.json.encode(told))
            raise typer.Exit(CHANGES)
        print_lines([f"{spec.name} is not up; `overlayctl plan {file}` shows where it would go"])
        raise typer.Exit(CHANGES)
    change = Change(standing, spec, files)
    if session.plain:
        unchanged(session, compared(change))
    elif change.empty:
        print_lines([f"{spec.name} is up as the file says"])
    else:
        print_lines(change.lines())
        if change.faults:
            print_lines(["not while it is up:", *(f"  {line}" for line in change.faults)])
    if not change.empty:
        raise typer.Exit(CHANGES)


def scale(
    context: typer.Context,
    target: Annotated[
        str,
        typer.Argument(
            metavar="GRID/CLUSTER=N",
            help="How many, or how many more or fewer: star/worker=8, =+2, =-2.",
            autocompletion=complete_workspace,
        ),
    ],
    which: Annotated[
        list[str] | None,
        typer.Option(help="A workspace that goes; else the newest.", show_default=False),
    ] = None,
    yes: Yes = False,
    no_wait: NoWait = False,
    wait: Wait = False,
) -> None:
    """Makes a cluster larger or smaller; nothing else is touched.

    A `min` that the grid file says is kept to. The newest go first, or those that --which names. Their guests
    are asked to shut down, and have the time that the grid file gives them (stop-within). With --wait it waits
    for room, and `=+2` counts from what is there then. Of an elastic cluster this is how many there may be:
    they come by themselves, as room comes.

    Example: overlayctl scale star/worker=8

    Example: overlayctl scale star/worker=-1 --which worker-3 -y
    """
    session = session_of(context)
    found = _SCALE.fullmatch(target)
    if found is None:
        said = f"{quoted(target)} does not say how many of which cluster"
        raise failure(
            said, "overlayctl scale star/worker=8, star/worker=+2 or star/worker=-2", USAGE
        )
    again = " ".join([f"overlayctl scale {target}", *(f"--which {name}" for name in which or ())])

    def change() -> Change:
        standing = standing_of(session, found["grid"])
        cluster, number = _cluster(standing, found["cluster"]), int(found["number"])
        here = _wanted(standing, cluster)
        count = {"": number, "+": here + number, "-": here - number}[found["by"]]
        fewest = _fewest(standing, cluster)
        if count < fewest:
            said = f"{standing.name} cannot have {count} of {cluster.name}; the fewest are {fewest}"
            if cluster.elastic:
                said += ", one more than its `min`, since it is elastic"
            works = f"overlayctl scale {found['grid']}/{cluster.name}={fewest}"
            if cluster.minimum is not None and count > 0:
                works += "; or less as `min` in the grid file, and `overlayctl up` of it"
            raise failure(said, works, USAGE)
        return _scaled(standing, cluster, count, tuple(which or ()))

    _made(session, change, again, yes=yes, no_wait=no_wait, wait=wait)


def _made(
    session: Session,
    change: Callable[[], Change],
    command: str,
    *,
    yes: bool,
    no_wait: bool,
    wait: bool,
) -> None:
    """Makes a change of what is up now; with `wait`, of what is up once there is room. Raises Failure."""

    def attempt() -> None:
        make(session, change(), command, yes=yes, no_wait=no_wait)

    if wait:
        until_room(session, lambda: preview(session, change()), attempt)
    else:
        attempt()


def _scaled(standing: Standing, cluster: ClusterSpec, count: int, which: tuple[str, ...]) -> Change:
    """The grid with so many of a cluster. Raises Failure if `which` does not leave so many."""
    here = _indices(standing, cluster)
    named = {workspace_name(cluster.name, index): index for index in here}
    for name in which:
        if name not in named:
            said = f"{standing.name} has no {quoted(name)} in {cluster.name}"
            raise failure(said, f"--which with one of {', '.join(named)}", USAGE)
    left = len(here) - len(set(which))
    if which and left != count:
        said = f"{standing.name} has {len(here)} of {cluster.name}; without {', '.join(which)} {left} are left"
        raise failure(said, _with_which(standing, cluster, left, which), USAGE)
    stay = [index for index in here if index not in [named[name] for name in which]][:count]
    free = (index for index in range(1, WORKSPACES_MAX + 1) if index not in here)
    stay += [next(free) for _ in range(count - len(stay))]
    stays = [workspace_name(cluster.name, index) for index in stay]
    sizes = tuple(size for size in cluster.sizes if size.workspace in stays)
    scaled = msgspec.structs.replace(cluster, count=max(stay), sizes=sizes)
    holes = tuple(
        workspace_name(cluster.name, index)
        for index in range(1, scaled.count + 1)
        if index not in stay
    )
    return _changed(standing, cluster, scaled, holes)


def _with_which(standing: Standing, cluster: ClusterSpec, left: int, which: tuple[str, ...]) -> str:
    """What would work where `which` does not leave as many as were asked for."""
    if (fewest := _fewest(standing, cluster)) > left:
        most = len(_indices(standing, cluster)) - fewest
        return f"--which with at most {most} of them; the fewest are {fewest}"
    named = [f"--which {name}" for name in dict.fromkeys(which)]
    return " ".join([f"overlayctl scale {standing.name}/{cluster.name}={left}", *named])


def _fewest(standing: Standing, cluster: ClusterSpec) -> int:
    """How far a cluster can be scaled down: to one, or to the `min` that its file says, which `scale` keeps."""
    if cluster.elastic:
        return cluster.least + 1  # One that cannot give room would not be elastic.
    return cluster.minimum or 1


def _wanted(standing: Standing, cluster: ClusterSpec) -> int:
    """How many of a cluster there are; of an elastic one how many there would be if there were room."""
    return standing.most_of(cluster) if cluster.elastic else len(_indices(standing, cluster))


def _indices(standing: Standing, cluster: ClusterSpec) -> list[int]:
    """Which of a cluster's workspaces are there, by number."""
    names = {workspace_name(cluster.name, i): i for i in range(1, cluster.count + 1)}
    return sorted(names[row.workspace] for row in standing.placed if row.workspace in names)


def resize(
    context: typer.Context,
    target: Annotated[
        str,
        typer.Argument(
            metavar="GRID/CLUSTER",
            help="A cluster, or one workspace of it.",
            autocompletion=complete_workspace,
        ),
    ],
    cpus: Annotated[
        str, typer.Option(help="The share of cpus of each: 2, 0.5.", show_default=False)
    ] = "",
    memory: Annotated[
        str, typer.Option(help="The memory of each: 4G, 512M.", show_default=False)
    ] = "",
    network_rate: Annotated[
        str,
        typer.Option(help="The rate of each, on each network: 100M, 1G.", show_default=False),
    ] = "",
    disk_rate: Annotated[
        str,
        typer.Option(
            help="What each may read and write of its disks, in bytes a second: 50M.",
            show_default=False,
        ),
    ] = "",
    disk_operations: Annotated[
        str, typer.Option(help="Reads and writes a second of each: 500.", show_default=False)
    ] = "",
    yes: Yes = False,
    no_wait: NoWait = False,
    wait: Wait = False,
) -> None:
    """Gives the workspaces of a cluster more or less cpu, memory, and rates of networks and disks, while they
    run as far as they can follow.

    One of several is given a size of its own (`sizes` in a grid file), which goes with it when it is scaled
    away. A cluster is resized with all that have sizes of their own.

    Example: overlayctl resize star/head-1 --cpus 2 --memory 4G

    Example: overlayctl resize star/worker-3 --memory 4G

    Example: overlayctl resize star/worker --cpus 0.5 -y

    Example: overlayctl resize star/worker --network-rate 200M

    Example: overlayctl resize star/worker-3 --disk-rate 50M --disk-operations 500
    """
    session = session_of(context)
    grid, _, named = target.rpartition("/")
    sizes: dict[str, int] = {}
    if cpus:
        sizes["cpus_milli"] = _size("--cpus", Cpus, cpus)
    if memory:
        sizes["memory_bytes"] = _size("--memory", Size, memory)
    if network_rate:
        sizes["network_bits_s"] = _size("--network-rate", Rate, network_rate)
    if disk_rate:
        sizes["disk_bytes_s"] = _size("--disk-rate", DiskRate, disk_rate)
    if disk_operations:
        sizes["disk_operations_s"] = _size("--disk-operations", Operations, disk_operations)
    if not grid or not sizes:
        said = "resize needs a cluster of a grid or one of its workspaces, and what is to be new"
        what = target if grid else "star/head"
        raise failure(said, f"overlayctl resize {what} --cpus 2 --memory 4G", USAGE)

    def change() -> Change:
        standing = standing_of(session, grid)
        cluster, alone = _of_workspace(standing, named)
        # In a size of its own 0 means that of its cluster; typed it is none, and refused as for a cluster.
        own = alone and all(sizes.values())
        resized = _alone(cluster, named, sizes) if own else _all(cluster, sizes)
        return _changed(standing, cluster, resized)

    command = " ".join(
        ["overlayctl resize", target, *([f"--cpus {cpus}"] if cpus else [])]
        + ([f"--memory {memory}"] if memory else [])
        + ([f"--network-rate {network_rate}"] if network_rate else [])
        + ([f"--disk-rate {disk_rate}"] if disk_rate else [])
        + ([f"--disk-operations {disk_operations}"] if disk_operations else [])
    )
    _made(session, change, command, yes=yes, no_wait=no_wait, wait=wait)


def rollback(context: typer.Context, name: Grid, yes: Yes = False, no_wait: NoWait = False) -> None:
    """Makes a grid what it was before its last change. Twice is back again.

    What was up then is up again: what was added since goes, what went since comes, also what was terminated
    last. What had been terminated before, or left out by `scale --which`, stays away. What comes again is new:
    its name and its volumes are those of before, its other disks are not, and a volume that was deleted is
    empty. The lease stays as it is; `overlayctl lease` changes that.

    Example: overlayctl rollback star
    """
    session = session_of(context)
    standing = standing_of(session, name)
    if standing.before is None:
        said = f"{standing.name} was never changed, so there is nothing to go back to"
        raise failure(said, f"`overlayctl history {name}` shows what was changed", FAILED)
    change = Change(standing, standing.before, without=standing.before_without)
    make(session, change, f"overlayctl rollback {name}", yes=yes, no_wait=no_wait)


def history(context: typer.Context, name: Grid) -> None:
    """Shows how a grid was changed: who, when, what, and the epoch that it became. The last 32 are kept.

    Example: overlayctl history star
    """
    session = session_of(context)
    standing = standing_of(session, name, up=False)
    if session.plain:
        unchanged(session, msgspec.json.encode(standing.past))
        return
    rows = [
        (str(row.epoch), moment(row.at_s), clean(row.by), clean(row.action), clean(row.said))
        for row in standing.past
    ]
    print_table(("epoch", "when", "who", "action", "what"), rows, "nothing is told of it")


def _size(option: str, kind: type[Cpus | Operations | Rate | Size], written: str) -> int:
    try:
        return int(kind.from_written(written))
    except ValueError as error:
        raise failure(f"{option}: {quoted(written)} cannot be read", str(error), USAGE) from None


def _cluster(standing: Standing, name: str) -> ClusterSpec:
    """Raises Failure that names those there are."""
    names = [cluster.name for cluster in standing.spec.clusters]
    if name not in names:
        said = f"{standing.name} has no cluster {quoted(name)}"
        raise failure(said, f"one of {', '.join(names)}", USAGE)
    return standing.spec.clusters[names.index(name)]


def _all(cluster: ClusterSpec, sizes: dict[str, int]) -> ClusterSpec:
    """The cluster with all of it so large."""
    none = dict.fromkeys(sizes, 0)
    own = (msgspec.structs.replace(size, **none) for size in cluster.sizes)
    left = tuple(size for size in own if size != OwnSize(size.workspace))
    return msgspec.structs.replace(cluster, **sizes, sizes=left)


def _alone(cluster: ClusterSpec, name: str, sizes: dict[str, int]) -> ClusterSpec:
    """The cluster with one of it so large, in its place among those that have sizes of their own."""
    all_own = {size.workspace: size for size in cluster.sizes}
    own = msgspec.structs.replace(all_own.get(name, OwnSize(name)), **sizes)
    as_others = {field: 0 for field in sizes if getattr(own, field) == getattr(cluster, field)}
    all_own[name] = msgspec.structs.replace(own, **as_others)
    left = tuple(size for size in all_own.values() if size != OwnSize(size.workspace))
    return msgspec.structs.replace(cluster, sizes=left)


def _of_workspace(standing: Standing, name: str) -> tuple[ClusterSpec, bool]:
    """The cluster of that name, or that has a workspace of that name, and whether that is meant alone.

    The only one of a cluster is its cluster. Raises Failure.
    """
    of, _, index = name.rpartition("-")
    clusters = {cluster.name: cluster for cluster in standing.spec.clusters}
    if name in clusters or of not in clusters or not index.isdecimal():
        return _cluster(standing, name), False
    cluster = clusters[of]
    there = [workspace_name(of, number) for number in _indices(standing, cluster)]
    if name not in there:
        said = f"{standing.name} has no {quoted(name)} in {of}"
        raise failure(
            said, f"one of {listed(there)}; or {standing.name}/{of}, for all of them", USAGE
        )
    return cluster, len(there) > 1


def _changed(
    standing: Standing, old: ClusterSpec, new: ClusterSpec, holes: tuple[str, ...] | None = None
) -> Change:
    """The grid with another cluster in the place of one. What was taken out of it stays out.

    `holes` are those of that cluster, if they are others than now. Raises Failure if that is no grid.
    """
    clusters = tuple(new if each is old else each for each in standing.spec.clusters)
    spec = msgspec.structs.replace(standing.spec, clusters=clusters)
    if wrong := problems(spec):
        raise _no_grid(standing, new, wrong[0])
    there = [row.workspace for row in standing.placed]
    by_room = {c.name for c in spec.clusters if c.elastic}
    out = [
        workspace.name
        for workspace in workspaces(spec)
        if workspace.name not in there
        and (holes is None or workspace.cluster != new.name)
        and (workspace.cluster not in by_room or workspace.name in standing.out)
    ]
    return Change(standing, spec, without=(*out, *(holes or ())))


def _no_grid(standing: Standing, cluster: ClusterSpec, wrong: Problem) -> Failure:
    """Why a grid cannot be so with that cluster in it, in the words of a grid file."""
    match wrong.path:
        case ("clusters", int(), str(field)):
            key = ".".join(keys_of(field))
            said = f"clusters.{cluster.name}.{key}: {wrong.message}"
            limit = key in ("max-cpus", "max-memory")
        case ("clusters", int(), "sizes", int(position), str(field)):
            key, own = ".".join(keys_of(field)), cluster.sizes[position]
            said = f"clusters.{cluster.name}.sizes.{own.workspace}.{key}: {wrong.message}"
            limit, key = True, f"max-{key}"
        case ("networks", int(position), str(field)):
            said = f"networks.{standing.spec.networks[position].name}.{field}: {wrong.message}"
            works = (
                f"fewer of {cluster.name}; or in the grid file another network, as large, for it"
            )
            return failure(f"{standing.name} cannot be that: {said}", works, USAGE)
        case _:
            said, limit, key = str(wrong), False, ""
    works = f"{key.removeprefix('max-')} and {key} in the grid file, and `overlayctl up` of it"
    return failure(f"{standing.name} cannot be that: {said}", works if limit else "", USAGE)
