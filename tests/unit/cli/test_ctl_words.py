"""Values as words: one zone and form of times everywhere, and quantities in the singular."""

from pathlib import Path

import pytest

from overlayd.cli import overlay, plan_text
from overlayd.cli.words import moment, size_of
from overlayd.ports.peer import EventLine
from protocol.capacity.quantum import UNCOUNTED, Quantum
from protocol.requesting.request import RequestState, RequestView
from protocol.terms.ids import RequestId

TOP = Path(__file__).parents[3]
AT_S = 1_795_615_205.0


def test_a_time_is_utc_whatever_zone_the_reader_is_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/Chicago")
    assert moment(AT_S) == "2026-11-25 14:00 UTC"
    assert moment(AT_S, to_the_second=True) == "2026-11-25 14:00:05 UTC"


def test_an_event_and_a_quote_have_it_to_the_second() -> None:
    event = EventLine(1, AT_S, "kind", "thing", "", "", "h1")
    assert overlay._event(event).startswith("2026-11-25 14:00:05 UTC h1 ")
    view = RequestView(
        RequestId("q"), "plan", "demo", RequestState.DONE, "", AT_S, (), (), until_s=AT_S
    )
    assert "until 2026-11-25 14:00:05 UTC" in plan_text.quote_lines(view)[0]


def test_nobody_else_makes_words_of_times() -> None:
    """Except who reads what people write, and who names a file by a time."""
    readers = {
        "overlayd/config/moments.py",
        "overlayd/config/since.py",
        "overlayd/commands.py",
    }
    found = {
        str(path.relative_to(TOP))
        for room in ("overlayd", "protocol")
        for path in (TOP / room).rglob("*.py")
        if "fromtimestamp(" in (text := path.read_text()) or "strftime(" in text
    }
    assert found <= readers


def test_one_cpu_is_singular_everywhere() -> None:
    assert size_of(Quantum(1000, 1 << 30)) == "1 cpu, 1 GiB"
    assert size_of(Quantum(1000, 1 << 30, 0, (), 10**9)) == "1 cpu, 1 GiB, 1 Gbit/s"
    assert size_of(Quantum(1000, 1 << 30, 0, (), UNCOUNTED - 10**9)) == "1 cpu, 1 GiB"
    disks = Quantum(1000, 1 << 30, disk_bytes_s=50 << 20, disk_operations_s=500)
    assert size_of(disks) == "1 cpu, 1 GiB, 50 MiB/s, 500 operations/s"
    wrong = "format_cpus("
    found = [
        f"{path.name}: {line.strip()}"
        for room in ("overlayd", "protocol")
        for path in (TOP / room).rglob("*.py")
        for line in path.read_text().splitlines()
        if wrong in line and "} cpus" in line.split(wrong, 1)[1]
    ]
    assert found == []
