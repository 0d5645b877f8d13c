"""Who asks: whom first, whom next, what is believed, and when it is given up."""

import pytest
from msgspec.structs import replace
from stewards_world import KEY, NOW, ORDER, STEWARDS, VERIFIER, Net, believed

from protocol.grid.decision import Ballot, Decision
from protocol.grid.record import Register
from protocol.grid.steps import Vote
from protocol.register.asking import Askings, Settled, Unsettled
from protocol.register.messages import LookAsk, Looked, Sealed, StepAsk, StepDone, StepFailed
from protocol.register.witness import Witness
from protocol.terms.effects import Send
from protocol.terms.ids import PeerId
from protocol.trust.signing import Untrusted
from protocol.wire.codec import encode

FIRST, SECOND, THIRD = STEWARDS


def asking(*dead: PeerId) -> Askings[str]:
    return Askings[str](1, VERIFIER, believed, lambda peer: peer not in dead, Witness(VERIFIER))


def sent(effects: list[object]) -> list[PeerId]:
    return [e.peer for e in effects if isinstance(e, Send)]


def decided() -> Decision:
    net = Net()
    net.ask("one", Vote(1))
    net.run()
    decision = net.settled["one"]
    assert decision is not None
    return decision


def test_what_was_decided_has_the_order_in_it_so_that_is_not_said_twice() -> None:
    """Both of a large grid would be more than a frame takes."""
    shown = decided().certificate
    effects, _ = asking().ask("x", KEY, STEWARDS, Vote(1), NOW, "why", ORDER, shown)
    (send,) = [e for e in effects if isinstance(e, Send)]
    assert isinstance(send.message, StepAsk)
    assert send.message.evidence == shown
    assert send.message.order is None


def test_a_step_goes_to_the_first_that_is_heard_and_then_to_the_next() -> None:
    askings = asking(FIRST)
    effects, _ = askings.ask("x", KEY, STEWARDS, Vote(1), NOW, "why", ORDER)
    assert sent(effects) == [SECOND]
    assert isinstance(effects[0], Send)
    message = effects[0].message
    assert isinstance(message, StepAsk)
    failed = StepFailed(message.ask, "no")
    effects, _ = askings.handle(SECOND, failed, NOW)
    assert sent(effects) == [THIRD]
    assert askings.handle(SECOND, failed, NOW) == ([], []), "that one was heard"
    due = askings.next_deadline()
    assert due is not None
    effects, _ = askings.tick(due.at_s)
    assert sent(effects) == [FIRST], "in the end also who is not heard"
    assert askings.busy("x")
    assert askings.ask("x", KEY, STEWARDS, Vote(1), NOW, "why") == ([], [])


def test_nobody_answers() -> None:
    askings, now = asking(), NOW
    askings.ask("x", KEY, STEWARDS, Vote(1), now, "")
    outcomes: list[object] = []
    while not outcomes:
        due = askings.next_deadline()
        assert due is not None
        now = due.at_s
        _, outcomes = askings.tick(now)
    assert outcomes == [Unsettled("x", "0 of 3 stewards answered, 2 needed")]
    assert askings.next_deadline() is None


def test_an_order_without_stewards_is_nobodys() -> None:
    assert asking().ask("x", KEY, (), None, NOW, "")[1] == [
        Unsettled("x", "its order names no stewards")
    ]


def test_what_does_not_prove_itself_is_the_stewards_fault_and_the_asking_goes_on() -> None:
    decision, askings = decided(), asking()
    effects, _ = askings.ask("x", KEY, STEWARDS, Vote(1), NOW, "")
    assert isinstance(effects[0], Send)
    message = effects[0].message
    assert isinstance(message, StepAsk)
    good = decision.certificate
    for votes in (good.votes[:1], tuple((p, b"x" * 32) for p, _ in good.votes)):
        bad = type(good)(good.register, good.ballot, good.value, votes)
        with pytest.raises(Untrusted):
            askings.handle(FIRST, StepDone(message.ask, bad), NOW)
        assert askings.busy("x")
    assert askings.handle(PeerId("z" * 64), StepDone(message.ask, good), NOW) == ([], [])
    _, (settled,) = askings.handle(FIRST, StepDone(message.ask, good), NOW)
    assert settled.decision == decision  # type: ignore[union-attr]


def test_a_steward_that_shows_what_was_decided_before_a_step_has_not_done_it() -> None:
    decision, askings = decided(), asking()
    effects, _ = askings.ask("x", KEY, STEWARDS, Vote(2), NOW, "", ORDER)
    assert isinstance(effects[0], Send)
    message = effects[0].message
    assert isinstance(message, StepAsk)
    effects, outcomes = askings.handle(FIRST, StepDone(message.ask, decision.certificate), NOW)
    assert (sent(effects), outcomes) == ([SECOND], [])


def test_a_last_acceptance_that_is_not_signed_is_no_word() -> None:
    askings = asking()
    effects, _ = askings.ask("x", KEY, STEWARDS, None, NOW, "")
    assert sent(effects) == list(STEWARDS)
    assert isinstance(effects[0], Send)
    look = effects[0].message
    assert isinstance(look, LookAsk)
    value = encode(Register(None, 9, (), ORDER))
    for steward in STEWARDS:
        with pytest.raises(Untrusted):
            askings.handle(steward, Looked(look.ask, KEY, Ballot(0, FIRST), value, b"x" * 32), NOW)
    assert askings.busy("x")


def test_one_steward_that_is_named_several_times_is_not_asked_for_ever() -> None:
    """Whoever tells of a grid may name itself three times, and refuse at once."""
    askings = asking()
    effects, outcomes = askings.ask("x", KEY, (FIRST,) * 3, Vote(1), NOW, "")
    for _ in range(20):
        if outcomes:
            break
        assert isinstance(effects[0], Send)
        message = effects[0].message
        assert isinstance(message, StepAsk)
        effects, outcomes = askings.handle(FIRST, StepFailed(message.ask, "no"), NOW)
    assert not askings.busy("x")
    assert outcomes == [Unsettled("x", "no")]


def looking(stewards: tuple[PeerId, ...], shown: bool = False) -> tuple[Askings[str], LookAsk]:
    askings = asking()
    effects, _ = askings.ask("x", KEY, stewards, None, NOW, "", shown=shown)
    assert isinstance(effects[0], Send)
    look = effects[0].message
    assert isinstance(look, LookAsk)
    assert look.shown is shown
    return askings, look


def test_one_steward_alone_does_not_answer_a_look_with_what_was_decided_once() -> None:
    askings, look = looking(STEWARDS)
    done = StepDone(look.ask, decided().certificate)
    assert askings.handle(FIRST, done, NOW) == ([], [])
    assert askings.busy("x")


def test_a_host_that_is_asked_to_show_it_does() -> None:
    host, other = PeerId("h" * 64), PeerId("i" * 64)
    askings, look = looking((host, other), shown=True)
    decision = decided()
    assert askings.handle(other, Looked(look.ask, KEY), NOW) == ([], [])
    _, (settled,) = askings.handle(host, StepDone(look.ask, decision.certificate), NOW)
    assert settled == Settled("x", decision)


def test_if_none_of_them_has_anything_to_show_that_is_the_answer() -> None:
    host, other = PeerId("h" * 64), PeerId("i" * 64)
    askings, look = looking((host, other), shown=True)
    assert askings.handle(other, Looked(look.ask, KEY), NOW) == ([], [])
    assert askings.handle(host, Looked(look.ask, KEY), NOW) == ([], [Settled("x", None)])


def test_who_was_asked_beside_the_orders_stewards_is_blamed_for_nothing() -> None:
    """Somebody named one of three as the only steward: its word is true, and too few."""
    net = Net()
    net.ask("one", Vote(1))
    net.run()
    slot = net.stewards[FIRST].acceptor.get(KEY)
    assert slot is not None
    askings, look = looking((FIRST,))
    kept = slot.slot
    told = Looked(look.ask, KEY, kept.accepted, kept.value, kept.signature)
    effects, outcomes = askings.handle(FIRST, told, NOW)
    assert outcomes == []
    asked = [(e.peer, type(e.message)) for e in effects if isinstance(e, Send)]
    assert asked == [(steward, LookAsk) for steward in STEWARDS], (
        "those that the order names are asked"
    )


def test_who_was_told_of_wrongly_leads_to_the_orders_own_stewards() -> None:
    """A notice named one that lies. It says who the order's stewards are, and that none was replaced."""
    liar = PeerId("d" * 64)
    askings = asking()
    effects, _ = askings.ask("x", KEY, (liar,), None, NOW, "")
    assert isinstance(effects[0], Send)
    look = effects[0].message
    assert isinstance(look, LookAsk)
    effects, outcomes = askings.handle(liar, Sealed(look.ask, KEY, ORDER, ()), NOW)
    assert (sent(effects), outcomes) == (list(STEWARDS), [])


def test_an_order_that_is_known_is_not_taken_from_others() -> None:
    """They may have put another signature to it, which no steward believes."""
    liar = PeerId("d" * 64)
    askings = asking()
    effects, _ = askings.ask("x", KEY, (liar,), Vote(1), NOW, "", ORDER)
    assert isinstance(effects[0], Send)
    step = effects[0].message
    assert isinstance(step, StepAsk)
    turned = replace(ORDER, signature=b"x")
    effects, _ = askings.handle(liar, Sealed(step.ask, KEY, turned, ()), NOW)
    assert isinstance(effects[0], Send)
    again = effects[0].message
    assert isinstance(again, StepAsk)
    assert (effects[0].peer, again.order) == (FIRST, ORDER)
