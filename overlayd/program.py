"""How a program of ours begins and ends: Ctrl-C, its version and help, and output that cannot be written.

It imports nothing that takes time. A person may press Ctrl-C while the rest is imported.
"""

import errno
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

FAILED, INTERRUPTED = 1, 130

_LOST = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)
"""What the kernel says of output that cannot be written."""


def interruptible() -> None:
    """From here on Ctrl-C ends the process at once and in silence. Nothing has been done yet."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))


def run(load: Callable[[], Callable[[], None]]) -> None:
    """Imports a program, runs it and ends the process. Output that is not written makes its exit code 1."""
    interruptible()
    whole = _opened()
    code = FAILED
    try:
        if not whole:
            _complain("standard output is closed, so nothing was done; >/dev/null would work")
            raise SystemExit(FAILED)
        program = load()
        if callable(signal.getsignal(signal.SIGINT)):
            signal.signal(signal.SIGINT, signal.default_int_handler)
        program()
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else FAILED if ended.code else 0
    except KeyboardInterrupt:
        code = INTERRUPTED
    except OSError as error:
        if (said := lost_output(error)) is None:
            raise
        _complain(said)
    with suppress(ValueError):  # From here on nobody is told anything that Ctrl-C could spoil.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(_written(code))


def lost_output(error: OSError) -> str | None:
    """What to say of it, if an error means that what was shown could not be written; else None."""
    if error.errno not in _LOST or error.filename is not None:
        return None
    why = (error.strerror or str(error)).lower()
    return f"what was to be shown cannot be written: {why}; what was asked may be done"


def silence_output() -> None:
    """What is still buffered goes nowhere, so that it does not fail again at the exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def version_of(name: str) -> str:
    """`overlayctl 0.1.0`."""
    from importlib.metadata import version

    return f"{name} {version('overlayd')}"


def flowing(command: Any) -> Any:
    """A command, each paragraph of whose help is one line: it is wrapped where the terminal ends, not here."""
    paragraphs = (command.help or "").split("\n\n")
    command.help = "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
    for inner in getattr(command, "commands", {}).values():
        flowing(inner)
    return command


def _opened() -> bool:
    """Stands in for closed streams, and has all escape what they cannot show. Whether there is output."""
    whole = sys.stdout is not None
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            # The lowest number that is free, so that no socket becomes a standard stream.
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115  for good
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    return whole


def _complain(said: str) -> None:
    with suppress(OSError):
        print(f"error: {said}", file=sys.stderr, flush=True)


def _written(code: int) -> int:
    """Writes what is buffered. Another exit code than 0 if that cannot be done."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:  # The reader has enough.
        silence_output()
    except OSError as error:
        _complain(lost_output(error) or str(error))
        silence_output()
        code = code or FAILED
    try:
        sys.stderr.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        code = code or FAILED
    return code
