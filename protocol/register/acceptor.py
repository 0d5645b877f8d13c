"""The acceptor's half of CASPaxos (Rystsov 2018, arXiv 1802.07000), for the registers that name this peer.

Rules: promise only ballots newer than any promised. Accept only ballots not older than the promise. A promise
and an acceptance are on disk before they are said, and signed. Only stewards of a register are answered, and
a ballot is only taken from the steward it names. A value is judged by what is the same for everybody at any
time: it decodes, it is this register's, its orders were signed by the owner. Whether it may follow on the
value before is not: an acceptor that missed epoch 2 must still accept 3. Nobody raises another's round by
more than ROUND_LEAP.

Stewards may be replaced. Who is shown seals that lead to a later set than it knows goes over to that one, and
answers nothing any more as a steward of the earlier: that set has decided its last. What was promised stays
promised, so that rounds never go back. Who is in no set any more keeps the seals, and answers with them.

A seat is a store's, where the order or a seal names one. A host that has another store now may have forgotten
what that one promised, and has no seat: it answers nothing, and never as one that accepted nothing. So it is
with a register whose row cannot be read, and with what may have been forgotten here because it was over. An
order alone opens none that is over for so long. Grids outlive their orders, so seals may; but none whose order
is no younger than one of which this store forgot what a later set keeps.

What fails there is the sender's fault: Untrusted is raised, and nothing was changed.
"""

import msgspec

from protocol.grid.decision import PROMISE as PROMISE_DOMAIN
from protocol.grid.decision import (
    Ballot,
    Certificate,
    alike,
    check_certificate,
    follow_seals,
    heirs_of,
    promise,
    seal_of,
    sign_acceptance,
)
from protocol.grid.record import Register, register_key
from protocol.grid.seal import Seal, Seats
from protocol.grid.statement import Statement, read_statement
from protocol.grid.steps import opened
from protocol.register.messages import (
    Accept,
    Accepted,
    Conflict,
    LookAsk,
    Looked,
    Prepare,
    Promise,
    Sealed,
)
from protocol.register.slot import (
    TABLE,
    Judges,
    Kept,
    Opened,
    Opens,
    Slot,
    Unseated,
    beyond,
    is_over,
    may_be_forgotten,
)
from protocol.terms.effects import Effect, Persist, Row, Send
from protocol.terms.ids import KeyId, PeerId, StoreId, digest_of
from protocol.terms.limits import REGISTERS_PER_OWNER, ROUND_LEAP
from protocol.trust.order import SignedOrder
from protocol.trust.own_store import OwnStore
from protocol.trust.signing import Reason, Signer, Untrusted, Verifier, require_signature
from protocol.wire.codec import Malformed, decode, encode


class Acceptor:
    """All registers of which this peer is a steward."""

    def __init__(
        self,
        signer: Signer,
        verifier: Verifier,
        opens: Opens,
        judges: Judges,
        rows: dict[str, bytes],
        store: OwnStore,
    ) -> None:
        """`rows` are those of TABLE. One that cannot be believed any more stays there, and has no seat."""
        self._signer, self._verifier, self._opens, self._judges = signer, verifier, opens, judges
        self._store = store
        self._lost: dict[str, None] = {}
        self.me = PeerId(signer.key)
        self._kept: dict[str, Kept] = {}
        self._owned: dict[KeyId, int] = {}
        for key in sorted(rows):
            slot = decode(rows[key], Slot)
            try:
                register = judges(key, slot.value) if slot.value else Register()
                if slot.base and not slot.value:
                    register = opened(judges(key, slot.base), slot.seals)
                order = slot.order or register.ordered
                self._put(key, Kept(slot, register, opens(order), order))
            except (Untrusted, Malformed):
                self._lost[key] = None

    def get(self, key: str) -> Kept | None:
        """The register, if this peer has heard of it, and is its steward or was one.

        None if it has its seat no more.
        """
        kept = self._kept.get(key)
        return kept if kept is not None and self.sits(kept.seats) else None

    def sits(self, seats: Seats) -> bool:
        """Whether no other store of this host is named there."""
        return seats.store_of(self.me) in ("", self._store.id)

    def rows(self) -> list[tuple[str, Kept]]:
        """(key, what is kept) of every one of which it has not lost its seat."""
        return [(key, kept) for key, kept in self._kept.items() if self.sits(kept.seats)]

    def values(self) -> list[tuple[str, Register]]:
        """(key, register) of every one; hints, not decisions."""
        return [(key, kept.register) for key, kept in self._kept.items()]

    def open(self, key: str, order: SignedOrder, now: float, seals: tuple[Seal, ...] = ()) -> Kept:
        """The register of that order, which may be new, at that term or a later one. It is not kept yet.

        Raises Untrusted if this peer is not its steward, or the seals lead to others than it knows. Raises
        Unseated if it is its steward no more.
        """
        if key in self._lost:
            raise Unseated(Reason.MALFORMED, "this host cannot read what it knew of that register")
        kept = self._kept.get(key)
        if kept is not None and not alike(kept.slot.seals, seals):
            raise Untrusted(Reason.MALFORMED, "seals that lead to other stewards than are known")
        if kept is not None and len(seals) <= kept.term:
            self._require_seat(kept.seats)
            return kept
        if register_key(order) != key:
            raise Untrusted(Reason.MALFORMED, "a register of another order")
        opened_ = self._opens(order)
        seats = follow_seals(order, seals, self._verifier).seats if seals else opened_.seats
        if self.me not in seats.members:
            raise Untrusted(Reason.WRONG_ROLE, "this peer is none of its stewards")
        self._require_seat(seats)
        if kept is not None:
            return self._moved(kept, seals)
        if self._may_have_forgotten(opened_, len(seals), now):
            raise Unseated(Reason.EXPIRED, "this host may have forgotten a register that is so old")
        if opened_.barred:
            raise Untrusted(Reason.NOT_GRANTED, opened_.barred)
        if self._owned.get(opened_.owner, 0) >= REGISTERS_PER_OWNER:
            most = f"{REGISTERS_PER_OWNER} registers of one owner are kept here"
            raise Untrusted(Reason.WRONG_ROLE, most)
        first = Ballot(0, opened_.stewards[0])
        new = Kept(Slot(first, order=order), Register(), opened_, order)
        return self._moved(new, seals) if seals else new

    def begins(self, kept: Kept) -> bytes | None:
        """What its stewards begin with, where a majority has accepted nothing; None if it is not known here."""
        if not kept.slot.seals:
            return b""
        if not kept.slot.base:
            return None
        closed = self._judges(register_key(kept.order), kept.slot.base)
        return encode(opened(closed, kept.slot.seals))

    # -- this steward's own ballots

    def promise_own(self, key: str, kept: Kept, ballot: Ballot) -> list[Effect]:
        """Promises a ballot of this steward, however far it is ahead."""
        return self._save(
            key, kept, msgspec.structs.replace(kept.slot, promised=ballot), kept.register
        )

    def accept_own(self, key: str, kept: Kept, ballot: Ballot, value: bytes) -> list[Effect]:
        """Accepts what this steward proposes. So that is on its disk before anybody hears of it."""
        return self._accept(key, kept, ballot, value, self._judges(key, value))

    def learn(self, key: str, certificate: Certificate, now: float) -> list[Effect]:
        """Takes in what was decided before, if this steward has lost it or was replaced by it. Raises
        Untrusted."""
        decision = check_certificate(certificate, self._verifier)
        if certificate.register != key:
            return []
        register, known = self._judges(key, certificate.value), self._kept.get(key)
        if register.closed is not None:
            seals = (*register.seals, seal_of(decision))
            return self._follow(key, register.ordered, seals, now, certificate.value)
        if known is not None and len(register.seals) < known.term:
            return []
        if self.me not in register.keepers:
            return self._follow(key, register.ordered, register.seals, now)
        kept = self.open(key, register.ordered, now, register.seals)
        accepted = kept.slot.accepted
        if kept.slot.promised > certificate.ballot:
            return []
        if accepted is not None and accepted >= certificate.ballot:
            return []
        return self._accept(key, kept, certificate.ballot, certificate.value, register)

    def follow(self, sealed: Sealed, now: float) -> list[Effect]:
        """Another steward says who the stewards are by now. Raises Untrusted."""
        if sealed.register != register_key(sealed.order):
            raise Untrusted(Reason.MALFORMED, "a seal of another register")
        follow_seals(sealed.order, sealed.seals, self._verifier)
        return self._follow(sealed.register, sealed.order, sealed.seals, now)

    def _follow(
        self, key: str, order: SignedOrder, seals: tuple[Seal, ...], now: float, base: bytes = b""
    ) -> list[Effect]:
        """Goes over to the set that the seals, which were checked, lead to; or is in none any more."""
        kept, me = self._kept.get(key), self.me
        if kept is None:
            if not seals or me not in seals[-1].heirs:
                return []
            kept = self.open(key, order, now, seals)
        if not alike(kept.slot.seals, seals):
            raise Untrusted(Reason.MALFORMED, "seals that lead to other stewards than are known")
        if len(seals) > kept.term:
            kept = self._moved(kept, seals)
        elif len(seals) < kept.term or kept.slot.accepted is not None or kept.slot.base == base:
            return []
        if base and digest_of(base) == kept.slot.seals[-1].digest:
            register = opened(self._judges(key, base), kept.slot.seals)
            slot = msgspec.structs.replace(kept.slot, base=base)
            kept = msgspec.structs.replace(kept, slot=slot, register=register)
        return self._save(key, kept, kept.slot, kept.register)

    def _moved(self, kept: Kept, seals: tuple[Seal, ...]) -> Kept:
        """The register, as its steward of a later term begins with it. What was promised stays promised."""
        last, was = seals[-1], kept.slot
        base = was.value if was.value and digest_of(was.value) == last.digest else b""
        promised = max(was.promised, last.ballot)
        slot = Slot(promised, order=kept.order, seals=seals, base=base)
        known = kept.register if base else msgspec.structs.replace(kept.register, closed=None)
        register = opened(known, seals) if base else known
        return msgspec.structs.replace(kept, slot=slot, register=register)

    def reminded(self, key: str, order: SignedOrder, shown: Statement, now: float) -> list[Effect]:
        """Others show what this host signed of a register. If it is more than this disk remembers, that was
        restored from a backup: the store gets another id. Raises Untrusted for what this host did not sign."""
        if register_key(order) != key:
            raise Untrusted(Reason.MALFORMED, "a register of another order")
        said, mine, domain = read_statement(shown), KeyId(self.me), str(shown.word)
        require_signature(self._verifier, mine, domain, shown.payload, shown.signature)
        if (said.register, said.store) != (key, self._store.id) or key in self._lost:
            return []
        kept = self._kept.get(key)
        if kept is None:
            behind = not self._may_have_forgotten(self._opens(order), said.term, now)
        else:
            behind = said.term > kept.term or (said.term == kept.term and beyond(said, kept.slot))
        if not behind:
            return []
        return self._store.renew("others have what this host signed and its disk forgot")

    # -- others'

    def handle(
        self, sender: PeerId, message: Prepare | Accept | LookAsk, now: float, cause: str = ""
    ) -> list[Effect]:
        """Answers the sender. A Persist of what is answered comes before the answer. Raises Untrusted."""
        if isinstance(message, LookAsk):
            return [Send(sender, self._looked(message), cause)]
        key, ballot = message.register, message.ballot
        register = Register()
        if isinstance(message, Accept):
            register = self._judges(key, message.value)
            order, seals = register.ordered, register.seals
        else:
            order, seals = message.order, message.seals
        reminded: list[Effect] = []
        try:
            if isinstance(message, Prepare) and message.yours is not None:
                reminded = self.reminded(key, order, message.yours, now)
            kept = self.open(key, order, now, seals)
        except Unseated:
            return reminded
        if sender != ballot.steward or sender not in kept.at(len(seals)).members:
            raise Untrusted(Reason.WRONG_ROLE, "a ballot that is not of a steward that says it")
        if len(seals) < kept.term:
            return [Send(sender, kept.sealed("", key), cause)]
        if self.me not in kept.stewards:
            raise Untrusted(Reason.WRONG_ROLE, "this peer is a steward no more")
        slot = kept.slot
        if ballot.round > slot.promised.round + ROUND_LEAP:
            # No fault of who says it: a liar may have raised that one in steps of which this one never heard.
            return []
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
                store = kept.seats.store_of(self.me)
                said = promise(key, ballot, slot.accepted, slot.value, kept.term, store)
                reply: Promise | Accepted = Promise(
                    register=key,
                    ballot=ballot,
                    accepted=slot.accepted,
                    value=slot.value,
                    signature=self._signer.sign(PROMISE_DOMAIN, said),
                )
            case Accept(value=value):
                if ballot.round == 0 and (kept.term or sender != kept.stewards[0]):
                    raise Untrusted(Reason.WRONG_ROLE, "round 0 is the first steward's")
                if slot.accepted == ballot and slot.value != value:
                    raise Untrusted(Reason.MALFORMED, "a second value under one ballot")
                save = self._accept(key, kept, ballot, value, register)
                signature = self._kept[key].slot.signature
                reply = Accepted(register=key, ballot=ballot, signature=signature)
        return [*save, Send(sender, reply, cause)]

    def forget(self, now: float) -> list[Effect]:
        """Forgets registers that are over and whose order can never be carried out (again), and lost seats."""
        gone = [key for key, kept in self._kept.items() if self._forgettable(kept, now)]
        marks: list[Row] = []
        for key in gone:
            kept = self._kept.pop(key)
            if self._store.id in self._sat_as(kept)[1:]:
                marks += self._store.forgot(kept.opened.until_s)
            owner = kept.opened.owner
            self._owned[owner] -= 1
            if not self._owned[owner]:
                del self._owned[owner]
        rows = (*(Row(TABLE, key, None) for key in gone), *marks)
        return [Persist(rows)] if gone else []

    def _forgettable(self, kept: Kept, now: float) -> bool:
        """Whether it is over, or no store that this host has now ever had a seat in it."""
        sits = self.sits(kept.seats)
        if not sits and self._store.id not in self._sat_as(kept):
            return True
        return is_over(kept, now, retired=not sits or self.me not in kept.stewards)

    def _may_have_forgotten(self, opened_: Opened, term: int, now: float) -> bool:
        """Whether this store may once have known what a set of that term keeps, and have forgotten it."""
        if term:
            return opened_.until_s <= self._store.forgotten_s
        return may_be_forgotten(opened_, now)

    def _sat_as(self, kept: Kept) -> list[StoreId]:
        """Which store of this host had its seat, by term; empty if it is any, or there was none."""
        return [kept.at(term).store_of(self.me) for term in range(kept.term + 1)]

    def check(self) -> None:
        """Asserts that nothing is accepted beyond the promise."""
        for key, kept in self._kept.items():
            slot = kept.slot
            assert slot.accepted is None or slot.accepted <= slot.promised, key

    # -- parts

    def _looked(self, message: LookAsk) -> Looked | Sealed:
        key, store = message.register, self._store.id
        kept = self._kept.get(key)
        if key in self._lost or (kept is not None and not self.sits(kept.seats)):
            return Looked(message.ask, key, store=store, seated=False)
        if kept is not None and kept.term and kept.slot.accepted is None:
            return kept.sealed(message.ask, key)
        if kept is None or kept.slot.accepted is None:
            return Looked(message.ask, key, store=store)
        slot = kept.slot
        return Looked(message.ask, key, slot.accepted, slot.value, slot.signature, store)

    def _require_seat(self, seats: Seats) -> None:
        if not self.sits(seats):
            seat = seats.store_of(self.me)
            why = f"the seat is that of store {seat} of this host, which has another one now"
            raise Unseated(Reason.WRONG_ROLE, why)

    def _accept(
        self, key: str, kept: Kept, ballot: Ballot, value: bytes, register: Register
    ) -> list[Effect]:
        heirs, store = heirs_of(register), kept.seats.store_of(self.me)
        signature = sign_acceptance(self._signer, key, ballot, value, kept.term, heirs, store)
        slot = Slot(ballot, ballot, value, signature, seals=kept.slot.seals)
        return self._save(key, kept, slot, register)

    def _save(self, key: str, kept: Kept, slot: Slot, register: Register) -> list[Effect]:
        self._put(key, msgspec.structs.replace(kept, slot=slot, register=register))
        return [Persist((Row(TABLE, key, encode(slot)),))]

    def _put(self, key: str, kept: Kept) -> None:
        if key not in self._kept:
            owner = kept.opened.owner
            self._owned[owner] = self._owned.get(owner, 0) + 1
        self._kept[key] = kept
