"""libvirt's controller of a container, with the container's file systems mounted before it begins.

It stands where libvirt expects `libvirt_lxc`, and becomes that. What it mounts is in a mount namespace of its
own, which only the container has afterwards. So nothing has to be undone, whoever is killed and when: mounts
and loop devices go with the last process that sees them.

Disks are mounted with the container's ids: its root owns there what belongs to root on the disk, and on the
host it is nobody. libvirt cannot do that. It would open a disk from inside the container's user namespace,
where that is refused. Nothing outside the standard library is imported: it is run by its path.
"""

import contextlib
import ctypes
import errno
import fcntl
import json
import os
import struct
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

AT = "/run/libvirt/overlayd"
"""Where the container's file systems are mounted, by number: each container's are only to be seen by it."""

_NEW_MOUNTS, _NEW_USERS = 0x0002_0000, 0x1000_0000  # CLONE_NEW*, linux/sched.h
_NO_SUID, _NO_DEVICES, _NO_EXEC, _RECURSIVE, _SLAVE = 2, 4, 8, 0x4000, 1 << 19  # MS_*
_DETACH = 2  # MNT_DETACH
_OPEN_TREE, _MOVE_MOUNT, _MOUNT_SETATTR = 428, 429, 442  # The same for every architecture.
_CLONE, _CLOSE_ON_EXEC, _EMPTY_PATH, _FROM_EMPTY_PATH = 1, os.O_CLOEXEC, 0x1000, 4
_AT_READ_ONLY, _AT_NO_DEVICES, _AT_IDMAP = 1, 4, 0x10_0000  # MOUNT_ATTR_*
_HERE = -100  # AT_FDCWD

_CONTROL = "/dev/loop-control"
_RESIZE_EXT4 = 0x40086610  # fs/ext4/ext4.h
_GET_FREE, _CONFIGURE, _STATUS = 0x4C82, 0x4C0A, 0x4C05  # linux/loop.h
_AUTOCLEAR = 4
_INFO = struct.Struct("=QQQQQIIII64s64s32sQQ")  # struct loop_info64
_CONFIG = struct.Struct(f"=II{_INFO.size}s64x")
_TRIES = 20
"""Between the asking for a free device and the taking of it somebody else may take it."""

_NODE_BYTES, _NODES_LEAST = 4096, 64
"""Room for a file each so many bytes, and for so many at least. Even empty ones take memory."""

FREE_WITHIN_S = 20.0
"""A container that has just ended may have its disks for a moment more."""

_GROUPS = "/sys/fs/cgroup"
_DELEGATED = frozenset({"cgroup.procs", "cgroup.threads", "cgroup.subtree_control"})
"""What a container needs of its control group to make others in it, as the kernel's documentation says."""
_LIMITS_WITHIN_S = 60.0

_libc = ctypes.CDLL(None, use_errno=True)


class _Attributes(ctypes.Structure):
    """struct mount_attr."""

    _fields_ = (
        ("set", ctypes.c_uint64),
        ("clear", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("users", ctypes.c_uint64),
    )


def attach(path: str, within_s: float = FREE_WITHIN_S) -> tuple[int, str]:
    """(open file, name) of a loop device with a file's content, which the kernel clears with its last user.

    Waits while the file is another device's: two file systems on one file destroy it. Raises OSError.
    """
    file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        end_s = time.monotonic() + within_s
        while other := _device_of(os.fstat(file)):
            if time.monotonic() > end_s:
                raise OSError(errno.EBUSY, f"it is in use as {other}")
            time.sleep(0.05)
        return _attach(file, path)
    finally:
        os.close(file)


def _attach(file: int, path: str) -> tuple[int, str]:
    control = os.open(_CONTROL, os.O_RDWR | os.O_CLOEXEC)
    try:
        for _ in range(_TRIES):
            name = f"/dev/loop{fcntl.ioctl(control, _GET_FREE)}"
            device = os.open(name, os.O_RDWR | os.O_CLOEXEC)
            try:
                fcntl.ioctl(device, _CONFIGURE, _config(file, path))
            except OSError as error:
                os.close(device)
                if error.errno != errno.EBUSY:
                    raise
            else:
                return device, name
    finally:
        os.close(control)
    raise OSError(errno.EBUSY, "no loop device is free")


def _device_of(file: os.stat_result) -> str:
    """The loop device that has the file; empty if none has."""
    for folder in Path("/sys/block").glob("loop*/loop"):
        name = f"/dev/{folder.parent.name}"
        with contextlib.suppress(OSError):  # it is another's, and has gone
            device = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
            try:
                status = fcntl.ioctl(device, _STATUS, bytes(_INFO.size))
            finally:
                os.close(device)
            if _INFO.unpack(status)[:2] == (file.st_dev, file.st_ino):
                return name
    return ""


def _config(file: int, path: str) -> bytes:
    shown = os.fsencode(path)[-63:]
    info = _INFO.pack(0, 0, 0, 0, 0, 0, 0, 0, _AUTOCLEAR, shown, b"", b"", 0, 0)
    return _CONFIG.pack(file, 0, info)


def _checked(asked: str, answer: int) -> int:
    if answer < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{asked}: {os.strerror(number)}")
    return answer


def _mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    words = (os.fsencode(source), os.fsencode(target), kind.encode())
    given = options.encode() or None
    _checked(f"mount {source}", _libc.mount(*words, ctypes.c_ulong(flags), given))


def _clone(path: str) -> int:
    """A mount of what is there, which is nowhere yet."""
    flags = _CLONE | _CLOSE_ON_EXEC
    answer = _libc.syscall(_OPEN_TREE, _HERE, os.fsencode(path), flags)
    return _checked(f"open_tree {path}", answer)


def _set(mount: int, attributes: int, users: int = 0) -> None:
    wanted = _Attributes(attributes, 0, 0, users)
    size = ctypes.sizeof(wanted)
    answer = _libc.syscall(_MOUNT_SETATTR, mount, b"", _EMPTY_PATH, ctypes.byref(wanted), size)
    _checked("mount_setattr", answer)


def _put(mount: int, target: str) -> None:
    where = os.fsencode(target)
    answer = _libc.syscall(_MOVE_MOUNT, mount, b"", _HERE, where, _FROM_EMPTY_PATH)
    _checked(f"move_mount {target}", answer)
    os.close(mount)


def _users(first: int, count: int) -> int:
    """A user namespace in which ids from 0 are those from `first`: that of a process that is gone then."""
    made, ready = os.pipe()
    ended, going = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(made)
        os.close(going)
        number = 0 if _libc.unshare(_NEW_USERS) == 0 else ctypes.get_errno()
        os.write(ready, bytes([number]))
        os.read(ended, 1)
        os._exit(0)
    os.close(ready)  # so that the reading ends if the other is killed
    try:
        answer = os.read(made, 1)
        if not answer:
            raise OSError(errno.ECHILD, "whoever made a user namespace was killed; start it again")
        if number := answer[0]:
            raise OSError(number, f"a user namespace cannot be made: {os.strerror(number)}")
        for name in ("uid_map", "gid_map"):
            Path(f"/proc/{pid}/{name}").write_text(f"0 {first} {count}\n")
        return os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        for end in (made, ended, going):
            os.close(end)
        os.waitpid(pid, 0)


def _mount_disk(file: str, target: str, users: int | None) -> None:
    """A guest may have written what it liked on the disk: no devices, and no panic of the host for an error."""
    device, name = attach(file)
    try:
        _mount(name, target, "ext4", _NO_DEVICES, "errors=remount-ro")
    finally:
        os.close(device)
    with contextlib.suppress(OSError):  # it may be no larger, or root may not: it is used as it is
        _fill(target, file)
    if users is not None:
        mapped = _clone(target)
        _checked("umount", _libc.umount2(os.fsencode(target), _DETACH))
        _set(mapped, _AT_IDMAP, users)
        _put(mapped, target)


def _mount_tree(one: dict[str, Any], target: str) -> None:
    """A folder of this host. With a bound, nothing is written into it, but into so much memory over it."""
    tree = _clone(one["source"])
    room = one.get("room_bytes", 0)  # plans of older builds do not say it
    _set(tree, _AT_NO_DEVICES | (_AT_READ_ONLY if one["read_only"] or room else 0))
    _put(tree, target)
    if not room:
        return
    # The root of an overlay is its upper folder, so that is made like the one below. What is mounted for
    # it goes out of sight at once: the overlay keeps it.
    over, root = f"{target}.over", os.stat(target)
    size = f"size={room},nr_inodes={max(_NODES_LEAST, room // _NODE_BYTES)}"
    os.mkdir(over)
    _mount("overlayd", over, "tmpfs", _NO_DEVICES, f"mode=0700,{size}")
    for name in ("upper", "work"):
        os.mkdir(f"{over}/{name}")
    os.chown(f"{over}/upper", root.st_uid, root.st_gid)
    os.chmod(f"{over}/upper", root.st_mode & 0o7777)
    options = f"lowerdir={target},upperdir={over}/upper,workdir={over}/work"
    _mount("overlayd", target, "overlay", _NO_DEVICES, options)
    _checked("umount", _libc.umount2(os.fsencode(over), _DETACH))
    os.rmdir(over)


def _fill(target: str, file: str) -> None:
    """Lets a file system have all of a disk that has grown. One that has it stays as it is. Raises OSError."""
    blocks = os.stat(file).st_size // os.statvfs(target).f_frsize
    folder = os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.ioctl(folder, _RESIZE_EXT4, struct.pack("Q", blocks))
    finally:
        os.close(folder)


def mount_all(plan: dict[str, Any]) -> None:
    """Mounts what a plan (`plans.py`) names, below AT, in a new mount namespace. Raises OSError."""
    ids, held = plan["ids"], plan["held"]
    assert isinstance(held, list)
    _checked("unshare", _libc.unshare(_NEW_MOUNTS))
    _mount("none", "/", "none", _RECURSIVE | _SLAVE)
    os.makedirs(AT, mode=0o755, exist_ok=True)
    _mount("overlayd", AT, "tmpfs", _NO_SUID | _NO_DEVICES | _NO_EXEC, "mode=0711,size=64k")
    users = _users(ids["first"], ids["count"]) if isinstance(ids, dict) else None
    for number, one in enumerate(held):
        target = f"{AT}/{number}"
        os.mkdir(target)
        if one["kind"] == "disk":
            _mount_disk(one["source"], target, users)
        else:
            _mount_tree(one, target)


def guard_limits(pid: int, first: int, proc: str = "/proc", groups: str = _GROUPS) -> bool:
    """Takes from a container's root what holds it. False if its control group was not made in time.

    Where control groups are of version 2, libvirt gives all files of a container's to its root, `first`: it
    could lift its own limits. That is undone before the container's init begins: many mounts are made in
    between.
    """
    end_s = time.monotonic() + _LIMITS_WITHIN_S
    while time.monotonic() < end_s:
        try:
            lines = Path(proc, str(pid), "cgroup").read_text().splitlines()
        except OSError:
            return False  # it has ended
        own = next((line[4:] for line in lines if line.startswith("0::/")), "")
        with contextlib.suppress(OSError):
            # The folder is given away last.
            if own and os.stat(Path(groups, own)).st_uid == first:
                for file in Path(groups, own).iterdir():
                    if file.name not in _DELEGATED and not file.is_dir():
                        os.chown(file, 0, 0)
                return True
        time.sleep(0.001)
    return False


def _guard_beside(first: int) -> None:
    """Does that in a process of its own, which is nobody's child: this one becomes another program."""
    pid = os.getpid()
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    try:
        os.setsid()
        if os.fork() == 0:
            nothing = os.open("/dev/null", os.O_RDWR)
            for number in (0, 1, 2):
                os.dup2(nothing, number)
            os.closerange(3, 1 << 16)  # what libvirt waits to be closed
            guard_limits(pid, first)
    finally:
        os._exit(0)


def main(argv: list[str]) -> NoReturn:
    """`controller.py PLANS EMULATOR ... --name NAME ...`: mounts, and becomes the emulator."""
    plans, emulator, *rest = argv
    name = rest[rest.index("--name") + 1]
    try:
        plan = json.loads(Path(plans, f"{name}.json").read_bytes())
        mount_all(plan)
        if plan["ids"] and os.path.exists(f"{_GROUPS}/cgroup.controllers"):
            _guard_beside(plan["ids"]["first"])
        os.execv(emulator, [emulator, *rest])  # noqa: S606, a shell would only be in the way
    except OSError as error:
        sys.exit(f"{name}: its file systems cannot be mounted: {error}")


if __name__ == "__main__":
    main(sys.argv[1:])
