"""Decided grids of a VO's members, for tests that only ask what these take of ceilings."""

from random import Random
from typing import Any

import msgspec
from negotiating import MIB, NOW, SITES, A, B, C
from organisation import Organisation

from protocol.contract.notices import Notice, notice_of
from protocol.contract.spends import Spends, spends_of
from protocol.grid.lifecycle import Phase, Status
from protocol.grid.model import GridSpec
from protocol.grid.record import Assignment, GridRecord, GridState, HostRef, grid_id
from protocol.sim.people import Person, grid_spec
from protocol.terms.ids import PeerId
from protocol.trust.ceilings import Ceilings
from protocol.trust.grants import Grants

STAR = Organisation("star", from_s=NOW - 1000, until_s=NOW + 1_000_000)


def person(name: str = "ann", grants: Grants = (), **grant: Any) -> Person:
    """A member that may have four cpus in all, unless its `grant` says otherwise."""
    grant.setdefault("ceilings", Ceilings(cpus_milli=4000))
    chain = grants or STAR.grant(name, **grant)
    return Person(STAR.key_of(name), (), chain, Random(name), lambda: (A, B, C))


def made(
    spec: GridSpec,
    *hosts: PeerId,
    by: Person | None = None,
    at_s: float = NOW,
    state: GridState = GridState.UP,
) -> GridRecord:
    """What was decided of a grid: its workspaces are on these hosts, in turn."""
    order = (by or person()).up(spec, at_s)
    return GridRecord(
        id=grid_id(order),
        name=spec.name,
        owner=STAR.signer.key,
        owner_site="vo:star",
        epoch=1,
        state=state,
        order=order,
        stewards=(A, B, C),
        hosts=tuple(HostRef(p, "host", SITES.get(p, "s1")) for p in dict.fromkeys(hosts)),
        assignments=tuple(Assignment(f"web-{n}", host) for n, host in enumerate(hosts, start=1)),
        vnis=(),
    )


def wide(name: str, count: int = 1, cpus_milli: int = 1000, **more: Any) -> GridSpec:
    """A grid of workspaces of a cpu each."""
    return grid_spec(name, count, cpus_milli=cpus_milli, memory_bytes=256 * MIB, **more)


def spends(record: GridRecord, spec: GridSpec) -> Spends:
    """What it takes."""
    found = spends_of(record, spec)
    assert found is not None
    return found


def tells(
    record: GridRecord, spec: GridSpec, host: PeerId, phase: Phase = Phase.READY, **more: Any
) -> Notice:
    """What a host tells of what it carries."""
    mine = tuple(Status(name, phase, "", NOW) for name in record.on(host))
    return msgspec.structs.replace(notice_of(record, spec), mine=mine, **more)
