"""An elastic grid, for tests: made on hosts A and B with less than it may have, and what room makes of it."""

from collections.abc import Collection, Mapping

import msgspec
from applying_world import grant, to_apply
from negotiating import ADMIN, AUTHORITY, NAMES, NOW, SITES, A, B, HostKey, record_of, shop

from protocol.grid.asked import sign_asked
from protocol.grid.elastic import ROOM_CAME, attempt_at, line_by_room, rescaled
from protocol.grid.model import GridSpec, LeaseTerms
from protocol.grid.next_epoch import Added
from protocol.grid.record import GridRecord, HostRef, Word
from protocol.terms.ids import PeerId

__all__ = ["ORDER", "RECORD", "by_room", "elastic", "to_apply"]


def elastic(count: int = 5, least: int = 2, **changed: object) -> GridSpec:
    """`least` to `count` workspaces."""
    plain = shop(count, lease=LeaseTerms(best_effort=True))
    (cluster,) = plain.clusters
    cluster = msgspec.structs.replace(cluster, minimum=least, elastic=True, **changed)  # type: ignore[arg-type]
    return msgspec.structs.replace(plain, clusters=(cluster,))


ORDER = ADMIN.up(elastic(), NOW)
RECORD = record_of(ORDER, {"web-1": A, "web-2": B, "web-3": B})


def by_room(
    before: GridRecord,
    come: Mapping[str, PeerId] | None = None,
    go: Collection[str] = (),
    by: str = "first",
) -> GridRecord:
    """What honest hosts propose: with `come`, without `go`."""
    come = come or {}
    spec = AUTHORITY.spec(before.standing)
    attempt = attempt_at(before, by)
    whole = {a.workspace: a.host for a in before.assignments if a.workspace not in go}
    whole |= come
    left = {a.workspace: a.host for a in before.assignments if a.workspace in go}
    asked = dict.fromkeys((*come.values(), *left.values()))
    grants = tuple(
        grant(before, host, [n for n, at in whole.items() if at == host], attempt) for host in asked
    )
    hosts = tuple(HostRef(p, NAMES.get(p, "other"), SITES.get(p, "s1")) for p in asked)
    caller = next(iter(before.carriers()))
    words = tuple(
        Word(p, at, attempt, sign_asked(HostKey(at), attempt, p))
        for p in asked
        for at in [p if p in left.values() and p not in come.values() else caller]
    )
    added = Added(attempt, dict(come), hosts, grants, words)
    return rescaled(before, spec, added, go, line_by_room([*come], go, ROOM_CAME, NOW))
