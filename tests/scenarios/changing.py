"""A change of a grid that is up, as a file a person reads: the file before, the file after, and what is said.

`without` has workspaces that somebody took out since, `hosts` where those that are there, or would come, are.
`says` is what a person is told, word for word.
"""

from pathlib import Path

import msgspec
import yaml

from overlayd.config.gridfile import grid_of
from overlayd.config.hostsfile import with_digests
from overlayd.config.yaml_source import parse_yaml
from protocol.grid.model import GridSpec

FOLDER = Path(__file__).parent / "changes"


class Change(msgspec.Struct, forbid_unknown_fields=True):
    """One file."""

    title: str
    before: str
    after: str
    says: str
    why: str = ""
    without: tuple[str, ...] = ()
    hosts: dict[str, str] = {}


def load_change(path: Path) -> Change:
    """A file, read. Raises msgspec.ValidationError if it is none."""
    return msgspec.convert(yaml.safe_load(path.read_text()), Change)


def changes() -> list[Path]:
    """All files, by name."""
    return sorted(FOLDER.glob("*.yaml"))


def spec_of(text: str) -> GridSpec:
    """The grid in a text, with digests that follow from its images' names."""
    return with_digests(grid_of(parse_yaml(text, "grid")))
