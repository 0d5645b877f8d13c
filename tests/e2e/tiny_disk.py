"""A disk image that boots in seconds: the Debian image's loaders, the appliance's kernel and initramfs.

BIOS and UEFI both boot it. Its root file system holds nothing else, and its guest mounts it nowhere.
"""

import subprocess
import tarfile
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
IMAGES = TOP / ".cache" / "images"
LAYOUT = TOP / "scripts" / "debian-image" / "layout"
SECTOR = 512
LOADERS = (2048, 73728)
"""The sectors of the partitions that hold the loaders, and where the root begins."""
BOOT_CODE_BYTES = 440
ROOT_MIB = 48
FREE_MIB = 4
"""Behind the root's file system, for who wants to write to the disk without one."""
GRUB = """\
linux /vmlinuz console=ttyS0 quiet panic=-1
initrd /initrd.img
boot
"""


def make(folder: Path) -> Path:
    """The image, raw, in that folder."""
    for kind in ("debian", ""):
        argv = [str(TOP / "scripts" / "build-image"), *kind.split()]
        subprocess.run(argv, check=True, capture_output=True)
    files, loaders, disk = folder / "files", folder / "loaders.raw", folder / "tiny.raw"
    (files / "boot" / "grub").mkdir(parents=True)
    (files / "boot" / "grub" / "grub.cfg").write_text(GRUB)
    with tarfile.open(IMAGES / "guest.img") as archive:
        for part in ("vmlinuz", "initrd.img"):
            archive.extract(part, files, filter="data")
    start, end = LOADERS
    argv = ["qemu-img", "dd", "-f", "qcow2", "-O", "raw", "bs=1M", f"count={end * SECTOR >> 20}"]
    subprocess.run([*argv, f"if={IMAGES / 'debian.qcow2'}", f"of={loaders}"], check=True)
    with disk.open("xb") as file:
        file.truncate(end * SECTOR + ((ROOT_MIB + FREE_MIB) << 20))
    table = "".join(line for line in LAYOUT.open() if not line.startswith("#"))
    subprocess.run(["sfdisk", "--quiet", str(disk)], input=table.encode(), check=True)
    with loaders.open("rb") as source, disk.open("r+b") as target:
        target.write(source.read(BOOT_CODE_BYTES))
        source.seek(start * SECTOR)
        target.seek(start * SECTOR)
        target.write(source.read((end - start) * SECTOR))
    loaders.unlink()
    options = ["-q", "-t", "ext4", "-L", "root", "-O", "^metadata_csum_seed,^orphan_file"]
    at = ["-d", str(files), "-E", f"offset={end * SECTOR},nodiscard", str(disk), f"{ROOT_MIB}m"]
    subprocess.run(["mke2fs", *options, *at], check=True)
    return disk
