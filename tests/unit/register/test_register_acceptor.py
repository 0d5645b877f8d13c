"""The acceptor, sentence by sentence."""

from protocol.register.acceptor import TABLE, Acceptor, Slot
from protocol.register.messages import Accept, Accepted, Ballot, Conflict, Prepare, Promise
from protocol.terms.effects import Effect, Persist, Row, Send
from protocol.terms.ids import PeerId
from protocol.wire.codec import encode

ME, YOU = PeerId("p1"), PeerId("p2")
KEY = "owner/name"


def ballot(round_: int, peer: PeerId = ME, life: int = 1) -> Ballot:
    return Ballot(round_, peer, life)


def prepare(acceptor: Acceptor, number: Ballot) -> list[Effect]:
    return acceptor.handle(number.peer, Prepare(key=KEY, ballot=number), "why")


def test_promises_on_disk_then_in_words() -> None:
    effects = prepare(Acceptor({}), ballot(1))
    slot = Slot(ballot(1))
    assert effects == [
        Persist((Row(TABLE, KEY, encode(slot)),)),
        Send(ME, Promise(key=KEY, ballot=ballot(1), accepted=None, value=b""), "why"),
    ]


def test_keeps_a_promise() -> None:
    acceptor = Acceptor({})
    prepare(acceptor, ballot(2))
    for late in (Prepare(key=KEY, ballot=ballot(1)), Accept(key=KEY, ballot=ballot(1), value=b"x")):
        assert acceptor.handle(YOU, late, "") == [
            Send(YOU, Conflict(key=KEY, ballot=ballot(1), promised=ballot(2)))
        ]
    assert acceptor.holds(KEY) == b""


def test_tells_what_it_accepted_after_a_restart() -> None:
    acceptor = Acceptor({})
    prepare(acceptor, ballot(1))
    save, reply = acceptor.handle(ME, Accept(key=KEY, ballot=ballot(1), value=b"v"), "")
    assert reply == Send(ME, Accepted(key=KEY, ballot=ballot(1)))
    assert isinstance(save, Persist)
    value = save.rows[0].value
    assert value is not None
    again = Acceptor({KEY: value})
    assert again.holds(KEY) == b"v"
    _, promise = prepare(again, ballot(2, YOU))
    assert promise == Send(
        YOU, Promise(key=KEY, ballot=ballot(2, YOU), accepted=ballot(1), value=b"v"), "why"
    )


def test_later_lives_and_other_peers_have_greater_ballots() -> None:
    numbers = [ballot(1, ME, 1), ballot(1, ME, 2), ballot(1, YOU, 1), ballot(2, ME, 1)]
    assert numbers == sorted(numbers)
    assert len(set(numbers)) == 4


def test_registers_do_not_know_each_other() -> None:
    acceptor = Acceptor({})
    prepare(acceptor, ballot(9))
    other = Prepare(key="owner/other", ballot=ballot(1))
    assert isinstance(acceptor.handle(ME, other, "")[1], Send)
    assert acceptor.holds("owner/third") is None
