"""From a disk in some format to the raw bytes its guest sees."""

import json
import os
import re
import struct
from pathlib import Path

from overlayd.adapters.imports import confined, qcow2, vmdk
from overlayd.adapters.imports.confined import Cage
from overlayd.adapters.imports.look import Format
from overlayd.adapters.imports.sparse import SparseWriter
from overlayd.ports.images import ImageError, ImportWatch
from protocol.image.facts import CONTENT_BYTES_MOST

_PIECE_BYTES = 1 << 20
_DONE = re.compile(rb"\(([0-9.]+)/100%\)")
_SAFE = {
    Format.QCOW2: "qcow2",
    Format.VMDK: "vmdk",
    Format.VDI: "vdi",
    Format.VHDX: "vhdx",
}
"""What the format inspector calls them."""

_LEAKS = 3
"""qemu-img check: clusters that nobody uses. Nothing is missing."""


def to_raw(source: Path, kind: Format, target: Path, watch: ImportWatch) -> None:
    """Writes the new file `target`. Raises ImageError if the disk is not whole, or refers to anything else."""
    if kind is Format.RAW:
        _copy(source, target, watch)
        return
    watch.begin("checking")
    _inspect(source, kind)
    size = qcow2.check(source) if kind is Format.QCOW2 else _virtual_size(source, kind, watch)
    qcow2.check_size(size)
    if kind is Format.VDI:
        _check_vdi(source)
    if kind is Format.VMDK:
        vmdk.check(source)
    _check_whole(source, kind, watch)
    watch.begin("converting", size)

    def shown(printed: bytes) -> None:
        if found := _DONE.findall(printed):
            watch.done_bytes = int(size * float(found[-1]) / 100)

    confined.give(target)
    with confined.readable(source):
        argv = [
            "qemu-img",
            "convert",
            "-p",
            "-t",
            "writeback",
            "-f",
            kind,
            "-O",
            "raw",
            "/in",
            "/out",
        ]
        cage = Cage((("/in", source),), (("/out", target),), -(-size // 512) * 512)
        confined.run(argv, cage, watch, output=shown)
    confined.take_back(target)


def _copy(source: Path, target: Path, watch: ImportWatch) -> None:
    watch.begin("copying", source.stat().st_size)
    writer = SparseWriter(target, CONTENT_BYTES_MOST)
    with source.open("rb", buffering=0) as file:
        while data := file.read(_PIECE_BYTES):
            watch.check()
            writer.write(data)
            watch.done_bytes += len(data)
    writer.close(sectors=True)


def _inspect(source: Path, kind: Format) -> None:
    """OpenStack's look at it, which knows every way a disk referred to a host's files so far."""
    from oslo_utils.imageutils import format_inspector

    try:
        found = format_inspector.detect_file_format(str(source))
    except format_inspector.ImageFormatError as error:
        raise ImageError(f"not an image: {error}") from None
    if found is None or str(found) != _SAFE[kind]:
        raise ImageError(f"not an image: it begins as {kind}, and looks like {found} as well")
    try:
        found.safety_check()
    except format_inspector.SafetyCheckFailed as error:
        whys = ", ".join(str(why) for why in error.failures.values())
        raise ImageError(f"not an image that is safe to read ({kind}): {whys}") from None
    except (format_inspector.ImageFormatError, ValueError) as error:
        raise ImageError(f"not a whole image ({kind}): {error}") from None


def _virtual_size(source: Path, kind: Format, watch: ImportWatch) -> int:
    printed = bytearray()
    argv = ["qemu-img", "info", "--output=json", "-f", kind, "/in"]
    try:
        with confined.readable(source):
            confined.run(argv, Cage((("/in", source),)), watch, output=printed.extend)
    except ImageError as error:
        raise ImageError(f"not a whole image: {error}") from None
    try:
        return int(json.loads(printed)["virtual-size"])
    except (ValueError, KeyError, TypeError) as error:
        raise ImageError(f"not an image: qemu-img info is not understood: {error}") from None


def _check_whole(source: Path, kind: Format, watch: ImportWatch) -> None:
    """What is missing at the end would be read as zeros, and nobody would know."""
    argv = ["qemu-img", "check", "--output=json", "-f", kind, "/in"]
    printed = bytearray()
    try:
        with confined.readable(source):
            confined.run(
                argv, Cage((("/in", source),)), watch, output=printed.extend, good=(0, 63, _LEAKS)
            )
    except ImageError as error:
        raise ImageError(f"not a whole image: {error}; was it downloaded to its end?") from None


def _check_vdi(source: Path) -> None:
    """QEMU does not look whether a VDI's blocks are all there."""
    with source.open("rb") as file:
        head = file.read(512)
        at, block, count = (
            struct.unpack_from("<I", head, offset)[0] for offset in (0x158, 0x178, 0x184)
        )
        needed, length = at + block * count, os.fstat(file.fileno()).st_size
    if needed > length:
        raise ImageError(
            f"not a whole image: it ends at byte {length}, and a part of it at {needed}; was it "
            "downloaded to its end?"
        )
