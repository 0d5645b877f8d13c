"""First bytes, partition tables and holes, without a tool."""

import struct
import sys
from pathlib import Path
from uuid import UUID

import pytest

from overlayd.adapters.imports.look import Format, Packing, format_of, packing_of
from overlayd.adapters.imports.partitions import Boots, boots_of
from overlayd.adapters.imports.sparse import BLOCK_BYTES, SparseWriter
from overlayd.ports.images import ImageError
from protocol.image.facts import Firmware
from protocol.terms.architecture import Architecture

sys.path.insert(0, str(Path(__file__).parents[2] / "contract"))
from some_disks import BIOS_BOOT, ESP, LINUX, gpt, mbr

PREP = UUID("9e1a2d38-c612-4316-aa26-8b49521e5a8b")
X86, ARM = Architecture.X86_64, Architecture.AARCH64
BIOS, UEFI = Firmware.BIOS, Firmware.UEFI


@pytest.mark.parametrize(
    ("head", "found"),
    [
        (b"QFI\xfb" + bytes(600), Format.QCOW2),
        (b"KDMV" + bytes(600), Format.VMDK),
        (b"# Disk DescriptorFile\n" + bytes(600), Format.VMDK),
        (bytes(64) + b"\x7f\x10\xda\xbe" + bytes(600), Format.VDI),
        (b"vhdxfile" + bytes(600), Format.VHDX),
        (bytes(257) + b"ustar\x0000" + bytes(600), Format.TAR),
        (b"hsqs" + bytes(600), Format.SQUASHFS),
        (mbr()[:4096], Format.RAW),
        (gpt(ESP)[:4096], Format.RAW),
        (bytes(1080) + b"\x53\xef" + bytes(600), Format.RAW),
        (mbr(boot_code=b"QFI\xfb")[:4096], Format.QCOW2),
    ],
)
def test_what_a_file_is(head: bytes, found: Format) -> None:
    assert format_of(head, said_to_boot=False) is found
    assert packing_of(head) is None


@pytest.mark.parametrize(
    ("head", "why"),
    [
        (b"", "it is empty"),
        (bytes(4096), "nothing known begins like this"),
        (b"#!/bin/sh\n", "nothing known begins like this"),
        (b"\x7fELF" + bytes(600), "it is a program"),
        (b"LUKS\xba\xbe" + bytes(600), "it is encrypted"),
        (b"conectix" + bytes(600), "it is a VHD"),
        (b"QED\0" + bytes(600), "format QED"),
        (b"PK\x03\x04" + bytes(600), "it is a zip"),
        (bytes(0x8001) + b"CD001" + bytes(600), "it is a CD"),
    ],
)
def test_what_is_no_image(head: bytes, why: str) -> None:
    with pytest.raises(ImageError, match=why):
        format_of(head, said_to_boot=False)


def test_any_bytes_are_a_disk_for_who_says_what_boots_it() -> None:
    assert format_of(bytes(4096), said_to_boot=True) is Format.RAW


def test_packings() -> None:
    assert packing_of(b"\x1f\x8b\x08\0") is Packing.GZIP
    assert packing_of(b"\xfd7zXZ\0") is Packing.XZ
    assert packing_of(b"\x28\xb5\x2f\xfd") is Packing.ZSTD
    assert packing_of(b"BZh9") is Packing.BZIP2


@pytest.mark.parametrize(
    ("disk", "boots"),
    [
        (mbr(), Boots((BIOS,), X86)),
        (gpt(ESP, loaders=(b"BOOTX64 EFI",)), Boots((UEFI,), X86)),
        (gpt(ESP, loaders=(b"BOOTAA64EFI",)), Boots((UEFI,), ARM)),
        (gpt(ESP, loaders=(b"BOOTAA64EFI",), boot_code=b"x"), Boots((UEFI,), ARM)),
        (gpt(ESP, BIOS_BOOT, loaders=(b"BOOTX64 EFI",)), Boots((BIOS, UEFI), X86)),
        (gpt(BIOS_BOOT, LINUX), Boots((BIOS,), X86)),
        (gpt(LINUX, boot_code=b"grub"), Boots((BIOS,), X86)),
        (gpt(ESP), Boots((UEFI,), None)),
    ],
)
def test_what_boots_a_disk(disk: bytes, boots: Boots, tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(disk)
    assert boots_of(tmp_path / "disk") == boots


@pytest.mark.parametrize(
    ("disk", "why"),
    [
        (bytes(4096), "it has no partition table"),
        (mbr(boot_code=b""), "its partition is not one to boot from"),
        (gpt(), "its partition table is empty"),
        (gpt(LINUX, LINUX), "none of its 2 partitions is one to boot from"),
        (gpt(PREP), "it boots by Open Firmware"),
    ],
)
def test_why_nothing_boots_it(disk: bytes, why: str, tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(disk)
    found = boots_of(tmp_path / "disk")
    assert found.firmware == ()
    assert found.why_not.startswith(why)


def broken_gpt(offset: int, form: str, *values: int) -> bytes:
    disk = bytearray(gpt(ESP))
    struct.pack_into(form, disk, offset, *values)
    return bytes(disk)


@pytest.mark.parametrize(
    "disk",
    [
        mbr(last=1 << 20),
        broken_gpt(512, "<Q", 0),
        broken_gpt(512 + 80, "<I", 1 << 31),
        broken_gpt(512 + 84, "<I", 7),
        broken_gpt(1024 + 40, "<Q", (1 << 64) - 1),
    ],
)
def test_tables_that_cannot_be(disk: bytes, tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(disk)
    with pytest.raises(ImageError, match="not a"):
        boots_of(tmp_path / "disk")


@pytest.mark.parametrize("step", [1, 512, 70_000, 1 << 20])
def test_zeros_become_holes(tmp_path: Path, step: int) -> None:
    content = b"a" + bytes(20 * BLOCK_BYTES) + b"b" + bytes(3 * BLOCK_BYTES + 100)
    content = content if step > 1 else content[:200]
    writer = SparseWriter(tmp_path / "file", 1 << 30)
    for start in range(0, len(content), step):
        writer.write(content[start : start + step])
    writer.close(sectors=True)
    made = (tmp_path / "file").read_bytes()
    assert made == content.ljust(-(-len(content) // 512) * 512, b"\0")
    assert (tmp_path / "file").stat().st_blocks * 512 <= 3 * BLOCK_BYTES


def test_a_file_is_bounded(tmp_path: Path) -> None:
    writer = SparseWriter(tmp_path / "file", 1000)
    writer.write(bytes(1000))
    with pytest.raises(ImageError, match="becomes more than"):
        writer.write(b"x")
