"""Who is told of whom that asks for one name at once, for how long, and what a stranger gains."""

import msgspec
from negotiating import ADMIN, AUTHORITY, NOW, RIVAL, A, B, notice, record_of, shop

from protocol.contract.messages import NameAsk, NameReply
from protocol.grid.record import register_key
from protocol.hosting.names import Names
from protocol.terms.effects import Send
from protocol.terms.limits import NAME_KEPT_S
from protocol.trust.order import SignedOrder

ONE, TWO = ADMIN.up(shop(1), NOW), ADMIN.up(shop(2), NOW)


def says(names: Names, order: SignedOrder, now: float = NOW, ends: bool = False) -> str | None:
    replies = [e.message for e in names.ask(A, NameAsk(order, ends), now) if isinstance(e, Send)]
    if not replies:
        return None
    (reply,) = replies
    assert isinstance(reply, NameReply)
    assert reply.order == register_key(order)
    return reply.taken


def test_the_second_is_told_of_the_first_while_that_asks() -> None:
    names = Names(AUTHORITY)
    assert says(names, ONE) == ""
    assert says(names, TWO) == register_key(ONE)
    assert says(names, ONE, NOW + 15) == "", "asked again, from any peer, it is the same"
    assert says(names, TWO, NOW + 15 + NAME_KEPT_S - 0.1) == register_key(ONE)
    assert says(names, TWO, NOW + 15 + NAME_KEPT_S) == ""


def test_who_asks_no_more_leaves_the_name_free() -> None:
    names = Names(AUTHORITY)
    says(names, ONE)
    assert says(names, TWO, ends=True) is None
    assert says(names, TWO) == register_key(ONE), "only its own order takes it back"
    says(names, ONE, ends=True)
    assert says(names, TWO) == ""


def test_names_of_two_owners_do_not_clash() -> None:
    names = Names(AUTHORITY)
    says(names, ONE)
    assert says(names, RIVAL.up(shop(1), NOW)) == ""


def test_a_grid_that_is_told_to_be_there_asks_no_more() -> None:
    names = Names(AUTHORITY)
    says(names, ONE)
    names.noticed(notice(record_of(TWO, {"web-1": B}), ()))
    assert len(names) == 1
    names.noticed(notice(record_of(ONE, {"web-1": B}), ()))
    assert len(names) == 0


def test_what_nobody_ordered_now_takes_no_name() -> None:
    names = Names(AUTHORITY)
    turned = msgspec.structs.replace(ONE, signature=b"x" * 32)
    assert says(names, turned) is None
    assert says(names, ONE, NOW + 601) is None
    assert len(names) == 0
