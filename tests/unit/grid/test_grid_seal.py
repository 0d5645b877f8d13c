"""A chain of seals leads from the order to the stewards of today, and nothing else does."""

from random import Random

import msgspec
import pytest

from protocol.grid.decision import (
    Ballot,
    Certificate,
    Decision,
    Proof,
    certificate_of,
    check_certificate,
    follow_seals,
    heirs_of,
    is_later,
    proof_of,
    seal_of,
    sign_acceptance,
    stewards_by,
    succession_fault,
    term_by,
)
from protocol.grid.record import GridRecord, GridState, Register, grid_id, register_key
from protocol.grid.seal import Seal, Seats, newcomer, succeeds
from protocol.grid.steps import Finish, Replace, Vote, apply, opened
from protocol.sim.keys import SimFederation, SimSigner, SimVerifier
from protocol.sim.people import Admin, grid_spec
from protocol.terms.ids import PeerId, StoreId
from protocol.terms.limits import SEALS_MOST
from protocol.trust.signing import Untrusted
from protocol.wire.codec import decode, encode, pack_plain, to_plain

NOW = 1_000_000.0
FED = SimFederation("fed", from_s=NOW - 1000, until_s=NOW + 1000)
SIGNERS = {PeerId(s.key): s for s in (SimSigner(f"s{number}") for number in range(6))}
ONE, TWO, THREE, FOUR, FIVE, SIX = SIGNERS
STEWARDS = (ONE, TWO, THREE)
ADMIN = Admin(FED, "ams", Random(1), lambda: STEWARDS)
UP = ADMIN.up(grid_spec("shop"), NOW)
KEY = register_key(UP)
RECORD = GridRecord(
    grid_id(UP), "shop", ADMIN.signer.key, "ams", 1, GridState.UP, UP, STEWARDS, (), (), ()
)
MADE = Register(RECORD)
VERIFIER = SimVerifier()


def decide(
    register: Register, *by: PeerId, round_: int = 3, key: str = KEY, term: int | None = None
) -> Certificate:
    value, ballot = encode(register), Ballot(round_, by[0])
    at = register.term if term is None else term
    heirs = heirs_of(register)
    votes = ((p, sign_acceptance(SIGNERS[p], key, ballot, value, at, heirs)) for p in by)
    return Certificate(key, ballot, value, tuple(votes))


def believed(register: Register, *by: PeerId) -> Decision:
    return check_certificate(decide(register, *by), VERIFIER)


def close(register: Register, gone: PeerId, heir: PeerId) -> Register:
    return apply(Replace(gone, heir, ()), register, NOW)


def hand_over(register: Register, gone: PeerId, heir: PeerId) -> Register:
    closed = close(register, gone, heir)
    by = [peer for peer in register.stewards if peer != gone]
    return opened(closed, (*closed.seals, seal_of(believed(closed, *by))))


FIRST = hand_over(MADE, THREE, FOUR)
SECOND = hand_over(FIRST, TWO, FIVE)


def test_one_seal_after_the_other_leads_to_the_stewards_of_today() -> None:
    assert follow_seals(UP, (), VERIFIER).members == STEWARDS
    assert follow_seals(UP, FIRST.seals, VERIFIER).members == (ONE, TWO, FOUR)
    assert follow_seals(UP, SECOND.seals, VERIFIER).members == (ONE, FIVE, FOUR)
    assert follow_seals(UP, SECOND.seals, VERIFIER).term == 2
    for register, by in [(FIRST, (TWO, FOUR)), (SECOND, (FIVE, FOUR))]:
        assert believed(register, *by).register == register


def test_what_is_closed_is_decided_by_the_old_and_says_who_is_next() -> None:
    closed = close(MADE, THREE, FOUR)
    assert (closed.keepers, closed.stewards) == (STEWARDS, (ONE, TWO, FOUR))
    for step in (Vote(9), Finish(), Replace(ONE, FIVE, ())):
        assert apply(step, closed, NOW) == closed, "it is their last"
    with pytest.raises(Untrusted):
        believed(closed, TWO, FOUR)


def test_a_grid_without_seals_is_as_long_as_it_was_but_for_two_fields() -> None:
    assert len(encode(SECOND)) - len(encode(FIRST)) < 700
    assert len(encode(msgspec.structs.replace(MADE, seals=FIRST.seals))) == len(encode(FIRST))


def test_who_is_in_the_set_or_not_in_it_is_not_replaced() -> None:
    for gone, heir in [(FOUR, FIVE), (ONE, TWO), (ONE, ONE)]:
        assert close(MADE, gone, heir) == MADE
    register = MADE
    for number in range(SEALS_MOST):
        keepers = register.stewards
        heir = next(peer for peer in SIGNERS if peer not in keepers)
        register = hand_over(register, keepers[number % 3], heir)
    assert close(register, register.stewards[0], STEWARDS[0]) == register
    last = register.seals[-1]
    with pytest.raises(Untrusted):
        follow_seals(UP, (*register.seals, last), VERIFIER)


def forged() -> dict[str, tuple[Seal, ...]]:
    (good,) = FIRST.seals
    change, strangers = msgspec.structs.replace, (ONE, FIVE, SIX)
    other = ADMIN.up(grid_spec("shop"), NOW)
    elsewhere = decide(close(MADE, THREE, FOUR), ONE, TWO, key=register_key(other))
    late = decide(close(MADE, THREE, FOUR), ONE, TWO, term=1)
    plain = decide(MADE, ONE, TWO)
    return {
        "a minority's": (change(good, votes=good.votes[:1]),),
        "one steward's, twice": (change(good, votes=good.votes[:1] * 2),),
        "nobody's": (change(good, votes=()),),
        "with forged votes": (change(good, votes=((ONE, b"x"), (TWO, b"y"))),),
        "of the heirs themselves": (
            change(good, votes=decide(close(MADE, THREE, FOUR), FOUR, FIVE).votes),
        ),
        "to others than were signed": (change(good, heirs=(ONE, TWO, FIVE)),),
        "to strangers": (change(good, heirs=strangers),),
        "to one steward alone": (change(good, heirs=(ONE,)),),
        "to nobody": (change(good, heirs=()),),
        "to one steward twice": (change(good, heirs=(ONE, TWO, TWO)),),
        "to the same": (change(good, heirs=STEWARDS),),
        "of another value": (change(good, digest="0" * 64),),
        "of another ballot": (change(good, ballot=Ballot(4, ONE)),),
        "of another register": (change(good, votes=elsewhere.votes),),
        "of another term": (change(good, votes=late.votes),),
        "made of votes for what closes nothing": (change(good, votes=plain.votes),),
        "of which the first is missing": SECOND.seals[1:],
        "in the wrong order": SECOND.seals[::-1],
        "twice": (good, good),
    }


@pytest.mark.parametrize("lie", forged())
def test_a_seal_is_followed_only_if_a_majority_of_the_set_before_signed_it(lie: str) -> None:
    seals = forged()[lie]
    with pytest.raises(Untrusted):
        follow_seals(UP, seals, VERIFIER)
    register = msgspec.structs.replace(MADE, seals=seals)
    for by in ((ONE, TWO), (FOUR, FIVE), (FIVE, SIX)):
        with pytest.raises(Untrusted):
            believed(register, *by)


def test_votes_of_one_term_are_none_of_another() -> None:
    for register, by in [(FIRST, (ONE, TWO)), (SECOND, (ONE, FOUR)), (MADE, (ONE, TWO))]:
        assert believed(register, *by)
        with pytest.raises(Untrusted):
            check_certificate(decide(register, *by, term=register.term + 1), VERIFIER)


def test_the_stewards_of_before_decide_nothing_for_those_of_today() -> None:
    with pytest.raises(Untrusted):
        believed(FIRST, ONE, THREE)
    with pytest.raises(Untrusted):
        believed(SECOND, TWO, THREE)


def test_a_proof_keeps_the_seals() -> None:
    for register, by in [(SECOND, (FIVE, FOUR)), (close(FIRST, ONE, FIVE), (TWO, FOUR))]:
        decision = believed(register, *by)
        proof = proof_of(decision)
        assert certificate_of(RECORD, proof) == decision.certificate
        assert stewards_by(RECORD, proof) == register.stewards
        assert term_by(proof) == 2
    assert stewards_by(RECORD, None) == STEWARDS


@pytest.mark.parametrize("by", [(FIVE, FOUR), (ONE, FOUR)], ids=["sealed", "closed"])
def test_what_a_build_before_kept_of_stewards_that_were_replaced_is_the_whole_certificate(
    by: tuple[PeerId, PeerId],
) -> None:
    register = SECOND if FIVE in by else close(FIRST, TWO, FIVE)
    value, ballot, heirs = as_before(register), Ballot(3, by[0]), heirs_of(register)
    votes = tuple(
        (p, sign_acceptance(SIGNERS[p], KEY, ballot, value, register.term, heirs)) for p in by
    )
    certificate = Certificate(KEY, ballot, value, votes)
    proof = proof_of(check_certificate(certificate, VERIFIER))
    assert certificate_of(RECORD, decode(encode(proof), Proof)) == certificate, "shown again"
    kept = decode(as_before(proof), Proof)
    assert certificate_of(RECORD, kept) == certificate, "of the disk of the build before"


def as_before(what: Register | Proof) -> bytes:
    """As a build wrote it that knew of no stores of seats."""
    plain = to_plain(what)
    plain.pop("bare", None)
    plain["seals"] = [seal[:4] for seal in plain["seals"]]
    if plain["closed"] is not None:
        del plain["closed"]["stores"]
    return pack_plain(plain)


def test_of_two_successors_the_one_that_is_known_stays() -> None:
    fork = hand_over(MADE, THREE, SIX)
    known = proof_of(believed(FIRST, ONE, TWO))
    assert "by two different sets" in succession_fault(fork, known, newer=True)
    assert "by two different sets" in succession_fault(fork, known, newer=False)
    assert succession_fault(SECOND, known, newer=True) == ""
    assert succession_fault(fork, None, newer=True) == ""


def test_who_was_replaced_decides_nothing_new_and_what_was_decided_before_stays_true() -> None:
    known = proof_of(believed(FIRST, ONE, TWO))
    assert succession_fault(MADE, known, newer=False) == ""
    assert "were replaced" in succession_fault(MADE, known, newer=True)
    closed = close(MADE, THREE, FOUR)
    assert succession_fault(closed, known, newer=False) == ""
    assert not is_later(closed, known), "its heirs are who is known"
    assert is_later(SECOND, known)
    assert not is_later(MADE, known)


def test_only_what_closes_its_term_has_a_seal() -> None:
    with pytest.raises(ValueError, match="closes nothing"):
        seal_of(believed(MADE, ONE, TWO))


def test_one_steward_at_a_time() -> None:
    first = Seats(STEWARDS)
    assert succeeds(Seats((ONE, TWO, FOUR)), first)
    assert newcomer(Seats((ONE, TWO, FOUR)), first) == FOUR
    assert succeeds(Seats((FOUR,)), Seats((ONE,)))
    for heirs in [STEWARDS, (TWO, ONE, THREE), (ONE, FOUR, FIVE), (ONE, TWO), (ONE, TWO, TWO), ()]:
        assert not succeeds(Seats(heirs), first)


A, B, C, D = (StoreId(digit * 16) for digit in "abcd")


@pytest.mark.parametrize(
    ("members", "stores", "heir"),
    [
        ((ONE, TWO, FOUR), (A, B, D), FOUR),
        ((ONE, TWO, THREE), (A, B, D), THREE),
        ((ONE, TWO, FOUR), (A, B, ""), None),
        ((ONE, TWO, THREE), (A, B, ""), None),
        ((ONE, TWO, THREE), (A, B, C), None),
        ((ONE, TWO, FOUR), (A, D, C), None),
        ((ONE, TWO, FOUR), (), None),
        ((ONE, TWO, FOUR), (A, B), None),
        ((ONE, TWO, FOUR), (A, B, "no store"), None),
    ],
)
def test_a_seat_is_a_stores_and_becomes_one_others(
    members: tuple[PeerId, ...], stores: tuple[StoreId, ...], heir: PeerId | None
) -> None:
    before, heirs = Seats(STEWARDS, (A, B, C)), Seats(members, stores)
    assert succeeds(heirs, before) is (heir is not None)
    if heir is not None:
        assert newcomer(heirs, before) == heir


def test_what_closes_a_term_signs_the_stores_of_the_heirs() -> None:
    admin = Admin(FED, "ams", Random(1), lambda: STEWARDS, lambda _: (A, B, C))
    up = admin.up(grid_spec("shop"), NOW)
    made = msgspec.structs.replace(RECORD, id=grid_id(up), order=up)
    closed = apply(Replace(THREE, FOUR, (), D), Register(made), NOW)
    key, ballot, value = register_key(up), Ballot(3, ONE), encode(closed)
    assert closed.closed is not None
    assert closed.closed.seats == Seats((ONE, TWO, FOUR), (A, B, D))
    seal = seal_of(signed_by({ONE: A, TWO: B}, key, ballot, closed))
    assert follow_seals(up, (seal,), VERIFIER).seats == closed.closed.seats
    for bad in ((A, B, C), (A, D, D), (A, B, ""), ()):
        with pytest.raises(Untrusted):
            follow_seals(up, (msgspec.structs.replace(seal, stores=bad),), VERIFIER)
    for stores in ({ONE: A, TWO: C}, {ONE: A, TWO: StoreId("")}):
        with pytest.raises(Untrusted, match="1 of 3 stewards signed"):
            signed_by(stores, key, ballot, closed)
    assert value == encode(closed)


def test_an_heirs_store_is_signed_also_where_none_was_named_before() -> None:
    closed = apply(Replace(THREE, FOUR, (), D), MADE, NOW)
    seal = seal_of(believed(closed, ONE, TWO))
    assert follow_seals(UP, (seal,), VERIFIER).seats.store_of(FOUR) == D
    for bad in (("", "", A), ()):
        with pytest.raises(Untrusted):
            follow_seals(UP, (msgspec.structs.replace(seal, stores=bad),), VERIFIER)


def signed_by(
    stores: dict[PeerId, StoreId], key: str, ballot: Ballot, register: Register
) -> Decision:
    value, heirs = encode(register), heirs_of(register)
    votes = tuple(
        (p, sign_acceptance(SIGNERS[p], key, ballot, value, register.term, heirs, store))
        for p, store in stores.items()
    )
    return check_certificate(Certificate(key, ballot, value, votes), VERIFIER)
