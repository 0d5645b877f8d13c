"""A scenario: hosts, a grid, and what the engine makes of it, as a file a person reads.

`expect` holds what must be so whatever the dice: `placed` (by cluster, how many on which host), `sites` and
`hosts` (how many members each carries), `used` (how many different hosts), `count` (how many are placed of
each cluster), `never` (hosts that carry nothing), `together` and `apart` (pairs of workspaces on one host, on
two). A grid that is refused is expected with its exact words, under `says`.
"""

import textwrap
from pathlib import Path
from typing import Any

import msgspec
import yaml

from overlayd.config.gridfile import grid_of
from overlayd.config.hostsfile import hosts_of, offers_of, with_digests
from overlayd.config.yaml_source import parse_yaml
from protocol.grid.model import GridSpec
from protocol.placement.fit import Offer

FOLDER = Path(__file__).parent
WIDTH = 112


class Expect(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """What must be so."""

    placed: dict[str, dict[str, int]] = {}
    sites: dict[str, int] = {}
    hosts: dict[str, int] = {}
    used: int | None = None
    count: dict[str, int] = {}
    never: tuple[str, ...] = ()
    together: tuple[tuple[str, str], ...] = ()
    apart: tuple[tuple[str, str], ...] = ()
    says: str = ""


class Scenario(msgspec.Struct, forbid_unknown_fields=True):
    """One file."""

    title: str
    hosts: dict[str, dict[str, Any]]
    grid: str
    expect: Expect
    why: str = ""

    def read(self) -> tuple[GridSpec, tuple[Offer, ...]]:
        """The grid and the hosts' offers, as `overlayctl place` reads them."""
        spec = with_digests(grid_of(parse_yaml(self.grid, "grid")))
        hosts = hosts_of(parse_yaml(yaml.safe_dump({"hosts": self.hosts}), "hosts"))
        return spec, offers_of(hosts, spec)


def load(path: Path) -> Scenario:
    """A scenario file, read. Raises msgspec.ValidationError if it is none."""
    return msgspec.convert(yaml.safe_load(path.read_text()), Scenario)


def scenarios() -> list[Path]:
    """All files, by topic and name. Those of `changes` are changing.py's, those of `elastic` elastic.py's."""
    others = ("changes", "elastic")
    return sorted(path for path in FOLDER.glob("*/*.yaml") if path.parent.name not in others)


def normal(scenario: Scenario) -> str:
    """The file as it should be written."""
    parts = [f"title: {scenario.title}\n"]
    if scenario.why:
        why = textwrap.fill(scenario.why, WIDTH - 2)
        parts[0] += f"why: |\n{textwrap.indent(why, '  ')}\n"
    hosts = (f"  {name}: {_flow(keys)}\n" for name, keys in scenario.hosts.items())
    parts.append("hosts:\n" + "".join(hosts) if scenario.hosts else "hosts: {}\n")
    parts.append(f"grid: |\n{textwrap.indent(scenario.grid, '  ')}")
    expect = msgspec.to_builtins(scenario.expect)
    says = expect.pop("says", "")
    lines = [f"  {key}: {_flow(value)}\n" for key, value in expect.items()]
    if says:
        lines.append(f"  says: |\n{textwrap.indent(says, '    ')}")
    parts.append("expect:\n" + "".join(lines))
    return "\n".join(parts)


def _flow(value: object) -> str:
    match value:
        case dict():
            return "{" + ", ".join(f"{k}: {_flow(v)}" for k, v in value.items()) + "}"
        case list() | tuple():
            return "[" + ", ".join(_flow(v) for v in value) + "]"
        case bool():
            return "true" if value else "false"
    return str(value)
