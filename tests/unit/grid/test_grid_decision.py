"""What proves that something was decided, and everything that does not."""

from random import Random

import msgspec
import pytest

from protocol.grid.decision import (
    Ballot,
    Certificate,
    certificate_of,
    check_certificate,
    promise,
    proof_of,
    sign_acceptance,
)
from protocol.grid.record import GridRecord, GridState, Register, Void, grid_id, register_key
from protocol.sim.keys import SimFederation, SimSigner, SimVerifier
from protocol.sim.people import Admin, grid_spec
from protocol.terms.ids import GridId, PeerId
from protocol.trust.signing import Untrusted
from protocol.wire.codec import encode

NOW = 1_000_000.0
FED = SimFederation("fed", from_s=NOW - 1000, until_s=NOW + 1000)
SIGNERS = [SimSigner(f"s{number}") for number in range(3)]
STEWARDS = tuple(PeerId(signer.key) for signer in SIGNERS)
ADMIN = Admin(FED, "ams", Random(1), lambda: STEWARDS)
UP = ADMIN.up(grid_spec("shop"), NOW)
KEY, BALLOT = register_key(UP), Ballot(3, STEWARDS[0])
RECORD = GridRecord(
    grid_id(UP), "shop", ADMIN.signer.key, "ams", 1, GridState.UP, UP, STEWARDS, (), (), ()
)
REGISTER = Register(RECORD, 2, (Void(GridId("x"), NOW),))


def certificate(*signers: SimSigner, register: Register = REGISTER) -> Certificate:
    value = encode(register)
    votes = tuple((PeerId(s.key), sign_acceptance(s, KEY, BALLOT, value)) for s in signers)
    return Certificate(KEY, BALLOT, value, votes)


def test_alike_acceptances_of_a_majority_decide() -> None:
    for signers in (SIGNERS, SIGNERS[:2], SIGNERS[1:]):
        decision = check_certificate(certificate(*signers), SimVerifier())
        assert decision.register == REGISTER


def lies() -> dict[str, Certificate]:
    good, change = certificate(*SIGNERS[:2]), msgspec.structs.replace
    one, two = good.votes
    stranger = SimSigner("stranger")
    elsewhere = encode(Register(RECORD, 9))
    others = tuple(
        (s, sign_acceptance(k, KEY, Ballot(4, s), good.value))
        for s, k in zip(STEWARDS, SIGNERS, strict=True)
    )
    return {
        "one of three": certificate(SIGNERS[0]),
        "nobody": certificate(),
        "one twice": change(good, votes=(one, one)),
        "strangers": certificate(stranger, SimSigner("another")),
        "one and a stranger": certificate(SIGNERS[0], stranger),
        "another value": change(good, value=elsewhere),
        "another ballot": change(good, ballot=Ballot(4, STEWARDS[0])),
        "of different ballots": change(good, votes=(one, *others[1:])),
        "another register": change(good, register="0" * 20),
        "swapped signatures": change(good, votes=((one[0], two[1]), (two[0], one[1]))),
        "no register": change(good, value=b"\xc1"),
        "no order": change(good, value=encode(Register())),
        "nothing": change(good, value=b""),
    }


@pytest.mark.parametrize("lie", lies())
def test_nothing_else_does(lie: str) -> None:
    with pytest.raises(Untrusted):
        check_certificate(lies()[lie], SimVerifier())


def test_an_order_without_stewards_decides_nothing() -> None:
    ADMIN.stewards, before = tuple, ADMIN.stewards
    order = ADMIN.up(grid_spec("shop"), NOW)
    ADMIN.stewards = before
    none = Certificate(register_key(order), BALLOT, encode(Register(None, 1, (), order)), ())
    with pytest.raises(Untrusted):
        check_certificate(none, SimVerifier())


def test_a_proof_beside_the_record_is_the_whole_certificate() -> None:
    decision = check_certificate(certificate(*SIGNERS), SimVerifier())
    again = certificate_of(RECORD, proof_of(decision))
    assert again == decision.certificate
    assert len(decision.digest) == 64


def test_a_promise_is_about_what_was_accepted_and_never_passes_for_an_acceptance() -> None:
    said = {
        promise(KEY, BALLOT, None, b""),
        promise(KEY, BALLOT, BALLOT, b""),
        promise(KEY, BALLOT, BALLOT, b"x"),
    }
    assert len(said) == 3
