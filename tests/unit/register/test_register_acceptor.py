"""The acceptor, sentence by sentence."""

import pytest
from stewards_world import (
    ADMIN,
    KEY,
    NOW,
    ORDER,
    SIGNERS,
    STEWARDS,
    VERIFIER,
    Plain,
    Steward,
    accepts,
    opens,
)

from protocol.grid.decision import Ballot, Certificate, check_certificate, sign_acceptance
from protocol.grid.record import Register, register_key
from protocol.register.acceptor import Acceptor
from protocol.register.messages import Accept, Accepted, Conflict, LookAsk, Looked, Prepare, Promise
from protocol.register.slot import Slot
from protocol.sim.keys import SimVerifier
from protocol.sim.people import grid_spec
from protocol.terms.effects import Persist, Send
from protocol.terms.ids import PeerId
from protocol.terms.limits import REGISTERS_PER_OWNER
from protocol.trust.signing import Reason, Untrusted
from protocol.wire.codec import decode, encode

FIRST, SECOND, THIRD = STEWARDS
VALUE = encode(Register(None, 1, (), ORDER))
OTHER = encode(Register(None, 2, (), ORDER))


def third() -> Steward:
    return Steward(SIGNERS[2])


def prepare(round_: int, by: PeerId = SECOND) -> Prepare:
    return Prepare(register=KEY, ballot=Ballot(round_, by), order=ORDER)


def accept(round_: int, by: PeerId = FIRST, value: bytes = VALUE) -> Accept:
    return Accept(register=KEY, ballot=Ballot(round_, by), value=value)


def test_promises_on_disk_then_in_words_and_signed() -> None:
    save, said = third().handle(SECOND, prepare(1), NOW)
    assert isinstance(save, Persist)
    value = save.rows[0].value
    assert value is not None
    assert decode(value, Slot).promised == Ballot(1, SECOND)
    assert isinstance(said, Send)
    assert isinstance(said.message, Promise)
    assert (said.peer, said.message.accepted, said.message.value) == (SECOND, None, b"")


def test_keeps_a_promise_also_after_a_restart() -> None:
    steward = third()
    steward.handle(SECOND, prepare(2), NOW)
    steward.start()
    for late in (prepare(1, FIRST), accept(0)):
        (said,) = steward.handle(FIRST, late, NOW)
        assert isinstance(said, Send)
        assert said.message == Conflict(
            register=KEY, ballot=late.ballot, promised=Ballot(2, SECOND)
        )


def test_accepts_and_says_so_signed_and_tells_it_to_anybody() -> None:
    steward = third()
    _, said = steward.handle(FIRST, accept(0), NOW)
    assert isinstance(said, Send)
    assert isinstance(said.message, Accepted)
    steward.start()
    (told,) = steward.handle(PeerId("z" * 64), LookAsk("ask", KEY), NOW)
    assert isinstance(told, Send)
    looked = told.message
    assert isinstance(looked, Looked)
    assert (looked.ballot, looked.value) == (Ballot(0, FIRST), VALUE)
    assert accepts(THIRD, KEY, Ballot(0, FIRST), VALUE, looked.signature)
    (nothing,) = steward.handle(FIRST, LookAsk("ask", "0" * 20), NOW)
    assert isinstance(nothing, Send)
    assert nothing.message == Looked("ask", "0" * 20, store=steward.store)


@pytest.mark.parametrize(
    ("sender", "message"),
    [
        pytest.param(PeerId("z" * 64), prepare(1, PeerId("z" * 64)), id="a stranger's ballot"),
        pytest.param(PeerId("z" * 64), prepare(1), id="another's ballot"),
        pytest.param(FIRST, prepare(1), id="another steward's ballot"),
        pytest.param(SECOND, accept(0, SECOND), id="round 0 of another than the first"),
        pytest.param(FIRST, prepare(0, FIRST), id="a promise for round 0"),
        pytest.param(FIRST, accept(0, value=b"\xc1"), id="no register"),
        pytest.param(FIRST, accept(0, value=encode(Register())), id="a register of no order"),
        pytest.param(
            FIRST,
            Accept(register="0" * 20, ballot=Ballot(0, FIRST), value=VALUE),
            id="another register",
        ),
        pytest.param(
            FIRST,
            Prepare(register="0" * 20, ballot=Ballot(1, FIRST), order=ORDER),
            id="another register's promise",
        ),
    ],
)
def test_what_is_the_senders_fault_changes_nothing(
    sender: PeerId, message: Prepare | Accept
) -> None:
    steward = third()
    with pytest.raises(Untrusted):
        steward.handle(sender, message, NOW)
    assert steward.rows == {}
    steward.start()
    assert steward.acceptor.values() == []


def test_a_second_value_under_one_ballot_is_a_lie() -> None:
    steward = third()
    steward.handle(FIRST, accept(0), NOW)
    with pytest.raises(Untrusted):
        steward.handle(FIRST, accept(0, value=OTHER), NOW)
    steward.handle(FIRST, accept(0), NOW)
    assert [register.first for _, register in steward.acceptor.values()] == [1]


def test_who_is_no_steward_keeps_nothing() -> None:
    ADMIN.stewards, before = (lambda: STEWARDS[:1]), ADMIN.stewards
    order = ADMIN.up(grid_spec("other"), NOW)
    ADMIN.stewards = before
    steward = third()
    ballot = Ballot(1, FIRST)
    with pytest.raises(Untrusted):
        steward.handle(
            FIRST, Prepare(register=register_key(order), ballot=ballot, order=order), NOW
        )
    assert steward.rows == {}


def test_each_owner_has_a_quota() -> None:
    steward = third()
    steward.acceptor._owned[ADMIN.signer.key] = REGISTERS_PER_OWNER
    with pytest.raises(Untrusted, match="of one owner"):
        steward.handle(SECOND, prepare(1), NOW)


def test_what_is_over_and_can_never_be_again_is_forgotten() -> None:
    steward = third()
    steward.handle(FIRST, accept(0), NOW)
    assert steward.acceptor.forget(NOW + 86400) == []
    (gone,) = steward.acceptor.forget(NOW + 40 * 86400)
    assert isinstance(gone, Persist)
    assert [(row.key, row.value) for row in gone.rows] == [(KEY, None)]
    assert steward.acceptor.values() == []
    assert steward.acceptor.forget(NOW + 50 * 86400) == []


def test_what_it_lost_it_takes_back_as_a_certificate_and_nothing_else() -> None:
    steward = third()
    ballot = Ballot(0, FIRST)
    votes = tuple(
        (peer, sign_acceptance(signer, KEY, ballot, VALUE))
        for peer, signer in zip(STEWARDS[:2], SIGNERS[:2], strict=True)
    )
    with pytest.raises(Untrusted):
        steward.acceptor.learn(KEY, Certificate(KEY, ballot, VALUE, votes[:1]), NOW)
    with pytest.raises(Untrusted):
        steward.acceptor.learn(KEY, Certificate(KEY, ballot, OTHER, votes), NOW)
    certificate = Certificate(KEY, ballot, VALUE, votes)
    assert check_certificate(certificate, SimVerifier()).register.first == 1
    steward.keep(steward.acceptor.learn(KEY, certificate, NOW))
    assert [register.first for _, register in steward.acceptor.values()] == [1]
    assert steward.acceptor.learn(KEY, certificate, NOW) == [], "once is enough"


def test_what_it_would_not_accept_it_does_not_take_back_either() -> None:
    """Else its next life could not believe its own row, and would have promised nothing."""

    def judges(key: str, value: bytes) -> Register:
        if value == OTHER:
            raise Untrusted(Reason.MALFORMED, "nobody takes that")
        return Plain().judges(key, value)

    acceptor = Acceptor(SIGNERS[2], VERIFIER, opens, judges, {}, third().own)
    ballot = Ballot(0, FIRST)
    votes = tuple(
        (peer, sign_acceptance(signer, KEY, ballot, OTHER))
        for peer, signer in zip(STEWARDS[:2], SIGNERS[:2], strict=True)
    )
    with pytest.raises(Untrusted):
        acceptor.learn(KEY, Certificate(KEY, ballot, OTHER, votes), NOW)
    assert acceptor.values() == []
