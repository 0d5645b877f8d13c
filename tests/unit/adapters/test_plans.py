"""The ids and file systems of containers: a range each, kept, met by nobody else."""

import errno
import os
from pathlib import Path

import msgspec
import pytest

from overlayd.adapters.libvirt import plans
from overlayd.adapters.libvirt.plans import Containers, Plan, held_by, mapped_by_others, why_no_ids
from overlayd.adapters.libvirt.users import (
    CONTAINER_IDS,
    UserRange,
    built_in_containers,
    built_in_range,
)
from overlayd.ports.compute import ComputeError, ContainerBoot, Disk, KernelBoot, Machine

RANGE = UserRange(1_000_000, 4 * CONTAINER_IDS)
APPLIANCE = Machine(
    name="ovl-1", uuid="", title="", grid="g", epoch=1, boot=1, vcpus=1, cpu_milli=1, memory_bytes=1,
    boots=KernelBoot("", "", ""), seed="", disks=(Disk("/v/home", "home", mount="/srv"),),
    console_log="/state/console/a.log",
)  # fmt: skip
BOX = msgspec.structs.replace(APPLIANCE, boots=ContainerBoot("/r/root.ext4"))


def named(name: str) -> Machine:
    return msgspec.structs.replace(APPLIANCE, name=name)


@pytest.fixture
def here(tmp_path: Path) -> Containers:
    return Containers(tmp_path / "containers", RANGE, proc=tmp_path)


def test_a_container_with_a_root_of_its_own_holds_it_and_its_seed_and_its_disks() -> None:
    held = [(h.kind, h.source, h.target, h.read_only) for h in held_by(BOX)]
    assert held == [
        ("disk", "/r/root.ext4", "/", False),
        ("tree", "/state/console/ovl-1.root", plans.SEED_PATH, True),
        ("disk", "/v/home", "/srv", False),
    ]


def test_an_appliance_holds_its_unpacked_image_and_writes_in_half_of_its_memory() -> None:
    machine = msgspec.structs.replace(APPLIANCE, memory_bytes=64 << 20)
    held = [(h.kind, h.target, h.room_bytes) for h in held_by(machine)]
    assert held == [("tree", "/", 32 << 20), ("disk", "/srv", 0)]


def test_a_container_keeps_its_ids_until_it_is_forgotten(here: Containers, tmp_path: Path) -> None:
    first = here.prepare(APPLIANCE)
    assert first is not None
    assert first.count == CONTAINER_IDS
    again = Containers(tmp_path / "containers", RANGE, proc=tmp_path)
    assert again.prepare(BOX) == first, "also after a restart of the daemon"
    elsewhere = Containers(tmp_path / "containers", UserRange(9, RANGE.count), proc=tmp_path)
    assert elsewhere.prepare(BOX) == first, "and where another range is configured meanwhile"
    written = (tmp_path / "containers" / "ovl-1.json").read_bytes()
    assert msgspec.json.decode(written, type=Plan) == Plan(first, held_by(BOX))
    again.forget("ovl-1")
    again.forget("ovl-1")
    assert again.taken() == {}


def test_no_two_have_an_id_in_common_and_when_all_are_taken_it_says_so(here: Containers) -> None:
    ranges = [here.prepare(named(f"ovl-{number}")) for number in range(3)]
    firsts = sorted(ids.first for ids in ranges if ids is not None)
    assert firsts == [RANGE.first + n * CONTAINER_IDS for n in (1, 2, 3)], "the first is for trials"
    with pytest.raises(ComputeError, match="ovl-9 has no user ids to run with"):
        here.prepare(named("ovl-9"))
    here.forget("ovl-1")
    assert here.prepare(named("ovl-9")) == ranges[1]


def test_ids_of_somebody_elses_user_namespace_are_not_taken(
    here: Containers, tmp_path: Path
) -> None:
    process = tmp_path / "4711"
    process.mkdir()
    first = RANGE.first + CONTAINER_IDS + 5
    (process / "uid_map").write_text(
        f"         0       1000          1\n 1 {first} {CONTAINER_IDS}\n"
    )
    assert mapped_by_others(tmp_path) == {UserRange(1000, 1), UserRange(first, CONTAINER_IDS)}
    ids = here.prepare(APPLIANCE)
    assert ids is not None
    assert ids.first == RANGE.first + 3 * CONTAINER_IDS


def test_ids_that_another_daemon_gave_away_meanwhile_are_kept_no_more(
    here: Containers, tmp_path: Path
) -> None:
    """While this one's container was off, another daemon of the host began one with the same range."""
    before = here.prepare(APPLIANCE)
    assert before is not None
    process = tmp_path / "4711"
    process.mkdir()
    (process / "uid_map").write_text(f" 0 {before.first} {before.count}\n")
    after = here.prepare(APPLIANCE)
    assert after is not None
    assert not after.meets(before)
    assert here.taken() == {"ovl-1": after}


def test_where_there_are_no_ids_root_is_root(tmp_path: Path) -> None:
    here = Containers(tmp_path / "containers", None)
    assert here.prepare(APPLIANCE) is None
    assert here.taken() == {}


def test_a_plan_that_cannot_be_read_is_written_anew(here: Containers, tmp_path: Path) -> None:
    (tmp_path / "containers" / "ovl-1.json").write_text("{")
    assert here.prepare(APPLIANCE) is not None


def test_a_name_leads_nowhere_else(here: Containers) -> None:
    with pytest.raises(ComputeError, match="is not a machine's name"):
        here.prepare(named("../ovl-1"))


def test_the_built_in_ids_are_no_guests_and_no_peoples() -> None:
    built_in = built_in_containers()
    assert built_in.count % CONTAINER_IDS == 0
    assert built_in.first > 600_100_000, "what useradd gives to people ends there"
    assert not built_in.meets(built_in_range("any"))


def test_ids_inside_are_ids_outside() -> None:
    ids = UserRange(1_000_000, CONTAINER_IDS)
    assert [ids.outside(n) for n in (0, 65535, 65536, -1)] == [
        1_000_000,
        1_065_535,
        1_065_534,
        1_065_534,
    ]


@pytest.mark.parametrize(
    ("most", "uid_map", "range_", "why"),
    [
        ("0", "0 0 4294967295", RANGE, "this host makes no user namespaces; write 16384 to"),
        ("", "0 0 4294967295", RANGE, "this host makes no user namespaces"),
        ("9", "0 100000 65536", RANGE, "this host has no user ids 1000000 to 1262143"),
        (
            "9",
            "0 0 4294967295",
            UserRange(5000, 70000),
            "70000 user ids are too few: each container",
        ),
    ],
)
def test_why_containers_have_no_ids_of_their_own(
    tmp_path: Path, most: str, uid_map: str, range_: UserRange, why: str
) -> None:
    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "uid_map").write_text(f"{uid_map}\n")
    (tmp_path / "sys" / "user").mkdir(parents=True)
    if most:
        (tmp_path / "sys" / "user" / "max_user_namespaces").write_text(f"{most}\n")
    assert why_no_ids(tmp_path / "plans", range_, tmp_path).startswith(why)


def test_a_disk_that_was_full_at_the_start_makes_nobody_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What could not be tried is no reason: a container that cannot have its disks says so when it starts."""
    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "uid_map").write_text("0 0 4294967295\n")
    (tmp_path / "sys" / "user").mkdir(parents=True)
    (tmp_path / "sys" / "user" / "max_user_namespaces").write_text("1\n")

    def full(path: Path, length: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)

    monkeypatch.setattr(os, "truncate", full)
    assert why_no_ids(tmp_path / "plans", RANGE, tmp_path) == ""
    assert list((tmp_path / "plans").iterdir()) == []


def test_a_plan_that_cannot_be_written_is_no_error_of_ours(
    here: Containers, tmp_path: Path
) -> None:
    (tmp_path / "containers").rmdir()
    with pytest.raises(ComputeError, match=r"ovl-1 cannot be started: .*No such file"):
        here.prepare(APPLIANCE)


def test_a_script_that_libvirt_may_be_reading_is_never_half_written(here: Containers) -> None:
    path = Path(here.install())
    with path.open() as read:
        assert here.install() == str(path)
        assert os.fstat(read.fileno()).st_ino != path.stat().st_ino
        assert read.read() == path.read_text() == here.script()
    assert path.stat().st_mode & 0o777 == 0o755
