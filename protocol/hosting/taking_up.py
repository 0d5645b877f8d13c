"""What a lease is after a newer record of its grid: what goes, what comes, and what is changed in place.

What comes and what grows has its room from a hold (change_holds.py), or was promised by a memory that this host
has lost: then it is taken up if there is room, and said to lack it if not. What is to be started anew is as it
was (`Lease.behind`) until its turn: while it is paused or suspended nothing of it is touched.
"""

from collections.abc import Collection, Iterable

import msgspec

from protocol.capacity.quantum import Quantum
from protocol.capacity.timetable import ALWAYS, Window
from protocol.contract.authority import Authority
from protocol.grid.apply import Manner, delta, manner_of
from protocol.grid.exposed import ExposedPort
from protocol.grid.lifecycle import Power, Wanted, follow
from protocol.grid.model import ImageRef
from protocol.grid.record import GridRecord, GridState
from protocol.hosting.bookings import Bookings
from protocol.hosting.definitions import (
    growth,
    members_of,
    to_give_back,
    unused_by,
    with_memory,
)
from protocol.hosting.hold_row import HoldRow
from protocol.hosting.lease import Behind, Lease
from protocol.hosting.rolling import Rolling
from protocol.terms.effects import Note, Row
from protocol.terms.ids import PeerId

_ANEW = (Manner.RESTART, Manner.REBUILD)


class Promise(msgspec.Struct, frozen=True):
    """What this host holds for a record."""

    held: tuple[str, ...] = ()
    """The workspaces for which it holds what they take."""
    window: Window = ALWAYS
    """The time for which it does."""
    yields: bool = False
    """Whether they make room for others."""
    ends_s: float = 0.0
    """When the lease of a grid ends that began before, Unix seconds."""
    over: tuple[Row, ...] = ()
    """What is to be part of the write."""
    exposes: tuple[ExposedPort, ...] = ()
    """The ports of this host at which they are to be reached."""


def promised(row: HoldRow | None, over: tuple[Row, ...]) -> Promise:
    """What a row of the holds has for a record; nothing if there is none."""
    if row is None:
        return Promise(over=over)
    return Promise(row.workspaces, row.window, row.yields, row.ends_s, over, row.exposes)


class TakingUp:
    """Follows the records of the grids that one host carries part of."""

    def __init__(
        self, me: PeerId, authority: Authority, bookings: Bookings, rolling: Rolling
    ) -> None:
        self._me, self._authority, self._bookings = me, authority, bookings
        self._rolling = rolling

    def followed(self, old: Lease, record: GridRecord, held: Collection[str], now: float) -> Lease:
        """A lease with a newer record, which the lease book has yet to put in place.

        `held` has the workspaces for which this host holds what they take. Others that come, or grow, are there
        if there is room for them.
        """
        was = members_of(self._authority, old)
        had = with_memory(was, old)
        row = _placed(old, record, self._me)
        if record.standing == old.record.standing and record.room == old.record.room:
            return row
        now_is = self._authority.remembered(record.standing).members
        manners = self._manners(old, record)
        back = _gone(old)
        # Also one that the file still has, and that was left out: it is as large as it was until it is gone.
        mine = _mine(record, self._me)
        leaving = {n: was[n] for n in _gone(row) if n in was and n not in mine}
        volumes = record.applied.volumes if record.applied is not None else ()
        unused = dict(unused_by({**now_is, **leaving}.values(), volumes, self._me))
        behind, lacks = dict[str, Behind](), list[str]()
        for name in (w.workspace for w in row.wanted if w.power is not Power.GONE):
            manner = manners.get(name, Manner.SAME)
            if name not in was or name in back:
                continue
            more_bytes = max(0, unused.get(name, 0) - dict(old.unused).get(name, 0))
            more = growth(had[name], now_is[name], unused_bytes=more_bytes)
            grows = more != Quantum() and name not in held
            if grows or manner in _ANEW:
                behind[name] = Behind(was[name], manner)
            lacks += [name] if grows else []
        there = [w.workspace for w in old.wanted if w.power is not Power.GONE]
        came = [n for n in mine if n not in there]
        since = {n: s for n, s in old.came if n in mine} | dict.fromkeys(came, now)
        row = msgspec.structs.replace(
            row,
            unused=tuple(unused.items()),
            wanted=_with(row, [name for name in came if name in held]),
            leaving=tuple(leaving.values()),
            behind=tuple(behind.values()),
            came=tuple(since.items()),
            giving_back=to_give_back(there, had, {**now_is, **leaving}),
        )
        return self._with_room(row, [*lacks, *(name for name in came if name not in held)])

    def _manners(self, old: Lease, record: GridRecord) -> dict[str, Manner]:
        """What becomes of each workspace here that stays, if anything does."""
        before = self._authority.remembered(old.record.standing)
        after = self._authority.remembered(record.standing)
        here = [w.workspace for w in old.wanted]
        manners = dict(delta(here, before.spec, after.spec).changed)
        for workspace in (behind.workspace for behind in old.behind):
            becomes = after.members.get(workspace.name)
            if becomes is not None:
                # It is not what the order before says, but what it was before that.
                manner = manner_of(workspace, becomes)
                resized = workspace.disk_bytes != becomes.disk_bytes
                manners[workspace.name] = (
                    Manner.RESTART if resized and manner not in _ANEW else manner
                )
        return manners

    def turned(self, row: Lease, effective: tuple[Wanted, ...]) -> Lease:
        """A lease with those changed whose turn it is, and with what it lacked if there is room now.

        `effective` is what is to be made of its workspaces now.
        """
        if row.lacks:
            row = self._with_room(row, list(row.lacks))
        if not row.behind:
            return row
        power = {w.workspace: w.power for w in effective}
        for behind in sorted(row.behind, key=lambda b: (b.workspace.cluster, b.workspace.index)):
            name, anew = behind.workspace.name, behind.manner in _ANEW
            waits = anew and (
                power.get(name) is not Power.RUNNING or not self._rolling.in_turn(row, name)
            )
            if name in row.lacks or waits:
                continue
            wanted = {w.workspace: w for w in row.wanted}
            if anew:
                wanted[name] = _anew(wanted[name], behind.manner)
            left = tuple(b for b in row.behind if b is not behind)
            row = msgspec.structs.replace(row, wanted=tuple(wanted.values()), behind=left)
        return row

    def told(self, old: Lease | None, row: Lease) -> list[Note]:
        """What to say of a change to a grid that this host carried before; nothing if it is of other hosts."""
        record = row.record
        if old is None or record.state is GridState.DOWN:
            return []
        if record.standing == old.record.standing and record.room == old.record.room:
            return []
        behind = [b.workspace.name for b in row.behind]
        manners = self._manners(old, record)
        live = [n for n, manner in manners.items() if manner is Manner.LIVE and n not in behind]
        return _changed_notes(old, row, live)

    def completed(self, row: Lease) -> Lease:
        """A lease of a grid of which nothing was here, also with what was not held, if there is room."""
        there = [w.workspace for w in row.wanted]
        missing = [name for name in _mine(row.record, self._me) if name not in there]
        return self._with_room(row, missing) if missing else row

    def _with_room(self, row: Lease, names: list[str]) -> Lease:
        """A lease with those of `names`, that come or grow without a hold, for which there is room."""
        if row.lacks != tuple(names):
            row = msgspec.structs.replace(row, lacks=tuple(names))
        for name in names:
            lacks = tuple(n for n in row.lacks if n != name)
            more = msgspec.structs.replace(row, wanted=_with(row, [name]), lacks=lacks)
            if self._bookings.fits(more):
                row = more
        return row


def _mine(record: GridRecord, me: PeerId) -> tuple[str, ...]:
    return record.on(me) if record.state is GridState.UP else ()


def _placed(old: Lease, record: GridRecord, me: PeerId) -> Lease:
    """The lease with that record: what this does not place here is to be gone."""
    mine, gone = _mine(record, me), msgspec.structs.replace
    wanted = tuple(w if w.workspace in mine else gone(w, power=Power.GONE) for w in old.wanted)
    lacks = tuple(name for name in old.lacks if name in mine)
    return msgspec.structs.replace(old, record=record, wanted=wanted, lacks=lacks)


def _gone(row: Lease) -> list[str]:
    return [w.workspace for w in row.wanted if w.power is Power.GONE]


def _with(row: Lease, names: Iterable[str]) -> tuple[Wanted, ...]:
    """What is wanted once these are there, too."""
    wanted = {w.workspace: w for w in row.wanted}
    for name in names:
        before = wanted.get(name, Wanted(name))
        wanted[name] = _again(before) if before.power is Power.GONE else before
    return tuple(wanted.values())


def _again(before: Wanted) -> Wanted:
    """A workspace that was ordered gone, and is in the file again: what is left of it goes, and it is new."""
    return Wanted(before.workspace, boot=before.boot + 1, build=before.build + 1)


def _anew(wanted: Wanted, manner: Manner) -> Wanted:
    """Another start of a workspace that runs, from another root disk if it is made of something else now."""
    if manner is Manner.REBUILD:
        anew = follow(wanted, "rebuild")
        return msgspec.structs.replace(anew or wanted, image=ImageRef(""))
    return follow(wanted, "restart") or wanted


def turn_notes(before: Lease, row: Lease) -> list[Note]:
    """What to say of workspaces whose turn it was, and of what there is room for now."""
    left = [b.workspace.name for b in row.behind]
    turned = [b.workspace.name for b in before.behind if b.workspace.name not in left]
    there = [w.workspace for w in before.wanted]
    words = [f"~ {name}" for name in turned]
    words += [f"+ {w.workspace}" for w in row.wanted if w.workspace not in there]
    record = row.record
    return [Note("grid.changed", record.name, ", ".join(words), record.id)] if words else []


def _changed_notes(old: Lease, row: Lease, live: Collection[str]) -> list[Note]:
    """What to say of a change to what is here; `live` has those that are changed while they run."""
    record = row.record
    before = {w.workspace: w for w in old.wanted}
    words: list[str] = []
    for now in row.wanted:
        was = before.get(now.workspace)
        if was is None or (was.power is Power.GONE and now.power is not Power.GONE):
            words.append(f"+ {now.workspace}")
        elif now.power is Power.GONE and was.power is not Power.GONE:
            words.append(f"- {now.workspace}")
        elif now.build != was.build:
            words.append(f"~ {now.workspace} (made anew)")
        elif now.boot != was.boot:
            words.append(f"~ {now.workspace} (started anew)")
        elif now.workspace in live:
            words.append(f"~ {now.workspace} (live)")
    words += [f"~ {b.workspace.name} (in its turn)" for b in row.behind]
    said = ", ".join(words)
    if record.scaled is not None and record.room != old.record.room:
        said = f"{said}, by {record.scaled.past[-1].by}"
    notes = [Note("grid.changed", record.name, said, record.id)] if words else []
    if row.lacks:
        why = f"no room here for {', '.join(row.lacks)}, which it promised; done once there is"
        notes.append(Note("grid.lacks", record.name, why, record.id))
    return notes
