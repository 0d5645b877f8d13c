"""Put GRUB for a BIOS on a disk image without a loop device: python3 bios.py DISK BOOT.IMG CORE.IMG SECTOR.

What grub-bios-setup does: boot.img into the first sector, beside the partition table, with the sector of
core.img; core.img into the BIOS boot partition, with the sector of its own rest.
"""

import sys
from pathlib import Path

SECTOR = 512
BOOT_CODE_BYTES = (
    440  # what follows in the first sector is the disk's signature and the partition table
)
KERNEL_SECTOR_AT = 0x5C  # in boot.img: where core.img begins, 8 bytes
BLOCK_LIST_AT = SECTOR - 12  # in core.img's first sector: where its rest begins, 8 bytes


def install(disk: Path, boot: bytes, core: bytes, first_sector: int) -> None:
    """Write both into `disk`; the partition at `first_sector` has to have room for `core`."""
    code = bytearray(boot[:BOOT_CODE_BYTES])
    code[KERNEL_SECTOR_AT : KERNEL_SECTOR_AT + 8] = first_sector.to_bytes(8, "little")
    rest = bytearray(core)
    rest[BLOCK_LIST_AT : BLOCK_LIST_AT + 8] = (first_sector + 1).to_bytes(8, "little")
    with disk.open("r+b") as file:
        file.write(code)
        file.seek(first_sector * SECTOR)
        file.write(rest)


if __name__ == "__main__":
    install(
        Path(sys.argv[1]),
        Path(sys.argv[2]).read_bytes(),
        Path(sys.argv[3]).read_bytes(),
        int(sys.argv[4]),
    )
