"""The life of elastic grids as a file a person reads: what happens, and what there is then.

There are so many hosts, each with room for one workspace. `up` makes grids: `other: 2` is a firm one of
two, `work: 1..4` an elastic one of one to four, `exam: 2 in 400 s` a reservation. `down` and `terminate`
end something. `has` waits until a grid has those workspaces and they run, `by` is who made it so, by its
history, and `saved` how often a guest was saved to disk up to then.
"""

from pathlib import Path

import msgspec
import yaml

FOLDER = Path(__file__).parent / "elastic"


class Event(msgspec.Struct, forbid_unknown_fields=True):
    """One thing that happens, or that is seen."""

    up: dict[str, str | int] = {}
    down: str = ""
    terminate: str = ""
    has: dict[str, list[str]] = {}
    by: str = ""
    saved: int = -1
    waits_s: float = 0.0


class Life(msgspec.Struct, forbid_unknown_fields=True):
    """One file."""

    title: str
    hosts: int
    story: list[Event]


def load_life(path: Path) -> Life:
    """A file, read. Raises msgspec.ValidationError if it is none."""
    return msgspec.convert(yaml.safe_load(path.read_text()), Life)


def lives() -> list[Path]:
    """All files, by name."""
    return sorted(FOLDER.glob("*.yaml"))
