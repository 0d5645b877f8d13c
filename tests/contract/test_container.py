"""A container's root: an image of anybody's, unpacked, with the files of its seed."""

import asyncio
import os
from pathlib import Path
from tempfile import mkdtemp

import pytest

from overlayd.adapters.libvirt.container import make_root, remove_root
from overlayd.adapters.libvirt.domains import Domains
from overlayd.adapters.libvirt.driver import DomainType, Driver
from overlayd.adapters.libvirt.history import History
from overlayd.adapters.libvirt.plans import Containers
from overlayd.adapters.libvirt.users import CONTAINER_IDS, UserRange
from overlayd.adapters.seeds import NoCloudSeeds
from overlayd.ports.compute import ComputeError, KernelBoot, Machine
from overlayd.ports.seeds import Seed

IDS = UserRange(1_000_000, CONTAINER_IDS)
IDS_OF_ALL = UserRange(1_000_000, 4 * CONTAINER_IDS)
FILE, FOLDER, LINK = 0o100644, 0o040755, 0o120777


def entry(name: str, mode: int, data: bytes = b"") -> bytes:
    values = [1, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0]
    head = b"070701" + b"".join(b"%08x" % value for value in values) + name.encode() + b"\0"
    return head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4)


def appliance(folder: Path, *entries: bytes) -> Machine:
    """A container of an image with those files."""
    (folder / "initrd").write_bytes(b"".join((*entries, entry("TRAILER!!!", 0))))
    seed = asyncio.run(
        NoCloudSeeds(folder / "seeds").ensure("m", Seed("id", "m", user_data=b"mine"))
    )
    return Machine(
        name="m", uuid="", title="", grid="g", epoch=1, boot=1, vcpus=1, cpu_milli=1,
        memory_bytes=1 << 20, boots=KernelBoot("", str(folder / "initrd"), ""), seed=seed, disks=(),
        console_log=str(folder / "console" / "m.log"),
    )  # fmt: skip


def root_of(folder: Path) -> Path:
    return folder / "console" / "m.root"


def test_the_seed_and_all_folders_above_it_are_the_containers_own(tmp_path: Path) -> None:
    make_root(appliance(tmp_path, entry("init", FILE, b"#!")), IDS)
    root = root_of(tmp_path)
    assert (root / "run" / "seed" / "user-data").read_bytes() == b"mine"
    for path in (root, *root.rglob("*")):
        found = path.lstat()
        assert (found.st_uid, found.st_gid) == (IDS.first, IDS.first), path


@pytest.mark.parametrize("link", ["run", "run/seed"])
def test_no_link_of_an_image_leads_the_seed_out_of_it(tmp_path: Path, link: str) -> None:
    outside = tmp_path / "outside"
    (outside / "seed").mkdir(parents=True)
    (outside / "shadow").write_text("root's")
    folders = [entry("run", FOLDER)] if "/" in link else []
    machine = appliance(tmp_path, *folders, entry(link, LINK, str(outside).encode()))
    with pytest.raises(ComputeError, match=f"m: its image .*{link}"):
        make_root(machine, IDS)
    assert sorted(path.name for path in outside.rglob("*")) == ["seed", "shadow"]
    assert (outside / "shadow").stat().st_uid == os.geteuid()
    assert not root_of(tmp_path).exists()


def test_no_file_of_an_image_is_written_through(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("root's")
    machine = appliance(
        tmp_path,
        entry("run", FOLDER),
        entry("run/seed", FOLDER),
        entry("run/seed/user-data", LINK, str(outside).encode()),
    )
    make_root(machine, IDS)
    assert outside.read_text() == "root's"
    written = root_of(tmp_path) / "run" / "seed" / "user-data"
    assert written.read_bytes() == b"mine"
    assert not written.is_symlink()


def test_what_a_guest_has_nested_without_end_is_removed() -> None:
    memory = Path(mkdtemp(dir="/dev/shm"))
    root = memory / "m.root"
    root.mkdir()
    at = os.open(root, os.O_RDONLY)
    for _ in range(1100):
        os.mkdir("d", dir_fd=at)
        below = os.open("d", os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(at)
    (memory / "m.root.tar").touch()
    remove_root(str(root))
    remove_root(str(root))
    memory.rmdir()


def test_what_keeps_a_root_from_being_removed_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rm").write_text("#!/bin/sh\necho Input/output error >&2; exit 1\n")
    (tmp_path / "rm").chmod(0o755)
    (tmp_path / "m.root").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    with pytest.raises(ComputeError, match=r"m\.root cannot be removed: Input/output error; once"):
        remove_root(str(tmp_path / "m.root"))


def test_what_a_killed_daemon_left_of_a_container_goes_when_it_is_forgotten(tmp_path: Path) -> None:
    machine = appliance(tmp_path, entry("init", FILE, b"#!"))
    containers = Containers(tmp_path / "containers", IDS_OF_ALL, proc=tmp_path)
    make_root(machine, containers.prepare(machine))
    (tmp_path / "console" / "m.root.tar").touch()
    (tmp_path / "containers" / "m.making").touch()
    domains = Domains(None, Driver(DomainType.LXC), History(None), None, containers)
    domains.forget("another")
    assert root_of(tmp_path).exists()
    domains.forget("m")
    domains.forget("m")
    assert list((tmp_path / "console").iterdir()) == []
    assert list((tmp_path / "containers").iterdir()) == []
