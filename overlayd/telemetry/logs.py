"""Structured logs on standard error; `cause` ties one request together across hosts.

Forty lines of our own where structlog was: importing it (with rich, which it takes along) cost half as
much time as everything else a daemon needs to join the overlay, and 6 MiB.
"""

import re
import sys
import traceback
from datetime import UTC, datetime

import msgspec

from overlayd.config.daemonfile import LogFormat, LogLevel, LogTable

_LEVELS = tuple(LogLevel)
_PLAIN = re.compile(r"[\w.:/+@%=-]+", re.ASCII)
"""What a console line shows as it is; everything else is quoted, so that no text can steer a terminal."""
_COLOURS = {LogLevel.WARNING: "33", LogLevel.ERROR: "31"}

_json = msgspec.json.Encoder(enc_hook=str)


def _as_json(level: LogLevel, event: str, at: str, fields: dict[str, object]) -> str:
    line = {**fields, "event": event, "level": level, "timestamp": at}
    return _json.encode(line).decode() + "\n"


def _for_people(level: LogLevel, event: str, at: str, fields: dict[str, object]) -> str:
    trace = fields.pop("exception", "")
    name = f"{level:<7}"
    if level in _COLOURS and sys.stderr.isatty():
        name = f"\x1b[{_COLOURS[level]}m{name}\x1b[0m"
    said = "".join(f" {key}={_shown(value)}" for key, value in fields.items() if value != "")
    return f"{at} {name} {event}{said}\n{trace}"


def _shown(value: object) -> str:
    text = str(value)
    return text if _PLAIN.fullmatch(text) else repr(text)


class Logger:
    """Lines of an event's name and its fields, from a level on."""

    def __init__(self, table: LogTable) -> None:
        self._least = _LEVELS.index(table.level)
        self._line = _as_json if table.format is LogFormat.JSON else _for_people

    def debug(self, event: str, **fields: object) -> None:
        """For who looks for a bug."""
        self._say(LogLevel.DEBUG, event, fields)

    def info(self, event: str, **fields: object) -> None:
        """What happened, as it should."""
        self._say(LogLevel.INFO, event, fields)

    def warning(self, event: str, **fields: object) -> None:
        """What should not be, and was dealt with."""
        self._say(LogLevel.WARNING, event, fields)

    def error(self, event: str, exc_info: BaseException | None = None, **fields: object) -> None:
        """What somebody must look at. The trace of `exc_info` becomes the field `exception`."""
        if exc_info is not None:
            fields["exception"] = "".join(traceback.format_exception(exc_info))
        self._say(LogLevel.ERROR, event, fields)

    def _say(self, level: LogLevel, event: str, fields: dict[str, object]) -> None:
        if _LEVELS.index(level) >= self._least:
            at = datetime.now(UTC).isoformat().replace("+00:00", "Z")
            # One write a line: lines of several threads do not mix.
            sys.stderr.write(self._line(level, event, at, fields))
            sys.stderr.flush()


_logger = Logger(LogTable())


def configure(table: LogTable) -> None:
    """Once per process, before anything is logged."""
    global _logger
    _logger = Logger(table)


def logger() -> Logger:
    """The process's logger."""
    return _logger
