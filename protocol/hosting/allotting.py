"""This host's part of its site's ceilings: what it may use of each without asking, and how it gets more.

Where the site's policy names stewards, its ceilings are split among its hosts (capacity/allotments.py), and a
hold spends what this host was allotted (policy/own_allotment.py). What it lacks it asks the stewards for. If
they have nothing left, it says so in its advert, and the site's other hosts give back what they do not use.

Rules. It is on disk before a step is proposed, and before more is used. A line is of one memory of this host,
not of its store: the memory has an id of its own, and takes another if it finds that it was restored.
"""

import msgspec

from protocol.capacity.allotments import NONE, Amounts, Parts
from protocol.contract.outcomes import AllotSite, Answer, Propose
from protocol.grid.decision import Decision
from protocol.hosting.spending import Spending
from protocol.hosting.surroundings import HostSurroundings
from protocol.policy.demand import Demand
from protocol.policy.own_allotment import Heard, KeptAllotment, OwnAllotment
from protocol.terms.dice import Dice
from protocol.terms.effects import Deadline, Effect, Note, Persist, Row
from protocol.terms.ids import KeyId, PeerId, StoreId
from protocol.trust.order import SignedOrder, order_key, read_order
from protocol.wire.codec import decode, encode

TABLE = "allotment"
_EVERY_S = 1.0
"""How often it looks at what is lacking, here and elsewhere, if anything is."""
_IDLE_S = 30.0
_LACKS_S = 30.0
"""How long what was lacking once is wanted, unless it is asked for again."""
_FOUND_S = 60.0
"""By then everything that runs on a host has been found, whatever its disk had forgotten."""


class _Kept(msgspec.Struct, frozen=True):
    """What is on disk of it: of which register, and what."""

    register: str
    own: KeptAllotment


class Allotting:
    """The allotment of one host."""

    def __init__(
        self,
        host: PeerId,
        rows: dict[str, bytes],
        dice: Dice,
        around: HostSurroundings,
        spending: Spending,
        now: float,
    ) -> None:
        self._host, self._dice, self._around, self._spending = host, dice, around, spending
        self._kept = decode(rows[""], _Kept) if rows else None
        self._own: OwnAllotment | None = None
        self._order: SignedOrder | None = None
        self._busy = False
        self._born_s, self._look_s, self._asked_s, self._lacks_until_s = now, now, now, 0.0

    def counts(self, key: KeyId) -> bool:
        """Whether what an owner has at this site is counted by allotments."""
        policy = self._around.policy()
        return policy is not None and policy.counting is not None and key in dict(policy.counted)

    def refusal(self, key: KeyId, asked: Demand, used: Demand, now: float) -> str:
        """Why that is not held for an owner who is counted; empty if it may be. What is lacking it asks for."""
        needs, own = amounts(used) + amounts(asked), self._line()
        limit = own.limit(key) if own is not None else NONE
        if needs.fits(limit):
            return ""
        if own is not None:
            own.lacks(key, needs)
            self._lacks_until_s, self._look_s = now + _LACKS_S, now
        return (
            "what it was allotted of its site's ceiling is used up, and it asks the site's other hosts"
            " for what they do not use: try again in a moment"
        )

    @property
    def lacking(self) -> Parts:
        """(owner, how much) of what this host asked for in vain, for the other hosts of its site."""
        return self._own.short if self._own is not None and self._own.confirmed else ()

    def tick(self, now: float) -> Answer:
        """Gives back what others need, and proposes what is due."""
        own = self._line()
        if own is None or now < self._look_s:
            return [], []
        if now > self._lacks_until_s:
            own.content()
        for key, more in self._around.lacking():
            own.give(key, more, self._used)
        own.trim(self._used)
        busy = own.short or not own.confirmed or self._policy > own.value.policy
        self._look_s = now + (_EVERY_S if busy else _IDLE_S)
        return self._propose(now, ask=bool(own.short) and now >= self._asked_s)

    def heard(self, now: float) -> None:
        """Another host lacks something, or the site has another policy."""
        self._line()
        self._look_s = min(self._look_s, now)

    def settled(self, decision: Decision | None, now: float) -> Answer:
        """What the stewards decided."""
        self._busy = False
        own = self._line()
        if own is None or decision is None or decision.certificate.register != self._register:
            return [], []
        heard = own.decided(decision.register.counted)
        if heard is Heard.OLD:
            # A steward showed what was decided before. Others are asked, and not at once.
            self._look_s = now + _EVERY_S
            return [], []
        lost: list[Effect] = []
        if heard is Heard.RESTORED:
            own.renewed(self._drawn())
            why = (
                "its allotment was changed more often than this disk knows: it begins with nothing"
            )
            lost.append(Note("allotment.lost", self._host, why))
        kept = self._save()
        effects, outcomes = self._propose(now)
        self._look_s = min(self._look_s, now + _EVERY_S)
        return [*lost, kept, *effects], outcomes

    def unsettled(self, now: float) -> None:
        """No majority of the stewards answered: what is here stays as it is, and they are asked again."""
        self._busy, self._look_s = False, now + 5 * _EVERY_S

    def next_deadline(self) -> Deadline | None:
        """When to tick."""
        if self._own is None or self._busy:
            return None
        return Deadline(self._look_s, "allotment")

    # -- parts

    @property
    def _register(self) -> str:
        return order_key(self._order) if self._order is not None else ""

    @property
    def _policy(self) -> int:
        policy = self._around.policy()
        return policy.number if policy is not None else 0

    def _line(self) -> OwnAllotment | None:
        """This host's line in the register of the newest policy; None if that has none."""
        policy = self._around.policy()
        order = policy.counting if policy is not None and policy.counted else None
        if order is None or order == self._order:
            self._own = self._own if order is not None else None
            self._order = order
            return self._own
        kept = self._kept
        same = kept is not None and kept.register == order_key(order)
        own = kept.own if kept is not None and same else KeptAllotment(self._drawn())
        life = self._dice.getrandbits(62)
        self._order, self._busy = order, False
        self._own = OwnAllotment(self._host, own.store, own, life, self._around.hosts)
        return self._own

    def _drawn(self) -> StoreId:
        return StoreId(f"{self._dice.getrandbits(64):016x}")

    def _used(self, key: KeyId) -> Amounts:
        return amounts(self._spending.used(key))

    def _save(self) -> Persist:
        assert self._own is not None
        self._kept = _Kept(self._register, self._own.kept)
        return Persist((Row(TABLE, "", encode(self._kept)),))

    def _propose(self, now: float, *, ask: bool = False) -> Answer:
        if self._busy or self._own is None or self._order is None:
            return [], []
        found = now >= self._born_s + _FOUND_S
        step = self._own.propose(self._used, found, ask, self._policy)
        if step is None:
            return [], []
        self._busy, self._asked_s = True, now + 3 * _EVERY_S
        stewards = read_order(self._order).stewards
        proposal = Propose(AllotSite(), self._register, stewards, step, order=self._order)
        return [self._save()], [proposal]


def amounts(demand: Demand) -> Amounts:
    """What a demand takes of what is counted."""
    quantum = demand.quantum
    devices = sum(count for _, count in quantum.devices)
    plain = (quantum.cpus_milli, quantum.memory_bytes, quantum.disk_bytes)
    return Amounts(*(max(0, amount) for amount in (*plain, demand.workspaces, devices)))
