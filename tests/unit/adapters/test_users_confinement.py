"""Which user a guest runs as, and what is said of how it is confined."""

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overlayd.adapters.libvirt.confinement import open_state, seen, why_no_users
from overlayd.adapters.libvirt.users import GuestUsers, UserRange, built_in_range
from overlayd.ports.compute import ComputeError

RANGE = UserRange(5000, 5)
STATUS = """\
Name:	qemu-system-x86
Uid:	{uid}	{uid}	{uid}	{uid}
CapPrm:	{powers}
CapEff:	{powers}
Seccomp:	{seccomp}
"""


def test_a_machine_keeps_the_user_it_has_also_outside_the_range() -> None:
    users = GuestUsers(RANGE)
    assert users.of("ovl-1", {"ovl-1": 5003, "ovl-2": 5002}) == 5003
    assert users.of("ovl-1", {"ovl-1": 77}) == 77, "the range was another when it was made"


@given(st.lists(st.text("abcdef0123456789", min_size=1), unique=True, max_size=4))
def test_no_two_have_the_same_and_none_has_the_first(names: list[str]) -> None:
    users, taken = GuestUsers(RANGE), dict[str, int]()
    for name in names:
        taken[name] = users.of(name, taken)
    assert len(set(taken.values())) == len(names)
    assert all(RANGE.first < uid <= RANGE.last for uid in taken.values())


def test_when_all_are_taken_it_says_so() -> None:
    taken = {f"ovl-{uid}": uid for uid in range(5001, 5005)}
    with pytest.raises(ComputeError, match="the 4 user ids from 5001 to 5004 are all taken"):
        GuestUsers(RANGE).of("ovl-9", taken)
    taken.pop("ovl-5002")
    assert GuestUsers(RANGE).of("ovl-9", taken) == 5002


def test_built_in_ranges_are_of_nobody_else_and_differ_by_daemon() -> None:
    ranges = [built_in_range(f"{number:012x}") for number in range(40)]
    for each in ranges:
        assert each.first >= 0x70000000
        assert each.last < 0x7FFC0000
    starts = sorted(each.first for each in ranges)
    assert all(b - a >= ranges[0].count for a, b in pairwise(starts))


@pytest.mark.parametrize(
    ("status", "models", "own", "words"),
    [
        ({"uid": 5001, "powers": "0", "seccomp": 2}, {"dac"}, "mnt", "user seccomp namespaces"),
        ({"uid": 5001, "powers": "0", "seccomp": 0}, {"apparmor", "dac"}, "", "user mac"),
        ({"uid": 0, "powers": "0", "seccomp": 2}, {"dac"}, "mnt", "root seccomp namespaces"),
        ({"uid": 5001, "powers": "1", "seccomp": 0}, {"dac"}, "", "root"),
        ({"uid": 5001, "powers": "1", "seccomp": 0}, {"none"}, "mnt user", "user namespaces"),
        ({"uid": 0, "powers": "1", "seccomp": 0}, {"none"}, "mnt user", "root namespaces"),
    ],
)
def test_what_is_seen_of_a_process_is_said(
    tmp_path: Path, status: dict[str, object], models: set[str], own: str, words: str
) -> None:
    for who in ("4711", "self"):
        (tmp_path / who / "ns").mkdir(parents=True)
        for kind in ("mnt", "user"):
            inode = 2 if kind in own and who == "4711" else 1
            (tmp_path / who / "ns" / kind).symlink_to(f"{kind}:[{inode}]")
    (tmp_path / "4711" / "status").write_text(STATUS.format(**status))
    assert " ".join(seen(4711, frozenset(models), tmp_path)) == words


def test_a_closed_folder_on_the_way_is_why_guests_run_as_root(tmp_path: Path) -> None:
    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "uid_map").write_text("         0          0 4294967295\n")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    why = why_no_users(closed / "state", RANGE, tmp_path)
    assert why.startswith(f"{closed} is closed to other users (mode 0700)")
    assert why_no_users(Path("/state"), RANGE, tmp_path) == ""


def test_ids_that_are_not_mapped_are_why_guests_run_as_root(tmp_path: Path) -> None:
    (tmp_path / "self").mkdir()
    (tmp_path / "self" / "uid_map").write_text("0 1000 1\n1 100000 5003\n")
    assert "no user ids 5000 to 5004" in why_no_users(Path("/state"), RANGE, tmp_path)
    (tmp_path / "self" / "uid_map").write_text("0 1000 1\n1 100000 5004\n")
    assert why_no_users(Path("/state"), RANGE, tmp_path) == ""


def test_only_the_way_is_open_and_nothing_beside_it(tmp_path: Path) -> None:
    state = tmp_path / "state"
    (state / "volumes").mkdir(parents=True, mode=0o755)
    (state / "networks").mkdir(mode=0o755)
    (state / "store.sqlite").write_text("")
    (state / "store.sqlite").chmod(0o644)
    open_state(state)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (state, *state.iterdir())}
    assert modes == {"state": 0o711, "volumes": 0o700, "networks": 0o711, "store.sqlite": 0o600}
