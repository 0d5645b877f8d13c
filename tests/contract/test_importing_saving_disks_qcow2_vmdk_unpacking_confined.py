"""Disk images from every format, and all that is refused of them, each with its reason and nothing left."""
# ruff: noqa: ASYNC221, ASYNC240 (a test has its loop for itself, so it may block)

import io
import struct
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from some_disks import BIOS_BOOT, ESP, LINUX, MIB, converted, gpt, mbr, qemu_img

from overlayd.adapters.images import DirectoryImages
from overlayd.adapters.imports import confined, importing, unpacking
from overlayd.adapters.imports.confined import Cage
from overlayd.ports.images import DiskFile, ImageError, ImageInfo, ImportHow, ImportWatch
from protocol.image.facts import Firmware, ImageKind
from protocol.terms.architecture import Architecture

DISK = mbr()
PACKERS = {"gz": "gzip", "xz": "xz", "zst": "zstd", "bz2": "bzip2"}


@pytest.fixture
def images(tmp_path: Path) -> DirectoryImages:
    return DirectoryImages(tmp_path / "images")


def nothing_is_left(images: DirectoryImages, folder: Path) -> None:
    left = [path.name for path in (folder / "images").iterdir()]
    assert left == ["fetching"]


async def refused(images: DirectoryImages, path: Path, **how: object) -> str:
    """Why it is refused. Nothing of it is left."""
    with pytest.raises(ImageError) as error:
        await images.add(path, "x", ImportHow(**how))  # type: ignore[arg-type]
    nothing_is_left(images, path.parent)
    return str(error.value)


def packed(path: Path, ending: str) -> Path:
    made = path.with_name(f"{path.name}.{ending}")
    content = subprocess.run([PACKERS[ending], "-c", path], check=True, capture_output=True).stdout
    made.write_bytes(content)
    return made


async def test_one_disk_has_one_id_however_it_is_brought(
    images: DirectoryImages, tmp_path: Path
) -> None:
    raw = tmp_path / "disk.raw"
    raw.write_bytes(DISK)
    brought = [raw, *(packed(raw, ending) for ending in PACKERS)]
    for form in ("qcow2", "vmdk", "vdi", "vhdx"):
        brought.append(converted(DISK, form, tmp_path))
    brought.append(packed(tmp_path / "some.qcow2", "zst"))
    infos = [await images.add(path, "disk") for path in brought]
    assert len({info.digest for info in infos}) == 1
    (info,) = await images.list()
    assert info.facts.kind is ImageKind.DISK
    assert (info.facts.content_bytes, info.facts.firmware) == (8 * MIB, Firmware.BIOS)
    assert info.facts.architecture is Architecture.X86_64
    files = await images.files(info.digest)
    assert isinstance(files, DiskFile)
    assert Path(files.path).read_bytes() == DISK
    assert info.size_bytes < 4 * MIB, "what is zeros takes no room"
    assert Path(files.path).stat().st_mode & 0o777 == 0o400


async def test_the_disk_in_an_ova(images: DirectoryImages, tmp_path: Path) -> None:
    disk = converted(DISK, "vmdk", tmp_path, "-o", "subformat=streamOptimized")
    ova = ova_of(tmp_path, {"a.ovf": b"<Envelope/>", "a-disk1.vmdk": disk.read_bytes()})
    info = await images.add(ova, None, ImportHow(origin="http://x/y/Appliance 1.ova?z=1"))
    assert (info.facts.content_bytes, info.name) == (8 * MIB, "Appliance-1")
    raw = tmp_path / "disk.raw"
    raw.write_bytes(DISK)
    assert (await images.add(raw, "same")).names == ("Appliance-1", "same")


def ova_of(folder: Path, parts: dict[str, bytes]) -> Path:
    path = folder / "some.ova"
    with tarfile.open(path, "w") as archive:
        for name, content in parts.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


@pytest.mark.parametrize("parts", [{}, {"a.vmdk": b"1", "b.vmdk": b"2"}])
async def test_an_ova_without_one_disk_is_refused(
    images: DirectoryImages, tmp_path: Path, parts: dict[str, bytes]
) -> None:
    why = await refused(images, ova_of(tmp_path, {"a.ovf": b"", **parts}))
    assert f"the OVA has {len(parts)}" in why


# What each refusal is for.


async def test_a_truncated_qcow2(images: DirectoryImages, tmp_path: Path) -> None:
    path = converted(DISK, "qcow2", tmp_path)
    for length in (path.stat().st_size - 512, 2 * MIB, 300_000, 100, 40):
        cut = tmp_path / "cut"
        cut.write_bytes(path.read_bytes()[:length])
        assert (await refused(images, cut)).startswith("not a"), length


@pytest.mark.parametrize(
    "form", ["qcow2 -c", "vmdk", "vmdk -o subformat=streamOptimized", "vdi", "vhdx"]
)
async def test_a_truncated_disk_of_another_format(
    images: DirectoryImages, tmp_path: Path, form: str
) -> None:
    kind, *options = form.split()
    path = converted(DISK, kind, tmp_path, *options)
    # QEMU leaves room behind the last grain of a streamOptimized VMDK: what is cut must be more than that.
    for length in (
        path.stat().st_size * (6 if options else 9) // 10,
        path.stat().st_size // 2,
        1000,
    ):
        cut = tmp_path / "cut"
        cut.write_bytes(path.read_bytes()[:length])
        assert (await refused(images, cut)).startswith("not a"), length


async def test_a_truncated_raw_disk(images: DirectoryImages, tmp_path: Path) -> None:
    path = tmp_path / "cut"
    path.write_bytes(DISK[: 5 * MIB])
    assert "partition 1 ends at byte 8388608, and the disk at 5242880" in await refused(
        images, path
    )


@pytest.mark.parametrize("ending", PACKERS)
async def test_a_truncated_archive(images: DirectoryImages, tmp_path: Path, ending: str) -> None:
    raw = tmp_path / "disk.raw"
    raw.write_bytes(DISK)
    path = packed(raw, ending)
    path.write_bytes(path.read_bytes()[:-20])
    assert "was it downloaded to its end?" in await refused(images, path)


async def test_a_backing_file(images: DirectoryImages, tmp_path: Path) -> None:
    base, path = converted(DISK, "qcow2", tmp_path), tmp_path / "overlay"
    qemu_img("create", "-f", "qcow2", "-b", base, "-F", "qcow2", path)
    assert await refused(images, path) == (
        "not an image that is safe to read (qcow2): Image has a backing file"
    )


async def test_a_data_file(images: DirectoryImages, tmp_path: Path) -> None:
    path = tmp_path / "external"
    qemu_img("create", "-f", "qcow2", "-o", f"data_file={tmp_path / 'data'}", path, "8M")
    assert "data_file" in await refused(images, path)


def patched(path: Path, offset: int, form: str, value: int) -> Path:
    content = bytearray(path.read_bytes())
    struct.pack_into(form, content, offset, value)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("method", [1, 2])
async def test_encryption(images: DirectoryImages, tmp_path: Path, method: int) -> None:
    """AES, and LUKS. Only the header says it: qemu-img fails now and then to time the keys of a real one."""
    path = patched(converted(DISK, "qcow2", tmp_path), 32, ">I", method)
    assert "it is encrypted" in await refused(images, path)


async def test_an_l1_table_beyond_its_end(images: DirectoryImages, tmp_path: Path) -> None:
    path = patched(converted(DISK, "qcow2", tmp_path), 40, ">Q", 1 << 40)
    assert "its first table (L1) is at byte 1099511627776" in await refused(images, path)


async def test_eight_exbibytes(images: DirectoryImages, tmp_path: Path) -> None:
    path = patched(converted(DISK, "qcow2", tmp_path), 24, ">Q", 8 << 60)
    assert "1 TiB is the most" in await refused(images, path)


async def test_bitmaps(images: DirectoryImages, tmp_path: Path) -> None:
    path = converted(DISK, "qcow2", tmp_path)
    qemu_img("bitmap", "--add", path, "b0")
    assert "it has bitmaps" in await refused(images, path)


async def test_internal_snapshots(images: DirectoryImages, tmp_path: Path) -> None:
    path = converted(DISK, "qcow2", tmp_path)
    qemu_img("snapshot", "-c", "one", path)
    assert "it has 1 internal snapshots" in await refused(images, path)


async def test_a_vmdk_with_foreign_extents(images: DirectoryImages, tmp_path: Path) -> None:
    path = tmp_path / "foreign.vmdk"
    path.write_text(
        '# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\ncreateType="monolithicFlat"\n'
        'RW 16384 FLAT "/etc/shadow" 0\n' + "\n" * 1000
    )
    assert (await refused(images, path)).startswith("not a")


async def test_a_bomb(
    images: DirectoryImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpacking, "UNPACKED_MOST_BYTES", 64 * MIB)
    raw = tmp_path / "zeros"
    with raw.open("wb") as file:
        file.truncate(65 * MIB)
    for ending in PACKERS:
        assert "becomes more than 64 MiB" in await refused(images, packed(raw, ending))


async def test_compressed_twice(images: DirectoryImages, tmp_path: Path) -> None:
    raw = tmp_path / "disk.raw"
    raw.write_bytes(DISK)
    assert "compressed twice" in await refused(images, packed(packed(raw, "gz"), "xz"))


async def test_no_bootable_partition(images: DirectoryImages, tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes(gpt(LINUX))
    why = await refused(images, path)
    assert why == (
        "not bootable: its partition is not one to boot from: no EFI system partition, no BIOS boot"
        " partition, no boot code; if it boots all the same, say by what: --firmware bios or uefi"
    )
    info = await images.add(path, "said", ImportHow(firmware=Firmware.UEFI))
    assert info.facts.firmware is Firmware.UEFI


async def test_a_disk_for_another_architecture_is_known_as_one(
    images: DirectoryImages, tmp_path: Path
) -> None:
    path = tmp_path / "arm"
    path.write_bytes(gpt(ESP, loaders=(b"BOOTAA64EFI",)))
    info = await images.add(path, "arm")
    assert (info.facts.architecture, info.facts.firmware) == (Architecture.AARCH64, Firmware.UEFI)
    path.write_bytes(path.read_bytes())
    with pytest.raises(ImageError, match="aarch64 has no BIOS"):
        await images.add(path, "arm", ImportHow(firmware=Firmware.BIOS))


async def test_who_says_by_what_it_boots_is_believed(
    images: DirectoryImages, tmp_path: Path
) -> None:
    path = tmp_path / "both"
    path.write_bytes(gpt(ESP, BIOS_BOOT, loaders=(b"BOOTX64 EFI",)))
    by_bios = await images.add(path, "bios")
    by_uefi = await images.add(path, "uefi", ImportHow(firmware=Firmware.UEFI))
    assert by_bios.facts.firmware is Firmware.BIOS
    assert by_uefi.facts.firmware is Firmware.UEFI
    assert by_bios.digest != by_uefi.digest


async def test_stopped_in_the_middle_it_leaves_nothing_and_can_be_repeated(
    images: DirectoryImages, tmp_path: Path
) -> None:
    raw = tmp_path / "disk.raw"
    raw.write_bytes(DISK)
    for path in (raw, packed(raw, "xz"), converted(DISK, "qcow2", tmp_path)):
        watch = ImportWatch()
        watch.stop()
        with pytest.raises(ImageError, match="stopped"):
            await images.add(path, "x", ImportHow(), watch)
        nothing_is_left(images, tmp_path)
    assert (await images.add(raw, "x")).name == "x"


STEPS = ("unpacking", "checking", "converting", "hashing", "flushing")


@pytest.mark.parametrize("step", STEPS)
async def test_killed_at_every_step_it_leaves_nothing_and_can_be_repeated(
    tmp_path: Path, step: str
) -> None:
    """The process that imports is killed as kill -9 does; the next one finds no trace, and imports."""
    path = packed(converted(DISK, "qcow2", tmp_path), "gz")
    killer = f"""
import asyncio, os, signal, sys
from pathlib import Path
from overlayd.adapters import images as store
from overlayd.ports.images import ImportHow, ImportWatch
class Watch(ImportWatch):
    def begin(self, stage, total_bytes=0):
        if stage == {step!r}:
            os.kill(os.getpid(), signal.SIGKILL)
        super().begin(stage, total_bytes)
if {step!r} == "flushing":
    store.flush = lambda path: os.kill(os.getpid(), signal.SIGKILL)
images = store.DirectoryImages(Path({str(tmp_path / "images")!r}))
asyncio.run(images.add(Path({str(path)!r}), "x", ImportHow(), Watch()))
"""

    killed = subprocess.run([sys.executable, "-c", killer], capture_output=True)
    assert killed.returncode == -9, killed.stderr.decode()
    images = DirectoryImages(tmp_path / "images")
    nothing_is_left(images, tmp_path)
    assert (await images.add(path, "x")).facts.content_bytes == len(DISK)


@pytest.fixture
def disk_of(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """File systems of so many KiB."""
    made: list[Path] = []

    def mounted(kib: int) -> Path:
        place = tmp_path / f"disk-{kib}"
        place.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", place], check=True)
        made.append(place)
        return place

    yield mounted
    for place in made:
        subprocess.run(["umount", place], check=True)


@pytest.mark.parametrize("kib", [16, 600, 1400, 2600, 3900, 4500, 5900])
async def test_a_full_disk_at_every_step_keeps_nothing(
    disk_of: Callable[[int], Path], tmp_path: Path, kib: int
) -> None:
    """As the disk is larger the import gets further: unpacking, converting, and what is written at the end."""
    path = packed(converted(DISK, "qcow2", tmp_path), "gz")
    place = disk_of(kib)
    images = DirectoryImages(place / "images")
    with pytest.raises(ImageError, match=r"No space left|no room"):
        await images.add(path, "x")
    nothing_is_left(images, place)


# The cage.


def test_the_cage_has_no_network_no_files_and_no_rights(tmp_path: Path) -> None:
    secret, out = tmp_path / "secret", tmp_path / "out"
    secret.write_text("x")
    confined.give(out)
    said = bytearray()
    script = f"id -u; ls {tmp_path} /etc /root /work 2>/dev/null; cat /proc/net/dev | wc -l; touch /usr/x"
    confined.run(
        ["sh", "-c", script + "; true"],
        Cage(writes=(("/out", out),)),
        ImportWatch(),
        output=said.extend,
    )
    user, lines = said.decode().split()
    assert user == "65534"
    assert lines == "3", "two lines of heading, and the loopback"


def test_what_it_may_write_is_bounded(tmp_path: Path) -> None:
    out = tmp_path / "out"
    confined.give(out)
    cage = Cage(writes=(("/out", out),), output_bytes=1000)
    with pytest.raises(ImageError, match="says"):
        confined.run(["dd", "if=/dev/zero", "of=/out", "bs=500", "count=9"], cage, ImportWatch())
    assert out.stat().st_size <= 1000


def test_it_is_stopped_with_all_it_started(tmp_path: Path) -> None:
    watch = ImportWatch()
    threading.Timer(0.3, watch.stop).start()
    began_s = time.monotonic()
    with pytest.raises(ImageError, match="stopped"):
        confined.run(["sh", "-c", "sleep 77.5 & sleep 77.5"], Cage(), watch)
    assert time.monotonic() - began_s < 60
    assert subprocess.run(["pgrep", "-f", "sleep 77.5"], capture_output=True).returncode == 1


def test_it_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confined, "DEADLINE_S", 0.1)
    with pytest.raises(ImageError, match="took longer than"):
        confined.run(["sleep", "77.6"], Cage(), ImportWatch())


def test_its_last_words_are_told() -> None:
    with pytest.raises(ImageError, match=r"^sh says: why$"):
        confined.run(["sh", "-c", "echo why >&2; exit 3"], Cage(), ImportWatch())


@pytest.mark.parametrize(
    ("origin", "name"),
    [
        ("debian-12-generic-amd64.qcow2", "debian-12-generic-amd64"),
        ("https://x/y/Fedora%20Cloud.raw.xz?sig=1", "Fedora-20Cloud"),
        ("/a/b/", "b"),
        ("-", ""),
        (".img", ""),
        ("a" * 99 + ".img", "a" * 64),
    ],
)
def test_names_made_of_origins(origin: str, name: str) -> None:
    assert importing.name_of(origin)[:63] == name[:63]


def test_info_is_what_is_listed(images: DirectoryImages) -> None:
    assert ImageInfo.__struct_fields__[0] == "digest"


async def test_saved_and_added_again_it_is_the_same_image(
    images: DirectoryImages, tmp_path: Path
) -> None:
    raw, out = tmp_path / "disk.raw", tmp_path / "out.qcow2"
    raw.write_bytes(DISK)
    info = await images.add(raw, "disk")
    watch = ImportWatch()
    await images.save(info.digest, out, watch)
    assert watch.done_bytes == len(DISK)
    assert out.read_bytes()[:4] == b"QFI\xfb"
    assert (await images.add(out, "again")).digest == info.digest
    files = await images.files(info.digest)
    assert isinstance(files, DiskFile)
    assert Path(files.path).stat().st_mode & 0o777 == 0o400
