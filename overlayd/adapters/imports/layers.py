"""An OCI image layout in a tar (`docker save`, `skopeo copy oci-archive:`): its layers, one over the other."""

import hashlib
import platform
import re
from pathlib import Path
from typing import TypeVar

import msgspec

from overlayd.adapters.image_format import opened
from overlayd.adapters.imports import unpacking
from overlayd.adapters.imports.look import head_of, packing_of
from overlayd.adapters.imports.trees import Tree
from overlayd.ports.images import ImageError, ImportWatch
from protocol.terms.architecture import Architecture

INDEX = "index.json"
LAYERS_MOST = 128
JSON_MOST_BYTES = 1 << 20
ENTRIES_MOST = 4096
"""Entries of the layout: blobs of a few images."""

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_GO_NAMES = {"amd64": "x86_64", "arm64": "aarch64"}
_PIECE_BYTES = 1 << 20


_T = TypeVar("_T")


class _Platform(msgspec.Struct):
    architecture: str = ""


class _Blob(msgspec.Struct):
    digest: str
    platform: _Platform | None = None


class _Index(msgspec.Struct):
    manifests: list[_Blob] = []


class _Manifest(msgspec.Struct):
    config: _Blob
    layers: list[_Blob]


def add_layers(
    source: Path, folder: Path, tree: Tree, wanted: Architecture | None, watch: ImportWatch
) -> Architecture | None:
    """Adds the layers of the one image in a layout. Answers its architecture. Raises ImageError."""
    layout = _Layout(source)
    manifest = layout.manifest(wanted or Architecture(platform.machine()))
    config = layout.json(manifest.config, _Platform)
    if not 0 < len(manifest.layers) <= LAYERS_MOST:
        raise ImageError(f"not an image: it has {len(manifest.layers)} layers")
    for number, blob in enumerate(manifest.layers):
        packed, plain = folder / "packed", folder / f"layer-{number}"
        layout.write(blob, packed, watch)
        packing = packing_of(head_of(packed))
        if packing is None:
            packed.rename(plain)
        else:
            unpacking.unpack(packed, packing, plain, watch)
            packed.unlink()
        tree.add(plain, layer=True)
    name = _GO_NAMES.get(config.architecture, config.architecture)
    return Architecture(name) if name in tuple(Architecture) else None


class _Layout:
    """The blobs of a layout, by where they are in the tar."""

    def __init__(self, source: Path) -> None:
        self._source = source
        self._at: dict[str, tuple[int, int]] = {}
        with opened(source) as archive:
            for count, member in enumerate(archive):
                if count >= ENTRIES_MOST:
                    raise ImageError(
                        f"not an image: a layout with more than {ENTRIES_MOST} entries"
                    )
                if member.isreg() and not member.issparse():
                    name = member.name.removeprefix("./")
                    self._at[name] = (member.offset_data, member.size)

    def manifest(self, architecture: Architecture) -> _Manifest:
        """The manifest for that architecture, or the only one."""
        found = self._decoded(self._bytes(INDEX), _Index).manifests
        for _ in range(4):  # an index may name another
            fitting = [blob for blob in found if _fits(blob, architecture)] or found
            if not fitting or (len(fitting) > 1 and len({blob.digest for blob in fitting}) > 1):
                raise ImageError(
                    f"an image is one; the layout has {len(fitting)} for {architecture}"
                )
            content = self._blob(fitting[0])
            if b'"manifests"' not in content:
                return self._decoded(content, _Manifest)
            found = self._decoded(content, _Index).manifests
        raise ImageError("not an image: an index of indexes without an end")

    def json(self, blob: _Blob, kind: type[_Platform]) -> _Platform:
        """A small blob, decoded."""
        return self._decoded(self._blob(blob), kind)

    def write(self, blob: _Blob, target: Path, watch: ImportWatch) -> None:
        """Writes a blob into a new file, if it is what its digest says."""
        offset, size = self._find(blob)
        watch.begin("unpacking", size)
        made = hashlib.sha256()
        with self._source.open("rb") as file, target.open("xb") as out:
            file.seek(offset)
            while size and (data := file.read(min(size, _PIECE_BYTES))):
                watch.check()
                out.write(data)
                made.update(data)
                size -= len(data)
                watch.done_bytes += len(data)
        if f"sha256:{made.hexdigest()}" != blob.digest:
            raise ImageError(f"not a whole image: its layer {blob.digest[:19]} is another")

    def _find(self, blob: _Blob) -> tuple[int, int]:
        name = f"blobs/{blob.digest.replace(':', '/')}"
        if not _DIGEST.fullmatch(blob.digest) or name not in self._at:
            raise ImageError(f"not a whole image: {blob.digest[:80]!r} is not in it")
        return self._at[name]

    def _blob(self, blob: _Blob) -> bytes:
        self._find(blob)
        content = self._bytes(f"blobs/{blob.digest.replace(':', '/')}")
        if f"sha256:{hashlib.sha256(content).hexdigest()}" != blob.digest:
            raise ImageError(f"not a whole image: {blob.digest[:19]} is another")
        return content

    def _bytes(self, name: str) -> bytes:
        if name not in self._at:
            raise ImageError(f"not a whole image: {name} is not in the layout")
        offset, size = self._at[name]
        if size > JSON_MOST_BYTES:
            raise ImageError(f"not an image: {name} has {size} bytes")
        with self._source.open("rb") as file:
            file.seek(offset)
            return file.read(size)

    @staticmethod
    def _decoded(content: bytes, kind: type[_T]) -> _T:
        try:
            return msgspec.json.decode(content, type=kind)
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            raise ImageError(f"not an image: its description is not understood: {error}") from None


def _fits(blob: _Blob, architecture: Architecture) -> bool:
    said = blob.platform.architecture if blob.platform is not None else ""
    return _GO_NAMES.get(said, said) == architecture
