"""For all tests: in CI a skipped test is a failure, but for what a machine may lack. No test is timed."""

import os
import signal
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes says how busy the machine is, and nothing of what is tested.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

# What a shell starts in the background ignores Ctrl-C, and so does all that it starts. Some tests press it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _open_to_go_through() -> None:
    """Lets users through the temporary folders of tests, as through /var/lib: guests and servers are some."""
    make = pytest.TempPathFactory.mktemp

    def mktemp(factory: pytest.TempPathFactory, name: str, numbered: bool = True) -> Path:
        made = make(factory, name, numbered)
        for folder in (factory.getbasetemp().parent, factory.getbasetemp(), made):
            folder.chmod(0o711)
        return made

    pytest.TempPathFactory.mktemp = mktemp  # type: ignore[method-assign]


_open_to_go_through()


MAY_LACK = "needs control groups of version 2"
"""Why one test is skipped, as README says: the machine has version 1."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turns skips into failures where `CI=true`; an expected failure stays what it is."""
    report = yield
    fails = os.environ.get("CI") == "true" and MAY_LACK not in str(report.longrepr)
    if report.skipped and fails and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped in CI, where everything must run: {report.longrepr}"
    return report
