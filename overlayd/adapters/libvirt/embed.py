"""libvirt's QEMU driver inside our own process: what its root directory must hold before it opens.

By libvirt's rule a process has at most one root, from its first opening to its end.
"""

import pwd
from pathlib import Path

from overlayd.ports.compute import ComputeError

CONFIG = """\
# Written by overlayd. Without a libvirtd there is no virtlogd, and guests run as we do.
stdio_handler = "file"
user = "root"
group = "root"
security_driver = "none"
dynamic_ownership = 0
remember_owner = 0
namespaces = []
"""

BUILT_IN_USER = "libvirt-qemu"
"""Debian's libvirt looks this account up before it reads its configuration. Without the account it gives up."""


def prepare_root(root: Path, cache_dir: Path) -> None:
    """Makes directories (0700) and the configuration. What QEMU can do is learnt once for each `cache_dir`."""
    _check_account()
    settings = root / "etc" / "qemu.conf"
    settings.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    root.chmod(0o700)
    if not settings.exists() or settings.read_text() != CONFIG:
        fresh = settings.with_suffix(".new")
        fresh.write_text(CONFIG)
        fresh.replace(settings)
    learnt = cache_dir / "libvirt-qemu"
    learnt.mkdir(mode=0o700, parents=True, exist_ok=True)
    link = root / "cache" / "qemu"
    link.parent.mkdir(mode=0o700, exist_ok=True)
    if not link.exists() and not link.is_symlink():
        link.symlink_to(learnt, target_is_directory=True)


def _check_account() -> None:
    try:
        pwd.getpwnam(BUILT_IN_USER)
    except KeyError:
        raise ComputeError(
            f"libvirt's embedded QEMU driver needs the account {BUILT_IN_USER} to exist, even "
            "though guests do not run as it; scripts/setup makes it, or: "
            f"useradd --system --user-group --shell /usr/sbin/nologin {BUILT_IN_USER}"
        ) from None
