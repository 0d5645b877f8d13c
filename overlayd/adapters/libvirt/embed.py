"""libvirt's QEMU driver inside our own process: what its root directory must hold before it opens.

By libvirt's rule a process has at most one root, from its first opening to its end.
"""

import pwd
from pathlib import Path

from overlayd.adapters.libvirt.confinement import has_mount_namespaces
from overlayd.ports.compute import ComputeError

BUILT_IN_USER = "libvirt-qemu"
"""Debian's libvirt looks this account up before it reads its configuration. Without the account it gives up."""

CONFIG = """\
# Written by overlayd. Without a libvirtd there is no virtlogd. Each guest has a user of its own, who is given
# its files before. What libvirt starts besides, to learn what QEMU can do, opens nothing of anybody's.
stdio_handler = "file"
user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
seccomp_sandbox = 1
max_files = 4096
max_processes = 1024
"""

_LINUX_MODULES = Path("/sys/kernel/security/apparmor"), Path("/sys/fs/selinux/enforce")

_THROUGH = ("", "lib", "lib/qemu")
"""Folders on QEMU's way to what libvirt puts down for it. They are open to go through, and to nothing else."""


def config(mount_namespaces: bool, linux_modules: bool) -> str:
    """The whole configuration, for a host where guests can have those. libvirt finds out which module it is."""
    lines = CONFIG if linux_modules else CONFIG + 'security_driver = "none"\n'
    namespaces = '"mount"' if mount_namespaces else ""
    return f"{lines}namespaces = [{namespaces}]\n"


def prepare_root(root: Path, cache_dir: Path) -> None:
    """Makes directories and the configuration. What QEMU can do is learnt once for each `cache_dir`."""
    _check_account()
    settings = root / "etc" / "qemu.conf"
    settings.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in _THROUGH:
        (root / name).mkdir(exist_ok=True)
        (root / name).chmod(0o711)
    wanted = config(has_mount_namespaces(), any(path.exists() for path in _LINUX_MODULES))
    if not settings.exists() or settings.read_text() != wanted:
        fresh = settings.with_suffix(".new")
        fresh.write_text(wanted)
        fresh.replace(settings)
    learnt = cache_dir / "libvirt-qemu"
    learnt.mkdir(mode=0o700, parents=True, exist_ok=True)
    link = root / "cache" / "qemu"
    link.parent.mkdir(mode=0o700, exist_ok=True)
    if link.is_symlink() and link.readlink() != learnt:
        link.unlink()
    if not link.exists() and not link.is_symlink():
        link.symlink_to(learnt, target_is_directory=True)


def _check_account() -> None:
    try:
        pwd.getpwnam(BUILT_IN_USER)
    except KeyError:
        raise ComputeError(
            f"libvirt's embedded QEMU driver needs the account {BUILT_IN_USER} to exist, even "
            "though guests run as users of their own; scripts/setup makes it, or: "
            f"useradd --system --user-group --shell /usr/sbin/nologin {BUILT_IN_USER}"
        ) from None
