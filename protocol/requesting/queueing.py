"""Best effort: a grid that finds no room waits for it, at the peer that was asked, over restarts.

Each peer keeps its own queue on disk (queue.py); there is no common one that peers would have to agree on. A
request that waits tries again when hosts tell of so much room that it may be enough, when enough is kept for
it (claiming.py), and now and then. Each has its own dice, so that they do not all try at once. The answer to
each try is kept, so that "why is it queued" and "what would let it run" have an answer.
"""

from collections.abc import Callable
from math import inf

import msgspec

from protocol.terms.dice import Dice
from protocol.terms.effects import Deadline
from protocol.terms.ids import RequestId
from protocol.terms.limits import QUEUE_AGAIN_S, QUEUE_EVERY_S
from protocol.terms.quantities import counted, format_moment
from protocol.trust.order import SignedOrder, read_order

TABLE = "queue"
_BEHIND_S = 20.0


class QueuedRow(msgspec.Struct, frozen=True):
    """A request that may have to wait, as it is on disk."""

    order: SignedOrder
    asked_s: float


class QueueNotSaved(msgspec.Struct, frozen=True):
    """The store refused to keep a request. It is answered no, since it could not wait for long."""

    request: RequestId
    why: str = "this host's store has no room to keep it"


def behind_s(priority: float) -> float:
    """How many seconds a request of an owner of that priority (0 to 1) lets others go first."""
    return _BEHIND_S * (1.0 - priority)


class Queueing:
    """How one `up` of a best-effort lease waits: until when, and when it tries again."""

    def __init__(
        self, order: SignedOrder, dice: Dice, behind_s: Callable[[], float] = lambda: 0.0
    ) -> None:
        """`behind_s` answers how many seconds its owner lets others go first, who are owed more."""
        self._dice, self._behind_s = dice, behind_s
        self.until_s = read_order(order).fresh_until_s
        """Until when its order is valid, Unix seconds."""
        self.first = True
        """Whether it is the oldest of its owner that waits at this peer. Hosts would heed no other's claim."""
        self._look_s = inf
        """When to look whether the room that hosts told of may be enough."""
        self._anyway = False
        """Whether to try at that time without looking."""

    def forget(self) -> None:
        """Forgets what was told, because the request tries now, or has looked in vain."""
        self._look_s, self._anyway = inf, False

    def woken(self, tried_s: float, now: float, here: bool) -> None:
        """While it waits, some host tells of more room than before, or this one has other room (`here`).

        This host does not tell itself when it has more. `tried_s` is when the request tried last.
        """
        self._anyway |= here
        if self._look_s == inf:
            soon_s = max(now, tried_s + QUEUE_AGAIN_S)
            self._look_s = soon_s + self._behind_s() + self._dice.uniform(0.0, 1.0)

    def line_up(self, first: bool, tried_s: float) -> None:
        """Says whether it is now the oldest of its owner here. If so it may claim, so it tries."""
        if first and not self.first:
            self._look_s, self._anyway = tried_s + QUEUE_AGAIN_S, True
        self.first = first

    def looks(self, now: float) -> bool:
        """Whether it is to look now at what it was told."""
        return now >= self._look_s

    @property
    def anyway(self) -> bool:
        """Whether it then tries whatever it was told."""
        return self._anyway

    def next_look(self) -> Deadline | None:
        """When to look; None if nothing was told."""
        return Deadline(self._look_s, "look") if self._look_s < inf else None

    def pause_s(self, claims_s: float, now: float) -> float:
        """How many seconds it waits if nobody tells it anything; until `claims_s`, if it may claim then."""
        soon = self.first and now < claims_s
        return (claims_s - now if soon else QUEUE_EVERY_S) * self._dice.uniform(1.0, 1.2)

    def answer(self, grid: str, lines: tuple[str, ...], keepers: int | None) -> tuple[str, ...]:
        """What people are told while it waits. `lines` say why there is no room.

        `keepers` is how many hosts were asked to keep some; None if no host was asked anything.
        """
        until = format_moment(self.until_s)
        keeps: tuple[str, ...] = ()
        if keepers is not None:
            hosts = counted(keepers, "host")
            keeps = (
                f"  {hosts} asked to keep room for it as it gets free, before younger requests",
            )
        return (f"{grid} is queued until there is room, or until {until}", *lines, *keeps)
