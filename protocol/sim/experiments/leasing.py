"""Haizea's experiment: what reservations cost the work that runs around them, with and without suspension.

It runs whole nodes (world.py) for whole days. Every job is an order for a best-effort lease, given to some
peer, and every reservation one with a start. On hosts that can suspend, jobs make room for reservations and
go on afterwards. On hosts that cannot, a job starts only where it is over before the next reservation.

A job has done its work when all its machines have run together for `work_s`. Time in which one of them was
booting, saved, on disk, or being restored does not count. Then the person who asked for it takes it down.
"""

import statistics
from collections.abc import Callable

import msgspec

from protocol.capacity.quantum import Quantum
from protocol.grid.model import ClusterSpec, GridSpec, LeaseTerms
from protocol.sim.disk import Disk
from protocol.sim.experiments.workload import Booking, Job, Mix, bookings, jobs
from protocol.sim.peer import SimPeer
from protocol.sim.people import IMAGE
from protocol.sim.run import JOIN_WITHIN_S, knows_all
from protocol.sim.world import World
from protocol.terms.ids import GridId
from protocol.terms.limits import QUEUE_S
from protocol.trust.order import Action
from protocol.wire.codec import encode

_PLACE_CPUS_MILLI = 1000
_CHECKED_EVERY = 97
"""How many steps lie between two checks of what must hold: days of virtual time are many steps."""
_LOOK_S = 600.0
_DRAIN = 6.0
"""Within how many times the hours in which jobs come everything is over, or never will be."""


class Leasing(msgspec.Struct, frozen=True):
    """What decides a run."""

    mix: Mix = Mix()
    suspends: bool = True
    hosts: int = 8
    memory_bytes: int = 1 << 30
    """The memory of each machine."""
    disk_bytes_s: float = 50e6
    """The rate at which a host saves and restores."""
    longer_s: int = 120
    """How many seconds longer than the work a lease is asked for, for booting."""


class Ran(msgspec.Struct):
    """What became of a job."""

    job: Job
    running: dict[str, None] = {}
    """The machines of it that run now."""
    since_s: float = 0.0
    """When the last of them began to run, if all do."""
    work_s: float = 0.0
    """How many seconds of work were done before that."""
    began_s: float = 0.0
    done_s: float = 0.0
    stops: int = 0
    """How often it was stopped before it was done."""
    spell: int = 0


class Leased(msgspec.Struct, frozen=True):
    """What came of a run."""

    jobs: int
    done: int
    all_done_s: float
    """Seconds from the beginning until the last job was done."""
    turnaround_s: float
    """Seconds from asking for a job until it was done, on average."""
    running_s: float
    """The time from a job's beginning until it was done, as a multiple of its work, on average."""
    suspensions: int
    bookings: int
    kept: int
    """How many reservations had all their machines at some time."""
    late_s: float
    """How many seconds after its start the last of a reservation's machines ran, at worst."""
    used: float
    """The share of all places' time, until the last job was done, that was work or was reserved."""
    steps: int


class Experiment:
    """A world, its people, and their watches."""

    def __init__(self, leasing: Leasing) -> None:
        self._leasing, mix = leasing, leasing.mix
        each, left = divmod(mix.places, leasing.hosts)
        if left or not each:
            raise ValueError(f"{mix.places} places do not go evenly on {leasing.hosts} hosts")
        memory = leasing.memory_bytes
        # A host may keep the memory of many suspended machines on its disk.
        room = Quantum(each * _PLACE_CPUS_MILLI, each * memory, 256 * memory)
        self.world = World(mix.seed, leasing.hosts, 1, capacity=room, suspends=leasing.suspends)
        self.world.invariants.stride = _CHECKED_EVERY
        for peer in self.world.peers:
            peer.machines.disk = Disk(leasing.disk_bytes_s)
            peer.machines.runs = self._watch(peer)
        self._dice = self.world.new_dice()
        self.ran = {job.name: Ran(job) for job in jobs(mix)}
        self.bookings = {booking.name: booking for booking in bookings(mix)}
        self._seated: dict[str, dict[str, None]] = {}
        self.late_s: dict[str, float] = {}
        self._site = self.world.peers[0].site
        self.from_s = 0.0

    def run(self) -> Leased:
        """Runs until every job is done, or no more will be."""
        world, hours_s = self.world, self._leasing.mix.hours * 3600.0
        world.start_all()
        assert world.run_until(lambda: knows_all(world), JOIN_WITHIN_S)
        world.run(30.0)
        self.from_s = world.now_s
        for ran in self.ran.values():
            world.at(self.from_s + ran.job.at_s, self._ask_job, ran.job)
        for booking in self.bookings.values():
            world.at(self.from_s + booking.at_s, self._book, booking)
        while world.now_s < self.from_s + _DRAIN * hours_s and self._left():
            world.run(_LOOK_S)
        return self._found()

    # -- people

    def _ask_job(self, job: Job) -> None:
        lease = LeaseTerms(best_effort=True, grace_s=0)
        self._up(job.name, job.places, int(job.work_s) + self._leasing.longer_s, lease)

    def _book(self, booking: Booking) -> None:
        lease = LeaseTerms(start_s=self.from_s + booking.start_s, grace_s=0)
        self._up(booking.name, booking.places, int(booking.lasts_s), lease)

    def _up(self, name: str, places: int, lease_s: int, lease: LeaseTerms) -> None:
        cluster = ClusterSpec(
            name="n",
            count=places,
            image=IMAGE,
            cpus_milli=_PLACE_CPUS_MILLI,
            memory_bytes=self._leasing.memory_bytes,
        )
        body = encode(GridSpec(name=name, clusters=(cluster,), lease_s=lease_s, lease=lease))
        valid_s = QUEUE_S if lease.best_effort else 600.0
        admin, now_s = self.world.admins[self._site], self.world.now_s
        order = admin.order(Action.UP, name, now_s, body=body, valid_s=valid_s)
        self.world.give(self._dice.choice(self.world.peers), order)

    def _down(self, name: str) -> None:
        order = self.world.admins[self._site].order(Action.DOWN, name, self.world.now_s)
        self.world.give(self._dice.choice(self.world.peers), order)

    # -- watches

    def _watch(self, peer: SimPeer) -> Callable[[GridId, str, bool], None]:
        def runs(grid: GridId, workspace: str, begins: bool) -> None:
            row = peer.node.host.leases.row(grid) if peer.node is not None else None
            name = row.record.name if row is not None else ""
            if name in self.ran:
                self._job_moved(self.ran[name], workspace, begins)
            elif name in self.bookings and begins:
                self._seat(self.bookings[name], workspace)

        return runs

    def _job_moved(self, ran: Ran, workspace: str, begins: bool) -> None:
        now_s, whole = self.world.now_s, len(ran.running) == ran.job.places
        if ran.done_s or (workspace in ran.running) is begins:
            return
        if begins:
            ran.running[workspace] = None
        else:
            del ran.running[workspace]
        if whole:
            ran.work_s += now_s - ran.since_s
            ran.stops += 1
            ran.spell += 1
        elif len(ran.running) == ran.job.places:
            ran.since_s = now_s
            ran.began_s = ran.began_s or now_s
            left_s = ran.job.work_s - ran.work_s
            self.world.after(left_s, self._done, ran, ran.spell)

    def _done(self, ran: Ran, spell: int) -> None:
        if ran.spell == spell and not ran.done_s:
            ran.done_s = self.world.now_s
            self._down(ran.job.name)

    def _seat(self, booking: Booking, workspace: str) -> None:
        seated = self._seated.setdefault(booking.name, {})
        seated[workspace] = None
        if len(seated) == booking.places and booking.name not in self.late_s:
            self.late_s[booking.name] = self.world.now_s - self.from_s - booking.start_s

    # -- figures

    def _left(self) -> bool:
        return any(not ran.done_s for ran in self.ran.values())

    def _found(self) -> Leased:
        done = [ran for ran in self.ran.values() if ran.done_s]
        all_done_s = max(ran.done_s for ran in done) - self.from_s
        worked_s = sum(ran.job.places * ran.job.work_s for ran in done)
        booked_s = sum(
            b.places * max(0.0, min(b.lasts_s, all_done_s - b.start_s))
            for b in self.bookings.values()
        )
        return Leased(
            jobs=len(self.ran),
            done=len(done),
            all_done_s=all_done_s,
            turnaround_s=statistics.fmean(ran.done_s - self.from_s - ran.job.at_s for ran in done),
            running_s=statistics.fmean((ran.done_s - ran.began_s) / ran.job.work_s for ran in done),
            suspensions=sum(ran.stops for ran in self.ran.values()),
            bookings=len(self.bookings),
            kept=len(self.late_s),
            late_s=max(self.late_s.values(), default=0.0),
            used=(worked_s + booked_s) / (self._leasing.mix.places * all_done_s),
            steps=self.world.steps,
        )


def lease(leasing: Leasing) -> Leased:
    """One run, from the beginning."""
    return Experiment(leasing).run()
