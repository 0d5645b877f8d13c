"""One way to spawn: output, errors with last words, a deadline that leaves nothing behind."""

import asyncio
import os
import time
from pathlib import Path

import pytest

from overlayd.adapters.process import ProcessError, run


async def test_answers_standard_output() -> None:
    assert await run("cat", stdin=b"one\0two") == b"one\0two"


async def test_environment_is_added_to_ours() -> None:
    out = await run("sh", "-c", 'echo "$GREETING $PATH"', env={"GREETING": "hello"})
    assert out.decode().strip() == f"hello {os.environ['PATH']}"


async def test_failure_says_command_status_and_last_words() -> None:
    with pytest.raises(ProcessError, match=r"exit status 3: no such grid") as caught:
        await run("sh", "-c", "echo no such grid >&2; exit 3")
    assert caught.value.code == 3
    assert caught.value.stderr == "no such grid"


async def test_missing_command() -> None:
    with pytest.raises(ProcessError, match="cannot be started"):
        await run("/nonexistent/tool")


@pytest.mark.parametrize("how", ["timeout", "cancel"])
async def test_nothing_goes_on_after(how: str, tmp_path: Path) -> None:
    marker = tmp_path / "pids"
    script = f"sleep 300 & echo $! $$ > {marker}.new; mv {marker}.new {marker}; wait"
    task = asyncio.create_task(run("sh", "-c", script, timeout_s=1 if how == "timeout" else 60))
    deadline = time.monotonic() + 30
    while not marker.exists():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
    if how == "cancel":
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    else:
        with pytest.raises(ProcessError, match="not done after 1 s"):
            await task
    for pid in marker.read_text().split():
        while _alive(int(pid)):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)


async def test_cancelled_while_it_starts_nothing_goes_on(tmp_path: Path) -> None:
    marker = tmp_path / "pids"
    script = f"sleep 300 & echo $! $$ > {marker}.new; mv {marker}.new {marker}; wait"
    deadline = time.monotonic() + 30
    for turns in range(12):
        task = asyncio.create_task(run("sh", "-c", script))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        async with asyncio.timeout(20):
            with pytest.raises(asyncio.CancelledError):
                await task
        for pid in marker.read_text().split() if marker.exists() else ():
            while _alive(int(pid)):
                assert time.monotonic() < deadline
                await asyncio.sleep(0.01)


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
