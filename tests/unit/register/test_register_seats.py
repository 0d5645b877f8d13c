"""A steward's seat is its store's: what has another store answers nothing, and never "nothing"."""

from functools import partial

import pytest
from stewards_world import (
    ASKER,
    BY_ID,
    HEIRS,
    NOW,
    ORDER,
    SEATED,
    SIGNERS,
    SPARES,
    STEWARDS,
    STORE,
    STORES,
    VERIFIER,
    Net,
    Steward,
    accepts,
)

from protocol.grid.decision import (
    Ballot,
    Decision,
    check_certificate,
    promise,
    sign_acceptance,
)
from protocol.grid.record import Register, read_register, register_key
from protocol.grid.seal import Seal, Seats
from protocol.grid.steps import Finish, Vote
from protocol.register.messages import (
    Accept,
    Accepted,
    LookAsk,
    Looked,
    Prepare,
    Promise,
    Sealed,
    StepAsk,
    StepFailed,
)
from protocol.register.slot import Slot, Unseated
from protocol.sim.keys import SimVerifier
from protocol.terms.effects import Effect, Send
from protocol.terms.ids import KeyId, PeerId, StoreId, digest_of
from protocol.trust.signing import Untrusted
from protocol.wire.codec import encode

FIRST, SECOND, THIRD = STEWARDS
FOURTH = HEIRS[0]
KEY = register_key(SEATED)
VALUE = encode(Register(None, 1, (), SEATED))
OTHER_STORE = StoreId("f" * 16)
DAY_S = 86_400.0


def prepare(round_: int = 1) -> Prepare:
    return Prepare(register=KEY, ballot=Ballot(round_, SECOND), order=SEATED)


def accept() -> Accept:
    return Accept(register=KEY, ballot=Ballot(0, FIRST), value=VALUE)


def other_store(steward: Steward, *, empty: bool) -> None:
    """The steward has another store now: with what was there (restored), or without (a new disk)."""
    steward.store = OTHER_STORE
    if empty:
        steward.rows.clear()
    steward.start()


def said(effects: list[object]) -> object:
    (one,) = [effect.message for effect in effects if isinstance(effect, Send)]
    return one


def test_what_a_steward_signs_names_its_store() -> None:
    third, verifier = Steward(SIGNERS[2]), SimVerifier()
    promised = said(third.handle(SECOND, prepare(), NOW))
    assert isinstance(promised, Promise)
    words = promise(KEY, Ballot(1, SECOND), None, b"", store=STORES[2])
    assert verifier.verify(KeyId(THIRD), "promise", words, promised.signature)
    other = Steward(SIGNERS[2])
    accepted = said(other.handle(FIRST, accept(), NOW))
    assert isinstance(accepted, Accepted)
    for store, right in ((STORES[2], True), (OTHER_STORE, False), (StoreId(""), False)):
        ballot, vote = Ballot(0, FIRST), accepted.signature
        is_right = accepts(THIRD, KEY, ballot, VALUE, vote, store=store)
        assert is_right is right


@pytest.mark.parametrize("empty", [True, False])
def test_with_another_store_it_promises_and_accepts_nothing(empty: bool) -> None:
    third = Steward(SIGNERS[2])
    third.handle(FIRST, accept(), NOW)
    other_store(third, empty=empty)
    for _ in range(2):
        assert third.handle(SECOND, prepare(), NOW) == []
        assert third.handle(FIRST, accept(), NOW) == []
        with pytest.raises(Unseated, match="which has another one now"):
            third.acceptor.open(KEY, SEATED, NOW)
        failed = said(third.handle(ASKER, StepAsk("a", KEY, Finish(), SEATED), NOW))
        assert isinstance(failed, StepFailed)
        assert "the seat is that of store" in failed.why
        looked = said(third.handle(ASKER, LookAsk("a", KEY), NOW))
        assert isinstance(looked, Looked)
        assert (looked.ballot, looked.store) == (None, OTHER_STORE)
        third.start()


def test_where_the_order_names_no_store_it_is_whichever_there_is() -> None:
    third = Steward(SIGNERS[2])
    other_store(third, empty=True)
    ask = Prepare(register=register_key(ORDER), ballot=Ballot(1, SECOND), order=ORDER)
    assert isinstance(said(third.handle(SECOND, ask, NOW)), Promise)


@pytest.mark.parametrize("empty", [True, False])
def test_one_that_lost_its_store_undoes_no_decision_and_two_go_on(empty: bool) -> None:
    net = Net(order=SEATED)
    net.ask("commit", Vote(2))
    net.until("commit", lost=(THIRD,))
    other_store(net.stewards[SECOND], empty=empty)
    net.ask("look", None)
    net.until("look")
    before, after = net.settled["commit"], net.settled["look"]
    assert before is not None
    assert after is not None, "the one that knows it and the one that missed it are a majority"
    assert after.register == before.register
    assert check_certificate(after.certificate, SimVerifier()).register.first == 2
    assert SECOND not in dict(after.certificate.votes)


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (2, 0, 1)])
def test_who_asks_without_the_order_hears_of_the_seats_from_one_that_knows(
    order: tuple[int, ...],
) -> None:
    """One that lost its disk does not know that it had a seat, and says "nothing" like one that missed it."""
    net = Net(order=SEATED)
    net.ask("commit", Vote(2))
    net.until("commit", lost=(THIRD,))
    other_store(net.stewards[SECOND], empty=True)
    asking = net.askings[ASKER]
    effects, _ = asking.ask("look", KEY, STEWARDS, None, NOW, "")
    net.carry(ASKER, effects)
    for _ in range(3):
        net.deliver()
    said = {peer: message for peer, _, message in net.waiting}
    net.waiting.clear()
    for peer in (STEWARDS[index] for index in order):
        message = said[peer]
        assert isinstance(message, Looked)
        net.tell(ASKER, *asking.handle(peer, message, NOW))
    net.until("look")
    assert decided(net, "look").register.first == 2


def test_without_a_majority_of_stores_nobody_is_told_that_nothing_was_decided() -> None:
    net = Net(order=SEATED)
    net.ask("commit", Vote(2))
    net.until("commit")
    for steward in list(net.stewards.values())[1:]:
        other_store(steward, empty=True)
    net.ask("look", None)
    net.until("look")
    assert "look" in net.unsettled
    assert net.settled.get("look") is None
    for steward in list(net.stewards.values()):
        other_store(steward, empty=True)
    net.ask("again", None)
    net.until("again")
    assert net.unsettled["again"] == "3 of 3 stewards lost what they knew"


def test_what_may_have_been_forgotten_is_opened_by_nobody_again() -> None:
    """An order that is shown again when its register is gone would have it say that it accepted nothing."""
    third = Steward(SIGNERS[2])
    third.handle(FIRST, accept(), NOW)
    late = NOW + 40 * DAY_S
    assert third.acceptor.forget(late) != []
    assert third.handle(SECOND, prepare(), late) == []
    fresh = Steward(SIGNERS[2])
    assert fresh.handle(SECOND, prepare(), late) == []
    assert isinstance(said(fresh.handle(SECOND, prepare(), NOW + 20 * DAY_S)), Promise)


def test_a_register_that_cannot_be_read_has_no_seat() -> None:
    third = Steward(SIGNERS[2])
    third.handle(FIRST, accept(), NOW)
    third.rows[KEY] = encode(Slot(Ballot(0, FIRST), Ballot(0, FIRST), b"\xc1", b"", SEATED))
    third.start()
    assert third.handle(SECOND, prepare(), NOW) == []
    looked = said(third.handle(ASKER, LookAsk("a", KEY), NOW))
    assert isinstance(looked, Looked)
    assert not looked.seated


def test_a_lost_seat_is_forgotten_in_time() -> None:
    third = Steward(SIGNERS[2])
    third.handle(FIRST, accept(), NOW)
    assert third.acceptor.forget(NOW) == []
    other_store(third, empty=False)
    assert len(third.acceptor.forget(NOW)) == 1


# -- across sets


def handed_over(heir: PeerId = FOURTH) -> Net:
    """The third steward is gone; the other two replace it."""
    net = Net(order=SEATED).with_heirs()
    net.ask("one", Vote(1))
    net.until("one", lost=(THIRD,))
    net.replace("seal", THIRD, heir, FIRST)
    net.until("seal", lost=(THIRD,) if heir != THIRD else ())
    return net


def decided(net: Net, what: str) -> Decision:
    decision = net.settled[what]
    assert decision is not None
    assert check_certificate(decision.certificate, VERIFIER) == decision
    return decision


def test_the_next_set_names_stores_too() -> None:
    net = handed_over()
    seats = decided(net, "seal").register.seats
    assert seats == Seats((FIRST, SECOND, FOURTH), (*STORES[:2], STORES[3]))
    net.ask("two", Vote(2))
    net.until("two", lost=(SECOND,))
    votes = dict(decided(net, "two").certificate.votes)
    assert list(votes) == [FIRST, FOURTH]
    value, ballot = encode(decided(net, "two").register), decided(net, "two").certificate.ballot
    said = partial(accepts, FOURTH, KEY, ballot, value, votes[FOURTH], 1)
    assert said(store=STORES[3])
    assert not said(store=OTHER_STORE)


@pytest.mark.parametrize("empty", [True, False])
def test_an_heir_that_lost_its_store_undoes_nothing_and_two_go_on(empty: bool) -> None:
    net = handed_over()
    net.ask("two", Vote(2))
    net.until("two", lost=(SECOND,))
    other_store(net.stewards[FOURTH], empty=empty)
    net.ask("look", None)
    net.until("look")
    assert decided(net, "look").register.first == 2
    assert FOURTH not in dict(decided(net, "look").certificate.votes)
    other_store(net.stewards[FIRST], empty=True)
    net.ask("again", None)
    net.until("again")
    assert net.settled.get("again") is None
    assert "again" in net.unsettled


def test_an_heir_whose_store_is_another_than_the_seal_names_takes_no_seat() -> None:
    net = Net(order=SEATED).with_heirs()
    net.ask("one", Vote(1))
    net.until("one", lost=(THIRD,))
    net.replace("seal", THIRD, FOURTH, FIRST)
    fourth = net.stewards[FOURTH]
    other_store(fourth, empty=True)
    net.until("seal", lost=(THIRD,))
    assert set(dict(decided(net, "seal").certificate.votes)) == {FIRST, SECOND}
    assert fourth.rows == {}
    seals = decided(net, "seal").register.seals
    with pytest.raises(Unseated):
        fourth.acceptor.open(KEY, SEATED, NOW, seals)


@pytest.mark.parametrize("empty", [True, False])
def test_a_host_with_another_store_is_its_own_heir(empty: bool) -> None:
    """Where no other could take the seat. What its old store promised is void, and said under no name of it."""
    net = Net(order=SEATED)
    net.ask("one", Vote(1))
    net.until("one")
    third = net.stewards[THIRD]
    other_store(third, empty=empty)
    net.replace("seal", THIRD, THIRD, FIRST)
    net.until("seal")
    assert decided(net, "seal").register.seats == Seats(STEWARDS, (*STORES[:2], OTHER_STORE))
    net.ask("two", Vote(2))
    net.until("two", lost=(SECOND,))
    assert list(dict(decided(net, "two").certificate.votes)) == [FIRST, THIRD]
    third.start()
    net.ask("look", None)
    net.until("look", lost=(SECOND,))
    assert decided(net, "look").register.first == 2


def test_a_step_that_was_begun_with_another_store_signs_nothing() -> None:
    net = Net(order=SEATED)
    net.ask("one", Vote(1))
    net.until("one")
    net.ask("two", Vote(2), of=(SECOND,))
    net.deliver()
    second = net.stewards[SECOND]
    second.keep(second.own.renew("it forgot something"))
    net.run()
    assert not any(isinstance(message, Accept) for _, _, message in net.waiting)
    assert read_register(net.stewards[FIRST].acceptor.rows()[0][1].slot.value).first == 1
    net.until("two")
    assert "has another one now" in net.unsettled["two"]


# -- what was forgotten, across sets


MONTHS_S = 100 * DAY_S


def opens_at(steward: Steward, seals: tuple[Seal, ...], now: float) -> bool:
    """Whether it promises something in that set: as one that accepted nothing, if it knows of nothing."""
    by = steward.acceptor.get(KEY)
    ballot = Ballot((by.slot.promised.round if by is not None else 50) + 1, FIRST)
    ask = Prepare(register=KEY, ballot=ballot, order=SEATED, seals=seals)
    return isinstance(next(iter(said_all(steward.handle(FIRST, ask, now))), None), Promise)


def said_all(effects: list[Effect]) -> list[object]:
    return [effect.message for effect in effects if isinstance(effect, Send)]


def test_an_heir_of_a_grid_that_outlived_its_order_takes_its_seat() -> None:
    seals = decided(handed_over(), "seal").register.seals
    fourth = Steward(SPARES[0])
    with pytest.raises(Untrusted, match="none of its stewards"):
        fourth.handle(SECOND, prepare(), NOW + MONTHS_S)
    assert opens_at(fourth, seals, NOW + MONTHS_S)
    assert fourth.acceptor.forget(NOW + MONTHS_S) == [], "nobody told it yet what it begins with"
    fourth.start()
    assert opens_at(fourth, seals, NOW + MONTHS_S + 1)


def test_what_an_heir_forgot_is_opened_by_no_seals_again_also_after_a_restart() -> None:
    net = handed_over()
    seals = decided(net, "seal").register.seals
    net.replace("again", FOURTH, HEIRS[1], FIRST)
    net.until("again", lost=(FOURTH,))
    fourth = net.stewards[FOURTH]
    late = NOW + 500 * DAY_S
    assert fourth.acceptor.forget(late) == [], "as far as it knows it is a steward"
    told = Sealed("", KEY, SEATED, decided(net, "again").register.seals)
    fourth.keep(fourth.acceptor.follow(told, NOW))
    fourth.keep(fourth.acceptor.forget(late))
    assert fourth.rows == {}
    for _ in range(2):
        assert not opens_at(fourth, seals, late)
        fourth.start()


def test_what_a_store_forgot_keeps_a_younger_orders_seals_from_nobody() -> None:
    net = handed_over()
    fourth = Steward(SPARES[0])
    (mark,) = fourth.own.forgot(NOW - 1.0)
    fourth.marks[mark.key] = mark.value or b""
    fourth.start()
    assert opens_at(fourth, decided(net, "seal").register.seals, NOW)


def test_a_seat_that_went_back_to_a_store_that_is_no_more_is_kept_like_one_of_another() -> None:
    """Two that lie seal it so. If that were forgotten at once, the seat between could be opened again."""
    third = Steward(SIGNERS[2])
    later = Seats(STEWARDS, (*STORES[:2], OTHER_STORE))
    one = seal((), later)
    seals = (one, seal((one,), Seats(STEWARDS, STORES[:3])))
    other_store(third, empty=True)
    assert opens_at(third, seals[:1], NOW)
    third.keep(third.acceptor.follow(Sealed("", KEY, SEATED, seals), NOW))
    assert third.acceptor.get(KEY) is None, "its seat is lost"
    for at_s in (NOW, NOW + 40 * DAY_S, NOW + 500 * DAY_S):
        third.keep(third.acceptor.forget(at_s))
        assert not opens_at(third, seals[:1], at_s)
    assert third.rows == {}
    assert third.own.forgotten_s > NOW
    third.start()
    assert not opens_at(third, seals[:1], NOW + 500 * DAY_S)


def seal(before: tuple[Seal, ...], heirs: Seats) -> Seal:
    """As the first two stewards sign it."""
    ballot, value = Ballot(6 + len(before), FIRST), encode(Register(None, 1, (), SEATED, before))
    votes = tuple(
        (p, sign_acceptance(BY_ID[p], KEY, ballot, value, len(before), heirs, STORE[p]))
        for p in (FIRST, SECOND)
    )
    return Seal(heirs.members, ballot, digest_of(value), votes, heirs.stores)
