"""Decisions: what a majority of an order's stewards said alike, with their signatures.

A steward signs what it promises and what it accepts. Alike acceptances (one ballot, one digest) of a majority
of the stewards that the order names are a *certificate*: it proves itself, whoever shows it.
`check_certificate` is the only function that makes a `Decision`, and nothing acts on anything else.

A certificate says *decided*, never *newest*: an old one can be shown again. Nor does it say that the stewards
were honest, for whoever signs an order names them: what it decided is believed as contract/judging.py says.

Stewards can be replaced (seal.py). `follow_seals` is the only function that makes a set of `Stewards`: from the
order that names the first, over as many seals as a value has.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Annotated

import msgspec
from msgspec import Meta

from protocol.grid.record import GridRecord, Register, Void, read_register, register_key
from protocol.grid.seal import (
    Ballot,
    Closing,
    Seal,
    Seats,
    Signature,
    Stewardship,
    Stores,
    Votes,
    seats_of,
    succeeds,
)
from protocol.terms.ids import Digest, KeyId, PeerId, StoreId, digest_of
from protocol.terms.limits import SEALS_MOST
from protocol.trust.order import ORDER_KEY_DIGITS, SignedOrder, read_order
from protocol.trust.signing import Reason, Signer, Untrusted, Verifier
from protocol.wire.codec import Malformed, encode, pack_plain, to_plain
from protocol.wire.limits import MAX_FRAME_BYTES

__all__ = ["Ballot", "Signature"]
"""Beside what is defined here."""

ACCEPTANCE = "acceptance"
PROMISE = "promise"

_ANY = StoreId("")
_NOBODY = Seats()

ALL_ASKED = 2
"""So few stewards are all needed for a majority. If they know nothing of a record, nobody does."""

RegisterKey = Annotated[str, Meta(min_length=ORDER_KEY_DIGITS, max_length=ORDER_KEY_DIGITS)]
VALUE_BYTES_MOST = MAX_FRAME_BYTES - 8192
"""Bounded so that whatever is accepted fits in one frame with what is said of it."""
Value = Annotated[bytes, Meta(max_length=VALUE_BYTES_MOST)]
Place = Annotated[str, Meta(min_length=ORDER_KEY_DIGITS, max_length=ORDER_KEY_DIGITS + 3)]
"""What signed statements call a register: its key, and from the first replacement on a dot and the term."""


class Acceptance(msgspec.Struct, frozen=True, array_like=True):
    """What a steward signs that accepts a value, where its seat is a store's."""

    register: Place
    ballot: Ballot
    digest: Digest
    """Of the value."""
    heirs: Stewardship
    """The next stewards, if the value closes its term; else nobody."""
    stores: Stores
    """Which store of each heir has its seat."""
    store: StoreId
    """The one that is to remember it."""


class Promised(msgspec.Struct, frozen=True, array_like=True):
    """What a steward signs that promises a ballot, likewise."""

    register: Place
    ballot: Ballot
    accepted: Ballot | None
    """At which ballot it accepted something last in this term; None if it never did."""
    digest: Digest
    """Of that; empty if there is none."""
    store: StoreId


class _BareAccepted(msgspec.Struct, frozen=True, array_like=True):
    """The same where no store is named."""

    register: str
    ballot: Ballot
    digest: str


class _BareClosed(msgspec.Struct, frozen=True, array_like=True):
    register: str
    ballot: Ballot
    digest: str
    heirs: tuple[PeerId, ...]


class _BareNamed(msgspec.Struct, frozen=True, array_like=True):
    """Where none is named yet, but one of an heir."""

    register: str
    ballot: Ballot
    digest: str
    heirs: tuple[PeerId, ...]
    stores: tuple[StoreId, ...]


class _BarePromised(msgspec.Struct, frozen=True, array_like=True):
    register: str
    ballot: Ballot
    accepted: Ballot | None
    digest: str


class Certificate(msgspec.Struct, frozen=True):
    """A value, and the signatures of the stewards that accepted it under one ballot."""

    register: RegisterKey
    ballot: Ballot
    value: Value
    votes: Votes


class Proof(msgspec.Struct, frozen=True):
    """What a certificate has beside its record: for who keeps the record anyway."""

    ballot: Ballot
    first: int
    declined: tuple[Void, ...]
    votes: Votes
    seals: tuple[Seal, ...] = ()
    closed: Closing | None = None
    bare: bool = True
    """Whether its seals were written without stores, as builds before wrote them, and proofs without this."""


class Decision(msgspec.Struct, frozen=True):
    """What was decided of an order. Only `check_certificate` makes one."""

    register: Register
    certificate: Certificate

    @property
    def digest(self) -> str:
        """By which notices name it: of the value, 64 hexadecimal digits."""
        return digest_of(self.certificate.value)


class Stewards(msgspec.Struct, frozen=True):
    """Who keeps a register at a term. Only `follow_seals` makes one."""

    seats: Seats
    term: int

    @property
    def members(self) -> tuple[PeerId, ...]:
        """The hosts."""
        return self.seats.members


def acceptance(
    register: str,
    ballot: Ballot,
    value: bytes,
    term: int = 0,
    heirs: Seats = _NOBODY,
    store: StoreId = _ANY,
) -> bytes:
    """What a steward signs that accepts a value: MessagePack of [register, ballot, SHA-256 of the value].

    A value that closes its term has the next stewards, `heirs`, as a fourth element, and their stores, if any
    are named, as a fifth. If its own seat is a store's, that comes last, and these two before it anyhow.
    """
    return _acceptance(_place(register, term), ballot, digest_of(value), heirs, store)


def promise(
    register: str,
    ballot: Ballot,
    accepted: Ballot | None,
    value: bytes,
    term: int = 0,
    store: StoreId = _ANY,
) -> bytes:
    """What a steward signs that promises a ballot: the same, and what it accepted last; null and "" if
    nothing. At the end its store, if its seat is a store's."""
    digest = digest_of(value) if accepted is not None else Digest("")
    place = _place(register, term)
    if not store:
        return encode(_BarePromised(place, ballot, accepted, digest))
    return encode(Promised(place, ballot, accepted, digest, store))


def sign_acceptance(
    signer: Signer,
    register: str,
    ballot: Ballot,
    value: bytes,
    term: int = 0,
    heirs: Seats = _NOBODY,
    store: StoreId = _ANY,
) -> bytes:
    """The signature of a steward that accepts a value, which must be on its disk."""
    return signer.sign(ACCEPTANCE, acceptance(register, ballot, value, term, heirs, store))


def majority(stewards: tuple[PeerId, ...]) -> int:
    """How many of them decide."""
    return len(stewards) // 2 + 1


def check_certificate(certificate: Certificate, verifier: Verifier) -> Decision:
    """What was decided. Raises Untrusted if the stewards that its order names did not say it.

    Whether they decided more than the owner ordered is not looked at.
    """
    try:
        register = read_register(certificate.value)
        order = register.ordered
    except Malformed as error:
        raise Untrusted(Reason.MALFORMED, f"a decision: {error}") from None
    if register_key(order) != certificate.register:
        raise Untrusted(Reason.MALFORMED, "a decision about another order")
    stewards = follow_seals(order, register.seals, verifier)
    place, digest = _place(certificate.register, stewards.term), digest_of(certificate.value)
    said = partial(_acceptance, place, certificate.ballot, digest, heirs_of(register))
    _check_votes("decision", stewards.seats, said, certificate.votes, verifier)
    return Decision(register, certificate)


def follow_seals(order: SignedOrder, seals: tuple[Seal, ...], verifier: Verifier) -> Stewards:
    """The stewards that the seals lead to from those that the order names. Raises Untrusted.

    A majority of each set has signed who follows it.
    """
    if len(seals) > SEALS_MOST:
        raise Untrusted(Reason.MALFORMED, f"at most {SEALS_MOST} seals are followed")
    seats, key = seats_of(read_order(order)), register_key(order)
    for term, seal in enumerate(seals):
        if not succeeds(seal.seats, seats):
            raise Untrusted(Reason.MALFORMED, "a seal that replaces other than one steward")
        place, digest = _place(key, term), Digest(seal.digest)
        said = partial(_acceptance, place, seal.ballot, digest, seal.seats)
        _check_votes("seal", seats, said, seal.votes, verifier)
        seats = seal.seats
    return Stewards(seats, len(seals))


def votes_in(decision: Decision) -> Iterator[tuple[PeerId, bytes, Signature]]:
    """(steward, what it would have signed, signature) of each vote in a certificate and in its seals.

    Only a majority of each was checked.
    """
    certificate, register = decision.certificate, decision.register
    key, seats = certificate.register, seats_of(read_order(register.ordered))
    for term, seal in enumerate(register.seals):
        place, digest = _place(key, term), Digest(seal.digest)
        for steward, vote in seal.votes:
            store = seats.store_of(steward)
            yield steward, _acceptance(place, seal.ballot, digest, seal.seats, store), vote
        seats = seal.seats
    said = partial(acceptance, key, certificate.ballot, certificate.value, register.term)
    for steward, vote in certificate.votes:
        yield steward, said(heirs_of(register), seats.store_of(steward)), vote


def seal_of(decision: Decision) -> Seal:
    """What is left of a decision that closed its term. Raises ValueError for another."""
    certificate, closed = decision.certificate, decision.register.closed
    if closed is None:
        raise ValueError("a decision that closes nothing has no seal")
    ballot, votes = certificate.ballot, certificate.votes
    return Seal(closed.heirs, ballot, decision.digest, votes, closed.stores)


def heirs_of(register: Register) -> Seats:
    """The next stewards that a value names; nobody unless it closes its term."""
    return register.closed.seats if register.closed is not None else _NOBODY


def alike(one: tuple[Seal, ...], other: tuple[Seal, ...]) -> bool:
    """Whether one chain of seals goes on where the other ends. If not, stewards of one set named two others."""
    return all(a.seats.pairs == b.seats.pairs for a, b in zip(one, other, strict=False))


def proof_of(decision: Decision) -> Proof:
    """What is kept of a decision beside its record."""
    certificate, register = decision.certificate, decision.register
    replaced = bool(register.seals) or register.closed is not None
    return Proof(
        ballot=certificate.ballot,
        first=register.first,
        declined=register.declined,
        votes=certificate.votes,
        seals=register.seals,
        closed=register.closed,
        bare=replaced and encode(register) != certificate.value,
    )


def certificate_of(record: GridRecord, proof: Proof) -> Certificate:
    """The certificate, from a record and the proof that was kept beside it."""
    register = Register(record, proof.first, proof.declined, seals=proof.seals, closed=proof.closed)
    value = _bare(register) if proof.bare else encode(register)
    return Certificate(register_key(record.order), proof.ballot, value, proof.votes)


def _bare(register: Register) -> bytes:
    """A register as builds wrote it that knew of no stores. It was signed so, byte for byte."""
    plain = to_plain(register)
    plain["seals"] = [seal[:-1] for seal in plain["seals"]]
    if plain["closed"] is not None:
        del plain["closed"]["stores"]
    return pack_plain(plain)


def stewards_by(record: GridRecord, proof: Proof | None) -> tuple[PeerId, ...]:
    """Who keeps the register of a record now, by the proof that was kept beside it."""
    later = _successors(proof)
    return tuple(member for member, _ in later[-1]) if later else record.stewards


def term_by(proof: Proof | None) -> int:
    """How often the stewards of a record were replaced, by the proof that was kept beside it."""
    return len(_successors(proof))


def is_later(register: Register, proof: Proof | None) -> bool:
    """Whether the stewards that a register names come after those that a proof names."""
    return len(_successors(register)) > term_by(proof)


def succession_fault(register: Register, proof: Proof | None, *, newer: bool) -> str:
    """Why what was decided cannot be beside what a proof is of; empty if it can. `newer`: its record is newer.

    Of two successors of one set the one that is known stays. A set that was replaced decides nothing new.
    """
    known, mine = _successors(proof), _successors(register)
    if any(a != b for a, b in zip(known, mine, strict=False)):
        return (
            "its stewards were replaced by two different sets, so some of them lied; "
            "what was known first stays, and its owner is to say which is right: down, and up again"
        )
    late = newer and len(mine) < len(known)
    return "stewards that were replaced decided it" if late else ""


def _successors(of: Register | Proof | None) -> tuple[tuple[tuple[PeerId, StoreId], ...], ...]:
    """The sets of stewards that followed that which the order names, in turn; none without a proof."""
    if of is None:
        return ()
    closed = (of.closed.seats.pairs,) if of.closed is not None else ()
    return (*(seal.seats.pairs for seal in of.seals), *closed)


def _place(register: str, term: int) -> str:
    """What signed statements call a register at a term. Those of two terms are never taken for each other's."""
    return f"{register}.{term}" if term else register


def _acceptance(place: str, ballot: Ballot, digest: Digest, heirs: Seats, store: StoreId) -> bytes:
    if store:
        return encode(Acceptance(place, ballot, digest, heirs.members, heirs.stores, store))
    if heirs.stores:
        return encode(_BareNamed(place, ballot, digest, heirs.members, heirs.stores))
    if heirs.members:
        return encode(_BareClosed(place, ballot, digest, heirs.members))
    return encode(_BareAccepted(place, ballot, digest))


def _check_votes(
    what: str, seats: Seats, said: Callable[[StoreId], bytes], votes: Votes, verifier: Verifier
) -> None:
    """A majority of the stewards signed that, each as the store that has its seat. Raises Untrusted."""
    needed, voices, right = majority(seats.members), dict(votes), 0
    for steward, store in dict.fromkeys(seats.pairs):
        vote = voices.get(steward)
        if vote is None:
            continue
        if verifier.verify(KeyId(steward), ACCEPTANCE, said(store), vote):
            right += 1
        if right == needed:
            return
    why = f"a {what} that {right} of {len(seats.members)} stewards signed, {needed} needed"
    raise Untrusted(Reason.BAD_SIGNATURE, why)
