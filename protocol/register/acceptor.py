"""The acceptor's half of CASPaxos (Rystsov 2018, arXiv 1802.07000), for the registers that name this peer.

Rules: promise only ballots newer than any promised. Accept only ballots not older than the promise. A promise
and an acceptance are on disk before they are said, and signed. Only stewards of a register are answered, and
a ballot is only taken from the steward it names. A value is judged by what is the same for everybody at any
time: it decodes, it is this register's, its orders were signed by the owner. Whether it may follow on the
value before is not: an acceptor that missed epoch 2 must still accept 3. Nobody raises another's round by
more than ROUND_LEAP.

What fails there is the sender's fault: Untrusted is raised, and nothing was changed.
"""

from collections.abc import Callable

import msgspec

from protocol.grid.decision import PROMISE as PROMISE_DOMAIN
from protocol.grid.decision import (
    Ballot,
    Certificate,
    check_certificate,
    promise,
    sign_acceptance,
)
from protocol.grid.record import GridState, Register, register_key
from protocol.register.messages import (
    Accept,
    Accepted,
    Conflict,
    LookAsk,
    Looked,
    Prepare,
    Promise,
)
from protocol.terms.effects import Effect, Persist, Row, Send
from protocol.terms.ids import KeyId, PeerId
from protocol.terms.limits import REGISTERS_PER_OWNER, ROUND_LEAP
from protocol.trust.order import SignedOrder
from protocol.trust.signing import Reason, Signer, Untrusted, Verifier
from protocol.wire.codec import Malformed, decode, encode

TABLE = "steward"


class Slot(msgspec.Struct, frozen=True):
    """What is on disk of one register. `order` is there while no value has it."""

    promised: Ballot
    accepted: Ballot | None = None
    value: bytes = b""
    signature: bytes = b""
    order: SignedOrder | None = None


class Opened(msgspec.Struct, frozen=True):
    """What the order of a register says of it."""

    owner: KeyId
    stewards: tuple[PeerId, ...]
    until_s: float
    """Until when the order may be carried out for the first time, Unix seconds."""


Opens = Callable[[SignedOrder], Opened]
"""An order whose signature is right. Raises Untrusted."""
Judges = Callable[[str, bytes], Register]
"""The register that a value of that key says. Raises Untrusted if it does not vouch for itself."""


class Kept(msgspec.Struct, frozen=True):
    """One register as this steward has it."""

    slot: Slot
    register: Register
    opened: Opened
    order: SignedOrder


class Acceptor:
    """All registers of which this peer is a steward."""

    def __init__(
        self,
        signer: Signer,
        verifier: Verifier,
        opens: Opens,
        judges: Judges,
        rows: dict[str, bytes],
    ) -> None:
        """`rows` are those of TABLE. One that cannot be believed any more is left where it is."""
        self._signer, self._verifier, self._opens, self._judges = signer, verifier, opens, judges
        self.me = PeerId(signer.key)
        self._kept: dict[str, Kept] = {}
        self._owned: dict[KeyId, int] = {}
        for key in sorted(rows):
            slot = decode(rows[key], Slot)
            try:
                register = judges(key, slot.value) if slot.value else Register()
                order = slot.order or register.ordered
                self._put(key, Kept(slot, register, opens(order), order))
            except (Untrusted, Malformed):
                continue

    def get(self, key: str) -> Kept | None:
        """The register, if this peer is its steward and has heard of it."""
        return self._kept.get(key)

    def values(self) -> list[tuple[str, Register]]:
        """(key, register) of every one; hints, not decisions."""
        return [(key, kept.register) for key, kept in self._kept.items()]

    def open(self, key: str, order: SignedOrder) -> Kept:
        """The register of that order, which may be new. Raises Untrusted if this peer is not its steward."""
        kept = self._kept.get(key)
        if kept is not None:
            return kept
        if register_key(order) != key:
            raise Untrusted(Reason.MALFORMED, "a register of another order")
        opened = self._opens(order)
        if self.me not in opened.stewards:
            raise Untrusted(Reason.WRONG_ROLE, "the order does not name this peer as a steward")
        if self._owned.get(opened.owner, 0) >= REGISTERS_PER_OWNER:
            most = f"{REGISTERS_PER_OWNER} registers of one owner are kept here"
            raise Untrusted(Reason.WRONG_ROLE, most)
        return Kept(Slot(Ballot(0, opened.stewards[0]), order=order), Register(), opened, order)

    # -- this steward's own ballots

    def promise_own(self, key: str, kept: Kept, ballot: Ballot) -> list[Effect]:
        """Promises a ballot of this steward, however far it is ahead."""
        return self._save(
            key, kept, msgspec.structs.replace(kept.slot, promised=ballot), kept.register
        )

    def accept_own(self, key: str, kept: Kept, ballot: Ballot, value: bytes) -> list[Effect]:
        """Accepts what this steward proposes. So that is on its disk before anybody hears of it."""
        return self._accept(key, kept, ballot, value, self._judges(key, value))

    def learn(self, key: str, certificate: Certificate) -> list[Effect]:
        """Takes in what was decided before, if this steward has lost it. Raises Untrusted."""
        decision = check_certificate(certificate, self._verifier)
        kept = self.open(key, decision.register.ordered)
        accepted = kept.slot.accepted
        if certificate.register != key or kept.slot.promised > certificate.ballot:
            return []
        if accepted is not None and accepted >= certificate.ballot:
            return []
        return self._accept(key, kept, certificate.ballot, certificate.value, decision.register)

    # -- others'

    def handle(
        self, sender: PeerId, message: Prepare | Accept | LookAsk, cause: str
    ) -> list[Effect]:
        """Answers the sender. A Persist of what is answered comes before the answer. Raises Untrusted."""
        if isinstance(message, LookAsk):
            return [Send(sender, self._looked(message), cause)]
        key, ballot = message.register, message.ballot
        register = Register()
        if isinstance(message, Accept):
            register = self._judges(key, message.value)
            kept = self.open(key, register.ordered)
        else:
            kept = self.open(key, message.order)
        if sender != ballot.steward or sender not in kept.opened.stewards:
            raise Untrusted(Reason.WRONG_ROLE, "a ballot that is not of a steward that says it")
        slot = kept.slot
        if ballot.round > slot.promised.round + ROUND_LEAP:
            raise Untrusted(Reason.MALFORMED, "a round far beyond what was promised")
        if slot.promised > ballot:
            return [
                Send(sender, Conflict(register=key, ballot=ballot, promised=slot.promised), cause)
            ]
        match message:
            case Prepare():
                if ballot.round == 0:
                    raise Untrusted(Reason.MALFORMED, "round 0 needs no promise")
                kept_slot = msgspec.structs.replace(slot, promised=ballot)
                save = self._save(key, kept, kept_slot, kept.register)
                said = promise(key, ballot, slot.accepted, slot.value)
                reply: Promise | Accepted = Promise(
                    register=key,
                    ballot=ballot,
                    accepted=slot.accepted,
                    value=slot.value,
                    signature=self._signer.sign(PROMISE_DOMAIN, said),
                )
            case Accept(value=value):
                if ballot.round == 0 and sender != kept.opened.stewards[0]:
                    raise Untrusted(Reason.WRONG_ROLE, "round 0 is the first steward's")
                if slot.accepted == ballot and slot.value != value:
                    raise Untrusted(Reason.MALFORMED, "a second value under one ballot")
                save = self._accept(key, kept, ballot, value, register)
                signature = self._kept[key].slot.signature
                reply = Accepted(register=key, ballot=ballot, signature=signature)
        return [*save, Send(sender, reply, cause)]

    def forget(self, now: float) -> list[Effect]:
        """Forgets registers that are over and whose order can never be carried out (again)."""
        gone = [key for key, kept in self._kept.items() if _over(kept, now)]
        for key in gone:
            owner = self._kept.pop(key).opened.owner
            self._owned[owner] -= 1
            if not self._owned[owner]:
                del self._owned[owner]
        return [Persist(tuple(Row(TABLE, key, None) for key in gone))] if gone else []

    def check(self) -> None:
        """Asserts that nothing is accepted beyond the promise."""
        for key, kept in self._kept.items():
            slot = kept.slot
            assert slot.accepted is None or slot.accepted <= slot.promised, key

    # -- parts

    def _looked(self, message: LookAsk) -> Looked:
        kept = self._kept.get(message.register)
        if kept is None or kept.slot.accepted is None:
            return Looked(message.ask, message.register)
        slot = kept.slot
        return Looked(message.ask, message.register, slot.accepted, slot.value, slot.signature)

    def _accept(
        self, key: str, kept: Kept, ballot: Ballot, value: bytes, register: Register
    ) -> list[Effect]:
        signature = sign_acceptance(self._signer, key, ballot, value)
        return self._save(key, kept, Slot(ballot, ballot, value, signature), register)

    def _save(self, key: str, kept: Kept, slot: Slot, register: Register) -> list[Effect]:
        self._put(key, msgspec.structs.replace(kept, slot=slot, register=register))
        return [Persist((Row(TABLE, key, encode(slot)),))]

    def _put(self, key: str, kept: Kept) -> None:
        if key not in self._kept:
            owner = kept.opened.owner
            self._owned[owner] = self._owned.get(owner, 0) + 1
        self._kept[key] = kept


def _over(kept: Kept, now: float) -> bool:
    """Whether nothing can come of a register any more, by this steward's clock and with a wide margin.

    A carrier that was away asks what became of its grid for as long as its lease could last.
    """
    record = kept.register.record
    if record is None:
        return now > kept.opened.until_s + _FORGET_AFTER_S
    if record.state is GridState.UP:
        return False
    longest_s = kept.opened.until_s + max(0, record.extra_s) + _FORGET_AFTER_S
    return now > max(longest_s, record.start_s + _FORGET_AFTER_S)


_FORGET_AFTER_S = 32 * 86400.0
"""A month, as long as an order may wait."""
