"""What a steward takes, and which step: every step beyond the owner's orders is refused, with the reason."""

from collections.abc import Callable
from random import Random

import msgspec
import pytest
from deciding import closed, decided, handed_over
from negotiating import ADMIN, AUTHORITY, FEDERATION, NOW, RIVAL, A, B, C, record_of, shop

from protocol.grid.record import (
    GridRecord,
    GridState,
    LeaseChange,
    Register,
    grid_id,
    order_part,
    register_key,
)
from protocol.grid.steps import (
    Commit,
    End,
    Extend,
    Finish,
    Lapse,
    Remove,
    Replace,
    Step,
    Vote,
    apply,
)
from protocol.sim.keys import SimFederation
from protocol.sim.people import Admin
from protocol.terms.ids import GridId, PeerId, StoreId
from protocol.trust.certificate import Chain
from protocol.trust.order import Action, SignedOrder
from protocol.trust.signing import Untrusted
from protocol.wire.codec import encode

ORDER = ADMIN.up(shop(2), NOW)
RECORD = record_of(ORDER, {"web-1": A, "web-2": B})
KEY = order_part(RECORD.id)
MADE = Register(RECORD)


def about(action: Action, body: bytes = b"", workspace: str = "", at_s: float = NOW) -> SignedOrder:
    return ADMIN.order(action, RECORD.id, at_s, body=body, workspace=workspace)


DOWN = about(Action.DOWN)
LONGER = about(Action.LEASE, encode(LeaseChange(60)))
GONE = about(Action.TERMINATE, workspace="web-1")


def after(
    step: Step, register: Register = MADE, asker: PeerId = A, now: float = NOW + 1
) -> Register:
    return AUTHORITY.follows(ORDER, register, step, asker, now)


def changed(**said: object) -> GridRecord:
    return msgspec.structs.replace(RECORD, **said)  # type: ignore[arg-type]


def test_what_the_owner_ordered_is_done() -> None:
    assert after(Commit(RECORD), Register()) == MADE
    ended = after(End(RECORD.id, DOWN)).record
    assert ended is not None
    assert ended.state is GridState.DOWN
    longer = after(Extend(RECORD.id, LONGER)).record
    assert longer is not None
    assert longer.extra_s == 60
    less = after(Remove(RECORD.id, "web-1", GONE)).record
    assert less is not None
    assert [a.workspace for a in less.assignments] == ["web-2"]
    assert after(Finish()) == MADE


def test_a_register_without_a_record_names_its_order() -> None:
    voted = after(Vote(1), Register())
    assert (voted.first, voted.ordered) == (1, ORDER)
    assert AUTHORITY.judges(KEY, encode(voted)) == voted


REFUSED: dict[str, Callable[[], Register]] = {
    "a later epoch": lambda: after(Commit(changed(epoch=2)), Register()),
    "a commit that is down": lambda: after(Commit(changed(state=GridState.DOWN)), Register()),
    "another's order": lambda: after(
        Commit(record_of(RIVAL.up(shop(2), NOW), {"web-1": A})), Register()
    ),
    "other stewards": lambda: after(Commit(changed(stewards=(C,))), Register()),
    "what no host granted": lambda: after(Commit(changed(grants=())), Register()),
    "too late": lambda: after(Commit(RECORD), Register(), now=NOW + 700),
    "an end of another site": lambda: after(
        End(RECORD.id, RIVAL.order(Action.DOWN, RECORD.id, NOW))
    ),
    "an end by an order to pause": lambda: after(End(RECORD.id, about(Action.PAUSE))),
    "an end by an order about another grid": lambda: after(
        End(RECORD.id, ADMIN.order(Action.DOWN, "0" * 20, NOW))
    ),
    "an end of what is undecided by another site": lambda: after(
        End(RECORD.id, RIVAL.order(Action.DOWN, RECORD.id, NOW), undecided=True), Register()
    ),
    "another workspace than was ordered gone": lambda: after(Remove(RECORD.id, "web-2", GONE)),
    "a lease changed by no number": lambda: after(Extend(RECORD.id, about(Action.LEASE, b"\xff"))),
    "a lease changed too late": lambda: after(Extend(RECORD.id, LONGER), now=NOW + 700),
    "its time, by a stranger": lambda: after(Lapse(RECORD.id), asker=C, now=NOW + 10**8),
    "its time, too early": lambda: after(Lapse(RECORD.id), now=NOW + 3600),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_step_beyond_the_owners_orders_is_refused(what: str) -> None:
    with pytest.raises(Untrusted):
        REFUSED[what]()


def test_its_time_is_over_when_a_carrier_says_so_then() -> None:
    over = after(Lapse(RECORD.id), now=NOW + 86400 * 2).record
    assert over is not None
    assert over.state is GridState.DOWN


LIES: dict[str, Callable[[], Register]] = {
    "another order's": lambda: Register(record_of(RIVAL.up(shop(2), NOW), {"web-1": A})),
    "a turned order": lambda: Register(
        changed(order=msgspec.structs.replace(ORDER, signature=b"x" * 32))
    ),
    "another id": lambda: Register(changed(id=GridId("0" * 20 + ".0"))),
    "another name": lambda: Register(changed(name="other")),
    "another owner": lambda: Register(changed(owner=RIVAL.signer.key)),
    "other stewards": lambda: Register(changed(stewards=(A,))),
    "no epoch": lambda: Register(changed(epoch=0)),
    "an epoch beyond all": lambda: Register(changed(epoch=1 << 60)),
    "another's change": lambda: Register(
        changed(changes=(RIVAL.order(Action.DOWN, RECORD.id, NOW),))
    ),
    "time that nobody ordered": lambda: Register(changed(extra_s=60)),
    "no grants": lambda: Register(changed(grants=())),
    "an order to hold": lambda: Register(None, 1, (), ADMIN.hold(shop(2), 60.0, NOW)),
    "no order": lambda: Register(None, 1),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_value_that_does_not_vouch_for_itself_is_not_taken(lie: str) -> None:
    register = LIES[lie]()
    for key in {KEY, order_part(grid_id(register.ordered)) if register.order else KEY}:
        with pytest.raises(Untrusted):
            AUTHORITY.judges(key, encode(register))


def test_nor_what_is_no_register() -> None:
    for value in (b"", b"\xc1", encode(RECORD.hosts)):
        with pytest.raises(Untrusted):
            AUTHORITY.judges(KEY, value)


def test_what_vouches_for_itself_does_at_any_time() -> None:
    for register in (
        MADE,
        Register(RECORD, 3),
        decided(RECORD).register,
        after(End(RECORD.id, DOWN)),
    ):
        assert AUTHORITY.judges(KEY, encode(register)) == register


# -- who follows a steward


OWN, CARRIES = FEDERATION.host("s1", "x"), FEDERATION.host("s2", "y")
CHAINS = {
    "owner": FEDERATION.host_chain("s1", "x"),
    "carrier": FEDERATION.host_chain("s2", "y"),
    "other": FEDERATION.host_chain("s3", "z"),
}
HEIRS = {
    "owner": PeerId(OWN.key),
    "carrier": PeerId(CARRIES.key),
    "other": PeerId(FEDERATION.host("s3", "z").key),
}


def sealed(who: str, chain: Chain | None = None) -> bytes:
    return encode(closed(MADE, C, HEIRS[who], CHAINS[who] if chain is None else chain))


@pytest.mark.parametrize("who", ["owner", "carrier"])
def test_a_steward_is_followed_by_a_host_of_a_site_that_could_stop_the_grid(who: str) -> None:
    register = AUTHORITY.judges(KEY, sealed(who))
    assert register.stewards == (A, B, HEIRS[who])
    late = FEDERATION.host_chain("s1", "x", until_s=NOW - 500)
    assert AUTHORITY.judges(KEY, encode(closed(MADE, C, HEIRS["owner"], late))), "at any time alike"


def strangers() -> dict[str, bytes]:
    elsewhere = SimFederation("elsewhere", from_s=NOW - 1000, until_s=NOW + 1000)
    replace = msgspec.structs.replace
    whole = closed(MADE, C, HEIRS["owner"], CHAINS["owner"])
    assert whole.closed is not None
    one_more = replace(whole.closed, heirs=(*whole.closed.heirs, HEIRS["carrier"]))
    two = replace(whole.closed, heirs=(A, HEIRS["carrier"], HEIRS["owner"]))
    return {
        "of another site": sealed("other"),
        "with no certificate": sealed("owner", ()),
        "with another's certificate": sealed("owner", CHAINS["carrier"]),
        "with its site's alone": sealed("owner", CHAINS["owner"][1:]),
        "of another federation": sealed("owner", elsewhere.host_chain("s1", "x")),
        "with a certificate of halves": sealed("owner", (CHAINS["owner"][0], CHAINS["carrier"][1])),
        "one more": encode(replace(whole, closed=one_more)),
        "two at once": encode(replace(whole, closed=two)),
        "of a grid that is not made, of another site than the owner's": encode(
            closed(Register(None, 1, (), ORDER), C, HEIRS["carrier"], CHAINS["carrier"])
        ),
    }


@pytest.mark.parametrize("which", strangers())
def test_no_stranger_follows_a_steward(which: str) -> None:
    with pytest.raises(Untrusted):
        AUTHORITY.judges(KEY, strangers()[which])


def test_a_host_of_any_site_follows_itself_with_another_store_and_another_with_none() -> None:
    other, stores = HEIRS["other"], tuple(StoreId(digit * 16) for digit in "abc")
    admin = Admin(FEDERATION, "s1", Random(3), lambda: (A, B, other), lambda _: stores)
    order = admin.up(shop(2), NOW)
    made, key = Register(None, 1, (), order), register_key(order)
    step = Replace(other, other, CHAINS["other"], StoreId("d" * 16))
    again = apply(step, made, NOW)
    assert AUTHORITY.judges(key, encode(again)).stewards == (A, B, other)
    assert apply(msgspec.structs.replace(step, store=stores[2]), made, NOW) == made
    assert apply(msgspec.structs.replace(step, store=StoreId("")), made, NOW) == made
    assert again.closed is not None
    for bad in ((*stores[:2], ""), stores, stores[:2], (), (stores[0], "d" * 16, stores[2])):
        closed_ = msgspec.structs.replace(again.closed, stores=bad)
        with pytest.raises(Untrusted):
            AUTHORITY.judges(key, encode(msgspec.structs.replace(again, closed=closed_)))


def test_a_value_with_seals_that_nobody_signed_is_not_taken() -> None:
    good = handed_over(MADE, C, HEIRS["owner"], CHAINS["owner"])
    assert AUTHORITY.judges(KEY, encode(good)) == good
    bad = msgspec.structs.replace(good.seals[0], votes=good.seals[0].votes[:1])
    with pytest.raises(Untrusted):
        AUTHORITY.judges(KEY, encode(msgspec.structs.replace(good, seals=(bad,))))


def test_a_grid_that_is_not_made_yet_has_stewards_replaced_too() -> None:
    step = Replace(C, HEIRS["owner"], CHAINS["owner"])
    waiting = after(step, Register())
    assert (waiting.ordered, waiting.stewards) == (ORDER, (A, B, HEIRS["owner"]))
    began = handed_over(Register(None, 0, (), ORDER), C, HEIRS["owner"], CHAINS["owner"])
    made = after(Commit(RECORD), began)
    assert made.record == RECORD
    assert made.stewards == waiting.stewards
    assert AUTHORITY.judges(KEY, encode(made)) == made
    voted = after(Vote(4), began)
    assert (voted.first, voted.seals) == (4, began.seals)
