"""An initramfs made of bytes, unpacked as an import would: it is refused with a reason, or nothing got out."""

import gzip
import os
import tempfile
from pathlib import Path

from choices import Choices

from overlayd.adapters.imports import trees
from overlayd.adapters.imports.cpio import tar_of_initramfs
from overlayd.ports.images import ImageError, ImportWatch

MOST_BYTES = 1 << 16
MODES = (0o100644, 0o040755, 0o120777, 0o010644, 0o020644, 0o170000, 0o106755)
NAMES = (b"a", b"a/b", b"a/../b", b"../x", b"/etc/x", b".", b"", b"b", b"\xff\n", b"a" * 300)
SIZES = (0, 1, 4, 1000, 0xFFFFFFFF)
WORDS = (b"-0000001", b"+0000001", b"0x000001", b" 1      ", b"zzzzzzzz", b"ffffffff", b"0_000001")


def archive(choices: Choices) -> bytes:
    """Some entries, most of them whole; then its end, or not; gzipped, or not, and then perhaps broken."""
    made = b""
    while not choices.over and len(made) < MOST_BYTES:
        made += _entry(choices, choices.one(NAMES))
    made += _entry(choices, b"TRAILER!!!") if choices.below(8) else b""
    match choices.below(4):
        case 0:
            return gzip.compress(made, 1)
        case 1:
            packed = bytearray(gzip.compress(made, 1))
            packed[choices.below(len(packed))] = choices.byte()
            return bytes(packed)
        case _:
            return made


def _entry(choices: Choices, name: bytes) -> bytes:
    data = choices.take(12) if choices.below(2) else choices.one(NAMES)
    size = len(data) if choices.below(8) else choices.one(SIZES)
    links, number = choices.one((1, 1, 2, 3)), choices.below(3)
    values = [number, choices.one(MODES), 0, 0, links, 0, size, 0, 0, 0, 0, len(name) + 1, 0]
    words = [b"%08x" % value for value in values]
    if choices.below(8) == 7:
        words[choices.below(13)] = choices.one(WORDS)
    head = b"070701" + b"".join(words) + name + b"\0"
    return head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4)


def unpack_archive(data: bytes) -> None:
    """Unpacks what these bytes make. Whatever is there afterwards is files, folders and links, and small."""
    choices = Choices(data)
    content = data[1:] if choices.below(8) == 0 else archive(choices)
    with tempfile.TemporaryDirectory(dir=_memory()) as name:
        folder = Path(name)
        (folder / "initrd").write_bytes(content)
        try:
            tar_of_initramfs(folder / "initrd", folder / "tar", MOST_BYTES)
            trees.unpack(folder / "tar", folder / "root", ImportWatch())
        except ImageError:
            pass
        assert sorted(os.listdir(folder)) in (
            ["initrd"],
            ["initrd", "tar"],
            ["initrd", "root", "tar"],
        )
        for path in (folder / "root").rglob("*"):
            assert path.is_symlink() or path.is_file() or path.is_dir(), path
            assert path.is_symlink() or path.stat().st_size <= MOST_BYTES, path


def _memory() -> str | None:
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
