"""What a host has on disk of a grid it carries, and what follows from it and from the time.

    upcoming > current > over > lapsed

A stage follows from the lease and the clock, so it is not on disk: a host that was away when a lease ended
finds it over when it is back. What people ordered (`wanted`) stays as it was ordered; `effective` says what
is to be made of a workspace now.
"""

from enum import StrEnum

import msgspec

from protocol.capacity.ledger import Yields
from protocol.capacity.quantum import Quantum
from protocol.capacity.room import FOREVER
from protocol.capacity.timetable import ALWAYS, Occupancy, Window, lease_spans
from protocol.grid.apply import Manner
from protocol.grid.attached import Attached
from protocol.grid.decision import Certificate, Proof, certificate_of, stewards_by
from protocol.grid.expand import state_bytes
from protocol.grid.exposed import ExposedPort
from protocol.grid.lease import kept_s
from protocol.grid.lifecycle import Phase, Power, Wanted, Word
from protocol.grid.model import GridSpec, LeaseTerms, OnExpiry, Workspace
from protocol.grid.record import GridRecord
from protocol.grid.tunnel import ToldEnd
from protocol.placement.fit import quantum_of
from protocol.terms.ids import GridId, PeerId
from protocol.terms.limits import CLEAR_S, LAPSE_EARLY_S, SLACK_S
from protocol.terms.quantities import (
    cpus_in_words,
    format_duration,
    format_moment,
    format_size,
)
from protocol.trust.order import SignedOrder

UNWARNED = 1e12
"""Longer before the end than any warning."""


class LeaseStage(StrEnum):
    """Where a lease is in its time."""

    UPCOMING = "upcoming"
    CURRENT = "current"
    OVER = "over"
    """The lease has ended; what is left is kept."""
    LAPSED = "lapsed"
    """What was left is to be deleted."""
    UNSURE = "unsure"
    """A new life finds its time over by a clock that may be wrong. It is left as it is found."""


class Pending(msgspec.Struct, frozen=True, array_like=True):
    """Time that is promised to a lease and not decided yet."""

    id: GridId
    """The id that the order gives to its extension (`extension_id` in grid/record.py)."""
    by_s: int
    until_s: float
    """When the stewards are asked about it, unless it is decided before."""


class Behind(msgspec.Struct, frozen=True):
    """A workspace that is still what it was before its grid was changed."""

    workspace: Workspace
    """What it is until its turn."""
    manner: Manner
    """How it is changed then."""


class Cut(msgspec.Struct, frozen=True, array_like=True):
    """A lease ends here before its time, as the policy of this host's site has it (withdrawn.py)."""

    at_s: float
    """When, Unix seconds."""
    why: str
    """A line for people."""


class Lease(msgspec.Struct, frozen=True):
    """What is on disk of a grid this host carries part of."""

    record: GridRecord
    wanted: tuple[Wanted, ...]
    lease_until_s: float
    """When the lease ends by this host's clock, unless it is cut before."""
    made_s: float
    acted: tuple[tuple[str, float], ...] = ()
    """Orders carried out, as a build before `trust/used.py` wrote them here."""
    terms: LeaseTerms = LeaseTerms()
    """The terms in the order, kept here so that they need not be read again."""
    warned_s: float = UNWARNED
    """The last warning that was given, as seconds before the end."""

    pending: tuple[Pending, ...] = ()
    off: tuple[str, ...] = ()
    """Best-effort clusters that are suspended to make room, here or on another of the grid's hosts."""
    stopped_s: float = 0.0
    """Since when the time of a suspended best-effort lease stands still, Unix seconds; 0 if it runs."""
    yields: bool = False
    """Whether it is best-effort work that can be suspended here. If it cannot, it keeps its room to its end."""
    ends: tuple[ToldEnd, ...] = ()
    """Where its other hosts take its networks' traffic, as they told last."""
    halted: SignedOrder | None = None
    """Its owner's order to take it down, which is carried out here before the stewards have decided it."""
    words: tuple[Word, ...] = ()
    """What its guests here said last of themselves, each in the start that is wanted of it."""
    proof: Proof | None = None
    """That the record was decided; None in what an older build kept."""
    leaving: tuple[Workspace, ...] = ()
    """What workspaces are that its grid has no more, and that are not gone from here yet."""
    behind: tuple[Behind, ...] = ()
    """What will be otherwise in its turn: one workspace after another, once it runs, or once there is room."""
    unused: tuple[tuple[str, int], ...] = ()
    """(workspace, bytes) of volumes with data that the workspace had, and is on no more."""
    giving_back: tuple[tuple[str, int], ...] = ()
    """(workspace, bytes of memory that its machine may still have) of those that have less now."""
    lacks: tuple[str, ...] = ()
    """Workspaces that its record has here, or larger here, though the room for that is others'."""

    came: tuple[tuple[str, float], ...] = ()
    """(workspace, Unix seconds) of those that a change brought here, if the grid was carried here before."""
    attached: tuple[Attached, ...] = ()
    """Hosts that are on its networks though they carry nothing of it."""

    exposes: tuple[ExposedPort, ...] = ()
    """The ports of this host at which its workspaces are reached."""
    goes_s: float = 0.0
    """When it ends, or ended, Unix seconds, because its owner has more than a ceiling at all sites; 0: it does
    not (overspent.py)."""
    cut: Cut | None = None
    """Why it ends here before its time; None if it does not."""

    @property
    def certificate(self) -> Certificate | None:
        """What proves to others that the record was decided; None if nothing does."""
        return certificate_of(self.record, self.proof) if self.proof is not None else None

    @property
    def stewards(self) -> tuple[PeerId, ...]:
        """Who keeps the register of the grid, as far as this host was shown."""
        return stewards_by(self.record, self.proof)

    @property
    def starts_s(self) -> float:
        """When the lease begins, Unix seconds. Only a reservation begins later than it was made."""
        return self.record.start_s or self.made_s

    @property
    def ends_s(self) -> float:
        """When it ends here, Unix seconds. What is left is kept as long as that of a lease that is not cut."""
        return (
            min(self.lease_until_s, self.cut.at_s) if self.cut is not None else self.lease_until_s
        )

    @property
    def kept_until_s(self) -> float:
        """When what is left is deleted, Unix seconds."""
        return self.lease_until_s + kept_s(self.terms)

    @property
    def window(self) -> Window:
        """The time that it takes in the host's timetable."""
        more_s = sum(p.by_s for p in self.pending)
        end_s = self.ends_s if self.cut is not None else self.lease_until_s + more_s
        kept_until_s = self.kept_until_s + more_s
        return Window(self.starts_s, end_s + CLEAR_S, kept_until_s + CLEAR_S)


def stage_of(row: Lease, now: float) -> LeaseStage:
    """The stage that a lease is in. The time in which best-effort work made room for others does not count, but
    for what cuts it."""
    is_cut = row.cut is not None and now >= row.cut.at_s
    if row.stopped_s:
        now = min(now, row.stopped_s)
    if now >= row.kept_until_s:
        return LeaseStage.LAPSED
    if is_cut or now >= row.ends_s:
        return LeaseStage.OVER
    return LeaseStage.CURRENT if now >= row.starts_s else LeaseStage.UPCOMING


def is_over(stage: LeaseStage) -> bool:
    """Whether a lease's time is over at that stage."""
    return stage in (LeaseStage.OVER, LeaseStage.LAPSED)


def allowed(row: Lease, stage: LeaseStage, action: str, now: float) -> str:
    """Why nothing is done to the workspaces of a lease at that stage, and what would work; empty if it is."""
    name, extend = row.record.name, f"`overlayctl lease extend {row.record.name} 1h`"
    match stage:
        case LeaseStage.CURRENT | LeaseStage.UNSURE:
            return ""
        case LeaseStage.UPCOMING:
            begins = f"its lease begins at {format_moment(row.starts_s)}"
            return f"{begins}\n  would work: the same then; `overlayctl down {name}` works now"
        case LeaseStage.OVER if row.cut is not None:
            over = f"{row.cut.why}; {kept_of(row, now)}"
            return (
                f"{over}\n  would work: `overlayctl down {name}`, and `up` under a grant that holds"
            )
        case LeaseStage.OVER:
            over = (
                f"its lease is over since {format_moment(row.lease_until_s)}; {kept_of(row, now)}"
            )
            return f"{over}\n  would work: {extend}, then {action} again"
        case LeaseStage.LAPSED:
            over = "its lease is over, and so is the time it was kept; it is being deleted"
            return f"{over}\n  would work: `overlayctl up` of its file makes it anew"


def kept_of(row: Lease, now: float) -> str:
    """For how long what is left of a lease that is over is still kept; a line for people."""
    left = format_duration(max(0.0, round(row.kept_until_s - now)))
    return f"what is left of it is kept for {left} more"


def next_change_s(row: Lease, stage: LeaseStage) -> float | None:
    """When the next stage begins, or the next warning is due; None while its time stands still."""
    if row.stopped_s:
        cut = row.cut if stage is LeaseStage.CURRENT else None
        return cut.at_s if cut is not None else None
    match stage:
        case LeaseStage.UPCOMING:
            return row.starts_s
        case LeaseStage.CURRENT:
            warning_s = next_warning(row)
            return row.ends_s - warning_s if warning_s else row.ends_s
        case LeaseStage.OVER:
            return row.kept_until_s
        case LeaseStage.LAPSED | LeaseStage.UNSURE:
            return None


def next_warning(row: Lease) -> float:
    """The next warning to give, as seconds before the end; 0 if there is none."""
    return max([w for w in row.terms.warn_s if w < row.warned_s], default=0.0)


def effective(row: Lease, stage: LeaseStage) -> tuple[Wanted, ...]:
    """What is to be made of each workspace now."""
    if row.halted is not None:
        runs = (Power.RUNNING, Power.PAUSED)
        return tuple(
            msgspec.structs.replace(w, power=Power.OFF) if w.power in runs else w
            for w in row.wanted
        )
    match stage:
        case LeaseStage.OVER | LeaseStage.LAPSED:
            return tuple(
                msgspec.structs.replace(w, power=_after(w.power, row.terms)) for w in row.wanted
            )
        case LeaseStage.UPCOMING | LeaseStage.CURRENT | LeaseStage.UNSURE:
            return row.wanted


def _after(power: Power, terms: LeaseTerms) -> Power:
    """What a workspace becomes when its lease is over. A suspended one stays suspended while it is kept."""
    if power in (Power.GONE, Power.SUSPENDED):
        return power
    return Power.SUSPENDED if terms.on_expiry is OnExpiry.SUSPEND else Power.OFF


def spans(
    row: Lease, workspace: Workspace, wanted: Wanted, phase: Phase | None
) -> tuple[Occupancy, ...]:
    """What a workspace takes of its host over time, given what is wanted of it and where it is.

    Its room is free once it is stopped or saved, not when that is only wanted. If its lease may save its
    memory, the disk for that is part of the workspace's quantum; if not, it is taken when somebody suspends
    it. Of one that was terminated only its volumes are left, until the grid is taken down.
    """
    quantum, window = quantum_of(workspace), row.window
    if row.yields:
        # It may be suspended for a while, so nobody knows when it ends, and its disk stays.
        end_s = FOREVER if row.stopped_s else window.end_s
        window = Window(window.start_s, end_s, FOREVER)
    saves = row.terms.best_effort or row.terms.on_expiry is OnExpiry.SUSPEND
    if wanted.power is Power.GONE and phase is Phase.GONE:
        state = state_bytes(workspace.memory_bytes) if saves else 0
        own = workspace.root_bytes + workspace.scratch_bytes + workspace.console_bytes
        volumes = workspace.disk_bytes - own - state
        return (Occupancy(window.start_s, FOREVER, Quantum(disk_bytes=volumes)),)
    image = Quantum(disk_bytes=0 if saves else state_bytes(workspace.memory_bytes))
    to_run = wanted.power in (Power.RUNNING, Power.PAUSED)
    if not to_run and phase in (Phase.EXPIRED, Phase.SUSPENDED):
        rests = quantum.kept + (image if phase is Phase.SUSPENDED else Quantum())
        return (Occupancy(window.start_s, window.kept_until_s, rests),)
    if wanted.power is not Power.SUSPENDED:
        return lease_spans(quantum, window)
    kept = Occupancy(window.start_s, window.kept_until_s, quantum.kept + image)
    return (kept, Occupancy(window.start_s, window.end_s, quantum.running))


def yields_of(row: Lease, workspace: Workspace) -> Yields | None:
    """How a best-effort workspace yields here; None for any other."""
    if not row.yields:
        return None
    group = (row.record.id, workspace.cluster)
    return Yields(group, row.made_s, workspace.memory_bytes)


def lacking(name: str, wanted: Wanted, workspace: Workspace, room: Quantum) -> str:
    """Why a workspace cannot be suspended, or restored, with the room that is left; a line for people."""
    if wanted.power is Power.SUSPENDED:
        needs = f"{format_size(state_bytes(workspace.memory_bytes))} of disk for its memory"
        return f"{name} needs {needs}, {format_size(max(0, room.disk_bytes))} are free here"
    needs = f"{cpus_in_words(workspace.cpus_milli)}, {format_size(workspace.memory_bytes)}"
    free = f"{cpus_in_words(max(0, room.cpus_milli))}, {format_size(max(0, room.memory_bytes))}"
    return f"{name} needs {needs}; free here until its lease ends: {free}"


def end_of(row: Lease) -> str:
    """What becomes of a grid at the end of its lease; a line for people."""
    if row.kept_until_s <= row.lease_until_s:
        return "it is deleted"
    kept = f"kept until {format_moment(row.kept_until_s)}"
    if row.terms.on_expiry is OnExpiry.SUSPEND:
        return f"suspended; it is {kept}"
    return f"stopped; its disks are {kept}"


def ends(
    record: GridRecord, spec: GridSpec, window: Window, now: float, until_s: float = 0.0
) -> float:
    """When a lease ends, Unix seconds: as long after its start as was ordered, within the time held for it.

    `until_s` is the end of a lease of which nothing was here; 0 if it begins here with its grid. Its owner
    knows it from other hosts, so it is no later than if the lease began now.
    """
    if until_s:
        most_s = max(now, record.start_s) + spec.lease_s + record.extra_s
        # Nobody knows when best-effort work ends: its time stands still now and then.
        return until_s if spec.lease.best_effort else min(until_s, most_s)
    if record.start_s:
        return record.start_s + spec.lease_s
    held_s = window.start_s + SLACK_S if window is not ALWAYS else now
    return min(now, held_s) + spec.lease_s


def is_past(kept_until_s: float, now: float) -> bool:
    """Whether what was kept until then may be deleted, given that clocks differ a little."""
    return now >= kept_until_s - LAPSE_EARLY_S


def yielded(row: Lease, off: tuple[str, ...], now: float, restore_s: float) -> Lease:
    """A best-effort lease whose clusters `off` make room.

    Its time stands still while any of them does, and for the `restore_s` seconds that restoring takes. What is
    over is not restored, and does not begin again.
    """
    stood_s = 0.0
    if row.stopped_s and not off:
        # The clock may have been set back since. That takes no time away.
        goes_on = row.stopped_s < row.lease_until_s
        stood_s = max(0.0, now - row.stopped_s) + (restore_s if goes_on else 0.0)
    return msgspec.structs.replace(
        row,
        off=off,
        stopped_s=(row.stopped_s or now) if off else 0.0,
        lease_until_s=row.lease_until_s + stood_s,
    )
