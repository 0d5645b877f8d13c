"""Folders of guests, as root: who may open what, and nothing that a guest's user leaves there is followed."""

import errno
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from overlayd.adapters.libvirt.driver import DomainType, Driver
from overlayd.adapters.libvirt.folders import GuestFolders, RunsAs
from overlayd.adapters.libvirt.users import ROOT, UserRange
from overlayd.ports.compute import ComputeError, Disk, DiskBoot, KernelBoot, Machine
from protocol.image.facts import Firmware

RANGE = UserRange(0x70000000, 100)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    def file(name: str) -> str:
        path = tmp_path / "state" / name
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.write_text(name)
        path.chmod(0o600)
        return str(path)

    root = Disk(file("roots/disk"), "root", "qcow2", backing=file("images/content"))
    return Machine(
        name="ovl-1", uuid="", title="", grid="g", epoch=1, boot=1, vcpus=1, cpu_milli=1, memory_bytes=1,
        boots=DiskBoot(Firmware.UEFI, file("roots/variables")),
        seed=file("seeds/iso"), disks=(root, Disk(file("volumes/home"), "home")),
    )  # fmt: skip


def folders(tmp_path: Path) -> GuestFolders:
    return GuestFolders(tmp_path / "state" / "guests", RANGE)


def owner_and_mode(path: str) -> tuple[int, int]:
    found = os.stat(path, follow_symlinks=False)
    return found.st_uid, stat.S_IMODE(found.st_mode)


def test_it_writes_what_is_its_own_and_reads_what_others_may_have_too(
    tmp_path: Path, machine: Machine
) -> None:
    given, user = folders(tmp_path).prepare(machine)
    assert isinstance(given.boots, DiskBoot)
    root, home = given.disks
    assert {Path(p).parent for p in (root.path, root.backing, home.path, given.seed)} == {
        tmp_path / "state" / "guests" / "ovl-1"
    }
    for path in (root.path, home.path, given.boots.variables):
        assert owner_and_mode(path) == (user.uid, 0o600)
    for path in (root.backing, given.seed):
        assert owner_and_mode(path) == (0, 0o444)
    assert owner_and_mode(str(Path(home.path).parent)) == (user.uid, 0o500)
    assert Path(home.path).read_text() == "volumes/home"


def test_a_user_is_kept_until_its_machine_is_forgotten(tmp_path: Path, machine: Machine) -> None:
    _, first = folders(tmp_path).prepare(machine)
    here = folders(tmp_path)
    here.clear("ovl-1")
    assert list((tmp_path / "state" / "guests" / "ovl-1").iterdir()) == []
    assert here.prepare(machine)[1] == first
    here.forget("ovl-1")
    here.forget("ovl-1")
    assert here.taken() == {}


def test_guests_that_start_and_go_side_by_side_have_users_of_their_own(tmp_path: Path) -> None:
    here = folders(tmp_path)
    bare = Machine(
        name="", uuid="", title="", grid="g", epoch=1, boot=1, vcpus=1, cpu_milli=1, memory_bytes=1,
        boots=KernelBoot("", "", ""), seed="",
    )  # fmt: skip

    def turn(number: int) -> int:
        passing = msgspec.structs.replace(bare, name=f"passing-{number}")
        for _ in range(20):
            here.prepare(passing)
            here.forget(passing.name)
        return here.prepare(msgspec.structs.replace(bare, name=f"stays-{number}"))[1].uid

    with ThreadPoolExecutor(8) as threads:
        users = list(threads.map(turn, range(64)))
    assert len(set(users)) == len(users)


def test_what_whoever_broke_out_left_there_is_not_followed(
    tmp_path: Path, machine: Machine
) -> None:
    here = folders(tmp_path)
    given, _ = here.prepare(machine)
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "file").write_text("root's")
    home = Path(given.disks[1].path)
    home.unlink()
    home.symlink_to(secret / "file")
    (home.parent / "more").symlink_to(secret)
    (home.parent / "deep").mkdir()
    here.prepare(machine)
    assert home.read_text() == "volumes/home"
    assert owner_and_mode(str(secret / "file"))[0] == 0
    (home.parent / "more").symlink_to(secret)
    here.forget("ovl-1")
    assert (secret / "file").read_text() == "root's"


def test_files_of_other_file_systems_are_copied_or_opened_where_they_are(
    tmp_path: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_path: str, _name: Path) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", away)
    given, user = folders(tmp_path).prepare(machine)
    home = machine.disks[1].path
    assert given.disks[1].path == home
    assert owner_and_mode(home) == (user.uid, 0o600)
    assert owner_and_mode(str(Path(home).parent))[1] & 0o007 == 0o001, "to go through, no more"
    assert Path(given.seed).parent.name == "ovl-1"
    assert owner_and_mode(given.seed) == (0, 0o444)
    assert owner_and_mode(machine.seed) == (0, 0o600), "the seed itself stays closed"


def test_a_file_that_is_not_there_is_told(tmp_path: Path, machine: Machine) -> None:
    gone = msgspec.structs.replace(machine, disks=(Disk(str(tmp_path / "none"), "home"),))
    with pytest.raises(ComputeError, match="ovl-1: a file cannot be given to its user"):
        folders(tmp_path).prepare(gone)


@dataclass
class Saved:
    """Stands for libvirt's domain of a saved machine."""

    xml: str
    defined: str = ""

    def managedSaveGetXMLDesc(self) -> str:
        return self.xml

    def managedSaveDefineXML(self, xml: str) -> None:
        self.defined = xml


def test_one_saved_as_root_goes_on_as_its_own_user(tmp_path: Path, machine: Machine) -> None:
    runs_as = RunsAs(Driver(DomainType.QEMU), folders(tmp_path))
    _, user = runs_as.prepare(machine)
    assert user is not None
    as_root = "<domain><seclabel model='dac'><label>+0:+0</label></seclabel></domain>"
    domains = Saved("<domain/>"), Saved(as_root), Saved(as_root.replace("+0:+0", user.label))
    for saved in domains:
        runs_as.give_back(saved, machine)
    assert [user.label in saved.defined for saved in domains] == [True, True, False]
    assert f"{tmp_path}/state/guests/ovl-1/disk-home" in domains[0].defined


def test_without_folders_virtual_machines_are_root_and_containers_are_not_said(
    machine: Machine,
) -> None:
    for type_, user in ((DomainType.KVM, ROOT), (DomainType.LXC, None), (DomainType.TEST, None)):
        runs_as = RunsAs(Driver(type_), None)
        assert runs_as.prepare(machine) == (machine, user)
        assert runs_as.tried == user


def test_a_half_made_folder_is_nobodys(tmp_path: Path, machine: Machine) -> None:
    here = folders(tmp_path)
    (tmp_path / "state" / "guests" / "ovl-1.new").mkdir()
    here = folders(tmp_path)
    assert here.taken() == {}
    here.prepare(machine)
