"""What a file is, by its first bytes. Nothing else decides it: no name, no later look, no tool's own guess."""

from enum import StrEnum
from pathlib import Path

from overlayd.ports.images import ImageError

HEAD_BYTES = 40 << 10
"""Enough for every mark, of which an ISO's is the farthest in."""

KNOWN = (
    "qcow2, a raw disk with a partition table, VMDK, VDI, VHDX, an OVA with one of these,"
    " an appliance's tar, or a root file system (tar, squashfs, OCI layout in a tar); each may be"
    " compressed by xz, gzip, zstd or bzip2"
)


class Packing(StrEnum):
    """What a file is compressed by."""

    GZIP = "gzip"
    XZ = "xz"
    ZSTD = "zstd"
    BZIP2 = "bzip2"


class Format(StrEnum):
    """What a file is that is not compressed. The disks are in QEMU's words."""

    QCOW2 = "qcow2"
    RAW = "raw"
    VMDK = "vmdk"
    VDI = "vdi"
    VHDX = "vhdx"
    TAR = "tar"
    SQUASHFS = "squashfs"


_PACKINGS = (
    (b"\x1f\x8b\x08", Packing.GZIP),
    (b"\xfd7zXZ\0", Packing.XZ),
    (b"\x28\xb5\x2f\xfd", Packing.ZSTD),
    (b"BZh", Packing.BZIP2),
)
_MARKS = (
    (0, b"QFI\xfb", Format.QCOW2),
    (0, b"KDMV", Format.VMDK),
    (0, b"# Disk DescriptorFile", Format.VMDK),
    (64, b"\x7f\x10\xda\xbe", Format.VDI),
    (0, b"vhdxfile", Format.VHDX),
    (257, b"ustar", Format.TAR),
    (0, b"hsqs", Format.SQUASHFS),
)
_REFUSED = (
    (0, b"LUKS\xba\xbe", "it is encrypted (LUKS); add what is in it"),
    (0, b"QED\0", "it is of QEMU's format QED; convert it: qemu-img convert -O qcow2"),
    (0, b"conectix", "it is a VHD; convert it: qemu-img convert -O qcow2"),
    (0, b"\x7fELF", "it is a program; an appliance is a tar of a kernel and an initramfs"),
    (0x8001, b"CD001", "it is a CD, an installer perhaps; install from it, and add the disk"),
    (0, b"PK\x03\x04", "it is a zip; unpack it"),
    (0, b"7z\xbc\xaf", "it is a 7-Zip archive; unpack it"),
)
_EXT4 = (1080, b"\x53\xef")


def head_of(path: Path) -> bytes:
    """The first bytes of a file."""
    with path.open("rb") as file:
        return file.read(HEAD_BYTES)


def packing_of(head: bytes) -> Packing | None:
    """What it is compressed by; None if it is not."""
    return next((packing for mark, packing in _PACKINGS if head.startswith(mark)), None)


def format_of(head: bytes, said_to_boot: bool) -> Format:
    """What it is. `said_to_boot`: somebody says what boots it, so that any bytes may be a raw disk.

    Raises ImageError if it is nothing that becomes an image.
    """
    if not head:
        raise ImageError("not an image: it is empty")
    for offset, mark, found in _MARKS:
        if head.startswith(mark, offset):
            return found
    hybrid = head[510:512] == b"\x55\xaa"
    for offset, mark, why in _REFUSED:
        if head.startswith(mark, offset) and not (hybrid and said_to_boot):
            raise ImageError(f"not an image: {why}")
    if hybrid or head.startswith(b"EFI PART", 512) or head.startswith(_EXT4[1], _EXT4[0]):
        return Format.RAW
    if said_to_boot:
        return Format.RAW
    raise ImageError(f"not an image: nothing known begins like this; what may be added is {KNOWN}")
