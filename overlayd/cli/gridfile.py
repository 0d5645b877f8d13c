"""From a grid file to a specification that can be sent: read, checked, images by digest."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from overlayd.api.views import ImageRow
from overlayd.cli.failure import DocumentFailure, Failure, failure
from overlayd.cli.meaning import meant
from overlayd.cli.rootdisks import for_its_cpus, for_its_driver, sized
from overlayd.cli.session import Session
from overlayd.config.documents import DocumentError, KeyPath, Problem, Source, load
from overlayd.config.gridfile import load_with_files
from overlayd.config.userdata import Attachment
from overlayd.config.yaml_source import parse_yaml
from protocol.grid.check import problems
from protocol.grid.limits import CONSOLE_BYTES
from protocol.grid.model import GridSpec

_KEY_FILE_MAX = 64 << 10

_FILLED = {"disk": sized, "architecture": for_its_cpus, "driver": for_its_driver}
"""What a cluster gets from its image once that is known, by the key that can say otherwise."""


def read_grid(
    session: Session, file: Path, profile: str | None, ssh_keys: Sequence[Path], code: int
) -> tuple[GridSpec, list[ImageRow], tuple[Attachment, ...]]:
    """The grid with every image's digest, the images there are, and the files that go with the grid.

    Raises Failure with `code`.
    """
    try:
        spec, files = load_with_files(file, profile)
        spec = _with_keys(spec, ssh_keys, code)
        images = session.client.get("/images", list[ImageRow])
        return _resolved(spec, images, session.site, file, profile), images, files
    except DocumentError as error:
        raise DocumentFailure(error.problems, code) from None


def _with_keys(spec: GridSpec, files: Sequence[Path], code: int) -> GridSpec:
    keys = [key for file in files for key in _keys(file, code)]
    merged = tuple(dict.fromkeys((*spec.ssh_authorized_keys, *keys)))
    spec = msgspec.structs.replace(spec, ssh_authorized_keys=merged)
    if wrong := problems(spec):
        raise Failure([str(problem) for problem in wrong], code)
    return spec


def _keys(file: Path, code: int) -> list[str]:
    try:
        with file.open("rb") as stream:
            content = stream.read(_KEY_FILE_MAX)
    except OSError as error:
        said = f"{file} cannot be read: {(error.strerror or str(error)).lower()}"
        raise failure(said, code=code) from None
    if b"PRIVATE KEY" in content:
        said = f"{file} is a private key, which no grid should carry"
        raise failure(said, f"{file}.pub, the public one beside it", code)
    lines = (line.strip() for line in content.decode("utf-8", "replace").splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _resolved(
    spec: GridSpec, images: list[ImageRow], site: str, file: Path, profile: str | None
) -> GridSpec:
    """Every image by the digest its name means. Raises DocumentError at the lines that name no image."""
    wrong: list[Problem] = []
    source: Source | None = None
    clusters = []
    for cluster in spec.clusters:
        image, problem = meant(cluster.image.name, images, site)
        if problem:
            source = source or load(file, parse_yaml)
            wrong.append(source.problem(_written(source, cluster.name, profile), problem))
        near = cluster.near_image
        if near.name:
            near, problem = meant(near.name, images, site)
            if problem:
                source = source or load(file, parse_yaml)
                at = _written(source, cluster.name, profile, ("near", "image"))
                wrong.append(source.problem(at, problem))
        console_bytes = cluster.console_bytes or CONSOLE_BYTES
        cluster = msgspec.structs.replace(
            cluster, image=image, near_image=near, console_bytes=console_bytes
        )
        row = next((row for row in images if row.digest == image.digest), None)
        if row is not None:
            for key, filled in _FILLED.items():
                cluster, problem = filled(cluster, row)
                if problem:
                    source = source or load(file, parse_yaml)
                    at = _written(source, cluster.name, profile, (key,))
                    wrong.append(source.problem(at, problem))
        clusters.append(cluster)
    if wrong:
        raise DocumentError(dict.fromkeys(wrong))
    return msgspec.structs.replace(spec, clusters=tuple(clusters))


def _written(
    source: Source, cluster: str, profile: str | None, key: KeyPath = ("image",)
) -> KeyPath:
    at: KeyPath = ("clusters", cluster, *key)
    over: KeyPath = ("profiles", profile or "", *at)
    return over if over in source.spots else at
