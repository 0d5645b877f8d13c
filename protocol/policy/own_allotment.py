"""A host's own line of its site's allotments: what it may use by it, and how it has that changed.

Rules. What is on this host's disk never allows more than what is decided. It goes up after the decision, and
down before. A step is on disk as proposed before it is sent, one at a time. The host hears of each as a value
of the register, however late.

In each life nothing is allowed before a step of that life was decided. It ends whatever an earlier life sent
that may still be on its way. A line has the lot that a life drew, since an old decision may be shown again. If
the line was changed more often than this disk knows, or is there no more, the disk was restored from a backup,
or the host was removed. Then its store needs another id, under which nothing is allotted.
"""

from collections.abc import Callable
from enum import StrEnum

import msgspec

from protocol.capacity.allotments import NONE, STORES_MOST, Allot, Allotments, Amounts, Parts
from protocol.terms.ids import KeyId, PeerId, StoreId
from protocol.terms.ranges import Number

Used = Callable[[KeyId], Amounts]
"""What is held and leased on this host for an owner."""


class KeptAllotment(msgspec.Struct, frozen=True):
    """What is on disk of it."""

    store: StoreId
    serial: Number = 0
    """Of the line, as it was decided last as far as this host heard."""
    version: Number = 0
    """Of the value that said so."""
    limits: Parts = ()
    """What this host goes by: the line, less what it is giving back."""
    proposed: bool = False
    """Whether a step at that serial may be decided."""


class Heard(StrEnum):
    """What a value of the register was to this host."""

    OLD = "old"
    """It says nothing new of its line."""
    NEW = "new"
    RESTORED = "restored"
    """Its disk knows less of the line than was decided: the store needs another id."""


class OwnAllotment:
    """The line of this host."""

    def __init__(
        self,
        host: PeerId,
        store: StoreId,
        kept: KeptAllotment | None,
        life: int,
        hosts: Callable[[], int],
    ) -> None:
        """`life` is a number that no earlier life of this host drew, also none that its disk has forgotten.

        `hosts` answers how many hosts the site has: one that has nothing takes one part in so many, unasked.
        """
        self._host, self._life, self._hosts, self._wishes = host, life, hosts, False
        self.kept = kept or KeptAllotment(store)
        """What is to be on disk before anything else is done, whenever it changed."""
        self.confirmed = False
        """Whether a step of this life was decided."""
        self.value = Allotments()
        """The newest that it was shown."""
        self._short: dict[KeyId, Amounts] = {}
        if self.kept.store != store:
            self.renewed(store)

    # -- what may be used

    def limit(self, owner: KeyId) -> Amounts:
        """What may be used here of an owner's ceiling."""
        return dict(self.kept.limits).get(owner, NONE) if self.confirmed else NONE

    # -- what makes it another

    def renewed(self, store: StoreId) -> None:
        """The host's store has another id, under which nothing is allotted."""
        self.kept = KeptAllotment(store)
        self.confirmed = False

    def lacks(self, owner: KeyId, needs: Amounts) -> None:
        """So much would be needed of an owner's ceiling, in all."""
        self._short[owner] = needs.most(self._short.get(owner, NONE))

    def content(self) -> None:
        """What was lacking is not asked for any more."""
        self._short.clear()

    @property
    def short(self) -> tuple[tuple[KeyId, Amounts], ...]:
        """(owner, how much more is lacking) after what was decided last."""
        lacking = ((owner, needs - self.limit(owner)) for owner, needs in self._short.items())
        return tuple((owner, more) for owner, more in lacking if more != NONE)

    def give(self, owner: KeyId, needed: Amounts, used: Used) -> None:
        """Another host needs so much: what is not used of that is given back."""
        limits = dict(self.kept.limits)
        if self.confirmed and owner in limits:
            spare = limits[owner] - used(owner)
            self._lower(owner, limits[owner] - spare.least(needed))

    def trim(self, used: Used) -> None:
        """Gives back what is not used of ceilings that were lowered, as long as they are passed."""
        line = self._line()
        for owner, limit in self.kept.limits if self.confirmed else ():
            given = line.get(owner, NONE) - limit
            beyond = self.value.sum(owner) - given - self.value.ceiling(owner)
            if (spare := (limit - used(owner)).least(beyond)) != NONE:
                self._lower(owner, limit - spare)

    def _lower(self, owner: KeyId, to: Amounts) -> None:
        limits = {**dict(self.kept.limits), owner: to}
        self.kept = msgspec.structs.replace(self.kept, limits=tuple(limits.items()))

    # -- steps

    def propose(
        self, used: Used, found: bool = True, ask: bool = False, policy: int = 0
    ) -> Allot | None:
        """The step that is due, on disk as proposed when it is sent; None if all is as it should be.

        `found` says that all is known by now that runs here, whatever this disk had forgotten. What is lacking
        is asked for if it was free when this host heard last, or if it is to `ask` in any case. A policy that
        is newer than what was decided last is a reason by itself.
        """
        kept, value = self.kept, self.value
        wants, line = dict(kept.limits), self._line()
        if wants == line:
            # What others need is given back first.
            for owner, more in (*self.short, *self._wished()):
                free = value.ceiling(owner) - value.sum(owner)
                if (more := more if ask else more.least(free)) != NONE:
                    wants[owner] = wants.get(owner, NONE) + more
        gone = self._before() if self.confirmed and found else ()
        for owner, _ in value.ceilings if gone else ():
            wants[owner] = used(owner).most(wants.get(owner, NONE))
        settled = self.confirmed and not kept.proposed and policy <= value.policy
        if settled and not gone and wants == line:
            return None
        self.kept = msgspec.structs.replace(kept, proposed=True)
        return Allot(self._host, kept.store, kept.serial, self._life, tuple(wants.items()), gone)

    def decided(self, value: Allotments) -> Heard:
        """A value that was decided, at any time."""
        kept, line = self.kept, value.of(self._host, self.kept.store)
        if value.version <= max(kept.version, self.value.version):
            return Heard.OLD
        if line.serial == kept.serial:
            self.value = value
            return Heard.OLD
        if not kept.proposed or line.serial != kept.serial + 1:
            return Heard.RESTORED
        self.kept = KeptAllotment(kept.store, line.serial, value.version, line.parts)
        self.value = value
        if line.life == self._life:
            begins = kept.serial == 0 or not line.parts
            self._wishes, self.confirmed = not self.confirmed and begins, True
        return Heard.NEW

    def _wished(self) -> list[tuple[KeyId, Amounts]]:
        """What a host takes that has nothing yet, before anybody asks it for anything."""
        if not self._wishes:
            return []
        value, hosts = self.value, max(self._hosts(), 1)
        return [
            (owner, (ceiling - value.sum(owner)).shared(hosts)) for owner, ceiling in value.ceilings
        ]

    def _before(self) -> tuple[StoreId, ...]:
        """Stores that this host had before. What is left of their work counts as this one's."""
        others = (line.store for line in self.value.lines if line.host == self._host)
        return tuple(store for store in others if store != self.kept.store)[:STORES_MOST]

    def _line(self) -> dict[KeyId, Amounts]:
        return dict(self.value.of(self._host, self.kept.store).parts)
