"""A folder for each guest, with all that its QEMU may open of this host's state, and nothing else.

    DIR/<machine>/    its owner is the machine's user, for as long as the machine is wanted: the record of it
        disk-root     hard links, made anew for each start

Every other folder of the state is closed to that user, so what is not linked here is not there for it. What
it only reads belongs to root, so that it cannot change that; what it writes is its own. Nothing that root does
here follows a link, since whoever has broken out of QEMU may put one there.
"""

import contextlib
import errno
import os
import re
import shutil
import threading
from pathlib import Path
from xml.etree import ElementTree as ET

import libvirt
import msgspec

from overlayd.adapters.libvirt.driver import Driver, runs_qemu
from overlayd.adapters.libvirt.users import ROOT, GuestUsers, User, UserRange
from overlayd.adapters.libvirt.xml import domain_xml
from overlayd.ports.compute import ComputeError, ContainerBoot, Disk, DiskBoot, KernelBoot, Machine

_MACHINE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_NEW = ".new"
COPIED_MOST = 64 << 20
"""A seed, a kernel or an initramfs of another file system is copied. What is larger is opened where it is."""


class GuestFolders:
    """The folders of one daemon's guests. Calls block."""

    def __init__(self, directory: Path, range_: UserRange) -> None:
        self._directory, self._users = directory, GuestUsers(range_)
        self._turn = threading.Lock()
        """Guests start side by side, and no two may find the same user id free."""
        directory.mkdir(parents=True, exist_ok=True)
        directory.chmod(0o711)
        for half in directory.glob(f"*{_NEW}"):
            half.rmdir()

    @property
    def tried(self) -> int:
        """The user id of guests that are only tried."""
        return self._users.range.first

    def prepare(self, machine: Machine, gid: int | None = None) -> tuple[Machine, User]:
        """Gives the machine's user what the machine needs, under other names. Raises ComputeError.

        `gid` is the user's group, if it is to have another than its own.
        """
        folder = self._folder(machine.name)
        try:
            with self._turn:
                uid = self._settle(folder)
            user = User(uid, uid if gid is None else gid)
            _empty(folder)
            return _given(machine, folder, user), user
        except OSError as error:
            raise ComputeError(
                f"{machine.name}: a file cannot be given to its user: {error}"
            ) from error

    def clear(self, name: str) -> None:
        """Takes everything from a machine that does not run. Its user stays its own."""
        with contextlib.suppress(FileNotFoundError):
            _empty(self._folder(name))

    def forget(self, name: str) -> None:
        """Lets go of a machine's user, too; it is no error if there is none."""
        with self._turn, contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self._folder(name))

    def taken(self) -> dict[str, int]:
        """The user id of each machine that has one."""
        return {e.name: e.stat(follow_symlinks=False).st_uid for e in os.scandir(self._directory)}

    def _settle(self, folder: Path) -> int:
        """Makes the folder if it is not there. Answers whose it is."""
        uid = self._users.of(folder.name, self.taken())
        if not folder.exists():
            making = folder.with_name(folder.name + _NEW)
            making.mkdir(mode=0o500)
            os.chown(making, uid, uid)
            making.rename(folder)
        folder.chmod(0o500)
        return uid

    def _folder(self, name: str) -> Path:
        if not _MACHINE.fullmatch(name) or name.endswith(_NEW):
            raise ComputeError(f"{name[:150]!r} is not a machine's name")
        return self._directory / name


class RunsAs:
    """Whom each guest of a driver runs as: a user with a folder, else root. It says nothing of containers."""

    def __init__(self, driver: Driver, folders: GuestFolders | None) -> None:
        self._driver, self._folders = driver, folders

    @property
    def tried(self) -> User | None:
        """The user of guests that are only tried."""
        if not runs_qemu(self._driver.type):
            return None
        if self._folders is None:
            return ROOT
        uid = self._folders.tried
        return User(uid, uid if self._driver.gid is None else self._driver.gid)

    def prepare(self, machine: Machine) -> tuple[Machine, User | None]:
        """The machine with its files where its user finds them, and the user."""
        if not runs_qemu(self._driver.type):
            return machine, None
        if self._folders is None:
            return machine, ROOT
        return self._folders.prepare(machine, self._driver.gid)

    def give_back(self, domain: libvirt.virDomain, machine: Machine) -> None:
        """Prepares what a saved machine has open. One that was saved as another user goes on as its own."""
        machine, user = self.prepare(machine)
        if user is None:
            return
        saved = ET.fromstring(domain.managedSaveGetXMLDesc())  # noqa: S314, libvirt's own
        if saved.findtext("seclabel[@model='dac']/label") != user.label:
            domain.managedSaveDefineXML(domain_xml(machine, self._driver, user))

    def clear(self, name: str) -> None:
        """Takes everything from a machine that does not run."""
        if self._folders is not None:
            self._folders.clear(name)

    def forget(self, name: str) -> None:
        """Lets go of the user of a machine that is wanted no more."""
        if self._folders is not None:
            self._folders.forget(name)


def _given(machine: Machine, folder: Path, user: User) -> Machine:
    """The machine with what it opens in that folder."""

    def read(path: str, name: str) -> str:
        """A file that others may have, too. It is root's, and every folder with it is closed."""
        return _link(path, folder / name, ROOT, 0o444) if path else ""

    def write(path: str, name: str) -> str:
        return _link(path, folder / name, user, 0o600) if path else ""

    def given(disk: Disk) -> Disk:
        return msgspec.structs.replace(
            disk,
            path=(read if disk.read_only else write)(disk.path, f"disk-{disk.serial}"),
            backing=read(disk.backing, f"base-{disk.serial}"),
        )

    boots = machine.boots
    match boots:
        case KernelBoot(kernel, initrd):
            boots = KernelBoot(read(kernel, "kernel"), read(initrd, "initrd"), boots.cmdline)
        case DiskBoot(firmware, variables):
            boots = DiskBoot(firmware, write(variables, "variables.fd"))
        case ContainerBoot():
            raise ComputeError(
                f"{machine.name}: a root directory does not boot as a virtual machine"
            )
    return msgspec.structs.replace(
        machine,
        boots=boots,
        seed=read(machine.seed, "seed.iso"),
        disks=tuple(given(disk) for disk in machine.disks),
    )


def _link(path: str, name: Path, user: User, mode: int) -> str:
    """Where the user finds the file: in its folder, or where it is if that is on another file system."""
    try:
        os.link(path, name)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        if user == ROOT and os.stat(path).st_size <= COPIED_MOST:
            shutil.copyfile(path, name)
            name.chmod(mode)
            return str(name)
        name = Path(path)
        for folder in name.parents:
            if (now := folder.stat().st_mode) & 0o001:
                break
            folder.chmod(
                now & 0o7777 | 0o001
            )  # to go through: each file in it has one user, or is an image
    os.chown(path, user.uid, user.gid, follow_symlinks=False)
    Path(path).chmod(mode)
    return str(name)


def _empty(folder: Path) -> None:
    """Removes what is in it, whoever made it. It is gone at once, or not at all."""
    for entry in os.scandir(folder):
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        else:
            Path(entry.path).unlink(missing_ok=True)
