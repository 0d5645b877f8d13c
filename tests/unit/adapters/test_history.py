"""What is gathered of a domain's life, and forgotten with it."""

import os
from pathlib import Path

import libvirt
import pytest

from overlayd.adapters.libvirt import history
from overlayd.adapters.libvirt.history import Folder, History
from overlayd.ports.compute import Cause

DISKS = """<domain><devices>
<disk><source file="/v/data.raw"/><target dev="vda"/></disk>
<disk><source file="/v/seed.iso"/><target dev="vdb"/></disk>
</devices></domain>"""


class Domain:
    """As much of a libvirt domain as is asked."""

    def __init__(self, run: int = -1, errors: dict[str, int] | None = None) -> None:
        self._run, self._errors = run, errors or {}

    def name(self) -> str:
        return "m"

    def ID(self) -> int:
        return self._run

    def diskErrors(self) -> dict[str, int]:
        return self._errors

    def XMLDesc(self) -> str:
        return DISKS


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path, tmp_path)


def test_a_full_disk_is_told_apart_from_a_failing_one() -> None:
    known, reason = History(None), libvirt.VIR_DOMAIN_PAUSED_IOERROR
    full = Domain(errors={"vda": libvirt.VIR_DOMAIN_DISK_ERROR_NO_SPACE})
    cause, why, paths = known.paused(full, reason)
    assert (cause, paths) == (Cause.NO_ROOM, ("/v/data.raw",))
    assert "/v/data.raw" in why
    bad = Domain(errors={"vdb": libvirt.VIR_DOMAIN_DISK_ERROR_UNSPEC})
    assert known.paused(bad, reason)[::2] == (Cause.IO_ERROR, ("/v/seed.iso",))
    assert known.paused(Domain(), reason)[::2] == (Cause.IO_ERROR, ())
    assert known.paused(full, libvirt.VIR_DOMAIN_PAUSED_USER)[::2] == (Cause.ASKED, ())


def test_what_was_heard_of_an_end_holds_until_the_next_start() -> None:
    known, crashed = History(None), libvirt.VIR_DOMAIN_SHUTOFF_CRASHED
    known.event("m", libvirt.VIR_DOMAIN_EVENT_CRASHED, 0)
    known.event("m", libvirt.VIR_DOMAIN_EVENT_STOPPED, 2)
    assert known.stopped(Domain(), crashed)[0] is Cause.CRASHED
    known.event("m", libvirt.VIR_DOMAIN_EVENT_STARTED, 0)
    assert known.stopped(Domain(), crashed)[0] is Cause.KILLED


def test_one_restart_is_one_however_many_ways_a_kernel_tries(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known, now = History(None), [100.0]
    monkeypatch.setattr(history.time, "monotonic", lambda: now[0])
    assert known.resets("m") == 0
    for _ in range(3):
        known.reset("m")
        now[0] += 0.1
    assert known.resets("m") == 1
    now[0] += history.ONE_RESET_S
    known.reset("m")
    assert known.resets("m") == 2
    known.forget("m")
    assert known.resets("m") == 0


def test_a_process_is_watched_by_its_pid_file(folder: Folder, tmp_path: Path) -> None:
    known = History(folder)
    before = len(os.listdir("/proc/self/fd"))
    known.watch(Domain(run=1))
    assert len(os.listdir("/proc/self/fd")) == before, "there is no pid file"
    (tmp_path / "m.pid").write_text("no number")
    known.watch(Domain(run=1))
    (tmp_path / "m.pid").write_text(str(os.getpid()))
    known.watch(Domain())
    assert len(os.listdir("/proc/self/fd")) == before, "it does not run"
    for _ in range(2):
        known.watch(Domain(run=1))
    assert len(os.listdir("/proc/self/fd")) == before + 1
    known.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_log_goes_with_its_domain_and_those_of_none_at_the_start(
    folder: Folder, tmp_path: Path
) -> None:
    for name in ("m", "other", "gone"):
        (tmp_path / f"{name}.log").touch()
        (tmp_path / f"{name}.log.1").touch()
    (tmp_path / "lost.log.1").touch()
    folder.remove_logs_but({"m", "other"})
    History(folder).forget("m")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other.log", "other.log.1"]
