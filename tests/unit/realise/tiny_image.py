"""An image file small enough for tests, which nothing could boot."""

import io
import json
import tarfile
from pathlib import Path


def tiny_image(path: Path, name: str = "guest", kernel: bytes = b"kernel") -> Path:
    """A plain tar with a manifest, a kernel and an initrd."""
    manifest = {
        "name": name,
        "architecture": "x86_64",
        "kernel": "vmlinuz",
        "initrd": "initrd.img",
        "cmdline": "",
        "format": 1,
    }
    parts = {"image.json": json.dumps(manifest).encode(), "vmlinuz": kernel, "initrd.img": b"i"}
    with tarfile.open(path, "w") as archive:
        for part, content in parts.items():
            member = tarfile.TarInfo(part)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path
