"""A container's root file system: the image's initramfs unpacked, the seed's files put into it.

An image boots as a virtual machine. In a container the host's kernel takes the place of the image's, and its
init finds the seed's files in /run/seed instead of on a disk.

All of it belongs to the container's own ids (`plans.py`), as its root disk does when it is mounted.
"""

import os
import stat
import subprocess
from pathlib import Path

from overlayd.adapters.imports import trees
from overlayd.adapters.imports.cpio import tar_of_initramfs
from overlayd.adapters.libvirt.plans import container_root
from overlayd.adapters.libvirt.users import UserRange
from overlayd.adapters.seeds import names_in
from overlayd.ports.compute import ComputeError, ContainerBoot, DiskBoot, Machine
from overlayd.ports.images import ImageError, ImportWatch


class _NoSeed(Exception):
    """A seed that cannot be read, or has no place."""


def make_root(machine: Machine, ids: UserRange | None = None) -> None:
    """Makes the root anew for each start, like a virtual machine's memory. Raises ComputeError.

    Of a container that has a root of its own it is only the seed's files. Without `ids` it is root's.
    """
    if isinstance(machine.boots, DiskBoot):
        raise ComputeError(f"{machine.name}: a container does not start from a virtual disk")
    root = Path(container_root(machine))
    remove_root(str(root))
    try:
        if isinstance(machine.boots, ContainerBoot):
            root.mkdir(mode=0o755, parents=True)
            if machine.seed:
                _copy_seed(Path(machine.seed), root, ids)
            return
        _unpack(machine.boots.initrd, root, machine.memory_bytes, ids)
        if machine.seed:
            _copy_seed(Path(machine.seed), _seed_folder(root, ids), ids)
    except (OSError, ImageError, _NoSeed) as why:
        remove_root(str(root))
        raise ComputeError(f"{machine.name}: its image cannot be unpacked: {why}") from why


def _unpack(initramfs: str, root: Path, most_bytes: int, ids: UserRange | None) -> None:
    """As a kernel would unpack it: into no more than the machine's memory."""
    root.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    tar = _tar_of(root)
    try:
        tar_of_initramfs(Path(initramfs), tar, most_bytes)
        trees.unpack(tar, root, ImportWatch(), ids.outside if ids is not None else int)
    finally:
        tar.unlink(missing_ok=True)


def _tar_of(root: Path) -> Path:
    return root.with_name(f"{root.name}.tar")


def remove_root(root: str) -> None:
    """Removes the root, and what a killed start has left beside it; it is no error if there is none.

    Folders in it may be nested without end: a guest made them. Raises ComputeError.
    """
    _tar_of(Path(root)).unlink(missing_ok=True)
    if Path(root).exists():
        argv = ["rm", "-rf", "--one-file-system", "--", root]
        done = subprocess.run(argv, check=False, capture_output=True, text=True)
        if done.returncode:
            raise ComputeError(
                f"{root} cannot be removed: {done.stderr.strip()[-300:]}; once it is gone, all goes on"
            )


def _seed_folder(root: Path, ids: UserRange | None) -> Path:
    """The seed's folder in an image that was unpacked, new and empty.

    The image is anybody's: a link of its own there would lead whoever writes as root to any file of this host.
    """
    owner = ids.first if ids is not None else 0
    run = root / "run"
    for folder in (run, run / "seed"):
        if os.path.lexists(folder) and not stat.S_ISDIR(folder.lstat().st_mode):
            raise _NoSeed(
                f"/{folder.relative_to(root)} is no folder in it, and the seed goes there; "
                "make the image without that"
            )
    if not run.exists():
        run.mkdir(mode=0o755)
        os.chown(run, owner, owner)
    remove_root(str(run / "seed"))
    (run / "seed").mkdir(mode=0o700)
    return run / "seed"


def _copy_seed(iso_path: Path, target: Path, ids: UserRange | None) -> None:
    """Puts the seed's files into an empty folder."""
    owner = ids.first if ids is not None else 0
    from pycdlib import PyCdlib  # Imported with the first container: most hosts never make one.
    from pycdlib.pycdlibexception import PyCdlibException

    iso = PyCdlib()
    try:
        iso.open(str(iso_path))
        for name in names_in(iso):
            iso.get_file_from_iso(str(target / name), rr_path=f"/{name}")
        iso.close()
        for path in (target, *target.iterdir()):
            os.chown(path, owner, owner, follow_symlinks=False)
    except PyCdlibException as error:
        raise _NoSeed(str(error)) from error
