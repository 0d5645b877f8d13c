"""The `overlayctl` program: nothing but its beginning and end. What it does is imported in between."""

from collections.abc import Callable

from overlayd import program


def main() -> None:
    """The console script's entry."""
    program.run(_load)


def _load() -> Callable[[], None]:
    from overlayd.cli.main import main

    return main


if __name__ == "__main__":
    main()
