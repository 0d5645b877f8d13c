"""The `overlayd` program. `run` goes a short way round the command line's library.

Importing typer takes longer than joining an overlay does, and a daemon needs it for nothing else.
"""

import gc
import sys
from collections.abc import Sequence
from pathlib import Path

from overlayd.config.daemonfile import DEFAULT_CONFIG


def main() -> None:
    """Runs the daemon, or whatever else the arguments say."""
    config = plain_run(sys.argv[1:])
    if config is None:
        from overlayd.commands import app

        app()
    else:
        # Nothing made while importing is garbage; what runs the daemon turns it on again.
        gc.disable()
        from overlayd import running

        sys.exit(running.run(config))


def plain_run(arguments: Sequence[str]) -> Path | None:
    """The configuration of `run [--config FILE]`; None for everything else, mistakes among it."""
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
