"""Does a site's ceiling hold, whatever breaks? Hosts of one site, their allotments, and all that goes wrong.

The machines are those of protocol/policy. The register is taken as one value that steps change one after
another: that it is so is shown by histories of registers elsewhere (tests/simulation/test_sim_histories.py).
What is said to it and by it may be lost, and may come long after.

Asked is after Balegas et al. (2015), at every step: no host goes by more than its line, no line grows beyond
the ceiling, and all that is held together is within the lines. In the end everybody is connected again, and
then whatever is free must be found by any host that wants it.
"""

from collections.abc import Callable
from random import Random

import msgspec

from protocol.capacity.allotments import (
    NONE,
    Allot,
    Allotments,
    Amounts,
    Parts,
    allotted,
    governed,
)
from protocol.policy.own_allotment import Heard, KeptAllotment, OwnAllotment
from protocol.sim.timeline import Timeline
from protocol.sim.violation import Violation
from protocol.terms.ids import KeyId, PeerId, StoreId

_STAR, _CMS = KeyId("star"), KeyId("cms")
_QUIET_S = 45.0
_AGAIN_S = 3.0
"""After which a step that nobody answered is proposed again."""


class Allotting(msgspec.Struct, frozen=True):
    """What decides a run."""

    seed: int = 1
    hosts: int = 4
    seconds: float = 240.0
    loss: float = 0.1
    late: float = 0.1
    """How many messages come up to a minute late."""
    faults_s: float = 8.0
    """Between two faults on the average: a crash, a restored backup, a cut, a removed host, another policy."""


class Allotted(msgspec.Struct, frozen=True):
    """What came of it."""

    seed: int
    held: int
    refused: int
    decided: int
    moved: int
    """Answers by which hosts gave back what others needed."""
    faults: tuple[tuple[str, int], ...]


class _Host:
    """One host: its process, its disk, and what runs on it."""

    def __init__(self, name: str) -> None:
        self.name, self.store = PeerId(name), StoreId(f"{name}.0")
        self.disk: KeptAllotment | None = None
        self.held: dict[int, tuple[KeyId, Amounts]] = {}
        """What it holds, as its disk says and as it runs."""
        self.own: OwnAllotment | None = None
        """None while it is down."""
        self.backup: (
            tuple[StoreId, KeptAllotment | None, dict[int, tuple[KeyId, Amounts]]] | None
        ) = None
        self.cut = self.removed = False
        self.life = self.stores = 0
        self.asked_s = -1e9
        self.giving_to: dict[PeerId, None] = {}

    def used(self, owner: KeyId) -> Amounts:
        """All that it has of an owner."""
        return sum((amounts for key, amounts in self.held.values() if key == owner), NONE)

    def machine(self) -> OwnAllotment:
        """Its machine, while it is up."""
        assert self.own is not None
        return self.own


def allot(asked: Allotting) -> Allotted:
    """One run. Raises Violation if something did not hold."""
    return _World(asked).run()


class _World:
    def __init__(self, asked: Allotting) -> None:
        self._asked, self._dice, self._time = asked, Random(asked.seed), Timeline(0.0)
        self._hosts = [_Host(f"h{i}") for i in range(asked.hosts)]
        self._number = 0
        self._past: list[tuple[int, Parts]] = []
        self._value = Allotments()
        self._removed: dict[PeerId, None] = {}
        self._ids = self._held = self._refused = self._decided = self._moved = 0
        self._quiet = False
        self._faults: dict[str, int] = {}

    def run(self) -> Allotted:
        self._rule(first=True)
        for host in self._hosts:
            self._start(host)
            self._time.after(self._dice.uniform(0, 2), self._tick, host)
            self._time.after(self._dice.uniform(0, 5), self._work, host)
        self._time.after(self._dice.expovariate(1 / self._asked.faults_s), self._fault)
        self._time.run(self._asked.seconds)
        self._end()
        faults = tuple(sorted(self._faults.items()))
        told = (self._held, self._refused, self._decided, self._moved)
        return Allotted(self._asked.seed, *told, faults)

    # -- people

    def _work(self, host: _Host) -> None:
        """Somebody wants something on a host, or lets it go."""
        self._time.after(self._dice.expovariate(1 / 4), self._work, host)
        if host.own is None or self._quiet:
            return
        if host.held and self._dice.random() < 0.45:
            del host.held[self._dice.choice(list(host.held))]
            return
        cpus = self._dice.choice((1, 1, 2, 4, 8))
        self._hold(host, self._dice.choice((_STAR, _CMS)), Amounts(cpus, cpus * 2, 0, 1))

    def _hold(self, host: _Host, owner: KeyId, asked: Amounts) -> bool:
        own, needs = host.machine(), host.used(owner) + asked
        if not needs.fits(own.limit(owner)):
            own.lacks(owner, needs)
            self._refused += 1
            return False
        self._ids += 1
        host.held[self._ids] = (owner, asked)
        self._held += 1
        self._check()
        return True

    # -- what a host does

    def _start(self, host: _Host) -> None:
        host.life += 1
        host.own = OwnAllotment(
            host.name, host.store, host.disk, self._dice.getrandbits(62), lambda: len(self._hosts)
        )
        host.asked_s, host.giving_to = -1e9, {}

    def _tick(self, host: _Host) -> None:
        self._time.after(self._dice.uniform(0.5, 1.5), self._tick, host)
        if host.own is None:
            return
        own = host.own
        own.trim(host.used)
        self._propose(host, ask=self._dice.random() < 0.2)
        if not self._quiet and self._dice.random() < 0.05:
            own.content()
        for owner, more in own.short if self._dice.random() < 0.5 else ():
            others = [line.host for line in own.value.lines if line.host != host.name]
            for other in others:
                self._send(host, self._named(other), self._give, owner, more, host.name)

    def _propose(self, host: _Host, *, ask: bool = False) -> None:
        if self._time.now_s < host.asked_s + _AGAIN_S:
            return
        step = host.machine().propose(host.used, ask=ask)
        self._save(host)
        if step is not None:
            host.asked_s = self._time.now_s
            self._send(host, None, self._decide, step, host)

    def _give(self, host: _Host, owner: KeyId, more: Amounts, asker: PeerId) -> None:
        """Another host lacks something."""
        host.machine().give(owner, more, host.used)
        host.giving_to[asker] = None
        self._propose(host)

    def _told(self, host: _Host, value: Allotments) -> None:
        """A host hears what is decided."""
        own = host.machine()
        heard = own.decided(value)
        if heard is Heard.RESTORED:
            host.stores += 1
            host.store = StoreId(f"{host.name}.{host.stores}.{host.life}")
            own.renewed(host.store)
        self._save(host)
        if heard is not Heard.OLD:
            host.asked_s = -1e9
            for asker in host.giving_to:
                self._moved += 1
                self._send(host, self._named(asker), self._told, value)
            host.giving_to = {}
        self._propose(host)

    def _save(self, host: _Host) -> None:
        host.disk = host.machine().kept
        self._check_host(host)

    # -- the register

    def _decide(self, step: Allot, asker: _Host) -> None:
        """A steward has a step decided, by the policy that it knows."""
        number, ceilings = self._past[-1]
        if len(self._past) > 1 and self._dice.random() < 0.3:
            number, ceilings = self._past[-2]
        before = self._value
        ruled = governed(before, number, ceilings, self._removed)
        self._value = allotted(ruled, step)
        self._decided += 1
        for owner in (_STAR, _CMS):
            most = self._value.ceiling(owner).most(before.sum(owner))
            if not self._value.sum(owner).fits(most):
                raise self._broken(f"{owner}: lines of {self._value.sum(owner)}, at most {most}")
        self._check()
        self._send(None, asker, self._told, self._value)

    # -- the net

    def _send(
        self, source: _Host | None, to: _Host | None, what: Callable[..., None], *said: object
    ) -> None:
        """To a host, or to the register (None). Whoever is cut off, down or removed hears and says nothing."""
        if source is not None and (source.cut or source.removed) and to is not source:
            return
        dice = self._dice
        if not self._quiet and dice.random() < self._asked.loss:
            return
        late = not self._quiet and dice.random() < self._asked.late
        delay_s = dice.uniform(1, 60) if late else dice.uniform(0.001, 0.05)
        self._time.after(delay_s, self._arrive, to, what, said)

    def _arrive(
        self, to: _Host | None, what: Callable[..., None], said: tuple[object, ...]
    ) -> None:
        if to is None:
            what(*said)
        elif to.own is not None and not to.cut and not to.removed:
            what(to, *said)

    # -- what goes wrong

    def _fault(self) -> None:
        self._time.after(self._dice.expovariate(1 / self._asked.faults_s), self._fault)
        if self._quiet:
            return
        host = self._dice.choice(self._hosts)
        kind = self._dice.choice(
            ("crash", "backup", "restore", "cut", "cut", "mend", "remove", "policy")
        )
        self._faults[kind] = self._faults.get(kind, 0) + 1
        match kind:
            case "crash":
                self._stop(host)
            case "backup":
                host.backup = (host.store, host.disk, dict(host.held))
            case "restore" if host.backup is not None:
                self._restore(host, *host.backup)
            case "cut":
                host.cut = True
            case "mend":
                for each in self._hosts:
                    each.cut = False
            case "remove":
                # Whoever removes a host says that nothing of it runs any more. It may be enrolled again.
                self._stop(host)
                host.held, host.removed = {}, True
                self._removed[host.name] = None
                self._time.after(self._dice.uniform(5, 90), self._enrol, host)
            case "policy":
                self._rule()

    def _stop(self, host: _Host) -> None:
        host.own = None
        life = host.life
        self._time.after(self._dice.uniform(0.1, 40), self._again, host, life)

    def _again(self, host: _Host, life: int) -> None:
        if host.own is None and host.life == life and not host.removed:
            self._start(host)

    def _enrol(self, host: _Host) -> None:
        if host.removed:
            host.removed = False
            self._removed.pop(host.name, None)
            self._again(host, host.life)

    def _restore(
        self,
        host: _Host,
        store: StoreId,
        disk: KeptAllotment | None,
        held: dict[int, tuple[KeyId, Amounts]],
    ) -> None:
        """Its disk is of before. What ended since is known to be over; what came since is found, or lost."""
        self._stop(host)
        there = host.held
        host.store, host.disk = store, disk
        host.held = {
            key: one for key, one in there.items() if key in held or self._dice.random() < 0.5
        }

    def _rule(self, *, first: bool = False) -> None:
        """The site has another policy."""
        most = 40 if first else self._dice.choice((10, 20, 40, 80))
        star = Amounts(most, 2 * most, 0, self._dice.choice((6, 20)))
        self._number += 1
        self._past.append((self._number, ((_STAR, star), (_CMS, Amounts(24, 1000, 0, 20)))))

    # -- what must hold

    def _check(self) -> None:
        """After each step of the register, and after whatever is held."""
        for host in self._hosts:
            self._check_host(host)
        for owner in (_STAR, _CMS):
            held = sum((host.used(owner) for host in self._hosts), NONE)
            if not held.fits(self._value.sum(owner)):
                raise self._broken(f"{held} of {owner} are held, {self._value.sum(owner)} allotted")

    def _check_host(self, host: _Host) -> None:
        lines = tuple(line for line in self._value.lines if line.host == host.name)
        here = Allotments(lines=lines)
        mine = dict(self._value.of(host.name, host.store).parts)
        for owner in (_STAR, _CMS):
            used, all_ = host.used(owner), here.sum(owner)
            if not used.fits(all_):
                raise self._broken(f"{host.name} has {used} of {owner}, its lines {all_}")
            up = host.own is not None and not host.removed
            limit = host.machine().limit(owner) if up else NONE
            if not limit.fits(mine.get(owner, NONE)):
                raise self._broken(f"{host.name} goes by {limit} of {owner}, its line {mine}")

    def _end(self) -> None:
        """Everybody is back. What is free is then to be had at any host."""
        self._quiet = True
        for host in self._hosts:
            host.cut = False
            if host.own is not None:
                host.own.content()
            self._enrol(host)
            self._again(host, host.life)
        self._time.run(_QUIET_S)
        for owner in (_STAR, _CMS):
            host = self._dice.choice(self._hosts)
            ceiling = dict(self._past[-1][1])[owner]
            asked = ceiling - sum((each.used(owner) for each in self._hosts), NONE)
            if asked == NONE or self._hold(host, owner, asked):
                continue
            self._time.run(_QUIET_S)
            if not self._hold(host, owner, asked):
                raise self._broken(
                    f"{asked} of {owner} are free, and {host.name} does not get them"
                )

    def _named(self, name: PeerId) -> _Host:
        return next(host for host in self._hosts if host.name == name)

    def _broken(self, what: str) -> Violation:
        return Violation(f"seed {self._asked.seed}, {self._time.elapsed_s:.3f} s: {what}")
