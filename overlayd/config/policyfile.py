"""A site's policy as its admin writes it: TOML, a table for the site and one for each organisation it lets in.

    [site]
    priority = "own"
    [vo.star]
    key = "vo:9f3c..."
    share = 60
    ceiling = {cpus = 64, memory = "256G", workspaces = 40, longest-lease = "7d"}

What it becomes is in protocol/policy/site_policy.py, still without a site, a number and a signature.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

import msgspec
from msgspec import Meta

from overlayd.config.documents import DocumentError, KeyPath, Source, combined, load
from overlayd.config.toml_source import parse_toml
from overlayd.config.typed import read
from overlayd.config.values import Cpus, Duration, PortRange, Size
from protocol.capacity.quantum import Quantum
from protocol.grid.problem import quoted
from protocol.grid.syntax import label_problem
from protocol.policy.site_policy import (
    LINE_MOST,
    NAMED_MOST,
    SHARE_MOST,
    VOS_MOST,
    Line,
    PortSpan,
    Priority,
    Revoked,
    SitePolicy,
    VoTerms,
)
from protocol.terms.ids import Digest, KeyId, PeerId, is_64_digits
from protocol.terms.limits import STEWARDS_MOST
from protocol.terms.quantities import format_cpus, format_size
from protocol.terms.ranges import AMOUNT_MOST, shown
from protocol.trust.ceilings import Ceilings
from protocol.trust.fingerprint import words_of

_CITED = ("ceiling", "images", "expose", "devices", "egress")
_IMAGE = re.compile(r"(?:sha256:)?([0-9a-f]{64})")


class WrittenKey(str):
    """The key of a VO, or of another site: `vo:` or `site:` and 64 hexadecimal digits, these alone, or the line
    that `overlayctl identity export` prints, of which the words are checked."""

    __slots__ = ()
    SCHEMA: ClassVar[Mapping[str, Any]] = {"type": "string", "examples": ["vo:9f3c..."]}

    @classmethod
    def from_written(cls, found: object) -> Self:
        allowed = (
            "write vo: and its key's 64 hexadecimal digits, or its line from `identity export`"
        )
        if not isinstance(found, str):
            raise ValueError(allowed)
        kind, _, rest = found.partition(" ")
        _, digits, *words = rest.split() if kind == "vo" and len(rest.split()) > 1 else ("", found)
        digits = digits.removeprefix("vo:").removeprefix("site:").lower()
        if not is_64_digits(digits):
            raise ValueError(allowed)
        if words and " ".join(words) != words_of(KeyId(digits)):
            raise ValueError("the words are not those of that key; ask its admin again")
        return cls(digits)


class WrittenImage(str):
    """An image by its digest: `sha256:` and 64 hexadecimal digits."""

    __slots__ = ()
    SCHEMA: ClassVar[Mapping[str, Any]] = {"type": "string", "examples": ["sha256:0c1d..."]}

    @classmethod
    def from_written(cls, found: object) -> Self:
        allowed = (
            "write sha256: and 64 hexadecimal digits; `overlayctl image ls --output json` has them"
        )
        match = _IMAGE.fullmatch(found.lower()) if isinstance(found, str) else None
        if match is None:
            raise ValueError(allowed)
        return cls(match[1])


class Table(msgspec.Struct, frozen=True, rename="kebab", forbid_unknown_fields=True, kw_only=True):
    """One table of the file. Keys are as the fields, with dashes."""


class SiteTable(Table, frozen=True):
    """The site's own work."""

    priority: Priority = Priority.OWN
    share: Annotated[int, Meta(examples=[100])] = 0
    revoked: Revoked = Revoked.AT_LEASE_END
    stewards: Annotated[
        tuple[WrittenKey, ...], Meta(examples=[["3d07...", "a91e...", "77c0..."]])
    ] = ()


class CeilingTable(Table, frozen=True):
    """The most that a VO has at this site at once."""

    cpus: Cpus | None = None
    memory: Size | None = None
    disk: Size | None = None
    workspaces: Annotated[int | None, Meta(examples=[40])] = None
    devices: Annotated[int | None, Meta(examples=[2])] = None
    longest_lease: Duration | None = None


class GuaranteedTable(Table, frozen=True):
    """What is kept for a VO."""

    cpus: Cpus = Cpus()
    memory: Size = Size()
    disk: Size = Size()


class VoTable(Table, frozen=True):
    """What one VO may use."""

    key: Annotated[WrittenKey, Meta(examples=['"vo:9f3c..."'])]
    share: Annotated[int, Meta(examples=[60])] = 0
    ceiling: CeilingTable = CeilingTable()
    guaranteed: GuaranteedTable = GuaranteedTable()
    images: Annotated[tuple[WrittenImage, ...], Meta(examples=[["sha256:0c1d..."]])] = ()
    expose: Annotated[tuple[PortRange, ...], Meta(examples=[["30000-30999"]])] = ()
    devices: Annotated[tuple[str, ...], Meta(examples=[["gpu"]])] = ()
    egress: bool = False


class PolicyTables(Table, frozen=True):
    """The whole file."""

    site: SiteTable = SiteTable()
    vo: dict[str, VoTable] = {}


def load_policy(path: Path) -> SitePolicy:
    """The policy in a file, with no site and number 0. Raises DocumentError with everything that is wrong."""
    source = load(path, parse_toml)
    tables, problems = read(source, PolicyTables)
    more = [source.problem(at, said, at_key=True) for at, said in _problems(tables, source)]
    if found := combined(problems, more):
        raise DocumentError(found)
    return SitePolicy(
        site="",
        number=0,
        made_at_s=0.0,
        chain=(),
        priority=tables.site.priority,
        share=tables.site.share,
        revoked=tables.site.revoked,
        stewards=tuple(PeerId(str(key)) for key in tables.site.stewards),
        vos=tuple(_terms(name, vo, source) for name, vo in tables.vo.items()),
    )


def _terms(name: str, vo: VoTable, source: Source) -> VoTerms:
    most, kept = vo.ceiling, vo.guaranteed
    return VoTerms(
        name=name,
        key=KeyId(str(vo.key)),
        share=vo.share,
        ceiling=Ceilings(
            cpus_milli=_plain(most.cpus),
            memory_bytes=_plain(most.memory),
            disk_bytes=_plain(most.disk),
            workspaces=most.workspaces,
            devices=most.devices,
            lease_s=_plain(most.longest_lease),
        ),
        guaranteed=Quantum(int(kept.cpus), int(kept.memory), int(kept.disk)),
        images=tuple(Digest(str(image)) for image in vo.images),
        expose=tuple(PortSpan(*span.ends) for span in vo.expose),
        devices=vo.devices,
        egress=vo.egress,
        lines=tuple(_lines(("vo", name), source)),
    )


def _plain(amount: int | None) -> int | None:
    """A number that can be sent: written ones are of types of their own."""
    return None if amount is None else int(amount)


def _lines(table: KeyPath, source: Source) -> Iterator[Line]:
    """The lines of a VO's table by which something is refused, by their keys."""
    lines = source.text.split("\n")
    for path, spot in source.spots.items():
        rest, number = path[len(table) :], spot.key.line
        if path[: len(table)] != table or (rest and rest[0] not in _CITED):
            continue
        above = source.spots.get(path[:-1]) if len(rest) > 1 else None
        if above is None or above.key.line != number:
            text = shown(lines[number - 1].strip(), LINE_MOST)
            yield Line(".".join(map(str, rest)), number, text)


def _problems(tables: PolicyTables, source: Source) -> Iterator[tuple[KeyPath, str]]:
    if len(tables.vo) > VOS_MOST:
        yield ("vo",), f"found {len(tables.vo)} tables; at most {VOS_MOST} are allowed"
    yield from _share_problems(("site", "share"), tables.site.share)
    stewards = tables.site.stewards
    if len(stewards) > STEWARDS_MOST or len(frozenset(stewards)) < len(stewards):
        said = f"found {len(stewards)}; write at most {STEWARDS_MOST} hosts of the site, each once"
        yield ("site", "stewards"), said
    keys: dict[str, str] = {}
    for name, vo in tables.vo.items():
        here = ("vo", name)
        if problem := label_problem(name):
            yield here, problem
        if (first := keys.setdefault(vo.key, name)) != name:
            yield (*here, "key"), f"found the key of {quoted(first)} again; one table for each"
        yield from _share_problems((*here, "share"), vo.share)
        yield from _list_problems(here, vo, source)
        yield from _ceiling_problems(here, vo)


def _share_problems(path: KeyPath, share: int) -> Iterator[tuple[KeyPath, str]]:
    if not 0 <= share <= SHARE_MOST:
        yield path, f"found {share}; allowed are 0 to {SHARE_MOST}"


def _list_problems(here: KeyPath, vo: VoTable, source: Source) -> Iterator[tuple[KeyPath, str]]:
    if not vo.images and (*here, "images") in source.spots:
        yield (*here, "images"), "found none; write some, or leave it out to allow every image"
    for key, found in (("images", vo.images), ("expose", vo.expose), ("devices", vo.devices)):
        if len(found) > NAMED_MOST:
            yield (*here, key), f"found {len(found)}; at most {NAMED_MOST} are allowed"
    for index, span in enumerate(vo.expose):
        if not span:
            yield (*here, "expose", index), f"found nothing; {PortRange.ALLOWED}"
    for index, device in enumerate(vo.devices):
        if problem := label_problem(device):
            yield (*here, "devices", index), problem


def _ceiling_problems(here: KeyPath, vo: VoTable) -> Iterator[tuple[KeyPath, str]]:
    most, kept = vo.ceiling, vo.guaranteed
    for key, count in (("workspaces", most.workspaces), ("devices", most.devices)):
        if count is not None and not 0 <= count <= AMOUNT_MOST:
            yield (*here, "ceiling", key), f"found {count}; write 0 or more"
    for key, limit, promised, words in (
        ("cpus", most.cpus, kept.cpus, format_cpus),
        ("memory", most.memory, kept.memory, format_size),
        ("disk", most.disk, kept.disk, format_size),
    ):
        if limit is not None and promised > limit:
            said = f"found {words(promised)}, above its ceiling of {words(limit)}"
            yield (*here, "guaranteed", key), said
