"""The host's side of a decided grid: what it has promised to make, and what it has made so far.

Rules. A record of a newer epoch replaces an older one, on disk before it is acknowledged. What is wanted of
each workspace is kept here. The shell compares it with what it observes, and brings it about. What the shell
reports is passed on; nothing is decided by it. The host's copy of a record may be behind, so it asks the
stewards at every start, when others speak of a newer epoch, and now and then.
"""

from collections.abc import Callable, Mapping

import msgspec

from protocol.capacity.advert import ImageLabel
from protocol.capacity.ledger import Ledger
from protocol.capacity.rates import Rates
from protocol.contract.authority import Authority
from protocol.contract.messages import Act, DecidedAck, LeaseAsk, LeaseReply
from protocol.contract.notices import Notice
from protocol.contract.ordered import OrderedGrid
from protocol.contract.outcomes import Answer, NoticeDue, Outcome, RoomChanged
from protocol.contract.told import Notices
from protocol.grid.addresses import Card
from protocol.grid.decision import ALL_ASKED, Certificate, Decision, Proof, proof_of
from protocol.grid.lifecycle import Phase, Power, Status, Wanted
from protocol.grid.model import Workspace
from protocol.grid.record import GridRecord, GridState, Register, order_part
from protocol.grid.steps import Step, apply
from protocol.grid.tunnel import Telling, newest, untold
from protocol.grid.volumes import kept_volumes
from protocol.hosting.acting import CHANGING, Acting
from protocol.hosting.auditing import Auditing, decidable, restored
from protocol.hosting.definitions import members_of
from protocol.hosting.events import Happened
from protocol.hosting.exposing import Choosing, no_ports, settled
from protocol.hosting.extension import Extension, Lasts
from protocol.hosting.handing_over import joined, stewards_told
from protocol.hosting.holds import TABLE as HOLD_TABLE
from protocol.hosting.kept_here import keeps_of, told_volumes
from protocol.hosting.lease import Lease, LeaseStage, ends
from protocol.hosting.lease_book import LeaseBook
from protocol.hosting.lease_clock import LeaseClock, sure
from protocol.hosting.preemption import Preemption
from protocol.hosting.readiness import Readiness
from protocol.hosting.rolling import Rolling
from protocol.hosting.suspending import Suspending
from protocol.hosting.taking_up import Promise, TakingUp, turn_notes
from protocol.membership.clocks import ClockView
from protocol.terms.dice import Dice
from protocol.terms.effects import Deadline, Effect, Note, Persist, Realise, Row, Send, earliest
from protocol.terms.ids import GridId, PeerId
from protocol.terms.quantities import format_moment
from protocol.trust.order import MAX_VALID_S
from protocol.trust.signing import Untrusted
from protocol.trust.used import UsedOrders

_NEVER = float("inf")


class Leases:
    """The leases of one host: every grid that it carries part of."""

    def __init__(
        self,
        me: PeerId,
        ledger: Ledger,
        authority: Authority,
        dice: Dice,
        rows: dict[str, bytes],
        now: float,
        rates: Callable[[], Rates] = Rates,
        clock: Callable[[], ClockView] = sure,
        images: Callable[[], tuple[ImageLabel, ...]] = tuple,
        used: UsedOrders | None = None,
        telling: Telling = untold,
        notices: Notices | None = None,
        choosing: Choosing = no_ports,
        lasts: Lasts = lambda _: True,
    ) -> None:
        """`clock` answers what is to be thought of this host's clock now, `images` what it has, `telling` where
        another host takes traffic. `used` has the orders that were carried out here, `notices` what hosts tell.
        """
        self._used = used if used is not None else UsedOrders({}, now)
        self._me, self._ledger, self._authority = me, ledger, authority
        self._auditing, self._telling = Auditing(dice), telling
        self._choosing = choosing
        self._book = book = LeaseBook(
            ledger, authority, rows, now, sure=not (clock().doubt or clock().alone)
        )
        self._clock = LeaseClock(book, self._auditing, clock)
        self.preemption = Preemption(ledger, rates)
        self._suspending = Suspending(book, self.preemption, ledger, authority, rates, now)
        self._readiness = Readiness(ledger, authority, book.told)
        self._extension = Extension(book.bookings, authority, self._used, lasts)
        self._rolling = Rolling(me, authority, book.told, notices)
        self._taking_up = taking_up = TakingUp(me, authority, book.bookings, self._rolling)
        self._acting = Acting(book, authority, self._used, self._auditing, taking_up, images)
        for row in book.rows():
            self._clock.found(row, now)
            self._auditing.started(row.record.id, now)

    # -- what is known

    def row(self, grid: GridId) -> Lease | None:
        """What this host carries of a grid; None if it carries nothing."""
        return self._book.row(grid)

    def last(self, grid: GridId) -> Lease | None:
        """What this host carries of a grid, or carried until it was cleared: one more notice tells of that."""
        return self._book.last(grid)

    def rows(self) -> list[Lease]:
        """Everything carried."""
        return self._book.rows()

    def certificate(self, register: str) -> Certificate | None:
        """What proves to others that a grid carried here was decided, by its order's register; else None."""
        rows = (row for row in self.rows() if order_part(row.record.id) == register)
        return next((row.certificate for row in rows), None)

    def ordered(self, row: Lease) -> OrderedGrid:
        """The grid of a lease, as the order says that stands now."""
        return self._authority.ordered(row.record)

    def not_yet_changed(self, row: Lease) -> tuple[str, ...]:
        """Workspaces here that are as they were before their grid was changed, or are on their way."""
        return self._rolling.not_yet(row)

    def members(self, row: Lease) -> Mapping[str, Workspace]:
        """What each workspace of a lease is here, now (definitions.py)."""
        return members_of(self._authority, row)

    def cards(self, row: Lease) -> tuple[Card, ...]:
        """Where each workspace of a lease's grid is on each of its networks."""
        return self._authority.cards(row.record)

    def wanted(self, grid: GridId) -> tuple[Wanted, ...]:
        """What is to be made of this host's workspaces of a grid now; nothing if it carries none."""
        row = self._book.row(grid)
        return self._book.wanted(row) if row is not None else ()

    def keeps(self, row: Lease) -> tuple[str, ...]:
        """The volumes of a carried grid that may not be deleted here, by name."""
        return kept_volumes(row.record, self.ordered(row).spec)

    def volumes(self, row: Lease) -> tuple[tuple[str, int, str], ...]:
        """(volume, bytes, workspace) of what workspaces here use, or used before they were terminated."""
        volumes = self.ordered(row).spec.volumes
        return told_volumes(row, volumes, self.members(row), self.keeps(row), self._me)

    def stage(self, row: Lease) -> LeaseStage:
        """Where a carried lease is in its time."""
        return self._book.stage(row)

    def outdated(self, grid: GridId, now: float) -> None:
        """Somebody shows a newer epoch of a carried grid than this host knows: its stewards are asked."""
        self._auditing.noticed(grid, now)

    def not_yet(self, grid: GridId) -> str:
        """Why nothing is to be made of a grid yet; empty if its time has come and there is room."""
        row = self._book.row(grid)
        if row is None:
            return ""
        if self._book.stage(row) is LeaseStage.UPCOMING:
            doubt = self._clock.doubt()
            return f"starts at {format_moment(row.starts_s)}{f'; {doubt}' if doubt else ''}"
        if self._book.stage(row) is LeaseStage.UNSURE:
            return self._clock.waits(grid) or "whether its lease is over is not known yet"
        rows = {row.record.id: row for row in self._book.rows()}
        wanted = {other: self._book.wanted(rows[other]) for other in rows}
        return self._readiness.blocked(grid, rows, wanted)

    def hindered(self, grid: GridId, peer: PeerId, notice: Notice) -> list[Effect]:
        """Another host tells which clusters of a grid it has no room for."""
        row = self._book.row(grid)
        if row is None or not row.yields or peer not in row.record.carriers():
            return []
        if peer == self._me or not self.preemption.heard(grid, peer, notice.hindered):
            return []
        now = self._ledger.now_s
        # By a clock that does not count its time would stand still from a wrong moment. `tick` makes up for it.
        changes = self._clock.counts() and self._suspending.out_of_step(row, now)
        return self._suspending.follow(row, now) if changes else []

    def statuses(self, grid: GridId) -> tuple[Status, ...]:
        """Where workspaces of a grid are here, as the shell reported last, and what their end waits for."""
        told = tuple(self._book.told.get(grid, {}).values())
        waits = self._clock.waits(grid)
        return tuple(msgspec.structs.replace(s, detail=waits) for s in told) if waits else told

    def past(self, kept_until_s: float, now: float) -> bool:
        """Whether what was kept until then may be gone, by the time that clocks agree on."""
        return self._clock.past(kept_until_s, now)

    def put(self, row: Lease, *, books: bool = False) -> Persist:
        """Keeps a carried lease of which no want changed, and without `books` no promise. Answers the write."""
        return self._book.change(row, books=books)

    # -- records

    def decided(
        self,
        decision: Decision,
        promise: Promise,
        now: float,
    ) -> tuple[bool, list[Effect], list[Outcome]]:
        """A record was decided. True if this host acts on it, or did already.

        Unless this host holds or carries part of the grid, it does nothing. Raises Untrusted if the record says
        more than its orders.
        """
        if (record := decision.register.record) is None:
            return False, [], []
        told, due = stewards_told(self._book, decision)
        known, effects, outcomes = self._record(record, proof_of(decision), promise, now)
        return known, told + effects, due + outcomes

    def _record(
        self,
        record: GridRecord,
        proof: Proof | None,
        promise: Promise,
        now: float,
    ) -> tuple[bool, list[Effect], list[Outcome]]:
        held, window, late = promise.held, promise.window, promise.ends_s > 0
        old = self._book.row(record.id)
        if old is not None and old.record.epoch >= record.epoch:
            return True, [], []
        agreed_s = self._clock.agreed_s(now) or now
        mine = record.on(self._me)
        if old is None and record.state is GridState.DOWN:
            # Nothing to do, whatever its placement was; a hold ends on signed word only.
            if held:
                self._authority.vouch(
                    record, None, agreed_s, self._clock.past(window.kept_until_s, now)
                )
            return True, [], []
        if old is None and any(name not in held for name in mine) and not (held and late):
            return False, [], []
        kept_until_s = old.kept_until_s if old is not None else window.kept_until_s
        stands = old is not None and old.stopped_s > 0
        lapsed = not stands and self._clock.past(kept_until_s, now)
        before = old.record if old is not None else None
        deployment = self._authority.vouch(record, before, agreed_s, lapsed)
        if old is None and not mine:
            return True, [], []
        if old is not None:
            changed = self._taking_up.followed(old, record, held, now)
            attached = [each.peer for each in old.attached]
            told_ends = newest(record, old.ends, self._telling, self._me, attached)
            changed = msgspec.structs.replace(changed, proof=proof, ends=told_ends)
            row = self._extension.extended(old, changed)
            row = self._taking_up.turned(row, self._book.wanted(row))
        else:
            row = Lease(
                record=record,
                wanted=tuple(Wanted(name) for name in mine if name in held),
                lease_until_s=ends(record, deployment.spec, window, now, promise.ends_s),
                made_s=now,
                terms=deployment.spec.lease,
                yields=promise.yields,
                ends=newest(record, (), self._telling, self._me),
                proof=proof,
            )
            row = self._taking_up.completed(row)
        row, unexposed = settled(row, self._authority, held, promise.exposes, self._choosing)
        spent = self._used.use(record.order, record.owner, now) if old is None else ()
        if record.applied is not None and row.record.standing != (old and old.record.standing):
            spent = (*spent, *self._used.use(record.standing, record.owner, now))
        also = (Row(HOLD_TABLE, record.id, None), *promise.over, *spent)
        save = self._book.change(row, also=also)
        self._clock.enter_stage(row, now)
        self._auditing.decided(record.id, now)
        for member in row.wanted:
            if old is None or all(w.workspace != member.workspace for w in old.wanted):
                self._book.tell(record.id, Status(member.workspace, Phase.HELD, "", now))
            elif member.power is Power.GONE:
                self._book.tell(record.id, Status(member.workspace, Phase.ENDING, "", now))
        note = Note("grid.decided", record.name, f"epoch {record.epoch}, {record.state}", record.id)
        notes = [note, *Extension.told(old, row), *self._taking_up.told(old, row), *unexposed]
        return (
            True,
            [save, *notes, Realise(record.id, record.id)],
            [NoticeDue(record.id), RoomChanged()],
        )

    def acknowledge(self, peer: PeerId, record: GridRecord) -> list[Effect]:
        """Tells the peer that decided that this host knows, even if there is nothing (left) for it to do."""
        row = self._book.row(record.id)
        epoch = row.record.epoch if row is not None else record.epoch
        return [Send(peer, DecidedAck(record.id, epoch), record.id)]

    def noticed(self, peer: PeerId, grid: GridId, epoch: int, now: float) -> None:
        """Somebody spoke of an epoch of that grid. If it is newer, and its host said so, stewards are asked."""
        row = self._book.row(grid)
        if row is not None and row.record.names(peer) and row.record.epoch < epoch:
            self._auditing.noticed(grid, now)

    def ask_now(self, now: float) -> None:
        """Asks the stewards of everything carried: this host may have forgotten what they decided."""
        for row in self.rows():
            self._auditing.noticed(row.record.id, now)

    def met(self, peer: PeerId, now: float) -> None:
        """A peer is back. If it may have lost a register with its disk, it is asked about that soon."""
        for row in self.rows():
            if peer in row.stewards and len(row.stewards) <= ALL_ASKED:
                self._auditing.returned(row.record.id, now)

    def audited(self, grid: GridId, decision: Decision | None, now: float) -> Answer:
        """The stewards' word on a carried grid; None if they know nothing of it. Raises Untrusted."""
        row = self._book.row(grid)
        if row is None:
            return [], []
        if decision is None:
            return [], restored(row)
        record = decision.register.record
        if record is None or record.id != grid:
            why = "its stewards know another grid of its order"
            return [Note("grid.twice", row.record.name, why, grid)], []
        told = stewards_told(self._book, decision)
        return joined(told, self._follow(decision.register, proof_of(decision), now))

    def _follow(self, register: Register, proof: Proof | None, now: float) -> Answer:
        assert register.record is not None
        _, effects, outcomes = self._record(register.record, proof, Promise(), now)
        let_go, changed = self._let_go(register.record.id, register, now)
        return effects + let_go, outcomes + changed

    def take_up(self, row: Lease, now: float) -> Answer:
        """Carries a grid again that this host carried before it lost its memory. Nothing is started anew."""
        grid, record = row.record.id, row.record
        ends = newest(record, row.ends, self._telling, self._me)
        row = msgspec.structs.replace(row, ends=ends)
        row, unexposed = settled(row, self._authority, (), (), self._choosing)
        save = self._book.change(row, also=self._used.use(record.order, record.owner, now))
        self._clock.enter_stage(row, now)
        self._auditing.started(grid, now)
        for wanted in row.wanted:
            self._book.tell(grid, Status(wanted.workspace, Phase.HELD, "taken up again", now))
        return [save, *unexposed, Realise(grid, grid)], [NoticeDue(grid), RoomChanged()]

    def _let_go(self, grid: GridId, register: Register, now: float) -> Answer:
        """Gives back the time of extensions that were voted down. Their orders promise nothing any more."""
        before = self._book.row(grid)
        row = self._extension.let_go(before, register)
        if row is None or before is None:
            return [], []
        self._auditing.settled(grid)
        owner, until_s = row.record.owner, now + MAX_VALID_S
        gone = [pending.id for pending in before.pending if pending not in row.pending]
        spent = [r for order in gone for r in self._used.add(order, owner, until_s, now)]
        return [self._book.change(row, also=tuple(spent))], [RoomChanged()]

    # -- one workspace

    def act(self, sender: PeerId, message: Act, now: float) -> Answer:
        """Pauses, resumes, restarts a workspace: that is on disk, then answered, then brought about."""
        return self._acting.act(sender, message, now)

    def lengthen(
        self, sender: PeerId, ask: LeaseAsk, now: float, *, changing: bool = False
    ) -> Answer:
        """Promises time beyond the end of a lease: on disk first, then said. Asking twice is asking once.

        `changing` says that room is held for a change of it, until its end as it is now.
        """
        row = self._book.row(ask.grid)
        if changing:
            return [Send(sender, LeaseReply(ask.request, CHANGING), ask.request)], []
        stage = self._book.stage(row) if row is not None else None
        row, why = self._extension.promise(row, ask, now, stage)
        reply = Send(sender, LeaseReply(ask.request, why), ask.request)
        if row is None:
            return [reply, *self._extension.refused(self._book.row(ask.grid), ask, why, now)], []
        return [self._book.change(row), reply], [RoomChanged()]

    def progress(self, grid: GridId, status: Status) -> Answer:
        """The shell reports where a workspace is."""
        row = self._book.row(grid)
        if row is None:
            return [], []
        workspace, phase, detail = status.workspace, status.phase, status.detail
        back = any(w.workspace == workspace and w.power is not Power.GONE for w in row.wanted)
        if phase is Phase.GONE and back:
            # It came back before it had gone: the shell tells of the one before.
            return [], []
        old = self._book.told.get(grid, {}).get(workspace)
        if old is not None and msgspec.structs.replace(old, since_s=status.since_s) == status:
            return [], []
        subject = f"{row.record.name}/{workspace}"
        effects: list[Effect] = [
            Note("workspace.phase", subject, f"{phase} {detail}".strip(), grid)
        ]
        outcomes: list[Outcome] = [NoticeDue(grid)]
        self._book.tell(grid, status)
        if phase in (Phase.EXPIRED, Phase.SUSPENDED):
            self._book.bookings.enter(row)
            outcomes.append(RoomChanged())
        if phase in (Phase.EXPIRED, Phase.SUSPENDED, Phase.GONE):
            effects += [Realise(waiting, grid) for waiting in self._readiness.waiting(grid)]
        if phase is Phase.GONE and self._keeps_of(row, workspace):
            # Its volumes stay, and so does what they take. The shell looks again when the grid is taken down.
            self._book.bookings.enter(row)
            outcomes.append(RoomChanged())
        elif phase is Phase.GONE:
            wanted = tuple(w for w in row.wanted if w.workspace != workspace)
            row = msgspec.structs.replace(row, wanted=wanted)
            effects.insert(0, self._book.change(row, books=False))
            outcomes.append(RoomChanged())
        return effects, outcomes

    def happened(self, event: Happened) -> Answer:
        """The shell reports what happened to a grid here."""
        row = self._book.last(event.grid)
        name = row.record.name if row is not None else event.grid
        subject = f"{name}/{event.workspace}" if event.workspace else name
        return [Note(event.kind, subject, event.detail, event.grid)], []

    def _keeps_of(self, row: Lease, workspace: str) -> bool:
        """Whether a volume stays here after its workspace has gone."""
        return keeps_of(row, workspace, self.members(row), self.keeps(row), self._me)

    def cleared(self, grid: GridId) -> Answer:
        """The shell reports that nothing of that grid is left on this host."""
        row = self._book.row(grid)
        if row is None or row.wanted:
            return [], []
        if row.record.state is GridState.UP and row.record.on(self._me):
            return [], []
        save = self._book.clear(grid)
        self._auditing.forget(grid)
        self._clock.forget(grid)
        self.preemption.forget(grid)
        note = Note("grid.cleared", row.record.name, "nothing of it is left here", grid)
        return [save, note], [NoticeDue(grid), RoomChanged()]

    def forget(self, grid: GridId) -> None:
        """The last notice of a cleared grid is out, so its statuses are not needed any more."""
        self._book.forget(grid)

    # -- time

    def tick(self, now: float) -> Answer:
        """Begins leases, warns, ends them, deletes what was kept, and asks the stewards where that is due."""
        effects: list[Effect] = []
        outcomes: list[Outcome] = []
        counts = self._clock.counts()
        if counts:
            outcomes += [NoticeDue(grid) for grid in self.preemption.turn(now)]
        for row in self._book.rows() if counts else ():
            if self._suspending.out_of_step(row, now):
                effects += self._suspending.follow(row, now)
                outcomes += [NoticeDue(row.record.id), RoomChanged()]
        for row in self._book.rows():
            if more := self.turn(row.record.id):
                effects += more
                outcomes += [NoticeDue(row.record.id), RoomChanged()]
        for row in self._book.rows():
            more, due = self._clock.turn(row, now)
            effects += more
            outcomes += due
            if (question := self._auditing.due(row, now, sure=counts)) is None:
                continue
            if decidable(row):
                outcomes.append(question)
            elif question.step is not None:
                more, due = self._alone(row, question.step, now)
                effects, outcomes = effects + more, outcomes + due
        return effects, outcomes

    def _alone(self, row: Lease, step: Step, now: float) -> Answer:
        """Takes a step that nobody can decide: this host's part ends by its owner's order, or with its time."""
        try:
            return self._follow(apply(step, Register(row.record), now), None, now)
        except Untrusted:  # Its key was revoked since; the next one may order it again.
            return [], []

    def turn(self, grid: GridId) -> list[Effect]:
        """Changes those workspaces of a changed grid here whose turn it is now."""
        row = self._book.row(grid)
        if row is None or not (row.behind or row.lacks):
            return []
        turned = self._taking_up.turned(row, self._book.wanted(row))
        if turned is row:
            return []
        return [self._book.change(turned), *turn_notes(row, turned), Realise(grid, grid)]

    def next_deadline(self) -> Deadline | None:
        """When to tick."""
        turn_s = self._suspending.next_s() if self._clock.counts() else _NEVER
        turn = Deadline(turn_s, "making room") if turn_s != _NEVER else None
        audit = self._auditing.next_deadline(self.rows())
        return earliest(self._clock.next_deadline(), turn, audit)

    def check(self) -> None:
        """Everything wanted is in the ledger, and nothing is wanted twice."""
        self._book.check()
