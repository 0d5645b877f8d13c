"""A disk image as a file for other programs. A guest may have written it, so the tool is in the cage."""

import re
import shutil
from pathlib import Path

from overlayd.adapters.imports import confined
from overlayd.adapters.imports.confined import Cage
from overlayd.ports.images import ImageError, ImportWatch

_DONE = re.compile(rb"\(([0-9.]+)/100%\)")


def to_qcow2(content: Path, target: Path, watch: ImportWatch) -> None:
    """Writes a disk's content into `target`, a new file, as a compressed qcow2. Raises ImageError."""
    size = content.stat().st_size
    watch.begin("converting", size)

    def shown(printed: bytes) -> None:
        if found := _DONE.findall(printed):
            watch.done_bytes = int(size * float(found[-1]) / 100)

    most = min(shutil.disk_usage(target.parent).free, 2 * size + (1 << 20))
    confined.give(target)
    argv = ["qemu-img", "convert", "-p", "-c", "-f", "raw", "-O", "qcow2", "/in", "/out"]
    try:
        with confined.readable(content):
            cage = Cage((("/in", content),), (("/out", target),), most)
            confined.run(argv, cage, watch, output=shown)
    except ImageError as error:
        raise ImageError(f"it could not be written as qcow2: {error}") from None
    confined.take_back(target)
