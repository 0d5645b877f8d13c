"""What is to be on the disk before anything behind it is said."""

import os
from pathlib import Path


def flush(path: Path) -> None:
    """Puts a file, or the names in a folder, on the disk. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
