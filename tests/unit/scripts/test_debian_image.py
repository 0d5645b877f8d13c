"""What scripts/debian-image says in more than one place, and how GRUB for a BIOS gets onto the disk."""

import re
import subprocess
import sys
from pathlib import Path

PARTS = Path(__file__).resolve().parents[3] / "scripts" / "debian-image"
SECTOR = 512


def layout() -> dict[str, tuple[int, int]]:
    """Each partition's first sector and its sectors; 0 for the rest of the disk."""
    text = (PARTS / "layout").read_text()
    found = re.findall(r'^start=(\d+),\s+(?:size=(\d+),\s+)?name="(\w+)"', text, re.M)
    return {name: (int(start), int(size or 0)) for start, size, name in found}


def test_partitions_follow_one_another_and_the_root_is_last() -> None:
    (bios, bios_size), (esp, esp_size), (root, _) = (
        layout()[name] for name in ("bios", "esp", "root")
    )
    assert bios + bios_size == esp
    assert esp + esp_size == root


def test_the_build_writes_where_the_layout_says() -> None:
    said = re.search(
        r"bios_sector=(\d+) esp_sector=(\d+) esp_sectors=(\d+) root_sector=(\d+)",
        (PARTS / "build").read_text(),
    )
    assert said is not None
    parts = layout()
    assert tuple(map(int, said.groups())) == (parts["bios"][0], *parts["esp"], parts["root"][0])


def test_who_looks_into_the_image_finds_its_root_where_the_layout_says() -> None:
    for script in (PARTS.parent / "debian-repository", PARTS.parent / "federation/try_example.py"):
        (sector,) = re.findall(r"(\d+) \* 512", script.read_text())
        assert int(sector) == layout()["root"][0], script.name


def test_grub_for_a_bios_leaves_the_partition_table_and_knows_where_it_is(tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(b"T" * SECTOR * 8)
    (tmp_path / "boot").write_bytes(b"B" * SECTOR)
    (tmp_path / "core").write_bytes(b"C" * SECTOR * 3)
    subprocess.run(
        [
            sys.executable,
            PARTS / "bios.py",
            tmp_path / "disk",
            tmp_path / "boot",
            tmp_path / "core",
            "4",
        ],
        check=True,
    )
    disk = (tmp_path / "disk").read_bytes()
    assert len(disk) == SECTOR * 8
    assert disk[440:SECTOR] == b"T" * (SECTOR - 440)
    assert disk[:0x5C] == b"B" * 0x5C
    assert int.from_bytes(disk[0x5C:0x64], "little") == 4
    assert disk[SECTOR : 4 * SECTOR] == b"T" * SECTOR * 3
    core = disk[4 * SECTOR : 7 * SECTOR]
    assert int.from_bytes(core[SECTOR - 12 : SECTOR - 4], "little") == 5
    assert core[SECTOR:] == b"C" * SECTOR * 2


def test_asking_for_help_changes_nothing() -> None:
    said = subprocess.run(
        [PARTS / "build", "--help"], check=True, capture_output=True, text=True
    ).stdout
    assert "--with PACKAGE" in said
