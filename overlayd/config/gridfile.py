"""The grid file: YAML as a person writes it, to the GridSpec everything else works with.

Its keys are in gridkeys.py. protocol.grid.check checks what values mean, and this file brings its problems
back to the lines they come from.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from overlayd.config.documents import DocumentError, KeyPath, Problem, Source, Spot, combined, load
from overlayd.config.gridkeys import NO_SIX, ClusterKeys, GridKeys, LeaseKeys, PlacementKeys
from overlayd.config.typed import read
from overlayd.config.userdata import Attachment, Files
from overlayd.config.yaml_source import parse_yaml
from protocol.grid import check, model
from protocol.grid.problem import quoted
from protocol.grid.problem import unknown as unknown_name
from protocol.grid.written import KEYS

PROFILES_MAX = 16
"""Each time every profile is checked with the whole file, chosen or not."""

LEASE_S = 24 * 3600
"""The lease of a grid that names none."""

GRACE_S = 24 * 3600
"""How long disks are kept after the end: over a night in which nobody looks."""

STOP_WITHIN_S = 30
"""How long a guest may take to shut down: systemd's own units get a part of it, and nobody waits long."""

WARN_S = 900
"""The warning of a lease that names none, if the lease is at least twice as long."""


def load_grid(path: str | Path, profile: str | None = None) -> model.GridSpec:
    """The grid a file asks for. Raises DocumentError with every problem of the file and its profiles."""
    return grid_of(load(path, parse_yaml), profile)


def load_with_files(
    path: str | Path, profile: str | None = None
) -> tuple[model.GridSpec, tuple[Attachment, ...]]:
    """The same, and the files that the grid names, each once."""
    files = Files(Path(path).parent)
    spec = grid_of(load(path, parse_yaml), profile, files)
    return spec, files.named(spec)


def grid_of(
    source: Source, profile: str | None = None, files: Files | None = None
) -> model.GridSpec:
    """Like load_grid, from what was read already."""
    files = files or Files(Path(source.file).parent)
    spec, problems = _checked(source, files)
    if len(_profiles(source)) > PROFILES_MAX:
        message = f"found {len(_profiles(source))} profiles; at most {PROFILES_MAX} are allowed"
        raise DocumentError([*problems, source.problem(("profiles",), message, at_key=True)])
    for name in _profiles(source):
        merged = _merged(source, name)
        other, more = _checked(merged, files)
        plain = {(problem.line, problem.column, problem.message) for problem in problems}
        for problem in more:
            if (problem.line, problem.column, problem.message) in plain:
                continue
            if problem.path[:1] != ("profiles",):
                message = f"with profile {quoted(name)}: {problem.message}"
                problem = msgspec.structs.replace(problem, message=message)
            problems.append(problem)
        if name == profile:
            spec = other
    if profile is not None and profile not in _profiles(source):
        names = list(_profiles(source))
        problems.append(source.problem(("profiles",), unknown_name("profile", profile, names)))
    if problems:
        raise DocumentError(sorted(problems, key=lambda p: (p.line, p.column)))
    return spec


def _checked(source: Source, files: Files) -> tuple[model.GridSpec, list[Problem]]:
    keys, problems = read(source, GridKeys)
    spec = _spec(keys)
    spec, unfit = files.resolved(spec, {n: c.user_data for n, c in keys.clusters.items()})
    for name, said in unfit:
        problems.append(source.problem(("clusters", name, "user-data"), said))
    blind = any(_hides_services(problem.path) for problem in problems)
    meaning = [
        source.problem(_written_at(spec, problem.path), problem.message, _is_key(problem.path))
        for problem in check.problems(spec)
        if not (blind and "requires" in problem.path)
    ]
    return spec, combined(problems, meaning)


def _hides_services(path: KeyPath) -> bool:
    """Whether a problem there leaves open which services are provided. Then `requires` cannot be checked."""
    match path[2:] if path[:1] == ("profiles",) else path:
        case ("clusters",) | ("clusters", _):
            return True
        case ("clusters", _, str(key), *_):
            return key.startswith("prov")
    return False


def _spec(keys: GridKeys) -> model.GridSpec:
    return model.GridSpec(
        name=keys.grid,
        vo=keys.vo,
        lease_s=int(keys.lease.for_) if keys.lease else LEASE_S,
        lease=_terms(keys.lease) if keys.lease else model.LeaseTerms(warn_s=(WARN_S,)),
        networks=tuple(
            model.NetworkSpec(
                name,
                network.cidr,
                network.encryption,
                network.internet,
                network.multicast,
                "" if network.cidr6 == NO_SIX else network.cidr6,
            )
            for name, network in keys.networks.items()
        ),
        volumes=tuple(
            model.VolumeSpec(name, int(volume.size), volume.replicas)
            for name, volume in keys.volumes.items()
        ),
        clusters=tuple(_cluster(name, cluster) for name, cluster in keys.clusters.items()),
        placement=_placement(keys.placement),
        ssh_authorized_keys=tuple(key.strip() for key in keys.ssh_authorized_keys),
    )


def _terms(keys: LeaseKeys) -> model.LeaseTerms:
    deletes = keys.on_expiry is model.OnExpiry.DELETE
    grace_s = 0 if deletes else GRACE_S
    if keys.grace is not None:
        grace_s = int(keys.grace)
    warn_s: tuple[int, ...] = (WARN_S,) if int(keys.for_) >= 2 * WARN_S else ()
    if keys.warn is not None:
        warn_s = tuple(int(before) for before in keys.warn)
    return model.LeaseTerms(
        start_s=float(keys.start or 0.0),
        before_s=float(keys.before or 0.0),
        best_effort=keys.best_effort,
        on_expiry=keys.on_expiry,
        grace_s=grace_s,
        warn_s=warn_s,
    )


def _cluster(name: str, keys: ClusterKeys) -> model.ClusterSpec:
    return model.ClusterSpec(
        name=name,
        count=keys.count,
        minimum=keys.min,
        image=model.ImageRef(keys.image),
        cpus_milli=int(keys.cpus),
        memory_bytes=int(keys.memory),
        networks=keys.networks,
        mounts=tuple(model.Mount(volume, path) for volume, path in keys.volumes.items()),
        scratch_bytes=int(keys.scratch or 0),
        provides=keys.provides,
        requires=keys.requires,
        labels=keys.labels.required,
        preferred_labels=keys.labels.preferred,
        architecture=keys.architecture,
        driver=keys.driver,
        devices=tuple(model.DeviceCount(name, count) for name, count in keys.devices.items()),
        near_volume=keys.near.volume,
        near_image=model.ImageRef(keys.near.image),
        disk_bytes=int(keys.disk or 0),
        console_bytes=int(keys.console or 0),
        max_cpus_milli=int(keys.max_cpus or 0),
        max_memory_bytes=int(keys.max_memory or 0),
        restart=keys.restart,
        stop_within_s=STOP_WITHIN_S if keys.stop_within is None else int(keys.stop_within),
        update_at_once=keys.update.at_once,
        update_wait=keys.update.wait,
        sizes=tuple(
            model.OwnSize(
                workspace,
                int(size.cpus or 0),
                int(size.memory or 0),
                int(size.network_rate or 0),
                int(size.disk_rate or 0),
                int(size.disk_operations or 0),
            )
            for workspace, size in keys.sizes.items()
        ),
        elastic=keys.elastic,
        network_bits_s=int(keys.network_rate or 0),
        expose=tuple(written.exposure for written in keys.expose),
        disk_bytes_s=int(keys.disk_rate or 0),
        disk_operations_s=int(keys.disk_operations or 0),
    )


def _placement(keys: PlacementKeys) -> model.PlacementSpec:
    return model.PlacementSpec(
        spread=keys.spread,
        sites=keys.sites,
        exclude=keys.exclude,
        exclude_sites=keys.exclude_sites,
        prefer=keys.prefer,
        compact=keys.compact,
        strict=keys.strict,
        within_ms=int(keys.within or 0),
        apart=keys.apart,
    )


def _written_at(spec: model.GridSpec, path: KeyPath) -> KeyPath:
    """Where in the file a field of the spec comes from."""
    if path == ("name",):
        return ("grid",)
    return tuple(_steps(spec, path))


def _steps(spec: model.GridSpec, path: KeyPath) -> Iterator[str | int]:
    match path:
        case (("clusters" | "networks" | "volumes") as kind, int(index), *rest):
            yield kind
            yield getattr(spec, kind)[index].name
            match rest:
                case ["name"]:
                    return
                case ["mounts", int(position), *_]:
                    yield "volumes"
                    yield spec.clusters[index].mounts[position].volume
                case ["sizes", int(position), *field]:
                    yield "sizes"
                    yield spec.clusters[index].sizes[position].workspace
                    yield from _renamed(field if field != ["workspace"] else [])
                case ["mounts"]:
                    yield "volumes"
                case ["devices", int(position), *_]:
                    yield "devices"
                    yield spec.clusters[index].devices[position].name
                case _:
                    yield from _renamed(rest)
        case _:
            yield from _renamed(path)


def _renamed(path: Any) -> Iterator[str | int]:
    for step in path:
        yield from KEYS.get(step, (step,))


def _is_key(path: KeyPath) -> bool:
    """Whether the key itself is wrong: a name that is a key, or a volume that is mounted."""
    return path[-1:] in (("name",), ("volume",), ("workspace",)) and len(path) > 1


def _profiles(source: Source) -> Mapping[str, Any]:
    """The profiles that can be merged. The walker says what else is wrong with them."""
    written = source.value.get("profiles") if isinstance(source.value, dict) else None
    if not isinstance(written, dict):
        return {}
    return {name: value for name, value in written.items() if isinstance(value, dict)}


def _merged(source: Source, name: str) -> Source:
    """The file with a profile written over it. Every value keeps the place where it was written."""
    assert isinstance(source.value, dict)
    base = {key: value for key, value in source.value.items() if key != "profiles"}
    spots = {path: spot for path, spot in source.spots.items() if path[:1] != ("profiles",)}
    at: KeyPath = ("profiles", name)
    value = _over(base, _profiles(source)[name], at, (), source.spots, spots)
    return source.with_value(value, spots)


def _over(
    below: dict[str, Any],
    above: dict[str, Any],
    at: KeyPath,
    path: KeyPath,
    written: dict[KeyPath, Spot],
    spots: dict[KeyPath, Spot],
) -> dict[str, Any]:
    """`above` written over `below`. Mappings merge key by key; anything else replaces. `spots` follows."""
    result = dict(below)
    for key, value in above.items():
        old, here, there = result.get(key), (*path, key), (*at, key)
        if isinstance(old, dict) and isinstance(value, dict):
            result[key] = _over(old, value, there, here, written, spots)
            continue
        result[key] = value
        _moved(value, there, here, written, spots)
    return result


def _moved(
    value: object,
    at: KeyPath,
    path: KeyPath,
    written: dict[KeyPath, Spot],
    spots: dict[KeyPath, Spot],
) -> None:
    """Notes that what is at `path` now was written at `at`, and so on inside. Older spots below may stay."""
    spots[path] = written[at]
    if isinstance(value, dict | list):
        for step in value if isinstance(value, dict) else range(len(value)):
            _moved(value[step], (*at, step), (*path, step), written, spots)
