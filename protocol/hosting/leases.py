"""The host's side of a decided grid: what it has promised to make, and what it has made so far.

Rules. A record of a newer epoch replaces an older one, on disk before it is acknowledged. What is wanted
of each workspace is kept here and brought about by the shell, which compares it with what it observes;
what the shell reports is only told, never decided on. The host's copy may be behind: it asks the
stewards at every start, when others speak of a newer epoch, and now and then.
"""

from collections.abc import Callable

import msgspec

from protocol.capacity.ledger import Ledger
from protocol.capacity.quantum import Quantum
from protocol.capacity.rates import Rates
from protocol.capacity.timetable import ALWAYS, Window
from protocol.contract.authority import Authority
from protocol.contract.messages import Act, ActReply, DecidedAck, LeaseAsk, LeaseReply
from protocol.contract.notices import Notice
from protocol.contract.outcomes import NoticeDue, Outcome, RoomChanged
from protocol.grid.lifecycle import Phase, Power, Status, Wanted, follow
from protocol.grid.record import (
    GridRecord,
    GridState,
    Register,
    read_register,
)
from protocol.hosting.auditing import Auditing
from protocol.hosting.bookings import Bookings
from protocol.hosting.extension import Extension
from protocol.hosting.holds import TABLE as HOLD_TABLE
from protocol.hosting.lease import (
    Lease,
    LeaseStage,
    effective,
    end_of,
    ends,
    is_past,
    next_change_s,
    next_warning,
    stage_of,
    wanted_of,
    yielded,
)
from protocol.hosting.preemption import Preemption
from protocol.hosting.readiness import Readiness
from protocol.terms.dice import Dice
from protocol.terms.effects import Deadline, Effect, Note, Persist, Realise, Row, Send, earliest
from protocol.terms.ids import GridId, PeerId
from protocol.terms.limits import HEARD_S
from protocol.terms.quantities import format_duration, format_moment
from protocol.trust.order import Action
from protocol.trust.signing import Untrusted
from protocol.wire.codec import decode, encode

TABLE = "grid"

_NEVER = float("inf")


class Leases:
    """Every grid this host carries part of."""

    def __init__(
        self,
        me: PeerId,
        ledger: Ledger,
        authority: Authority,
        dice: Dice,
        rows: dict[str, bytes],
        now: float,
        rates: Callable[[], Rates] = Rates,
    ) -> None:
        self._me, self._ledger, self._authority = me, ledger, authority
        self._rows: dict[GridId, Lease] = {}
        self._status: dict[GridId, dict[str, Status]] = {}
        self._auditing = Auditing(dice)
        self.preemption, self._rates = Preemption(ledger, rates), rates
        self._readiness = Readiness(ledger, authority, self._status)
        self._bookings = Bookings(ledger, authority, self._status)
        self._extension = Extension(self._bookings, authority)
        self._ended: dict[GridId, Lease] = {}
        self._stages: dict[GridId, LeaseStage] = {}
        self._heard_s = now + HEARD_S
        for key in sorted(rows):
            row = decode(rows[key], Lease)
            grid = row.record.id
            self._rows[grid] = row
            self._enter_stage(row, now)
            self._auditing.started(grid, now)
            self._bookings.enter(row)
            for wanted in row.wanted:
                self._tell(grid, Status(wanted.workspace, Phase.HELD, "found at start", now))

    # -- what is known

    def row(self, grid: GridId) -> Lease | None:
        """What this host carries of a grid."""
        return self._rows.get(grid)

    def last(self, grid: GridId) -> Lease | None:
        """What this host carries of a grid, or carried until it was cleared, to tell of it once more."""
        return self._rows.get(grid) or self._ended.get(grid)

    def rows(self) -> list[Lease]:
        """Everything carried."""
        return list(self._rows.values())

    def wanted(self, grid: GridId) -> tuple[Wanted, ...]:
        """What is to be made of this host's workspaces of a grid now; nothing if it carries none."""
        row = self._rows.get(grid)
        if row is None:
            return ()
        wanted = effective(row, self._stages[grid])
        if not row.off or self._stages[grid] is not LeaseStage.CURRENT:
            return wanted
        members = self._authority.remember(row.record.order)
        return tuple(
            msgspec.structs.replace(w, power=Power.SUSPENDED)
            if w.power in (Power.RUNNING, Power.PAUSED) and members[w.workspace].cluster in row.off
            else w
            for w in wanted
        )

    def not_yet(self, grid: GridId) -> str:
        """Why nothing is to be made of a grid yet; empty if it is its time, and there is room."""
        row = self._rows.get(grid)
        if row is None:
            return ""
        if self._stages[grid] is LeaseStage.UPCOMING:
            return f"starts at {format_moment(row.starts_s)}"
        wanted = {other: self.wanted(other) for other in self._rows}
        return self._readiness.blocked(grid, self._rows, wanted)

    def hindered(self, grid: GridId, peer: PeerId, notice: Notice) -> list[Effect]:
        """Another host tells which clusters of a grid it has no room for."""
        row = self._rows.get(grid)
        if row is None or not row.yields or peer not in row.record.carriers():
            return []
        if peer == self._me or not self.preemption.heard(grid, peer, notice.hindered):
            return []
        now = self._ledger.now_s
        return self._stand(grid, now) if grid in self._out_of_step(now) else []

    def statuses(self, grid: GridId) -> tuple[Status, ...]:
        """Where this host's workspaces of a grid are."""
        return tuple(self._status.get(grid, {}).values())

    # -- records

    def decided(
        self,
        record: GridRecord,
        held: tuple[str, ...],
        now: float,
        window: Window = ALWAYS,
        yields: bool = False,
    ) -> tuple[bool, list[Effect], list[Outcome]]:
        """A record somebody says is decided. True if this host acts on it, or did already.

        `held` are the names this host holds of it, `window` the time it holds them for, `yields` whether
        they make room for others. Without a hold and without having carried it before, nothing is done on
        somebody's word. Untrusted if the record says more than its orders.
        """
        old = self._rows.get(record.id)
        if old is not None and old.record.epoch >= record.epoch:
            return True, [], []
        mine = record.on(self._me)
        if old is None and record.state is GridState.DOWN:
            # Nothing to do, whatever its placement was; a hold ends on signed word only.
            if held:
                self._authority.vouch(record, None, now, is_past(window.kept_until_s, now))
            return True, [], []
        if old is None and any(name not in held for name in mine):
            return False, [], []
        kept_until_s = old.kept_until_s if old is not None else window.kept_until_s
        lapsed = is_past(kept_until_s, now)
        deployment = self._authority.vouch(record, old.record if old else None, now, lapsed)
        if old is None and not mine:
            return True, [], []
        wanted = wanted_of(record, old, self._me)
        if old is not None:
            changed = msgspec.structs.replace(old, record=record, wanted=wanted)
            row = self._extension.extended(old, changed)
        else:
            row = Lease(
                record=record,
                wanted=wanted,
                lease_until_s=ends(record, deployment.spec, window, now),
                made_s=now,
                terms=deployment.spec.lease,
                yields=yields,
            )
        self._rows[record.id] = row
        self._enter_stage(row, now)
        self._auditing.decided(record.id, now)
        self._bookings.enter(row)
        for member in row.wanted:
            if old is None:
                self._tell(record.id, Status(member.workspace, Phase.HELD, "", now))
            elif member.power is Power.GONE:
                self._tell(record.id, Status(member.workspace, Phase.ENDING, "", now))
        save = Persist((Row(TABLE, record.id, encode(row)), Row(HOLD_TABLE, record.id, None)))
        note = Note("grid.decided", record.name, f"epoch {record.epoch}, {record.state}", record.id)
        return (
            True,
            [save, note, Realise(record.id, record.id)],
            [NoticeDue(record.id), RoomChanged()],
        )

    def acknowledge(self, peer: PeerId, record: GridRecord) -> list[Effect]:
        """Tells whoever decided that this host knows; also if there is nothing (left) for it to do."""
        row = self._rows.get(record.id)
        epoch = row.record.epoch if row is not None else record.epoch
        return [Send(peer, DecidedAck(record.id, epoch), record.id)]

    def noticed(self, grid: GridId, epoch: int, now: float) -> None:
        """Somebody spoke of an epoch of that grid; a newer one is worth asking about."""
        row = self._rows.get(grid)
        if row is not None and row.record.epoch < epoch:
            self._auditing.noticed(grid, now)

    def audited(self, grid: GridId, value: bytes, now: float) -> tuple[list[Effect], list[Outcome]]:
        """The stewards' word on a grid this host carries."""
        row = self._rows.get(grid)
        record = read_register(value).record
        if row is None or record is None:
            return [], []
        if record.id == grid:
            _, effects, outcomes = self.decided(record, (), now)
            let_go, changed = self._let_go(grid, read_register(value))
            return effects + let_go, outcomes + changed
        if record.epoch <= row.record.epoch:
            return [], []
        # The name was given again, which it only is after this grid was taken down.
        ended = msgspec.structs.replace(row.record, state=GridState.DOWN, epoch=record.epoch)
        gone = tuple(Wanted(w.workspace, Power.GONE, w.boot) for w in row.wanted)
        row = msgspec.structs.replace(row, record=ended, wanted=gone)
        self._rows[grid] = row
        save = Persist((Row(TABLE, grid, encode(row)),))
        return [save, Realise(grid, grid)], [NoticeDue(grid)]

    # -- one workspace

    def act(self, sender: PeerId, message: Act, now: float) -> tuple[list[Effect], list[Outcome]]:
        """Pause, resume, restart: on disk, then answered, then brought about."""
        row = self._rows.get(message.grid)
        if row is None:
            return [_reply(sender, message, "", "this host does not carry that grid")], []
        try:
            checked = self._authority.change(message.order, row.record, now)
        except Untrusted as error:
            return [_reply(sender, message, "", str(error))], []
        order = checked.order
        if any(seen == checked.id for seen, _ in row.acted):
            return [_reply(sender, message, order.workspace, "")], []
        meant = [w for w in row.wanted if order.workspace in ("", w.workspace)]
        if not meant:
            why = f"this host does not carry {order.workspace}"
            return [_reply(sender, message, order.workspace, why)], []
        followed = {w.workspace: follow(w, order.action) for w in meant}
        after = {name: wanted for name, wanted in followed.items() if wanted is not None}
        if stuck := [w for w in meant if w.workspace not in after]:
            why = f"{stuck[0].workspace} is wanted {stuck[0].power}: {order.action} does not apply"
            return [_reply(sender, message, order.workspace, why)], []
        if order.action is Action.RESTORE and self._stages[message.grid] is not LeaseStage.CURRENT:
            return [_reply(sender, message, order.workspace, "its lease is not running")], []
        if short := self._bookings.short(row, after, now):
            return [_reply(sender, message, order.workspace, short)], []
        acted = tuple(entry for entry in row.acted if entry[1] > now)
        row = msgspec.structs.replace(
            row,
            wanted=tuple(after.get(w.workspace, w) for w in row.wanted),
            acted=(*acted, (checked.id, checked.fresh_until_s)),
        )
        self._rows[message.grid] = row
        self._bookings.enter(row)
        return [
            Persist((Row(TABLE, message.grid, encode(row)),)),
            _reply(sender, message, order.workspace, ""),
            Note(f"workspace.{order.action}", f"{row.record.name}/{order.workspace or '*'}"),
            Realise(message.grid, message.request),
        ], [RoomChanged()]

    def lengthen(
        self, sender: PeerId, ask: LeaseAsk, now: float
    ) -> tuple[list[Effect], list[Outcome]]:
        """Promises time beyond the end of a lease: on disk, then said; asking twice is asking once."""
        row, why = self._extension.promise(self._rows.get(ask.grid), ask, now)
        reply = Send(sender, LeaseReply(ask.request, why), ask.request)
        if row is None:
            return [reply], []
        self._rows[ask.grid] = row
        return [Persist((Row(TABLE, ask.grid, encode(row)),)), reply], [RoomChanged()]

    def progress(self, grid: GridId, status: Status) -> tuple[list[Effect], list[Outcome]]:
        """The shell reports where a workspace is."""
        row = self._rows.get(grid)
        if row is None:
            return [], []
        workspace, phase, detail = status.workspace, status.phase, status.detail
        old = self._status.get(grid, {}).get(workspace)
        if old is not None and msgspec.structs.replace(old, since_s=status.since_s) == status:
            return [], []
        subject = f"{row.record.name}/{workspace}"
        effects: list[Effect] = [
            Note("workspace.phase", subject, f"{phase} {detail}".strip(), grid)
        ]
        outcomes: list[Outcome] = [NoticeDue(grid)]
        self._tell(grid, status)
        if phase in (Phase.EXPIRED, Phase.SUSPENDED):
            self._bookings.enter(row)
            outcomes.append(RoomChanged())
        if phase in (Phase.EXPIRED, Phase.SUSPENDED, Phase.GONE):
            effects += [Realise(waiting, grid) for waiting in self._readiness.waiting(grid)]
        if phase is Phase.GONE:
            wanted = tuple(w for w in row.wanted if w.workspace != workspace)
            row = msgspec.structs.replace(row, wanted=wanted)
            self._rows[grid] = row
            self._ledger.strike((grid, workspace))
            effects.insert(0, Persist((Row(TABLE, grid, encode(row)),)))
            outcomes.append(RoomChanged())
        return effects, outcomes

    def cleared(self, grid: GridId) -> tuple[list[Effect], list[Outcome]]:
        """The shell says nothing of that grid is left on this host."""
        row = self._rows.get(grid)
        if row is None or row.wanted:
            return [], []
        if row.record.state is GridState.UP and row.record.on(self._me):
            return [], []
        self._ended[grid] = self._rows.pop(grid)
        self._auditing.forget(grid)
        self._stages.pop(grid, None)
        self.preemption.forget(grid)
        note = Note("grid.cleared", row.record.name, "nothing of it is left here", grid)
        return [Persist((Row(TABLE, grid, None),)), note], [NoticeDue(grid), RoomChanged()]

    def forget(self, grid: GridId) -> None:
        """The last notice of a cleared grid is out; its statuses are not needed any more."""
        if self._ended.pop(grid, None) is not None:
            self._status.pop(grid, None)

    # -- time

    def tick(self, now: float) -> tuple[list[Effect], list[Outcome]]:
        """Begins leases, warns, ends them, deletes what was kept; and audits."""
        effects: list[Effect] = []
        outcomes: list[Outcome] = []
        outcomes += [NoticeDue(grid) for grid in self.preemption.turn(now)]
        for grid in self._out_of_step(now):
            effects += self._stand(grid, now)
            outcomes += [NoticeDue(grid), RoomChanged()]
        for grid, row in list(self._rows.items()):
            more, due = self._turn(grid, row, now)
            effects += more
            outcomes += due
            if (question := self._auditing.due(self._rows[grid], now)) is not None:
                outcomes.append(question)
        return effects, outcomes

    def next_deadline(self) -> Deadline | None:
        """When to tick."""
        changes = (
            Deadline(at_s, "lease")
            for grid, row in self._rows.items()
            if (at_s := next_change_s(row, self._stages[grid])) is not None
        )
        turn_s = self.preemption.next_s()
        if self._ledger.now_s < self._heard_s and any(r.off for r in self._rows.values()):
            turn_s = min(turn_s, self._heard_s)
        turn = Deadline(turn_s, "making room") if turn_s != _NEVER else None
        return earliest(*changes, turn, self._auditing.next_deadline(self.rows()))

    def check(self) -> None:
        """Everything wanted is in the ledger, and nothing is wanted twice."""
        for grid, row in self._rows.items():
            names = [wanted.workspace for wanted in row.wanted]
            assert len(names) == len(dict.fromkeys(names)), names
            assert all((grid, name) in self._ledger for name in names), names

    # -- parts

    def _out_of_step(self, now: float) -> list[GridId]:
        """Grids of best effort that are suspended, or not, other than there is room for them. What other
        hosts lack is not known in the first seconds of a life, nor what this one has before it was
        probed: until then nothing goes on."""
        known = now >= self._heard_s and self._ledger.capacity != Quantum()
        found = []
        for grid, row in self._rows.items():
            off = self.preemption.off(grid)
            more = any(cluster not in row.off for cluster in off)
            if row.yields and off != row.off and (more or known):
                found.append(grid)
        return found

    def _stand(self, grid: GridId, now: float) -> list[Effect]:
        """Best-effort work is suspended, or goes on: its time stands still meanwhile."""
        row, members = self._rows[grid], self._authority.remember(self._rows[grid].record.order)
        memory_bytes = sum(members[w.workspace].memory_bytes for w in row.wanted)
        row = yielded(row, self.preemption.off(grid), now, self._rates().restore_s(memory_bytes))
        self._rows[grid] = row
        self._bookings.enter(row)
        what = f"makes room: {', '.join(row.off)}" if row.off else "goes on"
        note = Note("grid.yields", row.record.name, what, grid)
        return [Persist((Row(TABLE, grid, encode(row)),)), note, Realise(grid, grid)]

    def _let_go(self, grid: GridId, register: Register) -> tuple[list[Effect], list[Outcome]]:
        """Extensions that were voted down give their time back."""
        row = self._extension.let_go(self._rows.get(grid), register)
        if row is None:
            return [], []
        self._rows[grid] = row
        self._auditing.settled(grid)
        self._bookings.enter(row)
        return [Persist((Row(TABLE, grid, encode(row)),))], [RoomChanged()]

    def _turn(self, grid: GridId, row: Lease, now: float) -> tuple[list[Effect], list[Outcome]]:
        """What the time that has come means for a lease."""
        old, stage = self._stages[grid], stage_of(row, now)
        name = row.record.name
        if stage is old:
            warning_s = next_warning(row)
            if (
                stage is not LeaseStage.CURRENT
                or not warning_s
                or now < row.lease_until_s - warning_s
            ):
                return [], []
            row = msgspec.structs.replace(row, warned_s=warning_s)
            self._rows[grid] = row
            left = format_duration(max(0, round(row.lease_until_s - now)))
            note = Note("lease.warning", name, f"ends in {left}, then {end_of(row)}", grid)
            return [Persist((Row(TABLE, grid, encode(row)),)), note], [NoticeDue(grid)]
        self._enter_stage(row, now)
        self._bookings.enter(row)
        match stage:
            case LeaseStage.CURRENT:
                note = Note(
                    "lease.started", name, f"until {format_moment(row.lease_until_s)}", grid
                )
            case LeaseStage.OVER:
                note = Note("lease.ended", name, end_of(row), grid)
            case _:
                note = Note("lease.lapsed", name, "what was kept of it is deleted", grid)
        return [note, Realise(grid, grid)], [NoticeDue(grid), RoomChanged()]

    def _enter_stage(self, row: Lease, now: float) -> None:
        grid = row.record.id
        self._stages[grid] = stage_of(row, now)
        over = self._stages[grid] is LeaseStage.LAPSED and row.record.state is GridState.UP
        self._auditing.lapsed(grid, now, over=over)

    def _tell(self, grid: GridId, status: Status) -> None:
        self._status.setdefault(grid, {})[status.workspace] = status


def _reply(sender: PeerId, message: Act, workspace: str, problem: str) -> Effect:
    return Send(sender, ActReply(message.request, workspace, problem), message.request)
