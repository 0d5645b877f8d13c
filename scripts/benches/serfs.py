"""N serf agents, measured by a separate harness (HARNESS) in a process of its own.

The harness is not part of this repository: it is looked for in a folder `shared` beside the checkout.
"""

import json
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benches.overlayds import spinning

HARNESS = Path(__file__).resolve().parents[3] / "shared" / "bench" / "serf_bench.py"
_BOOTED = b"] verify "
"""The harness's line after which nothing happens but idling."""


def measured(count: int, idle_s: float, events: int, kills: int, stops: int) -> dict[str, Any]:
    """The harness's result: boot, idle, event, kill, stop, each if that was asked for."""
    return _run(count, ["--idle", idle_s, "--events", events, "--kills", kills, "--stops", stops])


def busy(count: int, for_s: float) -> int | None:
    """How often an agent was declared failed while another program kept every core busy."""
    arguments = ["--idle", for_s, "--events", 0, "--kills", 0, "--stops", 0]
    return _run(count, arguments, busy=True).get("false_failed_logs")


def storm(count: int, within_s: float) -> tuple[float | None, int]:
    """Starts all at once. Answers seconds from the last start to all listing all, or None; how many do not."""
    arguments = ["--stagger", 0, "--boot-timeout", within_s, "--deadline", within_s + 60,
                 "--max-lag", 60, "--idle", 0, "--events", 0, "--kills", 0, "--stops", 0]  # fmt: skip
    boot = _run(count, arguments)["boot"]
    if not boot["converged"]:
        return None, boot.get("short", count)
    return boot["all_list_N_after_last_start_s"], 0


def _run(count: int, arguments: list[Any], busy: bool = False) -> dict[str, Any]:
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        argv = [sys.executable, str(HARNESS), "-n", str(count), "--joins", "0", "-o", file.name]
        process = subprocess.Popen(
            [*argv, *map(str, arguments)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        loops: list[subprocess.Popen[bytes]] = []
        try:
            assert process.stderr is not None
            for line in process.stderr:
                if busy and not loops and _BOOTED in line:
                    loops = spinning()
            process.wait()
        finally:
            # When it is told to end, the harness ends its agents first.
            process.send_signal(signal.SIGINT)
            for loop in loops:
                loop.kill()
            for each in (process, *loops):
                each.wait()
        result: dict[str, Any] = json.loads(Path(file.name).read_text())
        return result
