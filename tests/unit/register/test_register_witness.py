"""Who contradicts itself is found, whichever half comes first, in bounded memory."""

import msgspec
from stewards_world import ASKER, HEIRS, NOW, SEATED, SIGNERS, STEWARDS, STORES, VERIFIER, Net

from protocol.grid.decision import Ballot, Decision, acceptance, promise
from protocol.grid.equivocation import check_equivocation
from protocol.grid.record import Register, register_key
from protocol.grid.statement import Statement, Word, read_statement
from protocol.grid.steps import Finish, Vote
from protocol.register.messages import Accept, Accepted, Prepare, Promise, Sealed, StepAsk
from protocol.register.witness import Witness
from protocol.terms.effects import Send
from protocol.terms.ids import PeerId
from protocol.terms.limits import WITNESSED_EACH, WITNESSED_REGISTERS, WITNESSED_STEWARDS
from protocol.wire.codec import encode

FIRST, SECOND, THIRD = STEWARDS
FOURTH = HEIRS[0]
KEY = register_key(SEATED)


def saw(witness: Witness, word: Word, round_: int, value: bytes = b"", register: str = KEY) -> None:
    """The third steward says that it accepted the value, or promises a round though it accepted nothing."""
    ballot, store = Ballot(round_, FIRST), STORES[2]
    payload = (
        acceptance(register, ballot, value, store=store)
        if word is Word.ACCEPTANCE
        else promise(register, ballot, None, b"", store=store)
    )
    witness.saw(THIRD, word, payload, SIGNERS[2].sign(str(word), payload))


def test_both_halves_prove_it_in_either_order() -> None:
    halves = ((Word.ACCEPTANCE, 1, b"x"), (Word.PROMISE, 2, b""))
    for first, then in (halves, halves[::-1]):
        witness = Witness(VERIFIER)
        saw(witness, *first)
        assert witness.pop_found() == []
        saw(witness, *then)
        saw(witness, *then)
        (found,) = witness.pop_found()
        assert check_equivocation(found, VERIFIER).store == STORES[2]
        assert witness.pop_found() == [], "found once"


def test_what_names_no_store_is_not_remembered() -> None:
    witness = Witness(VERIFIER)
    for value in (b"x", b"y"):
        payload = acceptance(KEY, Ballot(1, FIRST), value)
        witness.saw(THIRD, Word.ACCEPTANCE, payload, SIGNERS[2].sign("acceptance", payload))
    assert witness.pop_found() == []
    assert witness.newest(KEY, THIRD) is None


def test_its_memory_is_bounded() -> None:
    witness = Witness(VERIFIER)
    for number in range(WITNESSED_REGISTERS + 50):
        saw(witness, Word.ACCEPTANCE, 1, b"x", f"{number:020d}")
    witness.check()
    assert witness.newest("0" * 20, THIRD) is None, "the one heard of first is forgotten"
    for round_ in range(1, WITNESSED_EACH + 10):
        saw(witness, Word.ACCEPTANCE, round_, b"x")
    witness.check()


def test_many_stewards_of_one_register_take_no_more_than_a_few() -> None:
    witness, others = Witness(VERIFIER), [PeerId(f"{number:064x}") for number in range(500)]
    payload = acceptance(KEY, Ballot(1, FIRST), b"x", store=STORES[2])
    for steward in others:
        saw(witness, Word.ACCEPTANCE, 1, b"x")
        witness.saw(steward, Word.ACCEPTANCE, payload, b"")
    witness.check()
    remembered = [steward for steward in others if witness.newest(KEY, steward)]
    assert remembered == others[-(WITNESSED_STEWARDS - 1) :], "those that were heard last"
    assert witness.newest(KEY, THIRD) is not None, "who goes on being heard is remembered"


def test_a_vote_in_a_certificate_counts_only_if_it_is_signed() -> None:
    net = Net(order=SEATED)
    net.ask("one", Vote(1))
    net.run()
    decision = net.settled["one"]
    assert decision is not None
    witness = Witness(VERIFIER)
    certificate = decision.certificate
    forged = {**dict(certificate.votes), FIRST: b"x" * 32}
    votes = msgspec.structs.replace(certificate, votes=tuple(forged.items()))
    witness.certified(msgspec.structs.replace(decision, certificate=votes))
    assert witness.newest(KEY, FIRST) is None
    assert any(witness.newest(KEY, peer) for peer in (SECOND, THIRD))


def lying(net: Net, prepare: Prepare) -> Promise:
    payload = promise(KEY, prepare.ballot, None, b"", store=STORES[2])
    return Promise(
        register=KEY,
        ballot=prepare.ballot,
        accepted=None,
        value=b"",
        signature=SIGNERS[2].sign("promise", payload),
    )


def test_one_that_promises_that_it_accepted_nothing_is_found_by_who_has_the_certificate() -> None:
    """The first and the liar decided; the second, which missed it, is asked for the next step."""
    net = Net(order=SEATED)
    net.ask("one", Vote(1))
    net.until("one", lost=(SECOND,))
    decision = net.settled["one"]
    assert decision is not None
    asked = net.stewards[SECOND]
    ask = StepAsk("x", KEY, Finish(), SEATED, decision.certificate)
    said = asked.handle(ASKER, ask, NOW)
    (prepare,) = [
        e.message
        for e in said
        if isinstance(e, Send) and e.peer == THIRD and isinstance(e.message, Prepare)
    ]
    assert prepare.yours is not None, "it is shown what it signed"
    asked.handle(THIRD, lying(net, prepare), NOW)
    (found,) = asked.witness.pop_found()
    proven = check_equivocation(found, VERIFIER)
    assert (proven.steward, proven.register) == (THIRD, KEY)


def test_a_vote_that_is_not_needed_any_more_is_remembered_if_it_is_signed() -> None:
    net = Net(order=SEATED)
    net.ask("one", Vote(1))
    net.deliver()
    first = net.stewards[FIRST]
    accepts = {peer: m for _, peer, m in net.waiting if isinstance(m, Accept)}
    for late, signed in ((SECOND, True), (THIRD, True), (SECOND, False)):
        (_, said) = net.stewards[late].handle(FIRST, accepts[late], NOW)
        assert isinstance(said, Send)
        word = said.message
        assert isinstance(word, Accepted)
        if not signed:
            first.witness = first.stewarding._witness = Witness(VERIFIER)
            word = msgspec.structs.replace(word, signature=b"x" * 32)
        first.handle(late, word, NOW)
        assert (first.witness.newest(KEY, late) is not None) is signed


def test_a_steward_that_is_shown_more_than_it_remembers_takes_another_store() -> None:
    net = Net(order=SEATED)
    net.ask("one", Vote(1))
    net.until("one", lost=(SECOND,))
    third, decision = net.stewards[THIRD], net.settled["one"]
    assert decision is not None
    third.rows.clear()  # A backup of before, under the same id.
    third.start()
    (prepare,) = [
        e.message
        for e in net.stewards[SECOND].handle(
            ASKER,
            StepAsk("x", KEY, Finish(), SEATED, decision.certificate),
            NOW,
        )
        if isinstance(e, Send) and e.peer == THIRD and isinstance(e.message, Prepare)
    ]
    effects = third.handle(SECOND, prepare, NOW)
    assert not any(isinstance(effect, Send) for effect in effects), "it has no seat any more"
    assert third.store != STORES[2]
    again = third.store
    assert third.handle(SECOND, prepare, NOW) == []
    assert third.store == again


def test_evidence_of_its_own_vote_reminds_the_one_that_is_asked_itself() -> None:
    net = Net(order=SEATED)
    net.ask("one", Vote(1))
    net.until("one", lost=(SECOND,))
    third, decision = net.stewards[THIRD], net.settled["one"]
    assert decision is not None
    third.rows.clear()
    third.start()
    third.handle(ASKER, StepAsk("x", KEY, Finish(), SEATED, decision.certificate), NOW)
    assert third.store != STORES[2]


def test_one_that_only_missed_a_decision_learns_it_and_keeps_its_store() -> None:
    net = Net(order=SEATED)
    net.ask("one", Vote(1))
    net.until("one", lost=(SECOND,))
    second, decision = net.stewards[SECOND], net.settled["one"]
    assert decision is not None
    second.handle(ASKER, StepAsk("x", KEY, Finish(), SEATED, decision.certificate), NOW)
    assert second.store == STORES[1]
    kept = second.acceptor.get(KEY)
    assert kept is not None
    assert kept.register.first == 1


def test_old_evidence_takes_nobodys_store() -> None:
    """Of a register that was rightly forgotten: showing it again would cost the host all its other seats."""
    net = Net(order=SEATED)
    net.ask("one", Vote(1))
    net.until("one")
    decision, late = net.settled["one"], NOW + 40 * 86_400.0
    assert decision is not None
    first = net.stewards[FIRST]
    assert first.acceptor.forget(late)
    first.handle(ASKER, StepAsk("x", KEY, Finish(), SEATED, decision.certificate), late)
    assert first.store == STORES[0]


def test_evidence_under_another_order_takes_nobodys_store() -> None:
    net = Net(order=SEATED)
    third = net.stewards[THIRD]
    value = encode(Register(None, 1, (), SEATED))
    other = "f" * 20
    payload = acceptance(other, Ballot(0, FIRST), value, store=STORES[2])
    shown = Statement(Word.ACCEPTANCE, payload, SIGNERS[2].sign("acceptance", payload))
    ask = Prepare(register=KEY, ballot=Ballot(1, FIRST), order=SEATED, yours=shown)
    assert any(isinstance(e, Send) for e in third.handle(FIRST, ask, NOW)), (
        "it says nothing of this"
    )
    assert third.store == STORES[2]


# -- across sets


def handed_over() -> tuple[Net, Decision]:
    """The third steward was replaced by the fourth; and what the next set decided."""
    net = Net(order=SEATED).with_heirs()
    net.ask("one", Vote(1))
    net.until("one", lost=(THIRD,))
    net.replace("seal", THIRD, FOURTH, FIRST)
    net.until("seal", lost=(THIRD,))
    net.ask("two", Vote(2))
    net.until("two", lost=(SECOND,))
    decision = net.settled["two"]
    assert decision is not None
    return net, decision


def test_the_votes_of_seals_are_looked_at_too() -> None:
    _, decision = handed_over()
    witness = Witness(VERIFIER)
    witness.certified(decision)
    terms = {
        peer: read_statement(statement).term
        for peer in (*STEWARDS, FOURTH)
        if (statement := witness.newest(KEY, peer)) is not None
    }
    assert terms == {FIRST: 1, SECOND: 0, FOURTH: 1}, "the second is in the seal alone"


def test_an_heir_that_was_restored_is_shown_what_it_signed_in_the_later_set() -> None:
    net, decision = handed_over()
    fourth = net.stewards[FOURTH]
    fourth.rows.clear()
    fourth.start()
    ask = StepAsk("x", KEY, Finish(), SEATED, decision.certificate)
    fourth.handle(ASKER, ask, NOW)
    assert fourth.store != STORES[3]


def test_one_whose_disk_is_of_before_it_was_handed_over_is_found_out() -> None:
    net, decision = handed_over()
    first = net.stewards[FIRST]
    before = net.settled["one"]
    assert before is not None
    first.rows.clear()
    first.start()
    first.handle(ASKER, StepAsk("x", KEY, Finish(), SEATED, decision.certificate), NOW)
    assert first.store != STORES[0]


def test_what_was_signed_in_a_set_of_before_takes_nobodys_store() -> None:
    net, _ = handed_over()
    first, before = net.stewards[FIRST], net.settled["one"]
    assert before is not None
    for statement in (before.certificate, before.certificate):
        first.handle(ASKER, StepAsk("x", KEY, Finish(), SEATED, statement), NOW)
    payload = acceptance(KEY, Ballot(90, FIRST), b"x", store=STORES[0])
    shown = Statement(Word.ACCEPTANCE, payload, SIGNERS[0].sign("acceptance", payload))
    assert first.acceptor.reminded(KEY, SEATED, shown, NOW) == []
    assert first.store == STORES[0]


def test_what_an_heir_forgot_takes_nobodys_store() -> None:
    net, decision = handed_over()
    fourth = net.stewards[FOURTH]
    net.replace("again", FOURTH, HEIRS[1], FIRST)
    net.until("again", lost=(FOURTH,))
    again = net.settled["again"]
    assert again is not None
    late = NOW + 500 * 86_400.0
    told = Sealed("", KEY, SEATED, again.register.seals)
    fourth.keep(fourth.acceptor.follow(told, NOW))
    fourth.keep(fourth.acceptor.forget(late))
    assert fourth.rows == {}
    for _ in range(2):
        ask = StepAsk("x", KEY, Finish(), SEATED, decision.certificate)
        fourth.handle(ASKER, ask, late)
        assert fourth.store == STORES[3]
        fourth.start()
