"""Best effort: a grid that finds no room waits for it, at the peer it was asked of, over restarts.

Each peer keeps its own queue on disk (queue.py); there is no common one to agree on. Waiting requests try again
when hosts tell of so much room that it may be enough, when enough is kept for them (claiming.py), and now and
then; each by its own dice, so that they do not all come at once. What they are answered each time is kept, so
that "why is it queued" and "what would let it run" have an answer.
"""

from math import inf

import msgspec

from protocol.terms.dice import Dice
from protocol.terms.effects import Deadline
from protocol.terms.ids import RequestId
from protocol.terms.limits import QUEUE_AGAIN_S, QUEUE_EVERY_S
from protocol.terms.quantities import counted, format_moment
from protocol.trust.order import SignedOrder, read_order

TABLE = "queue"


class QueuedRow(msgspec.Struct, frozen=True):
    """What is on disk of a request that may have to wait."""

    order: SignedOrder
    asked_s: float


class QueueNotSaved(msgspec.Struct, frozen=True):
    """The store refused to keep a request: it is answered no, since it could not wait for long."""

    request: RequestId
    why: str = "this host's store has no room to keep it"


class Queueing:
    """How one `up` of a best-effort lease waits: until when, and when it tries again."""

    def __init__(self, order: SignedOrder, dice: Dice) -> None:
        read = read_order(order)
        self._dice = dice
        self.until_s = read.issued_at_s + read.valid_s
        """As long as its order is valid."""
        self.first = True
        """Whether it is the oldest of its owner that waits at this peer: hosts would heed no other's claim."""
        self._look_s = inf
        """When to look whether room that hosts told of may be enough."""
        self._anyway = False
        """Whether to try then without looking."""

    def forget(self) -> None:
        """What was told is out of date: it tries now, or has looked in vain."""
        self._look_s, self._anyway = inf, False

    def woken(self, tried_s: float, now: float, here: bool) -> None:
        """While it waits, some host tells of more room than before; or this one has other room (`here`), and
        tells itself nothing. It tried last at `tried_s`."""
        self._anyway |= here
        if self._look_s == inf:
            soon_s = max(now, tried_s + QUEUE_AGAIN_S)
            self._look_s = soon_s + self._dice.uniform(0.0, 1.0)

    def line_up(self, first: bool, tried_s: float) -> None:
        """Whether it is now the oldest of its owner here. Then it may claim, so it tries."""
        if first and not self.first:
            self._look_s, self._anyway = tried_s + QUEUE_AGAIN_S, True
        self.first = first

    def looks(self, now: float) -> bool:
        """Whether what it was told is to be looked at now."""
        return now >= self._look_s

    @property
    def anyway(self) -> bool:
        """Whether it tries then, whatever it was told."""
        return self._anyway

    def next_look(self) -> Deadline | None:
        """When to look."""
        return Deadline(self._look_s, "look") if self._look_s < inf else None

    def pause_s(self, claims_s: float, now: float) -> float:
        """How long it waits if nobody tells it anything. Who may claim from `claims_s` on does so then."""
        soon = self.first and now < claims_s
        return (claims_s - now if soon else QUEUE_EVERY_S) * self._dice.uniform(1.0, 1.2)

    def answer(self, grid: str, lines: tuple[str, ...], keepers: int | None) -> tuple[str, ...]:
        """What people are told while it waits: `lines` say why there is no room; `keepers` hosts were asked to
        keep some, None: nobody was asked anything.
        """
        until = format_moment(self.until_s)
        keeps: tuple[str, ...] = ()
        if keepers is not None:
            hosts = counted(keepers, "host")
            keeps = (
                f"  {hosts} asked to keep room for it as it gets free, before younger requests",
            )
        return (f"{grid} is queued until there is room, or until {until}", *lines, *keeps)
