"""Structured logs on standard error; `cause` ties one request together across hosts."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from overlayd.config.daemonfile import LogFormat, LogTable
from overlayd.telemetry.lines import shown


@contextmanager
def _as_if_missing(module: str) -> Iterator[None]:
    """Inside it, imports do not find that module, unless it is loaded already."""
    if module in sys.modules:
        yield
        return
    sys.modules[module] = None  # type: ignore[assignment]  # what the import system takes for "not there"
    try:
        yield
    finally:
        del sys.modules[module]


# structlog draws tracebacks with rich if it finds it. That is a quarter of all that a daemon imports to join.
# Our tracebacks are in JSON, or plain.
with _as_if_missing("rich"):
    import structlog


def configure(table: LogTable) -> None:
    """Sets logging up. Call it once in a process, before anything is logged."""
    level = logging.getLevelNamesMapping()[table.level.upper()]
    processors: list[structlog.typing.Processor] = [
        _bounded,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if table.format is LogFormat.JSON:
        processors += [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    else:
        processors.append(structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()))
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),  # one write a line
    )


def _bounded(
    _: structlog.typing.WrappedLogger, __: str, line: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Texts may be a stranger's."""
    return {key: shown(value) if isinstance(value, str) else value for key, value in line.items()}


def logger() -> structlog.typing.FilteringBoundLogger:
    """The process's logger."""
    log: structlog.typing.FilteringBoundLogger = structlog.get_logger()
    return log
