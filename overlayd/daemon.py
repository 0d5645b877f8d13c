"""The `overlayd` program. `run` goes a short way around the command line's library.

It takes longer to import typer than to join an overlay, and a daemon needs typer for nothing else.
"""

import gc
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from overlayd import program


def main() -> None:
    """Runs the daemon, or does what else the arguments say."""
    program.interruptible()
    config = plain_run(sys.argv[1:])
    if config is None:
        program.run(_commands)
    else:
        # Nothing made during imports is garbage. The code that runs the daemon turns collection on again.
        gc.disable()
        from overlayd import running

        sys.exit(running.run(config))


def _commands() -> Callable[[], None]:
    from overlayd.commands import app

    return lambda: app(prog_name="overlayd")


def plain_run(arguments: Sequence[str]) -> Path | None:
    """The configuration of `run [--config FILE]`; None for anything else, mistakes included."""
    from overlayd.config.daemonfile import DEFAULT_CONFIG  # It takes time, and Ctrl-C may come.

    match arguments:
        case ["run"]:
            return DEFAULT_CONFIG
        case ["run", "-c" | "--config", file] if not file.startswith("-"):
            return Path(file)
        case ["run", option] if option.startswith("--config=") and option != "--config=":
            return Path(option.removeprefix("--config="))
        case _:
            return None


if __name__ == "__main__":
    main()
