"""What a majority of the guards of a name says, and how long they are waited for."""

import pytest
from negotiating import ADMIN, NOW, REQUEST, A, B, C, shop

from protocol.contract.messages import NameAsk, NameReply
from protocol.requesting.naming import Naming, Word
from protocol.terms.effects import Send
from protocol.terms.limits import NAME_WITHIN_S

ORDER = ADMIN.up(shop(1), NOW)
GUARDS = (A, B, C)


@pytest.mark.parametrize(
    ("said", "soon", "late"),
    [
        ("", Word.WAIT, Word.FREE),
        ("f", Word.WAIT, Word.FREE),
        ("ff", Word.FREE, Word.FREE),
        ("fft", Word.FREE, Word.FREE),
        ("t", Word.WAIT, Word.TAKEN),
        ("tf", Word.WAIT, Word.TAKEN),
        ("tt", Word.TAKEN, Word.TAKEN),
        ("ttf", Word.TAKEN, Word.TAKEN),
    ],
)
def test_most_of_those_that_answer_decide(said: str, soon: Word, late: Word) -> None:
    naming = Naming(REQUEST, ORDER)
    effects = naming.ask(GUARDS, NOW)
    assert effects == [Send(guard, NameAsk(ORDER), REQUEST) for guard in GUARDS]
    for guard, word in zip(GUARDS, said, strict=False):
        naming.replied(guard, NameReply("x", "other" if word == "t" else ""))
    assert naming.word(NOW) is soon
    assert naming.word(NOW + NAME_WITHIN_S) is late


def test_a_plan_asks_nobody_and_who_was_not_asked_is_not_heard() -> None:
    assert Naming(REQUEST, None).ask(GUARDS, NOW) == []
    assert Naming(REQUEST, None).word(NOW) is Word.FREE
    naming = Naming(REQUEST, ORDER)
    naming.ask((A,), NOW)
    naming.replied(B, NameReply("x", "other"))
    assert naming.word(NOW) is Word.WAIT
    assert naming.end() == [Send(A, NameAsk(ORDER, ends=True), REQUEST)]
    assert naming.end() == []
