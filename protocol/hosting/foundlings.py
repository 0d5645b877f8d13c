"""What a host finds and does not remember: kept, counted, and its grid's stewards asked.

A host that lost its disk, or part of it, still has machines that run and disks with people's data. What its own
memory says of them is no reason to end them: a machine is made only after its grid was decided, so the stewards
know, or have lost their memory as well. So everything that is found stays, takes its room in the ledger, and is
shown as unknown. The stewards are asked until they answer:

    the record is up and places it here     the lease is taken up again, and the guest goes on
    down                                    the lease is taken up as the record says, which ends it
    placed elsewhere, or otherwise          it stays: no host granted that
    nothing, or only that it is void        it stays: they know less than the machine shows, and are given back
                                            the decision that it keeps
    no answer                               it stays

Whom to ask stands on the machine (keepsake.py), or in this host's own notice, signed by an earlier life, that
other peers still hold. What stewards say is believed as every decision is: by the signatures of those that its
order names. The lease as the machine kept it is put back first, and the stewards' word goes through the
same door as an audit of a lease that was never lost. What the machine kept is as old as its start: where one
or two stewards say no more, an extension may be lost, and of best effort how long it stood still: then the
lease goes on for a day at least.
"""

from collections.abc import Iterable

import msgspec

from protocol.capacity.ledger import EntryKey, Ledger
from protocol.capacity.quantum import Quantum, total
from protocol.contract.authority import Authority
from protocol.contract.notices import Notice
from protocol.contract.outcomes import Answer, AskFoundling, Outcome, Propose, RoomChanged
from protocol.grid.decision import ALL_ASKED, Certificate, Decision, proof_of, succession_fault
from protocol.grid.lifecycle import Power, Wanted
from protocol.grid.record import GridRecord, GridState, name_key, order_part
from protocol.grid.steps import Finish, Step
from protocol.hosting.events import Found
from protocol.hosting.keepsake import Keepsake, read_keepsake
from protocol.hosting.lease import Lease
from protocol.hosting.leases import Leases
from protocol.terms.dice import Dice
from protocol.terms.effects import Deadline, Note, soonest
from protocol.terms.ids import GridId, PeerId
from protocol.terms.limits import FOUND_LEASE_S, FOUNDLING_ASK_MOST_S, FOUNDLINGS
from protocol.trust.signing import Reason, Untrusted

_NEVER = float("inf")
_ROOM = "found:"
"""What its entries in the ledger begin with: a promise of the same grid may be entered meanwhile."""


class Foundling(msgspec.Struct, frozen=True):
    """One grid that this host does not remember, and what was found of it."""

    grid: GridId
    found_s: float
    things: tuple[Found, ...] = ()
    kept: Keepsake | None = None
    notice: Notice | None = None
    """What this host told of the grid in an earlier life."""
    tries: int = 0
    ask_s: float = _NEVER
    why: str = "nothing says who its stewards are"
    """What came of asking, for people."""

    @property
    def name(self) -> str:
        """What people call the grid, if anything says it; else its id."""
        if self.kept is not None:
            return self.kept.name
        return self.notice.name if self.notice is not None else self.grid or "?"

    @property
    def key(self) -> str:
        """What the grid's name is known by; empty if nothing says it."""
        if self.kept is not None:
            return self.kept.key
        return name_key(self.notice.owner, self.notice.name) if self.notice else ""

    @property
    def stewards(self) -> tuple[PeerId, ...]:
        """Whom to ask; empty if nothing says it."""
        if self.kept is not None:
            return self.kept.stewards
        return self.notice.stewards if self.notice is not None else ()

    @property
    def quantum(self) -> Quantum:
        """What all of it takes of the host."""
        return total([_quantum(thing) for thing in self.things])


class Foundlings:
    """Everything that this host found and does not remember."""

    def __init__(
        self, me: PeerId, ledger: Ledger, leases: Leases, authority: Authority, dice: Dice
    ) -> None:
        self._me, self._ledger, self._leases = me, ledger, leases
        self._authority, self._dice = authority, dice
        self._found: dict[GridId, Foundling] = {}

    def __len__(self) -> int:
        """How many entries they have in the ledger."""
        return sum(len(foundling.things) for foundling in self._found.values())

    def rows(self) -> list[Foundling]:
        """Everything that is found and not settled, in the order in which it was found."""
        return list(self._found.values())

    def row(self, grid: GridId) -> Foundling | None:
        """What was found of a grid; None if nothing is, or it was taken up again."""
        return self._found.get(grid)

    # -- what is found

    def found(self, event: Found, now: float) -> Answer:
        """The shell found something of a grid that this host does not carry."""
        if event.grid and self._leases.row(event.grid) is not None:
            return [], []
        if event.is_gone:
            return self._gone(event)
        before = self._begun(event.grid, now)
        if before is None:
            return [], []
        things = tuple(t for t in before.things if t.what != event.what)
        kept = _newer(before.kept, read_keepsake(event.keepsake), event.grid)
        # What the machine says may answer what could not be answered before.
        ask_s = before.ask_s if kept is before.kept else _NEVER
        row = msgspec.structs.replace(before, things=(*things, event), kept=kept, ask_s=ask_s)
        self._put(row, now)
        self._ledger.enter(_entry(event), _quantum(event))
        if len(things) != len(before.things):
            return [], [RoomChanged()]
        where = self._found[event.grid]
        what = f"{event.what} {event.detail}".strip()
        note = Note("grid.unknown", where.name, f"{what} is unknown to this host: kept", event.grid)
        return [note], [RoomChanged()]

    def reminded(self, notice: Notice, now: float) -> bool:
        """Others still hold what an earlier life of this host told of a grid. True if it is asked about."""
        grid = notice.grid
        if self._leases.last(grid) is not None:
            return False
        mine = any(host == self._me for _, host in notice.placed)
        over = self._leases.past(notice.kept_until_s, now)
        if not mine or notice.state is GridState.DOWN or over:
            return grid in self._found
        before = self._begun(grid, now)
        if before is None:
            return False
        self._put(msgspec.structs.replace(before, notice=notice), now)
        return True

    def hurry(self, grid: GridId, now: float) -> None:
        """Somebody speaks of the grid, so its stewards are asked now."""
        row = self._found.get(grid)
        if row is not None and row.stewards:
            self._found[grid] = msgspec.structs.replace(row, ask_s=min(row.ask_s, now))

    # -- what the stewards say

    def settled(self, grid: GridId, decision: Decision | None, now: float) -> Answer:
        """The stewards' word on a grid; None if they know nothing of it."""
        row = self._found.get(grid)
        if row is None:
            return [], []
        try:
            lease = self._lease(row, decision, now)
        except Untrusted as error:
            return self._stays(row, f"its stewards' word is not believed: {error}", now)
        if lease is None:
            return self._nothing(row, decision, now)
        for thing in row.things:
            self._ledger.strike(_entry(thing))
        del self._found[grid]
        effects, outcomes = self._leases.take_up(lease, now)
        more, rest = self._leases.audited(grid, decision, now)
        end = self._leases.row(grid)
        record = end.record if end is not None else lease.record
        what = f"its stewards say epoch {record.epoch}, {record.state}: carried again as they say"
        note = Note("grid.taken-up", record.name, what, grid)
        return [*effects, note, *more], [*outcomes, *rest, RoomChanged()]

    def unsettled(self, grid: GridId, now: float) -> Answer:
        """No majority of the stewards answered, so they are asked again."""
        row = self._found.get(grid)
        if row is None:
            return [], []
        return self._stays(row, "too few of its stewards answer", now)

    # -- time

    def tick(self, now: float) -> list[Outcome]:
        """Asks the stewards of what was found, where that is due."""
        asks: list[Outcome] = []
        for grid, row in list(self._found.items()):
            if now < row.ask_s:
                continue
            kept_until_s = row.notice.kept_until_s if row.notice is not None else _NEVER
            if not row.things and self._leases.past(kept_until_s, now):
                del self._found[grid]
                continue
            again_s = now + FOUNDLING_ASK_MOST_S
            self._found[grid] = msgspec.structs.replace(row, ask_s=again_s, tries=row.tries + 1)
            asks.append(_ask(row, None))
        return asks

    def next_deadline(self) -> Deadline | None:
        """When stewards are asked next; None if nobody is to be asked."""
        if not self._found:
            return None
        asks = (row.ask_s for row in self._found.values() if row.ask_s != _NEVER)
        return soonest(asks, "foundling")

    def check(self) -> None:
        """Everything found has its room, and nothing is carried and found at once."""
        for grid, row in self._found.items():
            assert not grid or self._leases.row(grid) is None, grid
            assert all(_entry(thing) in self._ledger for thing in row.things), grid

    # -- parts

    def _begun(self, grid: GridId, now: float) -> Foundling | None:
        """What was found of the grid before, or the beginning of it; None if there are too many."""
        row = self._found.get(grid)
        if row is None and len(self._found) >= FOUNDLINGS:
            return None
        return row or Foundling(grid, now)

    def _gone(self, event: Found) -> Answer:
        """Something ended by itself, or by hand. With the last of it the grid is forgotten, if nothing was
        promised beside."""
        row = self._found.get(event.grid)
        if row is None or all(thing.what != event.what for thing in row.things):
            return [], []
        left = tuple(thing for thing in row.things if thing.what != event.what)
        self._ledger.strike(_entry(event))
        if left or row.notice is not None:
            self._found[event.grid] = msgspec.structs.replace(row, things=left)
        else:
            del self._found[event.grid]
        note = Note("grid.unknown", row.name, f"{event.what} is gone", event.grid)
        return [note], [RoomChanged()]

    def _put(self, row: Foundling, now: float) -> None:
        if row.stewards and row.ask_s == _NEVER:
            soon_s = now + self._dice.uniform(0.2, 1.0)
            row = msgspec.structs.replace(row, ask_s=soon_s, why="its stewards are asked")
        self._found[row.grid] = row

    def _stays(self, row: Foundling, why: str, now: float) -> Answer:
        """Nothing is settled: it stays, and its stewards are asked again, later each time."""
        pause_s = min(FOUNDLING_ASK_MOST_S, 2.0 ** min(row.tries, 6))
        again_s = now + pause_s * self._dice.uniform(0.5, 1.0)
        self._found[row.grid] = msgspec.structs.replace(row, ask_s=again_s, why=why)
        if why == row.why:
            return [], []
        return [
            Note("grid.unknown", row.name, f"{why}; kept, and they are asked again", row.grid)
        ], []

    def _nothing(self, row: Foundling, decision: Decision | None, now: float) -> Answer:
        """The stewards have nothing of it, and are given back the decision that the machine has, if it has
        it."""
        if decision is not None and decision.register.record is not None:
            return self._stays(row, "its stewards know another grid of its order", now)
        if decision is not None:
            return self._stays(row, "its stewards say it was voted down, and yet it was made", now)
        effects, outcomes = self._stays(row, "its stewards know nothing of it", now)
        lease = row.kept.lease if row.kept is not None else None
        if lease is not None and lease.certificate is not None:
            outcomes = [*outcomes, _ask(row, Finish(), lease.certificate)]
        return effects, outcomes

    def _lease(self, row: Foundling, decision: Decision | None, now: float) -> Lease | None:
        """The lease as it was, to be carried again; None if the stewards have nothing to say of the grid.

        Raises Untrusted if what they say is not what the grid's owner ordered.
        """
        record = decision.register.record if decision is not None else None
        if decision is None or record is None or record.id != row.grid:
            return None
        old = row.kept.lease if row.kept is not None else None
        if old is None:
            return self._anew(row, record, decision, now)
        old = msgspec.structs.replace(old, wanted=_merged(old, row.things))
        newer = record.epoch > old.record.epoch
        if fault := succession_fault(decision.register, old.proof, newer=newer):
            raise Untrusted(Reason.MALFORMED, fault)
        if newer:
            lapsed = self._leases.past(old.kept_until_s, now)
            self._authority.vouch(record, old.record, now, lapsed)
        forgotten = not newer and len(row.stewards) <= ALL_ASKED
        return _spared(old, now) if forgotten or old.yields else old

    def _anew(self, row: Foundling, record: GridRecord, decision: Decision, now: float) -> Lease:
        """A lease from the stewards' record alone, and what this host told of its time. Raises Untrusted."""
        told = row.notice
        lapsed = told is not None and self._leases.past(told.kept_until_s, now)
        deployment = self._authority.vouch(record, None, now, lapsed)
        spec, known = deployment.spec, [workspace.name for workspace in deployment.workspaces]
        mine = record.on(self._me) if record.state is GridState.UP else ()
        begun = (told.starts_s or told.made_s) if told is not None else record.start_s or now
        # What it told may be older than an extension. Then its lease ends as late as the record allows.
        ends_s = begun + spec.lease_s + record.extra_s
        if told is not None:
            ends_s = told.ends_s if told.epoch >= record.epoch else max(told.ends_s, ends_s)
        lease = Lease(
            record=record,
            wanted=tuple(Wanted(name) for name in mine),
            lease_until_s=ends_s,
            made_s=told.made_s if told is not None else now,
            terms=spec.lease,
            proof=proof_of(decision),
        )
        there = _merged(lease, row.things)
        # Of what was taken out of the grid, its volumes may be left here.
        boots = {
            name: 1 for name, host in (told.placed if told is not None else ()) if host == self._me
        }
        boots |= {thing.workspace: max(1, thing.boot) for thing in machines(row.things)}
        gone = tuple(
            Wanted(name, Power.GONE, boot)
            for name, boot in boots.items()
            if name in known and name not in mine
        )
        return msgspec.structs.replace(lease, wanted=(*there, *gone))


def _ask(row: Foundling, step: Step | None, evidence: Certificate | None = None) -> Propose:
    key = order_part(row.grid)
    return Propose(AskFoundling(row.grid), key, row.stewards, step, row.grid, evidence=evidence)


def _entry(thing: Found) -> EntryKey:
    return (GridId(f"{_ROOM}{thing.grid}"), thing.what)


def _spared(row: Lease, now: float) -> Lease:
    """A lease as its machine kept it, where the few stewards may have been given that back, or of best effort.

    It may have been extended since, or have stood still, and nobody remembers. So it does not end at once.
    """
    return msgspec.structs.replace(row, lease_until_s=max(row.lease_until_s, now + FOUND_LEASE_S))


def _quantum(thing: Found) -> Quantum:
    """What a thing takes. A machine that is saved, or has stopped, takes neither cpus nor memory now, and may
    be wanted to run again at any moment: so it counts."""
    return Quantum(thing.cpus_milli, thing.memory_bytes, thing.disk_bytes)


def _newer(old: Keepsake | None, new: Keepsake | None, grid: GridId) -> Keepsake | None:
    """Of what two machines of a grid have kept, what tells more, and later."""
    if new is None or (new.lease is not None and new.lease.record.id != grid):
        return old
    if old is None or old.lease is None:
        return new
    if new.lease is None or new.lease.record.epoch <= old.lease.record.epoch:
        return old
    return new


def machines(things: Iterable[Found]) -> list[Found]:
    """Those of what was found that are machines of workspaces."""
    return [thing for thing in things if thing.power is not None and thing.workspace]


def _merged(lease: Lease, things: tuple[Found, ...]) -> tuple[Wanted, ...]:
    """What the lease wanted, as its machines show it: the start each is in, and whether it is paused or saved.

    What makes room for others may be saved by this host's plan; that plan is made again. A root disk without a
    machine shows of which build it is: what is on it is not left for another from the image.
    """
    there = {thing.workspace: thing for thing in machines(things)}
    builds: dict[str, int] = {}
    for thing in things:
        builds[thing.workspace] = max(thing.build, builds.get(thing.workspace, 0))
    merged = []
    for wanted in lease.wanted:
        if wanted.workspace in there:
            wanted = _shown(wanted, there[wanted.workspace], lease)
        build = max(wanted.build, builds.get(wanted.workspace, 0))
        merged.append(msgspec.structs.replace(wanted, build=build))
    return tuple(merged)


def _shown(wanted: Wanted, thing: Found, lease: Lease) -> Wanted:
    if wanted.power is Power.GONE:
        return wanted
    power = wanted.power
    if thing.power in (Power.RUNNING, Power.PAUSED):
        power = thing.power
    elif thing.power is Power.SUSPENDED:
        power = Power.RUNNING if lease.yields else Power.SUSPENDED
    boot, build = max(wanted.boot, thing.boot), max(wanted.build, thing.build)
    return msgspec.structs.replace(wanted, power=power, boot=boot, build=build)
