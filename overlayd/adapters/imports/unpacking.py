"""Compressed files, and the disk in an OVA: written out, with a bound on everything."""

import os
import tarfile
from pathlib import Path

from overlayd.adapters.imports import confined
from overlayd.adapters.imports.confined import Cage
from overlayd.adapters.imports.look import Packing
from overlayd.adapters.imports.sparse import SparseWriter
from overlayd.ports.images import ImageError, ImportWatch
from protocol.grid.problem import listed, quoted
from protocol.image.facts import CONTENT_BYTES_MOST

UNPACKED_MOST_BYTES = CONTENT_BYTES_MOST
"""The most that a file may become. Zeros take no room, so a disk's size bounds what it takes of this host."""

ENTRIES_MOST = 64
"""Entries of an OVA: a description, a manifest, a certificate, and disks."""

_TOOLS = {
    Packing.GZIP: ("gzip", "-dc"),
    Packing.XZ: ("xz", "-dc", "--memlimit-decompress=1GiB"),
    Packing.ZSTD: ("zstd", "-dcq", "--memory=1024MB"),
    Packing.BZIP2: ("bzip2", "-dc"),
}
_DISKS = (".vmdk", ".qcow2", ".img", ".raw", ".vdi", ".vhdx")
_PIECE_BYTES = 1 << 20


def unpack(source: Path, packing: Packing, target: Path, watch: ImportWatch) -> None:
    """Decompresses into the new file `target`. Raises ImageError."""
    watch.begin("unpacking", source.stat().st_size)
    writer = SparseWriter(target, UNPACKED_MOST_BYTES)
    with source.open("rb", buffering=0) as file:

        def take(data: bytes) -> None:
            watch.check()
            writer.write(data)
            watch.done_bytes = os.lseek(file.fileno(), 0, os.SEEK_CUR)

        try:
            confined.run(_TOOLS[packing], Cage(), watch, stdin=file, output=take)
        except ImageError as error:
            said = str(error)
            if said.startswith(_TOOLS[packing][0]):
                said = f"not a whole image ({packing}): {said}; was it downloaded to its end?"
            raise ImageError(said) from None
    writer.close()


def tar_of_squashfs(source: Path, target: Path, watch: ImportWatch) -> None:
    """Writes what is in a squashfs into the new file `target`, as a tar. Raises ImageError."""
    watch.begin("unpacking")
    writer = SparseWriter(target, UNPACKED_MOST_BYTES)

    def take(data: bytes) -> None:
        watch.check()
        writer.write(data)
        watch.done_bytes = writer.size

    try:
        with confined.readable(source):
            confined.run(["sqfs2tar", "/in"], Cage((("/in", source),)), watch, output=take)
    except ImageError as error:
        raise ImageError(f"not a whole image (squashfs): {error}") from None
    writer.close()


def disk_of_ova(archive: tarfile.TarFile, target: Path, watch: ImportWatch) -> None:
    """Writes the one disk of an OVA into the new file `target`. Raises ImageError if it has more or none."""
    disks: list[str] = []
    for count, member in enumerate(archive):
        if count >= ENTRIES_MOST:
            raise ImageError(f"not an image: an OVA with more than {ENTRIES_MOST} entries")
        if not member.name.lower().endswith(_DISKS):
            continue
        if not member.isreg() or member.issparse():
            raise ImageError(f"not an image: {quoted(member.name)} in the OVA is no plain file")
        disks.append(member.name)
        if len(disks) == 1:
            content = archive.extractfile(member)
            assert content is not None
            watch.begin("unpacking", member.size)
            writer = SparseWriter(target, UNPACKED_MOST_BYTES)
            while data := content.read(_PIECE_BYTES):
                watch.check()
                writer.write(data)
                watch.done_bytes += len(data)
            writer.close()
            if writer.size != member.size:
                raise ImageError(f"not a whole image: {quoted(member.name)} in the OVA ends early")
    if len(disks) != 1:
        names = f": {listed([quoted(name) for name in disks])}" if disks else ""
        raise ImageError(
            f"an image is one disk, and the OVA has {len(disks)}{names}; unpack it (tar -xf), and add each"
        )
