"""Root file systems for containers: from tars, squashfs and OCI layouts, and all that is refused of them."""
# ruff: noqa: ASYNC221, ASYNC240 (a test has its loop for itself, so it may block)

import gzip
import hashlib
import io
import json
import subprocess
import tarfile
from pathlib import Path

import pytest

from overlayd.adapters.images import DirectoryImages
from overlayd.adapters.imports import trees
from overlayd.ports.images import ImageError, ImageInfo, ImportHow, TreeFile
from protocol.image.facts import Firmware, ImageKind
from protocol.terms.architecture import Architecture

Item = tuple[str, bytes, bytes | str]
FILE, FOLDER, LINK, HARD, DEVICE, PIPE = (
    tarfile.REGTYPE,
    tarfile.DIRTYPE,
    tarfile.SYMTYPE,
    tarfile.LNKTYPE,
    tarfile.CHRTYPE,
    tarfile.FIFOTYPE,
)
ROOT: tuple[Item, ...] = (
    ("./", FOLDER, b""),
    ("./usr/", FOLDER, b""),
    ("./usr/bin/", FOLDER, b""),
    ("./usr/bin/sh", FILE, b"shell"),
    ("./usr/bin/bash", HARD, "./usr/bin/sh"),
    ("./bin", LINK, "usr/bin"),
    ("./etc/localtime", LINK, "/usr/share/zoneinfo/UTC"),
    ("./dev/null", DEVICE, b""),
)


def packed(*items: Item, form: int = tarfile.GNU_FORMAT, mode: int = 0o755) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for name, kind, content in items:
            member = tarfile.TarInfo(name)
            member.type, member.mode, member.mtime = kind, mode, 1_700_000_000
            if isinstance(content, str):
                member.linkname, content = content, b""
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return out.getvalue()


@pytest.fixture
def images(tmp_path: Path) -> DirectoryImages:
    return DirectoryImages(tmp_path / "images")


async def add(images: DirectoryImages, content: bytes, folder: Path, **how: object) -> ImageInfo:
    path = folder / "brought"
    path.write_bytes(content)
    return await images.add(path, "root", ImportHow(**how))  # type: ignore[arg-type]


async def tree_of(images: DirectoryImages, digest: str) -> Path:
    files = await images.files(digest)
    assert isinstance(files, TreeFile)
    return Path(files.path)


async def test_a_root_file_system_is_unpacked_when_it_is_first_needed(
    images: DirectoryImages, tmp_path: Path
) -> None:
    info = await add(images, packed(*ROOT), tmp_path)
    assert (info.facts.kind, info.facts.firmware) == (ImageKind.CONTAINER, None)
    assert not (tmp_path / "images" / info.digest / "tree").exists()
    tree = await tree_of(images, info.digest)
    assert (tree / "usr/bin/sh").read_bytes() == b"shell"
    assert (tree / "usr/bin/sh").stat().st_ino == (tree / "usr/bin/bash").stat().st_ino
    assert (tree / "bin").readlink() == Path("usr/bin")
    assert not (tree / "dev/null").exists(), "a container gets its own"
    assert (tree / "usr/bin/sh").stat().st_mtime == 1_700_000_000
    assert await tree_of(images, info.digest) == tree
    assert not list((tmp_path / "images").glob("staging-*"))


async def test_one_tree_has_one_id_however_it_is_packed(
    images: DirectoryImages, tmp_path: Path
) -> None:
    plain = await add(images, packed(*ROOT), tmp_path)
    other_order = (ROOT[0], *reversed(ROOT[5:]), *ROOT[1:5])
    pax = await add(images, packed(*other_order, form=tarfile.PAX_FORMAT), tmp_path)
    zipped = await add(images, gzip.compress(packed(*ROOT)), tmp_path)
    assert len({plain.digest, pax.digest, zipped.digest}) == 1
    content = tmp_path / "images" / plain.digest / "content"
    again = await add(images, content.read_bytes(), tmp_path)
    assert again.digest == plain.digest
    squashed = tmp_path / "some.squashfs"
    tree = await tree_of(images, plain.digest)
    subprocess.run(["mksquashfs", tree, squashed, "-quiet"], check=True, capture_output=True)
    from_squashfs = await images.add(squashed, "squash")
    assert (await tree_of(images, from_squashfs.digest) / "usr/bin/bash").read_bytes() == b"shell"


OUT = {
    "absolute name": ("/etc/passwd", FILE, b"x"),
    "name that leads out": ("../evil", FILE, b"x"),
    "name that leads out inside": ("usr/../../evil", FILE, b"x"),
    "symbolic link out": ("usr/up", LINK, "../../evil"),
    "hard link out": ("usr/passwd", HARD, "/etc/passwd"),
    "hard link to nothing": ("usr/x", HARD, "usr/none"),
    "through a link": ("bin/sh2", FILE, b"x"),
    "through a file": ("usr/bin/sh/x", FILE, b"x"),
    "device": ("srv/sda", DEVICE, b""),
    "pipe": ("srv/pipe", PIPE, b""),
    "there twice": ("usr/bin/sh", FILE, b"other"),
    "a file where a folder is": ("etc", FILE, b"x"),
    "too deep": ("/".join(["d"] * 65), FILE, b""),
    "too long a name": ("n" * 256, FILE, b""),
}


@pytest.mark.parametrize("case", OUT)
async def test_what_leads_out_of_a_tree_is_refused(
    images: DirectoryImages, tmp_path: Path, case: str
) -> None:
    with pytest.raises(ImageError, match="not an image"):
        await add(images, packed(*ROOT, OUT[case]), tmp_path)
    assert [path.name for path in (tmp_path / "images").iterdir()] == ["fetching"]
    assert not list(tmp_path.rglob("evil"))


async def test_a_million_entries(
    images: DirectoryImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert trees.ENTRIES_MOST < 1_000_000
    monkeypatch.setattr(trees, "ENTRIES_MOST", 20)
    many = [(f"f{number}", FILE, b"") for number in range(30)]
    deep = ("/".join(["d"] * 30), FILE, b"")
    for items in (many, [deep]):
        with pytest.raises(ImageError, match="more than 20 entries"):
            await add(images, packed(*ROOT, *items), tmp_path)


async def test_a_truncated_tree(images: DirectoryImages, tmp_path: Path) -> None:
    content = packed(*ROOT, ("big", FILE, b"x" * 20_000))
    with pytest.raises(ImageError, match="not a"):
        await add(images, content[:12_000], tmp_path)


async def test_what_a_container_cannot_start_from(images: DirectoryImages, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="without a root file system"):
        await add(images, packed(("readme", FILE, b"x")), tmp_path)
    with pytest.raises(ImageError, match="without a firmware"):
        await add(images, packed(*ROOT), tmp_path, firmware=Firmware.BIOS)


def blob(content: bytes) -> tuple[str, str]:
    digest = hashlib.sha256(content).hexdigest()
    return f"sha256:{digest}", f"blobs/sha256/{digest}"


def layout(*layers: bytes, architecture: str = "amd64", damaged: bool = False) -> bytes:
    """An OCI image layout as `skopeo copy oci-archive:` makes it."""
    items: list[Item] = [("oci-layout", FILE, b'{"imageLayoutVersion": "1.0.0"}')]
    config = json.dumps({"architecture": architecture, "os": "linux"}).encode()
    parts = [config, *layers]
    said = [{"mediaType": "x", "digest": blob(part)[0], "size": len(part)} for part in parts]
    manifest = json.dumps({"schemaVersion": 2, "config": said[0], "layers": said[1:]}).encode()
    index = {"schemaVersion": 2, "manifests": [{"digest": blob(manifest)[0], "mediaType": "m"}]}
    items.append(("index.json", FILE, json.dumps(index).encode()))
    for part in (manifest, *parts):
        kept = part[:-1] + b"\1" if damaged and part is parts[-1] else part
        items.append((blob(part)[1], FILE, kept))
    return packed(*items)


async def test_layers_of_an_oci_image(images: DirectoryImages, tmp_path: Path) -> None:
    low = packed(*ROOT, ("old", FILE, b"1"), ("opt/a/x", FILE, b"1"), ("var/y", FILE, b"1"))
    high = packed(
        (".wh.old", FILE, b""),
        ("opt/a/.wh..wh..opq", FILE, b""),
        ("opt/a/new", FILE, b"2"),
        ("var/y", FILE, b"2"),
    )
    info = await add(images, layout(gzip.compress(low), high, architecture="arm64"), tmp_path)
    assert info.facts.architecture is Architecture.AARCH64
    tree = await tree_of(images, info.digest)
    assert not (tree / "old").exists()
    assert [path.name for path in (tree / "opt/a").iterdir()] == ["new"]
    assert (tree / "var/y").read_bytes() == b"2"


@pytest.mark.parametrize("case", ["damaged", "missing", "nonsense", "none"])
async def test_a_layout_that_is_not_whole(
    images: DirectoryImages, tmp_path: Path, case: str
) -> None:
    root = packed(*ROOT)
    content = {
        "damaged": layout(root, damaged=True),
        "missing": packed(("oci-layout", FILE, b"{}")),
        "nonsense": packed(("oci-layout", FILE, b"{}"), ("index.json", FILE, b"[")),
        "none": layout(),
    }[case]
    with pytest.raises(ImageError, match="not a"):
        await add(images, content, tmp_path)
    assert [path.name for path in (tmp_path / "images").iterdir()] == ["fetching"]


async def test_a_stranger_s_content_is_checked_again_when_it_is_unpacked(tmp_path: Path) -> None:
    from overlayd.ports.images import ImportWatch

    content = tmp_path / "content"
    content.write_bytes(packed(*ROOT, OUT["through a link"]))
    with pytest.raises(ImageError, match="which is no folder"):
        trees.unpack(content, tmp_path / "tree", ImportWatch())
    assert not (tmp_path / "tree").exists()
