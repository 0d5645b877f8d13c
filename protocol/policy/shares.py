"""Fair share: who comes first where there is too little for all, by what each has used lately.

An owner's priority is 2^(-usage/share). Usage is the part of what a host offers that the owner had, on average,
where what was an hour ago weighs half of it a week later; so an owner that always has just its share has 1/2.
It is counted in cpus and in memory, and the greater of the two parts counts (dominant resource: Ghodsi et al.
2011). Within an owner its members are ranked likewise, each with the same share. The formula is that of Slurm
and Maui. What is promised counts as used for as long as it is promised: hoarding costs.

Everything is whole numbers. What was used in an hour of Unix time is a sum, and each hour that passes takes the
same part of it away. So two hosts that saw the same have the same, whenever they looked, and a sum on disk
needs no history. Two hosts that saw different usage rank differently. Each decides on its own room only, so
that harms nobody else.
"""

from collections.abc import Callable, Iterator, Mapping

import msgspec

from protocol.capacity.quantum import Quantum
from protocol.policy.site_policy import Priority, SitePolicy
from protocol.terms.ids import KeyId
from protocol.terms.ranges import AMOUNT_MOST
from protocol.wire.codec import decode, encode

HOUR_S = 3600
HALVED_AFTER_H = 168
"""A week."""
FORGOTTEN_AFTER_H = 40 * HALVED_AFTER_H
ACCOUNTS_MOST = 4096
"""Owners and members whose usage is kept. Beyond it the one that used least is forgotten."""

_WANES = round(2 ** (60 - 1 / HALVED_AFTER_H))
"""What an hour leaves of usage, in parts of 2^60."""
_LASTS_S = round(HOUR_S / (1 - 2 ** (-1 / HALVED_AFTER_H)))
"""For how many seconds something must have been used, always, to have the usage that never grows: ten days."""
STEPS = 1000
"""Usage that is a share is so many steps of a level."""
_NEVER = 1 << 62

Account = tuple[KeyId, KeyId]
"""An owner and a member of it, both by their keys. With an empty member: all members together."""

Standing = tuple[int, int]
"""The levels of an owner and of its member: usage/share, in steps. Who has the least comes first."""
FIRST: Standing = (-1, 0)


class Shares(msgspec.Struct, frozen=True):
    """Who has which share of what is contended."""

    own: KeyId = KeyId("")
    """The key whose work comes before all other, however much it used; empty if none does."""
    of: Mapping[KeyId, int] = {}
    default: int = 1
    """The share of everybody else. Who has 0 comes after all that have more."""

    @property
    def total(self) -> int:
        """All shares together, which are the whole."""
        return sum(self.of.values()) or self.default


def shares_of(policy: SitePolicy | None, site: KeyId) -> Shares:
    """The shares at a site. Without a policy its own work comes first, and all others are alike."""
    if policy is None:
        return Shares(own=site)
    of = {vo.key: vo.share for vo in policy.vos}
    if policy.priority is Priority.OWN:
        return Shares(site, of)
    return Shares(of=of | {site: policy.share})


class Used(msgspec.Struct, frozen=True, array_like=True):
    """What was used until the end of an hour of Unix time, with what was used before, less by its age."""

    hour: int
    cpu_milli_s: int = 0
    memory_mib_s: int = 0

    def at(self, hour: int) -> "Used":
        """The same at a later hour."""
        if hour - self.hour > FORGOTTEN_AFTER_H:
            return Used(hour)
        cpu, memory = self.cpu_milli_s, self.memory_mib_s
        for _ in range(self.hour, hour):
            cpu, memory = cpu * _WANES >> 60, memory * _WANES >> 60
        return Used(max(hour, self.hour), cpu, memory)

    def __add__(self, other: "Used") -> "Used":
        hour = max(self.hour, other.hour)
        a, b = self.at(hour), other.at(hour)
        cpu, memory = a.cpu_milli_s + b.cpu_milli_s, a.memory_mib_s + b.memory_mib_s
        return Used(hour, min(cpu, AMOUNT_MOST), min(memory, AMOUNT_MOST))


class FairShare:
    """What each owner and each of its members used, and how they stand by it."""

    def __init__(self, shares: Callable[[], Shares], rows: Mapping[str, bytes], now: float) -> None:
        """`shares` answers those of this moment. `rows` are those that `rows` answered in earlier lives."""
        self._shares, self._hour = shares, int(now) // HOUR_S
        self._used = {_account(key): decode(value, Used) for key, value in sorted(rows.items())}
        self._changed: dict[Account, None] = {}

    def charge(self, account: Account, quantum: Quantum, from_s: int, until_s: int) -> None:
        """That member of that owner had the quantum from then until then, Unix seconds."""
        while from_s < until_s:
            hour = from_s // HOUR_S
            end_s = min(until_s, (hour + 1) * HOUR_S)
            cpu, memory = quantum.cpus_milli, quantum.memory_bytes >> 20
            self._add(account, Used(hour, cpu * (end_s - from_s), memory * (end_s - from_s)))
            from_s = end_s

    def advance(self, now: float) -> None:
        """Moves time on."""
        self._hour = max(self._hour, int(now) // HOUR_S)

    def standing(self, account: Account, offered: Quantum) -> Standing:
        """How a member of an owner stands where that much is offered in all."""
        owner, member = account
        shares = self._shares()
        own = _level(self._at((owner, member)), offered, 1, 1)
        if owner and owner == shares.own:
            return FIRST[0], own
        share = shares.of.get(owner, shares.default)
        all_of_it = self._at((owner, KeyId("")))
        return _level(all_of_it, offered, share, shares.total), own

    def rows(self) -> Iterator[tuple[str, bytes | None]]:
        """What changed since it was last asked for, for the disk: a key, and its value if it has one still."""
        for account in self._changed:
            used = self._used.get(account)
            yield "/".join(account), encode(used) if used is not None else None
        self._changed = {}

    # -- parts

    def _at(self, account: Account) -> Used:
        used = self._used.get(account)
        if used is None:
            return Used(self._hour)
        if used.hour < self._hour:
            self._used[account] = used = used.at(self._hour)
        return used

    def _add(self, account: Account, more: Used) -> None:
        for each in (account, (account[0], KeyId(""))):
            self._used[each] = self._at(each) + more
            self._changed[each] = None
        while len(self._used) > ACCOUNTS_MOST:
            least = min(self._used, key=lambda each: (*_amounts(self._at(each)), each))
            del self._used[least]
            self._changed[least] = None


def priority(standing: Standing) -> float:
    """2^(-usage/share) of an owner: 1 if it used nothing, 1/2 if it had its share all the time."""
    return float(2 ** (-max(0, standing[0]) / STEPS))


def _level(used: Used, offered: Quantum, share: int, total: int) -> int:
    """Usage/share in steps, where usage is a part of all that is offered."""
    if share <= 0:
        return _NEVER
    memory_mib = offered.memory_bytes >> 20
    parts = ((used.cpu_milli_s, offered.cpus_milli), (used.memory_mib_s, memory_mib))
    return max(
        STEPS * had * total // (all_ * _LASTS_S * share) if all_ > 0 else 0 for had, all_ in parts
    )


def _amounts(used: Used) -> tuple[int, int]:
    return used.cpu_milli_s, used.memory_mib_s


def _account(key: str) -> Account:
    owner, _, member = key.partition("/")
    return KeyId(owner), KeyId(member)
