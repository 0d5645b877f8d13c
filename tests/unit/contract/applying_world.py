"""A grid that is changed, for tests: made on hosts A and B, and then whatever an order makes of it."""

from collections.abc import Mapping, Sequence

import msgspec
from negotiating import ADMIN, AUTHORITY, NAMES, NOW, SITES, A, B, HostKey, record_of, shop

from protocol.grid.apply import delta
from protocol.grid.grant import HoldGrant, SignedGrant, read_grant, sign_grant
from protocol.grid.model import ClusterSpec, GridSpec, Mount, VolumeSpec
from protocol.grid.next_epoch import Added, applied_to, placed_after, vnis_after
from protocol.grid.record import ApplyTerms, GridRecord, HostRef, change_terms, grid_id
from protocol.sim.people import Person
from protocol.terms.ids import GridId, PeerId
from protocol.trust.order import Action, SignedOrder, read_order
from protocol.wire.codec import encode

GIB = 1 << 30


def spec_of(web: int = 2, db: bool = True, data_gib: int = 1, **changed: object) -> GridSpec:
    """`web` workspaces, and one that mounts a volume; `changed` says what is otherwise with those of web."""
    plain = shop(web)
    (cluster,) = plain.clusters
    one: ClusterSpec = msgspec.structs.replace(
        cluster, name="db", count=1, mounts=(Mount("data", "/srv"),)
    )
    cluster = msgspec.structs.replace(cluster, **changed)  # type: ignore[arg-type]
    return msgspec.structs.replace(
        plain,
        clusters=(cluster, one) if db else (cluster,),
        volumes=(VolumeSpec("data", data_gib * GIB),) if db else (),
    )


ORDER = ADMIN.up(spec_of(), NOW)
RECORD = record_of(ORDER, {"web-1": A, "web-2": B, "db-1": B})


def to_apply(
    spec: GridSpec,
    before: GridRecord = RECORD,
    without: tuple[str, ...] = (),
    epoch: int | None = None,
    admin: Person = ADMIN,
    at_s: float = NOW,
) -> SignedOrder:
    """The order to make the grid that."""
    terms = ApplyTerms(spec, before.epoch if epoch is None else epoch, without)
    return admin.order(Action.APPLY, before.id, at_s, body=encode(terms))


def grant(
    record: GridRecord, host: PeerId, names: Sequence[str], change: str = "", **said: object
) -> SignedGrant:
    """What a host grants of a grid."""
    whole = HoldGrant(
        record.id,
        tuple(names),
        tuple(v for _, v in record.vnis),
        record.start_s,
        "",
        GridId(change),
    )
    return sign_grant(msgspec.structs.replace(whole, **said), HostKey(host))  # type: ignore[arg-type]


def grown(
    order: SignedOrder,
    placed: Mapping[str, PeerId],
    before: GridRecord = RECORD,
    attempt: int = 0,
) -> GridRecord:
    """The record that an honest requester proposes: `placed` says where what is added goes."""
    terms, old = change_terms(read_order(order)), AUTHORITY.spec(before.standing)
    assert terms is not None
    change = delta([a.workspace for a in before.assignments], old, terms.spec, terms.without)
    whole = placed_after(before, terms, placed)
    asked = dict.fromkeys(whole[n] for n in (*change.added, *(n for n, _ in change.changed)))
    mark = grid_id(order, attempt, "requester")
    known = msgspec.structs.replace(before, vnis=vnis_after(before, terms.spec, mark))
    grants = tuple(
        grant(known, host, [n for n, at in whole.items() if at == host], mark) for host in asked
    )
    hosts = tuple(HostRef(p, NAMES.get(p, "other"), SITES.get(p, "s1")) for p in asked)
    return applied_to(before, old, order, terms, Added(mark, placed, hosts, grants))


def regranted(record: GridRecord, host: PeerId, **said: object) -> GridRecord:
    """The record with another grant of a host."""
    grants = tuple(
        sign_grant(msgspec.structs.replace(read_grant(g), **said), HostKey(host))  # type: ignore[arg-type]
        if g.host == host
        else g
        for g in record.grants
    )
    return msgspec.structs.replace(record, grants=grants)
