"""A line of the audit log says who an order proves it is of, or who one that is not believed claims to be."""

import msgspec
from negotiating import ADMIN, AUTHORITY, NOW, RIVAL, A, shop
from organisation import Organisation

from protocol.contract.audited import audited, before_said
from protocol.terms.effects import Audit, Note, Persist, Send
from protocol.trust.order import Action, Order, SignedOrder, order_id, sign_order

ORDER = ADMIN.order(Action.PAUSE, "some-id", NOW, workspace="web-1")
VIA = (A, "s1")


def line(order: SignedOrder, forbids: str = "", now: float = NOW) -> Audit:
    return audited(AUTHORITY, "act", order, VIA, now, forbids)


def test_who_asked_for_what_by_which_order_through_whom() -> None:
    assert line(ORDER) == Audit(
        what="act",
        allowed=True,
        action="pause",
        grid="some-id",
        workspace="web-1",
        order=order_id(ORDER),
        believed=True,
        owner=ADMIN.signer.key,
        whose="s1",
        via=A,
        via_site="s1",
    )


def test_what_forbids_it_is_in_the_line() -> None:
    refused = line(ORDER, "site s1: ceiling: 4 cpus")
    assert (refused.allowed, refused.why) == (False, "site s1: ceiling: 4 cpus")


def test_an_order_that_is_not_fresh_any_more_still_proves_who_gave_it() -> None:
    assert line(ORDER, "expired", NOW + 10_000).believed


def test_a_stolen_chain_without_its_key_proves_nothing_and_is_named_as_claimed() -> None:
    forged = msgspec.structs.replace(ORDER, signature=RIVAL.signer.sign("order", ORDER.payload))
    said = line(forged, "bad-signature")
    assert (said.believed, said.owner, said.whose) == (False, ADMIN.signer.key, "s1")
    assert (said.action, said.grid) == ("pause", "some-id")


def test_what_cannot_be_read_at_all_has_a_line_too() -> None:
    said = line(SignedOrder(b"\xc1", b"", ()), "malformed")
    assert (said.action, said.grid, said.owner, said.believed) == ("", "", "", False)
    assert said.order == order_id(SignedOrder(b"\xc1", b"", ()))


def test_the_line_is_behind_what_is_written_and_before_what_is_told() -> None:
    said, told = line(ADMIN.up(shop(1), NOW)), Send(A, ORDER)
    write, note = Persist(()), Note("a", "b")
    assert before_said([write, told, note], said) == [write, said, told, note]
    assert before_said([write, note], said) == [write, note, said]


def test_a_member_is_named_with_the_chain_of_grants() -> None:
    star = Organisation("star", from_s=NOW, until_s=NOW + 1000)
    order = sign_order(
        Order(Action.PAUSE, "shop", NOW, 600.0, "n" * 8),
        star.key_of("kate"),
        grants=star.grant("kate"),
    )
    said = line(order)
    assert said.believed
    assert (said.owner, said.whose, said.member) == (star.signer.key, "vo:star", "kate")
    assert said.line == (star.key_of("kate").key,)
    forged = msgspec.structs.replace(order, signature=b"x" * 32)
    claimed = line(forged, "bad-signature")
    assert (claimed.believed, claimed.member, claimed.line) == (False, "kate", said.line)
