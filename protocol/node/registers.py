"""Registers as the node uses them: this peer accepts for others, and proposes for itself.

A value is judged where it arrives, before it is kept or read. One that does not vouch for itself is its
sender's fault. What an older build kept is judged before it is said again.
"""

from typing import assert_never

from protocol.contract.authority import Authority
from protocol.contract.outcomes import Propose, Purpose
from protocol.node.messages import RegisterMessage
from protocol.register.acceptor import TABLE, Acceptor
from protocol.register.messages import Accept, Accepted, Conflict, Prepare, Promise
from protocol.register.proposer import Proposers, Settled, Unsettled
from protocol.terms.dice import Dice
from protocol.terms.effects import Deadline, Effect
from protocol.terms.ids import PeerId
from protocol.trust.signing import Untrusted

Outcome = Settled[Purpose] | Unsettled[Purpose]


class Registers:
    """Both halves of CASPaxos on one peer."""

    def __init__(
        self,
        me: PeerId,
        life: int,
        dice: Dice,
        rows: dict[str, dict[str, bytes]],
        authority: Authority,
    ) -> None:
        self._authority = authority
        self.acceptor = Acceptor(rows.get(TABLE, {}))
        self._proposers: Proposers[Purpose] = Proposers(me, life, dice)

    def propose(self, asked: Propose, now: float) -> list[Effect]:
        """Begins a change that a room asked for."""
        return self._proposers.propose(
            asked.purpose, asked.key, asked.stewards, asked.change, now, asked.cause
        )

    def handle(
        self, sender: PeerId, message: RegisterMessage, now: float
    ) -> tuple[list[Effect], list[Outcome]]:
        """A proposer asks, or an acceptor answers.

        Raises Untrusted if it says a value that does not vouch for itself. Nothing is changed then.
        """
        match message:
            case Accept(key=key, value=value):
                self._authority.register(key, value)
                return self.acceptor.handle(sender, message, ""), []
            case Prepare(key=key):
                self._require_sound(key)
                return self.acceptor.handle(sender, message, ""), []
            case Promise(key=key, accepted=accepted, value=value):
                if accepted is not None:
                    self._authority.register(key, value)
                return self._proposers.handle(sender, message, now)
            case Accepted() | Conflict():
                return self._proposers.handle(sender, message, now)
            case _:
                assert_never(message)

    def _require_sound(self, key: str) -> None:
        """What an older build accepted and nobody would believe is not said: it would be this peer's fault."""
        value = self.acceptor.holds(key)
        try:
            if value:
                self._authority.register(key, value)
        except Untrusted:
            self.acceptor.disown(key)

    def tick(self, now: float) -> tuple[list[Effect], list[Outcome]]:
        """Lets proposals go on whose time has come."""
        return self._proposers.tick(now)

    def next_deadline(self) -> Deadline | None:
        """When to tick."""
        return self._proposers.next_deadline()

    def check(self) -> None:
        """Invariants of the acceptor."""
        self.acceptor.check()
