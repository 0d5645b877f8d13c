"""The one way a program is run here: no shell, a deadline, its last words in the error."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from zlib import crc32

from netns.failures import NetnsError

DEADLINE_S = 30.0
LAST_WORDS = 600  # characters of stderr kept in an error
_USERS_FROM, _USERS = 0x7FFC_0000, 0x1_0000
"""User ids that nobody else uses ("Users, Groups, UIDs and GIDs on systemd Systems")."""

_PACKAGE = {
    "ip": "iproute2",
    "tc": "iproute2",
    "nft": "nftables",
    "dnsmasq": "dnsmasq-base",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
    "ping": "iputils-ping",
    "wg": "wireguard-tools",
}


def run(argv: Sequence[str], *, text: str = "", timeout_s: float = DEADLINE_S) -> str:
    """Standard output of a program that is fed `text`. Raises NetnsError if it fails or takes too long."""
    status, out, err = attempt(argv, text=text, timeout_s=timeout_s)
    if status != 0:
        raise NetnsError(f"`{' '.join(argv)}` ended with {status}: {err.strip()[-LAST_WORDS:]}")
    return out


def attempt(
    argv: Sequence[str], *, text: str = "", timeout_s: float = DEADLINE_S
) -> tuple[int, str, str]:
    """Exit status, standard output and standard error, for programs that may well say no."""
    try:
        done = subprocess.run(
            argv, input=text, capture_output=True, text=True, timeout=timeout_s, check=False
        )
    except FileNotFoundError:
        package = _PACKAGE.get(argv[0], argv[0])
        raise NetnsError(
            f"the program {argv[0]} is missing; install Debian's {package}, "
            f"or add /usr/sbin to PATH"
        ) from None
    except subprocess.TimeoutExpired:
        raise NetnsError(f"`{' '.join(argv)}` did not end within {timeout_s:g} s") from None
    return done.returncode, done.stdout, done.stderr


def missing_programs(names: Sequence[str]) -> list[str]:
    """`name (Debian package)` of each of `names` that is not on PATH."""
    return [f"{name} ({_PACKAGE.get(name, name)})" for name in names if shutil.which(name) is None]


def user_of(directory: Path) -> int:
    """Whom a directory's program runs as: one user for each, or root (0) where the host has no such user."""
    uid = _USERS_FROM + crc32(bytes(directory.resolve())) % _USERS
    return uid if has_users(uid, uid, Path("/proc/self/uid_map").read_text()) else 0


def has_users(first: int, last: int, uid_map: str) -> bool:
    """Whether a user namespace's map (lines of inside, outside, count) has all of those users."""
    for line in uid_map.splitlines():
        inside, _, count = (int(word) for word in line.split())
        if inside <= first and last < inside + count:
            return True
    return False
