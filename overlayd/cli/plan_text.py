"""A plan as text: networks, volumes, workspaces, and the sum of it."""

from collections.abc import Iterator

from overlayd.api.views import ImageRow
from overlayd.cli.words import moment, short
from overlayd.config.userdata import Attachment
from protocol.grid.carrier import carrier_of, carries
from protocol.grid.expand import workspaces
from protocol.grid.model import SIX_AUTO, GridSpec, Workspace
from protocol.requesting.request import Planned, RequestState, RequestView
from protocol.terms.limits import MTU_LEAST
from protocol.terms.quantities import (
    counted,
    cpus_in_words,
    format_byte_rate,
    format_duration,
    format_operations,
    format_rate,
    format_size,
)

_ASKED = ("internet", "multicast")
"""What of a network is said if the file asks for it."""


def plan_lines(
    spec: GridSpec,
    view: RequestView,
    images: list[ImageRow],
    files: tuple[Attachment, ...] = (),
) -> list[str]:
    """The plan as lines, with aligned columns. Of files it says what they are known by, never what they say."""
    placed = {row.workspace: row for row in view.placement}
    owner = f" for vo {spec.vo}" if spec.vo else ""
    lines = [f"{spec.name}{owner}, {_lease(spec, view.start_s)}"]
    names = [*(n.name for n in spec.networks), *(v.name for v in spec.volumes), *placed]
    wide = max((len(name) for name in names), default=0)
    lines += [f"  {name:<{wide}}  {text}" for name, text in _shared(spec, placed)]
    hosts = max((len(row.host) for row in view.placement), default=0)
    sizes = {row.digest: row.size_bytes for row in images}
    digests = {w.name: w.image.digest for w in workspaces(spec)}
    rates = {w.name: "".join(f", {rate}" for rate in _rates(w)) for w in workspaces(spec)}
    rows = [
        (
            f"  {row.workspace:<{wide}}  {row.host:<{hosts}}",
            cpus_in_words(row.cpus_milli),
            _memory(row) + rates.get(row.workspace, ""),
            _image(row, sizes.get(digests.get(row.workspace, ""), 0)),
        )
        for row in view.placement
    ]
    cpus = max((len(row[1]) for row in rows), default=0)
    memory = max((len(row[2]) for row in rows), default=0)
    lines += [f"{a}  {b:<{cpus}}  {c:<{memory}}  {d}" for a, b, c, d in rows]
    notes = [f"  note: {line}" for line in view.warnings]
    lines += _exposed(spec, view) + _short(spec, placed) + _devices(spec) + _consoles(view)
    lines += _user_data(spec, files)
    return [*lines, *notes, _sum(spec, view)]


def quote_lines(view: RequestView) -> list[str]:
    """How the plan can be taken up, or let go, and until when."""
    when = moment(view.until_s, to_the_second=True)
    until = f"quote {view.id}, until {when}: `overlayctl up --quote {view.id}`"
    if view.state is not RequestState.HELD:
        return [until]
    return [until, f"  `overlayctl request cancel {view.id}` lets it go"]


def _short(spec: GridSpec, placed: dict[str, Planned]) -> list[str]:
    """Clusters that would be smaller than asked, which their `min` allows."""
    lines = []
    for cluster in spec.clusters:
        there = sum(w.name in placed for w in workspaces(spec) if w.cluster == cluster.name)
        if there < cluster.count:
            asked = f"{cluster.count} asked, at least {cluster.least}"
            lines.append(f"  {there} of {cluster.name} fit now; {asked}")
    return lines


def _exposed(spec: GridSpec, view: RequestView) -> list[str]:
    """Where workspaces are to be reached from outside, and which of them so share no host."""
    lines = [f"  exposed: {way}" for row in view.placement for way in row.exposed]
    for cluster in spec.clusters:
        fixed = [str(each.outside) for each in cluster.expose if each.outside]
        if fixed and cluster.count > 1:
            named = f"{cluster.name} names {', '.join(fixed)} of its hosts"
            lines.append(
                f"  note: {named}, which each have it once: at most one of {cluster.name} a host"
            )
    return lines


def _devices(spec: GridSpec) -> list[str]:
    """What to say of devices, so that nobody believes that guests get them."""
    names = dict.fromkeys(d.name for cluster in spec.clusters for d in cluster.devices)
    if not names:
        return []
    return [f"  {', '.join(names)}: kept free on its host, not handed to the guest yet"]


def _consoles(view: RequestView) -> list[str]:
    """What the consoles' logs take of their hosts' disks, beside what is said of each workspace."""
    rooms = [row.console_bytes for row in view.placement if row.console_bytes]
    if not rooms:
        return []
    each = dict.fromkeys(rooms)
    said = f"{format_size(sum(rooms))} of disk"
    if len(each) == 1 and len(rooms) > 1:
        said += f", {format_size(rooms[0])} each"
    return [f"  logs of consoles: {said}"]


def _user_data(spec: GridSpec, files: tuple[Attachment, ...]) -> list[str]:
    """Which file each cluster's guests are given, by digest and size."""
    sizes = {str(file.digest): f", {format_size(len(file.content))}" for file in files}
    return [
        f"  user-data of {cluster.name}: {short(cluster.user_data)}{sizes.get(cluster.user_data, '')}"
        for cluster in spec.clusters
        if cluster.user_data
    ]


def _lease(spec: GridSpec, start_s: float) -> str:
    """How long the lease is, and from when."""
    length = format_duration(spec.lease_s)
    return f"{length} from {moment(start_s)}" if start_s else f"{length} from when it is up"


def _shared(spec: GridSpec, placed: dict[str, Planned]) -> list[tuple[str, str]]:
    """Networks and how far they reach, volumes and where they are."""
    lines = []
    members = workspaces(spec)
    for network in spec.networks:
        on = [placed[w.name] for w in members if network.name in w.networks and w.name in placed]
        sites = len(dict.fromkeys(row.site for row in on))
        carrier = carrier_of(network, bool(on) and all(row.wireguard for row in on))
        mtu = f", mtu {carries(carrier, min(row.mtu for row in on), MTU_LEAST)}" if on else ""
        ranges = network.cidr
        if network.cidr6 not in ("", SIX_AUTO):
            ranges += f" and {network.cidr6}"
        asked = "".join(f", {word}" for word in _ASKED if getattr(network, word))
        lines.append((network.name, f"{ranges}, {counted(sites, 'site')}, {carrier}{mtu}{asked}"))
    for volume in spec.volumes:
        on = [
            placed[w.name]
            for w in members
            if w.name in placed and volume.name in [mount.volume for mount in w.mounts]
        ]
        hosts = ", ".join(dict.fromkeys(row.host for row in on))
        where = f" on {hosts}" if hosts else ", not mounted by any workspace"
        lines.append((volume.name, f"{format_size(volume.size_bytes)}{where}"))
    return lines


def _memory(row: Planned) -> str:
    """A workspace's memory, and its own disk if it has one."""
    disk = f", {format_size(row.scratch_bytes)} disk" if row.scratch_bytes else ""
    return f"{format_size(row.memory_bytes)}{disk}"


def _rates(workspace: Workspace) -> Iterator[str]:
    if bits_s := workspace.network_bits_s:
        yield format_rate(bits_s)
    if bytes_s := workspace.disk_bytes_s:
        yield format_byte_rate(bytes_s)
    if operations_s := workspace.disk_operations_s:
        yield format_operations(operations_s)


def _image(row: Planned, size_bytes: int) -> str:
    if row.image_cached:
        return "image cached"
    return f"image {format_size(size_bytes)} to copy" if size_bytes else "image to copy"


def _sum(spec: GridSpec, view: RequestView) -> str:
    placement = view.placement
    hosts = len(dict.fromkeys(row.peer for row in placement))
    sites = len(dict.fromkeys(row.site for row in placement))
    parts = [counted(len(placement), "workspace")]
    if spec.networks:
        parts.append(counted(len(spec.networks), "network"))
    if spec.volumes:
        parts.append(counted(len(spec.volumes), "volume"))
    where = f"{counted(hosts, 'host')} at {counted(sites, 'site')}"
    held = "All of this is held." if view.state is RequestState.HELD else "Nothing is held."
    return f"{', '.join(parts)} on {where}. {held}"
