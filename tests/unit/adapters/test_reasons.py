"""Why a domain is stopped or paused, in words: libvirt's reasons, its events, QEMU's log."""

from pathlib import Path

import libvirt
import pytest

from overlayd.adapters.libvirt import reasons
from overlayd.ports.compute import Cause

START = "2026-11-29 20:05:10.197+0000: starting up libvirt version: 9.0.0, qemu version: 7.2.22\n"
ARGUMENTS = "/usr/bin/qemu-system-x86_64 \\\n-name guest=ovl-0 \\\n-msg timestamp=on\n"
SIGNAL = (
    "2026-11-29T20:05:17.534972Z qemu-system-x86_64: terminating on signal 15 from pid 7 (bash)\n"
)


def log(folder: Path, *lines: str) -> Path:
    path = folder / "ovl-0.log"
    path.write_text("".join(lines))
    return path


def end(reason: str) -> str:
    return f"2026-11-29 20:05:18.738+0000: shutting down, reason={reason}\n"


def test_a_power_off_is_the_guests_wish(tmp_path: Path) -> None:
    """libvirt itself ends the QEMU of such a guest by a signal, which is no news."""
    at = log(tmp_path, START, ARGUMENTS, SIGNAL, end("shutdown"))
    shutdown = libvirt.VIR_DOMAIN_SHUTOFF_SHUTDOWN
    said = (Cause.POWERED_OFF, "powered off from inside")
    assert reasons.stopped(shutdown, None, "ended with status 0", at) == said


def test_a_signal_from_outside_says_who_sent_it(tmp_path: Path) -> None:
    at = log(tmp_path, START, ARGUMENTS, SIGNAL, end("shutdown"))
    heard = reasons.told(libvirt.VIR_DOMAIN_EVENT_SHUTDOWN, libvirt.VIR_DOMAIN_EVENT_SHUTDOWN_HOST)
    cause, why = reasons.stopped(libvirt.VIR_DOMAIN_SHUTOFF_SHUTDOWN, heard, "", at)
    assert cause is Cause.KILLED
    assert why == "QEMU was ended from outside: terminating on signal 15 from pid 7 (bash)"


def test_a_killed_qemu_says_nothing_and_its_exit_is_told(tmp_path: Path) -> None:
    at = log(tmp_path, START, ARGUMENTS, end("crashed"))
    crashed = libvirt.VIR_DOMAIN_SHUTOFF_CRASHED
    told = reasons.stopped(crashed, None, "was killed (signal 9)", at)
    assert told == (Cause.KILLED, "QEMU was killed (signal 9)")
    assert reasons.stopped(crashed, None, "", at)[1] == "QEMU was killed, or crashed"
    assert reasons.stopped(crashed, None, "", tmp_path / "none.log")[0] is Cause.KILLED
    assert reasons.stopped(crashed, None, "", None)[0] is Cause.KILLED


def test_the_last_words_of_this_run_are_told_and_are_short(tmp_path: Path) -> None:
    old = "2026-11-29T19:05:17.5Z qemu-system-x86_64: of the run before\n"
    last = f"2026-11-29T20:05:17.5Z qemu-system-x86_64: a device {'x' * 900}\n"
    crashed = libvirt.VIR_DOMAIN_SHUTOFF_CRASHED
    _, why = reasons.stopped(crashed, None, "", log(tmp_path, START, old, START, last))
    assert why.startswith("QEMU was killed, or crashed; it said last: a device x")
    assert len(why) == reasons.WORDS_MAX
    _, why = reasons.stopped(crashed, None, "", log(tmp_path, START, old, START, ARGUMENTS))
    assert why == "QEMU was killed, or crashed"


def test_a_panic_is_heard_of(tmp_path: Path) -> None:
    heard = reasons.told(
        libvirt.VIR_DOMAIN_EVENT_CRASHED, libvirt.VIR_DOMAIN_EVENT_CRASHED_PANICKED
    )
    at = log(tmp_path, START, end("crashed"))
    assert reasons.stopped(libvirt.VIR_DOMAIN_SHUTOFF_CRASHED, heard, "", at) == (
        Cause.CRASHED,
        "its kernel panicked",
    )


@pytest.mark.parametrize(
    ("logged", "cause"),
    [
        ("shutdown", Cause.POWERED_OFF),
        ("crashed", Cause.KILLED),
        ("destroyed", Cause.ASKED),
        ("of a later libvirt", Cause.UNKNOWN),
    ],
)
def test_what_libvirt_forgot_with_its_process_is_in_the_log(
    tmp_path: Path, logged: str, cause: Cause
) -> None:
    at = log(tmp_path, START, ARGUMENTS, end(logged))
    assert reasons.stopped(libvirt.VIR_DOMAIN_SHUTOFF_UNKNOWN, None, "", at)[0] is cause


def test_a_crash_kernel_that_saves_its_memory_first_is_no_end_yet() -> None:
    loaded = libvirt.VIR_DOMAIN_EVENT_CRASHED_CRASHLOADED
    assert reasons.told(libvirt.VIR_DOMAIN_EVENT_CRASHED, loaded) is None


def test_what_a_terminal_would_obey_is_left_out(tmp_path: Path) -> None:
    last = "2026-11-29T20:05:17.5Z qemu-system-x86_64: \x1b[2Jcleared\n"
    crashed = libvirt.VIR_DOMAIN_SHUTOFF_CRASHED
    _, why = reasons.stopped(crashed, None, "was killed (signal 9)", log(tmp_path, START, last))
    assert why == "QEMU was killed (signal 9); it said last: [2Jcleared"


def test_nothing_known_is_said_so() -> None:
    cause, why = reasons.stopped(libvirt.VIR_DOMAIN_SHUTOFF_UNKNOWN, None, "", None)
    assert (cause, why) == (
        Cause.UNKNOWN,
        "it ended while nobody watched; the host may have been off",
    )
    assert reasons.paused(99)[0] is Cause.UNKNOWN
    assert reasons.told(libvirt.VIR_DOMAIN_EVENT_STOPPED, 0) is None


def test_a_pause_has_its_reason() -> None:
    assert reasons.paused(libvirt.VIR_DOMAIN_PAUSED_USER)[0] is Cause.ASKED
    assert reasons.paused(libvirt.VIR_DOMAIN_PAUSED_IOERROR)[0] is Cause.IO_ERROR
