"""The image store's contract, in memory and in a directory; then what strangers and disks can do."""
# ruff: noqa: ASYNC240 (a test has its loop for itself, so it may block)

import contextlib
import gzip
import io
import json
import os
import stat
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from overlayd.adapters.image_format import MANIFEST_MAX_BYTES
from overlayd.adapters.images import READ_MAX_BYTES, DirectoryImages
from overlayd.adapters.partials import DirectoryPartials
from overlayd.fakes.images import FakeImages, appliance_id
from overlayd.ports.images import (
    ImageError,
    ImageInfo,
    Images,
    ImportHow,
    ImportWatch,
    labels_of,
)
from protocol.image.facts import ImageFacts, ImageKind, ImageNotes
from protocol.image.merkle import CHUNK_BYTES, id_of, leaf_of, page_roots
from protocol.image.summary import ImageSummary, believed_summary, summary_bytes
from protocol.terms.architecture import Architecture

MANIFEST = {
    "name": "guest",
    "architecture": "x86_64",
    "kernel": "vmlinuz",
    "initrd": "initrd.img",
    "cmdline": "console=ttyS0 quiet",
    "format": 1,
}
PARTS = {"vmlinuz": b"kernel" * 1000, "initrd.img": b"initrd" * 500}
NOWHERE = "0" * 64


def tar(entries: dict[str, bytes]) -> bytes:
    """A plain tar, names taken as they are."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in entries.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return out.getvalue()


def image(**changes: object) -> bytes:
    return tar({"image.json": json.dumps({**MANIFEST, **changes}).encode(), **PARTS})


async def fetch(images: Images, content: bytes, place: Path) -> ImageInfo:
    """Makes an image of what a fetch brought, as if all of it had come from a peer. `place` is the store's."""
    leaves = [leaf_of(content[i : i + CHUNK_BYTES]) for i in range(0, len(content), CHUNK_BYTES)]
    facts = ImageFacts(ImageKind.APPLIANCE, len(content), Architecture.X86_64)
    about = ImageSummary(facts, ImageNotes(), b"".join(page_roots(leaves)))
    digest = id_of(facts, leaves)
    partial = DirectoryPartials(place).begin(digest, about)
    with contextlib.closing(partial):
        assert partial.keep_page(0, b"".join(leaves))
        for index in partial.plan(0).fetch:
            assert partial.keep(index, content[index * CHUNK_BYTES :][:CHUNK_BYTES])
        partial.flush()
    return await images.adopt(digest, partial.folder, about, "fetched")


def digest_of(content: bytes) -> str:
    return appliance_id(content)


@pytest.fixture(params=["fake", "directory"])
def images(request: pytest.FixtureRequest, tmp_path: Path) -> Images:
    return FakeImages() if request.param == "fake" else DirectoryImages(tmp_path / "images")


@pytest.fixture
def write(tmp_path: Path) -> Callable[[bytes], Path]:
    def written(content: bytes) -> Path:
        path = tmp_path / f"in-{sha256(content).hexdigest()[:8]}"
        path.write_bytes(content)
        return path

    return written


async def test_added_is_listed_under_its_name(
    images: Images, write: Callable[[bytes], Path]
) -> None:
    info = await images.add(write(image()))
    assert (info.name, info.facts.architecture) == ("guest", "x86_64")
    assert info.facts.content_bytes == len(image())
    assert info.digest == digest_of(image())
    other = await images.add(write(image(cmdline="other")), "apple")
    assert await images.list() == (other, info)


async def test_adding_again_changes_nothing(images: Images, write: Callable[[bytes], Path]) -> None:
    first = await images.add(write(image()), "one")
    assert await images.add(write(image()), "one") == first
    assert await images.list() == (first,)


async def test_known_content_under_another_name_has_that_name_too(
    images: Images, write: Callable[[bytes], Path]
) -> None:
    first = await images.add(write(image()), "one")
    both = await images.add(write(image()), "a")
    assert (both.digest, both.names, both.name) == (first.digest, ("a", "one"), "a")
    assert await images.list() == (both,)


async def test_a_name_taken_by_another_image_is_refused_and_nothing_is_kept(
    images: Images, write: Callable[[bytes], Path]
) -> None:
    first = await images.add(write(image()), "one")
    with pytest.raises(ImageError, match="the name one is taken here"):
        await images.add(write(image(cmdline="other")), "one")
    assert await images.list() == (first,)


async def test_files_are_named_by_the_manifest(
    images: Images, write: Callable[[bytes], Path]
) -> None:
    info = await images.add(write(image()))
    files = await images.files(info.digest)
    assert files.kernel.endswith("/vmlinuz")
    assert files.initrd.endswith("/initrd.img")
    assert files.cmdline == MANIFEST["cmdline"]


async def test_removed_is_gone_and_removing_again_succeeds(
    images: Images, write: Callable[[bytes], Path]
) -> None:
    info = await images.add(write(image()))
    await images.remove(info.digest)
    await images.remove(info.digest)
    assert await images.list() == ()
    for ask in (images.files(info.digest), images.read(info.digest, 0, 1)):
        with pytest.raises(ImageError, match="not on this host"):
            await ask


async def test_what_was_fetched_is_the_image_and_tells_the_same_of_it(
    images: Images, write: Callable[[bytes], Path], tmp_path: Path
) -> None:
    info = await images.add(write(image()))
    other = images_beside(images, tmp_path / "other")
    got = await fetch(other, image(), tmp_path / "other")
    assert (got.digest, got.names, got.facts) == (info.digest, ("guest",), info.facts)
    assert await other.list() == (got,)
    for ask in ("read", "leaves"):
        mine, theirs = getattr(images, ask), getattr(other, ask)
        assert await mine(info.digest, 0, 1000) == await theirs(info.digest, 0, 1000)
    assert await other.summary(info.digest) == await images.summary(info.digest)
    assert believed_summary(info.digest, summary_bytes(await other.summary(info.digest)))
    size = info.facts.content_bytes
    assert await other.read(info.digest, size, 10) == (b"", size)
    assert (await other.leaves(info.digest, 0, 99))[0] == leaf_of(image())


async def test_what_is_here_already_is_not_made_again(
    images: Images, write: Callable[[bytes], Path], tmp_path: Path
) -> None:
    info = await images.add(write(image()))
    assert await fetch(images, image(), tmp_path / "images") == info
    assert not list((tmp_path / "images" / "fetching").iterdir())


async def test_a_name_that_is_taken_stays_where_it_is(images: Images, tmp_path: Path) -> None:
    first = await fetch(images, image(), tmp_path / "images")
    second = await fetch(images, image(cmdline="other"), tmp_path / "images")
    assert first.names == ("guest",)
    assert second.names == ()


async def test_what_came_with_a_fetch_keeps_no_name_from_being_given(
    images: Images, write: Callable[[bytes], Path], tmp_path: Path
) -> None:
    came = await fetch(images, image(), tmp_path / "images")
    assert (came.names, came.heard) == (("guest",), ("guest",))
    assert [label.heard for label in labels_of(await images.list())] == [True]
    mine = await images.add(write(image(cmdline="mine")))
    assert (mine.names, mine.heard) == (("guest",), ())
    assert [info.names for info in await images.list() if info.digest == came.digest] == [()]
    called = await images.rename(came.digest, "theirs")
    assert (called.names, called.heard) == (("theirs",), ())


async def test_a_name_that_was_heard_is_one_once_somebody_gives_it(
    images: Images, write: Callable[[bytes], Path], tmp_path: Path
) -> None:
    came = await fetch(images, image(), tmp_path / "images")
    assert (await images.rename(came.digest, "guest")).heard == ()
    with pytest.raises(ImageError, match="the name guest is taken here"):
        await images.add(write(image(cmdline="mine")))


def images_beside(images: Images, place: Path) -> Images:
    return DirectoryImages(place) if isinstance(images, DirectoryImages) else FakeImages()


BAD = {
    "nothing": b"",
    "garbage": b"\x7fELF" + bytes(range(256)) * 40,
    "compressed twice": gzip.compress(gzip.compress(image())),
    "cut short": image()[:4000],
    "no manifest": tar(PARTS),
    "manifest is no JSON": tar({"image.json": b"{", **PARTS}),
    "manifest is a list": tar({"image.json": b"[1]", **PARTS}),
    "another format": image(format=2),
    "another architecture than any": image(architecture="pdp11"),
    "no initrd named": tar(
        {"image.json": json.dumps({k: v for k, v in MANIFEST.items() if k != "initrd"}).encode()}
    ),
    "kernel missing": image(kernel="absent"),
    "wrong type": image(cmdline=7),
    "path outside": tar({"image.json": json.dumps(MANIFEST).encode(), **PARTS, "../evil": b"x"}),
    "absolute path": tar({"image.json": json.dumps(MANIFEST).encode(), **PARTS, "/evil": b"x"}),
    "kernel outside": image(kernel="../../etc/passwd"),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("way", ["add", "fetch"])
async def test_what_is_no_image_is_refused_and_not_kept(
    images: Images, case: str, way: str, write: Callable[[bytes], Path], tmp_path: Path
) -> None:
    # Nothing at all has no chunk that could be fetched.
    content = BAD[case] if way == "add" else BAD[case] or b"x"
    place = tmp_path / "images"
    offered = images.add(write(content)) if way == "add" else fetch(images, content, place)
    with pytest.raises(ImageError, match=r"^not a"):
        await offered
    assert await images.list() == ()
    assert not list(tmp_path.rglob("evil"))
    if isinstance(images, DirectoryImages):
        assert [path.name for path in place.iterdir()] == ["fetching"]
        assert not list((place / "fetching").iterdir())


@pytest.mark.parametrize("name", ["", "../x", "a/b", "-a", "a" * 64, "new\nline"])
async def test_impossible_names(images: Images, name: str, write: Callable[[bytes], Path]) -> None:
    with pytest.raises(ImageError, match="image's name"):
        await images.add(write(image()), name)
    assert await images.list() == ()


async def test_no_such_file(images: Images, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="No such file"):
        await images.add(tmp_path / "absent")


@pytest.mark.parametrize("digest", ["", "../../etc", "A" * 64, "0" * 63])
async def test_a_digest_is_never_a_path(images: Images, digest: str) -> None:
    for ask in (
        images.files(digest),
        images.remove(digest),
        images.read(digest, 0, 1),
        images.leaves(digest, 0, 1),
        images.summary(digest),
    ):
        with pytest.raises(ImageError, match="not an image's digest"):
            await ask


# What only a directory has.


async def test_parts_are_unpacked_private_and_survive_a_restart(
    tmp_path: Path, write: Callable[[bytes], Path]
) -> None:
    info = await DirectoryImages(tmp_path / "images").add(write(image()), "mine")
    again = DirectoryImages(tmp_path / "images")
    assert await again.list() == (info,)
    files = await again.files(info.digest)
    assert Path(files.kernel).read_bytes() == PARTS["vmlinuz"]
    assert Path(files.initrd).read_bytes() == PARTS["initrd.img"]
    for path in (tmp_path / "images").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (
            0o700 if path.is_dir() else 0o600 if path.name == "names.json" else 0o400
        ), path


async def test_what_a_crash_left_is_removed(tmp_path: Path) -> None:
    left = tmp_path / "images" / "staging-abc" / "parts"
    left.mkdir(parents=True)
    (left / "vmlinuz").write_bytes(b"half")
    assert await DirectoryImages(tmp_path / "images").list() == ()
    assert not left.exists()


async def test_one_chunk_is_bounded(tmp_path: Path, write: Callable[[bytes], Path]) -> None:
    images = DirectoryImages(tmp_path / "images")
    large = tar(
        {
            "image.json": json.dumps(MANIFEST).encode(),
            "vmlinuz": bytes(READ_MAX_BYTES),
            "initrd.img": b"i",
        }
    )
    info = await images.add(write(large))
    chunk, total = await images.read(info.digest, 0, 1 << 40)
    assert (len(chunk), total) == (READ_MAX_BYTES, len(large))
    with pytest.raises(ImageError, match="no such part"):
        await images.read(info.digest, -1, 10)


def special(kind: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        member = tarfile.TarInfo("vmlinuz")
        member.type, member.linkname = kind, "/etc/passwd"
        archive.addfile(member)
    return out.getvalue()


def long_header(size: int) -> bytes:
    """An extended header that claims to be that long."""
    member = tarfile.TarInfo("x")
    member.type, member.size = tarfile.XHDTYPE, size
    return member.tobuf(tarfile.USTAR_FORMAT) + bytes(10240)


HOSTILE = {
    "symbolic link": special(tarfile.SYMTYPE),
    "hard link": special(tarfile.LNKTYPE),
    "device": special(tarfile.CHRTYPE),
    "directory": special(tarfile.DIRTYPE),
    "header of four gigabytes": long_header(1 << 32),
    "chain of headers": b"".join(long_header(0)[:512] for _ in range(5000)) + bytes(1024),
    "too many parts": tar({f"part{n}": b"" for n in range(40)}),
    "manifest too long": tar({"image.json": b" " * (MANIFEST_MAX_BYTES + 1), **PARTS}),
    "part there twice": tar({"vmlinuz": b"1"})[:1024] + tar({"vmlinuz": b"2"}),
    "command line of two lines": image(cmdline="a\nb"),
    "manifest as kernel": image(kernel="image.json"),
}


@pytest.mark.parametrize("case", HOSTILE)
async def test_hostile_images(case: str, tmp_path: Path, write: Callable[[bytes], Path]) -> None:
    images = DirectoryImages(tmp_path / "images")
    with pytest.raises(ImageError, match=r"^not a"):
        await images.add(write(HOSTILE[case]))
    assert [path.name for path in (tmp_path / "images").iterdir()] == ["fetching"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    place = tmp_path / "small"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


async def test_a_full_disk_keeps_nothing(small_disk: Path, write: Callable[[bytes], Path]) -> None:
    images = DirectoryImages(small_disk / "images")
    large = tar({"image.json": json.dumps(MANIFEST).encode(), "vmlinuz": os.urandom(400_000)})
    with pytest.raises(ImageError, match="no room"):
        await images.add(write(large))
    with pytest.raises(ImageError, match=r"No space left.*image gc"):
        await fetch(images, large, small_disk / "images")
    assert await images.list() == ()


async def test_a_fetch_without_room_for_its_parts_goes_on_when_there_is(small_disk: Path) -> None:
    images, place = DirectoryImages(small_disk / "images"), small_disk / "images"
    tight = tar(tar_parts(90_000))
    with pytest.raises(ImageError, match="No space left"):
        await fetch(images, tight, place)
    assert await images.list() == ()
    partials = DirectoryPartials(place)
    (left,) = partials.left()
    digest = left.digest
    remount = ["mount", "-o", "remount,size=1m", small_disk]
    subprocess.run(remount, check=True)  # noqa: ASYNC221 (as above)
    partial = partials.find(digest)
    assert partial is not None
    assert partial.plan(0).done
    partial.close()
    info = await images.adopt(digest, partial.folder, partial.summary, "")
    assert await images.list() == (info,)


def tar_parts(size: int) -> dict[str, bytes]:
    return {
        "image.json": json.dumps(MANIFEST).encode(),
        "vmlinuz": os.urandom(size),
        "initrd.img": os.urandom(size // 2),
    }


async def test_names_are_given_changed_and_taken(
    images: Images, write: Callable[[bytes], Path]
) -> None:
    info = await images.add(write(image()), "one")
    assert (await images.rename(info.digest, "two")).names == ("one", "two")
    assert (await images.rename(info.digest, "three", "one")).names == ("three", "two")
    assert (await images.rename(info.digest, "two", "two")).names == ("three", "two")
    await images.unname("two")
    await images.unname("absent")
    assert (await images.list())[0].names == ("three",)
    other = await images.add(write(image(cmdline="other")), "other")
    with pytest.raises(ImageError, match="the name three is taken here"):
        await images.rename(other.digest, "three", "other")
    with pytest.raises(ImageError, match="image's name"):
        await images.rename(other.digest, "a/b")
    with pytest.raises(ImageError, match="not on this host"):
        await images.rename(NOWHERE, "x")
    with pytest.raises(ImageError, match="is no disk"):
        await images.save(other.digest, write(b"x").with_name("new"), ImportWatch())


async def test_who_logs_in_is_noted_also_of_an_image_that_is_here(
    images: Images, write: Callable[[bytes], Path]
) -> None:
    added = await images.add(write(image()))
    assert (await images.summary(added.digest)).notes.default_user == ""
    again = await images.add(write(image()), how=ImportHow(default_user="debian"))
    assert (again.digest, again.notes.default_user) == (added.digest, "debian")
    assert (await images.summary(added.digest)).notes.default_user == "debian"
    kept = await images.add(write(image()))
    assert kept.notes.default_user == "debian", "who says nothing takes nothing back"
