"""Small disks of every kind, made as they are needed."""

import struct
import subprocess
from pathlib import Path
from uuid import UUID

ESP = UUID("c12a7328-f81f-11d2-ba4b-00a0c93ec93b")
BIOS_BOOT = UUID("21686148-6449-6e6f-744e-656564454649")
LINUX = UUID("0fc63daf-8483-4772-8e79-3d69d8477de4")
MIB = 1 << 20


def mbr(size: int = 8 * MIB, boot_code: bytes = b"boot", last: int | None = None) -> bytes:
    """A disk with one Linux partition from its first MiB to its end."""
    head = bytearray(512)
    head[: len(boot_code)] = boot_code
    first, end = 2048, last or size // 512 - 1
    head[446:462] = struct.pack("<BBBBBBBBII", 0x80, 0, 0, 0, 0x83, 0, 0, 0, first, end - first + 1)
    head[510:512] = b"\x55\xaa"
    content = bytes(range(256)) * (3 * MIB // 256)
    return (bytes(head) + bytes(MIB - 512) + content).ljust(size, b"\0")


def gpt(*kinds: UUID, loaders: tuple[bytes, ...] = (), boot_code: bytes = b"") -> bytes:
    """A disk of 16 MiB with a GPT and a partition of 1 MiB for each kind, `loaders` named on the first."""
    size = 16 * MIB
    disk = bytearray(size)
    disk[: len(boot_code)] = boot_code
    disk[446:462] = struct.pack("<BBBBBBBBII", 0, 0, 0, 0, 0xEE, 0, 0, 0, 1, 0xFFFFFFFF)
    disk[510:512] = b"\x55\xaa"
    disk[512:520] = b"EFI PART"
    struct.pack_into("<QII", disk, 512 + 72, 2, 128, 128)
    for number, kind in enumerate(kinds):
        at, first = 1024 + 128 * number, 2048 * (number + 1)
        disk[at : at + 16] = kind.bytes_le
        disk[at + 16 : at + 32] = bytes([number + 1] * 16)
        struct.pack_into("<QQ", disk, at + 32, first, first + 2047)
    for number, name in enumerate(loaders):
        at = MIB + 4096 + 32 * number
        disk[at : at + 11] = name
    return bytes(disk)


def converted(content: bytes, form: str, folder: Path, *options: str) -> Path:
    """The disk in another format."""
    raw, made = folder / "some.raw", folder / f"some.{form}"
    raw.write_bytes(content)
    qemu_img("convert", "-f", "raw", "-O", form, *options, raw, made)
    raw.unlink()
    return made


def qemu_img(*words: object) -> None:
    subprocess.run(["qemu-img", *map(str, words)], check=True, capture_output=True)
