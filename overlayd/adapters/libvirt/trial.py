"""Does KVM really run a guest here? We run one to see.

It proves nothing that /dev/kvm opens and answers its ioctls. Inside some virtual machines it does, and yet no
stock kernel ever gets through its boot: it hangs, or QEMU aborts on a register that the outer hypervisor
refuses. So a real image's kernel is started under KVM, and KVM is believed once that kernel says that it runs
its init. The verdict is kept with what it depends on, so that it is reached once.

The image may be anybody's. So it has less than a guest has: a user who is nobody else, no powers, QEMU's
sandbox, copies in memory, and no way out but its serial port.
"""

import contextlib
import os
import select
import shutil
import subprocess
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

import msgspec

from overlayd.adapters.libvirt.users import ROOT, User

DEVICE = "/dev/kvm"
EMULATOR = "qemu-system-x86_64"
MEMORY_MIB = 192
PROOF = b"as init process"
"""The kernel says `Run /init as init process` when it hands over to user space."""

KernelFinder = Callable[[], tuple[str, str] | None]
"""Answers the paths (kernel, initrd) of any image this host has, or None."""


class Verdict(msgspec.Struct, frozen=True):
    """What was found, and the circumstances under which it holds."""

    works: bool
    why: str
    circumstances: str


def kvm_verdict(
    cache_dir: Path, find_kernel: KernelFinder, deadline_s: float, user: User
) -> tuple[bool, str]:
    """Whether to use KVM and why, from an earlier trial if nothing it depends on has changed.

    `user` is who the trial's guest runs as, as guests would.
    If KVM works, a cloud kernel reaches its init in well under a second. `deadline_s` is for when it does not.
    """
    if not os.access(DEVICE, os.R_OK | os.W_OK):
        return False, f"emulated: {DEVICE} is not there or not ours to use"
    found = find_kernel()
    if found is None:
        return False, "emulated: KVM was not tried, there is no image yet to try it with"
    circumstances = _circumstances(user)
    path = cache_dir / "kvm-trial.json"
    with contextlib.suppress(OSError, msgspec.DecodeError, msgspec.ValidationError):
        kept = msgspec.json.decode(path.read_bytes(), type=Verdict)
        if kept.circumstances == circumstances:
            return kept.works, kept.why
    works, why = try_kvm(*found, deadline_s, user)
    verdict = Verdict(works, why, circumstances)
    cache_dir.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    fresh.write_bytes(msgspec.json.encode(verdict))
    fresh.replace(path)
    return works, why


def group_for_kvm() -> int | None:
    """The group that a process needs for KVM; None if everybody may use it, or root's group only may."""
    with contextlib.suppress(OSError):
        device = os.stat(DEVICE)
        if device.st_mode & 0o006 != 0o006 and device.st_gid:
            return device.st_gid
    return None


def try_kvm(kernel: str, initrd: str, deadline_s: float, user: User) -> tuple[bool, str]:
    """Boots that kernel under KVM until it runs its init, QEMU gives up, or the deadline passes."""
    try:
        with _copy(kernel) as a_kernel, _copy(initrd) as an_initrd:
            process = _started(a_kernel.fileno(), an_initrd.fileno(), user)
    except OSError as error:
        return False, f"emulated: {EMULATOR} cannot be started: {error.strerror}"
    started = time.monotonic()
    try:
        said, ended = _listen(process, started + deadline_s)
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
    took_s = time.monotonic() - started
    if PROOF in said:
        return True, f"kvm: a trial guest ran its init after {took_s:.1f} s"
    if ended:
        words = said.decode(errors="replace").strip().splitlines()
        return False, f"emulated: a trial guest under KVM died: {words[0][:120] if words else ''}"
    return False, f"emulated: a trial guest under KVM had not run its init after {deadline_s:g} s"


def _copy(path: str) -> BinaryIO:
    """A file's copy in memory, which any user may open again who is handed it."""
    copy = os.fdopen(os.memfd_create("trial"), "wb")
    with open(path, "rb") as source:
        shutil.copyfileobj(source, copy)
    copy.flush()
    return copy


def _started(kernel: int, initrd: int, user: User) -> "subprocess.Popen[bytes]":
    """QEMU as that user, without powers: none may be gained, either."""
    argv = [
        *("setpriv", f"--reuid={user.uid}", f"--regid={user.gid}", "--clear-groups"),
        *("--no-new-privs", "--inh-caps=-all", "--bounding-set=-all"),
        *(EMULATOR, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
        *("-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"),
        *("-machine", "q35,accel=kvm", "-cpu", "host", "-m", str(MEMORY_MIB)),
        *("-kernel", f"/dev/fd/{kernel}", "-initrd", f"/dev/fd/{initrd}", "-serial", "stdio"),
        *("-append", "console=ttyS0 panic=-1 loglevel=7"),
    ]
    return subprocess.Popen(
        argv,
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        pass_fds=(kernel, initrd),
    )


def _listen(process: "subprocess.Popen[bytes]", deadline: float) -> tuple[bytes, bool]:
    """What the process printed by then, and whether it ended by itself."""
    said = b""
    output = process.stdout
    assert output is not None
    while PROOF not in said:
        left_s = deadline - time.monotonic()
        if left_s <= 0 or not select.select([output], [], [], left_s)[0]:
            return said, False
        chunk = os.read(output.fileno(), 65536)
        if not chunk:
            return said, True
        said += chunk
    return said, False


def _circumstances(user: User) -> str:
    """The host's kernel, cpu and emulator, and who guests are. If one changes, the trial is made again."""
    emulator = shutil.which(EMULATOR)
    status = Path(emulator).stat() if emulator else None
    about = (
        "root"
        if user == ROOT
        else f"a user of its own in {user.gid if user.gid != user.uid else 0}",
        os.uname().release,
        os.uname().version,
        f"{status.st_size} {status.st_mtime_ns}" if status else "no emulator",
        next(
            (
                line
                for line in Path("/proc/cpuinfo").read_text().splitlines()
                if line.startswith("model name")
            ),
            "",
        ),
    )
    return sha256("\n".join(about).encode()).hexdigest()
