"""The one way to spawn a process and wait for it: no shell, a deadline, errors that say why."""

import asyncio
import contextlib
import os
import shlex
import signal
from collections.abc import Mapping

STDERR_TAIL_CHARACTERS = 2000
"""Enough for a tool's last words, and little enough for one log line."""


class ProcessError(Exception):
    """A command could not be started, failed, or ran out of time. The text has its last words."""

    def __init__(self, argv: tuple[str, ...], why: str, stderr: str, code: int | None) -> None:
        super().__init__(f"{shlex.join(argv)}: {why}" + (f": {stderr}" if stderr else ""))
        self.argv = argv
        self.stderr = stderr
        self.code = code
        """Exit status; negative for a signal; None if it never ran or ran out of time."""


async def run(
    *argv: str,
    stdin: bytes | None = None,
    timeout_s: float = 60.0,
    env: Mapping[str, str] | None = None,
) -> bytes:
    """Runs a command to its end and answers its standard output.

    `env` is added to ours. On a timeout, or when the caller is cancelled, the command's process group is
    killed and waited for, so nothing of it goes on. Raises ProcessError on any failure.
    """
    starting = asyncio.ensure_future(
        asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL if stdin is None else asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, **(env or {})},
            start_new_session=True,
        )
    )
    try:
        process = await asyncio.shield(starting)
    except OSError as error:
        raise ProcessError(argv, f"cannot be started: {error.strerror}", "", None) from error
    except asyncio.CancelledError:
        # asyncio itself would kill only the command, and then wait for what that started.
        await _end(await starting)
        raise
    try:
        async with asyncio.timeout(timeout_s):
            stdout, stderr = await process.communicate(stdin)
    except TimeoutError:
        raise ProcessError(argv, f"not done after {timeout_s:g} s", "", None) from None
    finally:
        await _end(process)
    if process.returncode:
        words = stderr.decode(errors="replace").strip()[-STDERR_TAIL_CHARACTERS:]
        raise ProcessError(argv, _ending(process.returncode), words, process.returncode)
    return stdout


async def _end(process: asyncio.subprocess.Process) -> None:
    """Ends the command and everything it started."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def _ending(code: int) -> str:
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"exit status {code}"
