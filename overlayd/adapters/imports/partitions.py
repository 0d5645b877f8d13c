"""What a raw disk is booted by: its partition table, and names on its EFI system partition."""

import os
import struct
from pathlib import Path
from uuid import UUID

import msgspec

from overlayd.ports.images import ImageError
from protocol.image.facts import Firmware
from protocol.terms.architecture import Architecture

SECTOR_BYTES = 512
ENTRIES_MOST = 1024
"""Partitions of a GPT; 128 are usual."""

SEARCHED_BYTES = 1 << 30
"""So much of an EFI system partition is searched for boot loaders, holes not counted."""

_ESP = UUID("c12a7328-f81f-11d2-ba4b-00a0c93ec93b")
_BIOS_BOOT = UUID("21686148-6449-6e6f-744e-656564454649")
_PREP = UUID("9e1a2d38-c612-4316-aa26-8b49521e5a8b")
_MBR_ESP, _MBR_GPT, _MBR_PREP = 0xEF, 0xEE, 0x41
_BOOT_CODE_BYTES = 440

_LOADERS = {
    b"BOOTX64 EFI": Architecture.X86_64,
    b"SHIMX64 EFI": Architecture.X86_64,
    b"GRUBX64 EFI": Architecture.X86_64,
    b"BOOTAA64EFI": Architecture.AARCH64,
    b"SHIMAA64EFI": Architecture.AARCH64,
    b"GRUBAA64EFI": Architecture.AARCH64,
    b"BOOTRI~1EFI": Architecture.RISCV64,
}
"""Names as a FAT directory has them: an entry begins with the name, and is 32 bytes."""

_ENTRY_BYTES = 32
_PIECE_BYTES = 1 << 20


class Boots(msgspec.Struct, frozen=True):
    """What can boot a disk."""

    firmware: tuple[Firmware, ...]
    architecture: Architecture | None
    """Of its boot loaders; None if that is not told."""
    why_not: str = ""
    """Why nothing can, if nothing can."""


class _Partition(msgspec.Struct, frozen=True):
    number: int
    kind: UUID | int
    first: int
    last: int


def boots_of(disk: Path) -> Boots:
    """How that raw disk boots. Raises ImageError if a partition of it is not in the file."""
    with disk.open("rb", buffering=0) as file:
        descriptor = file.fileno()
        size = os.fstat(descriptor).st_size
        head = os.pread(descriptor, SECTOR_BYTES, 0)
        if head[510:512] != b"\x55\xaa":
            return Boots((), None, "it has no partition table")
        partitions = _mbr(head, size)
        if any(partition.kind == _MBR_GPT for partition in partitions):
            partitions = _gpt(descriptor)
        for partition in partitions:
            if (partition.last + 1) * SECTOR_BYTES > size:
                raise ImageError(
                    f"not a whole image: partition {partition.number} ends at byte "
                    f"{(partition.last + 1) * SECTOR_BYTES}, and the disk at {size}; "
                    "was it downloaded to its end?"
                )
        return _boots(descriptor, partitions, any(head[:_BOOT_CODE_BYTES]))


def _boots(descriptor: int, partitions: list[_Partition], boot_code: bool) -> Boots:
    if not partitions:
        return Boots((), None, "its partition table is empty")
    kinds = {partition.kind for partition in partitions}
    if kinds & {_PREP, _MBR_PREP}:
        return Boots((), Architecture.PPC64LE, "it boots by Open Firmware, which no guest here has")
    loaders: set[Architecture] = set()
    for partition in partitions:
        if partition.kind in (_ESP, _MBR_ESP):
            loaders |= _loaders(descriptor, partition)
    firmware = []
    if (boot_code or _BIOS_BOOT in kinds) and loaders <= {Architecture.X86_64}:
        firmware.append(Firmware.BIOS)
    if kinds & {_ESP, _MBR_ESP}:
        firmware.append(Firmware.UEFI)
    if Architecture.X86_64 in loaders or firmware == [Firmware.BIOS]:
        return Boots(tuple(firmware), Architecture.X86_64)
    if not firmware:
        many = (
            "its partition is"
            if len(partitions) == 1
            else f"none of its {len(partitions)} partitions is"
        )
        said = f"{many} {'not ' if len(partitions) == 1 else ''}one to boot from"
        return Boots(
            (), None, f"{said}: no EFI system partition, no BIOS boot partition, no boot code"
        )
    return Boots(tuple(firmware), min(loaders, default=None))


def _mbr(head: bytes, size: int) -> list[_Partition]:
    found = []
    for number in range(4):
        at = 446 + 16 * number
        state, kind = head[at], head[at + 4]
        first, count = struct.unpack_from("<II", head, at + 8)
        if kind == 0 or count == 0 or state not in (0, 0x80):
            continue
        if kind == _MBR_GPT:
            count = min(count, max(1, size // SECTOR_BYTES - first))
        found.append(_Partition(number + 1, kind, first, first + count - 1))
    return found


def _gpt(descriptor: int) -> list[_Partition]:
    head = os.pread(descriptor, SECTOR_BYTES, SECTOR_BYTES)
    if head[:8] != b"EFI PART":
        raise ImageError(
            "not an image: its partition table (GPT) is missing where a disk of 512-byte sectors has it"
        )
    at, count, size = struct.unpack_from("<QII", head, 72)
    if count > ENTRIES_MOST or size not in (128, 256, 512):
        raise ImageError("not an image: its partition table (GPT) has an impossible size")
    table = os.pread(descriptor, count * size, min(at, 1 << 40) * SECTOR_BYTES)
    found = []
    for number in range(len(table) // size):
        entry = table[number * size : (number + 1) * size]
        if any(entry[:16]):
            first, last = struct.unpack_from("<QQ", entry, 32)
            found.append(_Partition(number + 1, UUID(bytes_le=entry[:16]), first, last))
    return found


def _loaders(descriptor: int, partition: _Partition) -> set[Architecture]:
    """For which architectures there are boot loaders, by their names in FAT directories."""
    start, end = partition.first * SECTOR_BYTES, (partition.last + 1) * SECTOR_BYTES
    found: set[Architecture] = set()
    searched, at = 0, start
    while at < end and searched < SEARCHED_BYTES:
        try:
            at = os.lseek(descriptor, at, os.SEEK_DATA)
        except OSError:
            break
        at -= (at - start) % _ENTRY_BYTES
        piece = os.pread(descriptor, min(_PIECE_BYTES, end - at), at) if at < end else b""
        if not piece:
            break
        for name, architecture in _LOADERS.items():
            if architecture not in found and _is_entry(piece, name):
                found.add(architecture)
        at += len(piece)
        searched += len(piece)
    return found


def _is_entry(piece: bytes, name: bytes) -> bool:
    at = piece.find(name)
    while at >= 0:
        if at % _ENTRY_BYTES == 0:
            return True
        at = piece.find(name, at + 1)
    return False
