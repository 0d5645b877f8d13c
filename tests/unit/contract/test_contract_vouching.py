"""A record says no more than its owner's orders allow. Each refusal names its rule."""

from random import Random

import msgspec
import pytest
from negotiating import ADMIN, AUTHORITY, FEDERATION, NOW, RIVAL, A, B, record_of, shop

from protocol.contract.authority import Authority
from protocol.grid.model import GridSpec, LeaseTerms
from protocol.grid.record import GridRecord, GridState, LeaseChange
from protocol.sim.keys import SimVerifier
from protocol.sim.people import Admin
from protocol.trust.certificate import read_certificate
from protocol.trust.order import Action, SignedOrder
from protocol.trust.signing import Reason, Untrusted
from protocol.wire.codec import encode

ORDER = ADMIN.up(shop(2), NOW)
BOTH = {"web-1": A, "web-2": B}
RECORD = record_of(ORDER, BOTH)
START = NOW + 3600.0


def replaced(**changes: object) -> GridRecord:
    return msgspec.structs.replace(RECORD, **changes)


def ordered(action: Action, workspace: str = "", body: bytes = b"") -> SignedOrder:
    return ADMIN.order(action, RECORD.id, NOW, workspace=workspace, body=body)


def lengthened(by_s: int) -> SignedOrder:
    return ordered(Action.LEASE, body=encode(LeaseChange(by_s)))


LONGER = encode(LeaseChange(60))


def begun(terms: LeaseTerms, start_s: float) -> GridRecord:
    spec: GridSpec = shop(2, lease=terms, lease_s=1000)
    return record_of(ADMIN.up(spec, NOW), BOTH, start_s=start_s)


def fewer(least: int, placed: int, changes: tuple[SignedOrder, ...] = ()) -> GridRecord:
    """A record of fewer workspaces than were asked for."""
    spec = shop(3)
    (cluster,) = spec.clusters
    spec = msgspec.structs.replace(
        spec, clusters=(msgspec.structs.replace(cluster, minimum=least),)
    )
    names = [f"web-{number}" for number in range(1, placed + 1)]
    return record_of(ADMIN.up(spec, NOW), dict.fromkeys(names, A), changes=changes)


SIXTY = lengthened(60)


@pytest.mark.parametrize(
    ("record", "why"),
    [
        pytest.param(
            record_of(RIVAL.up(shop(2), NOW), BOTH, grid=RECORD.id),
            "a record that is not about its own order",
            id="another-order",
        ),
        pytest.param(
            replaced(owner=RIVAL.signer.key),
            "a record that is not about its own order",
            id="another-owner",
        ),
        pytest.param(
            replaced(name="other"), "a record that is not about its own order", id="another-name"
        ),
        pytest.param(
            record_of(ORDER, {**BOTH, "web-9": A}),
            "a record of workspaces nobody ordered",
            id="more-workspaces",
        ),
        pytest.param(
            begun(LeaseTerms(start_s=START), START + 1),
            "it begins at another time than was ordered",
            id="another-start",
        ),
        pytest.param(
            begun(LeaseTerms(before_s=START), START - 999),
            "it begins too late to end before its deadline",
            id="past-its-deadline",
        ),
        pytest.param(
            replaced(owner_site="s9"),
            "a record that is not about its own order",
            id="another-site",
        ),
        pytest.param(
            replaced(extra_s=120, changes=(SIXTY, SIXTY)),
            "a record with one order twice",
            id="one-order-twice",
        ),
        pytest.param(
            replaced(extra_s=60),
            "a lease that nobody ordered so long, or so short",
            id="longer-than-ordered",
        ),
        pytest.param(
            replaced(extra_s=60, changes=(lengthened(59),)),
            "a lease that nobody ordered so long, or so short",
            id="longer-than-extended",
        ),
        pytest.param(
            replaced(state=GridState.DOWN), "a record that is down without an order", id="down"
        ),
        pytest.param(
            replaced(state=GridState.DOWN, changes=(ordered(Action.TERMINATE, "web-1"),)),
            "a record that is down without an order",
            id="down-by-the-end-of-one-workspace",
        ),
        pytest.param(
            fewer(least=2, placed=1), "a record with fewer than 2 of web", id="fewer-than-least"
        ),
        pytest.param(
            replaced(changes=(RIVAL.order(Action.DOWN, RECORD.id, NOW),)),
            "shop belongs to site s1's admin, not to site s2's admin",
            id="changed-by-another",
        ),
        pytest.param(
            replaced(changes=(ADMIN.order(Action.DOWN, "elsewhere", NOW),)),
            f"an order about elsewhere, not {RECORD.id}",
            id="changed-by-an-order-about-another",
        ),
    ],
)
def test_a_record_that_goes_beyond_its_orders(record: GridRecord, why: str) -> None:
    with pytest.raises(Untrusted) as refused:
        AUTHORITY.vouch(record, None, NOW)
    assert refused.value.detail == why


def test_a_change_of_a_lease_that_says_nothing() -> None:
    with pytest.raises(Untrusted, match=r"to lease that cannot be read: .*a second to a year"):
        AUTHORITY.vouch(replaced(changes=(lengthened(0),)), None, NOW)


def test_what_is_not_signed_is_no_order() -> None:
    forged = msgspec.structs.replace(ORDER, signature=b"x" * 32)
    with pytest.raises(Untrusted) as refused:
        AUTHORITY.vouch(replaced(order=forged), None, NOW)
    assert refused.value.reason is Reason.BAD_SIGNATURE
    change = msgspec.structs.replace(ordered(Action.DOWN), signature=b"x" * 32)
    with pytest.raises(Untrusted) as refused:
        AUTHORITY.vouch(replaced(state=GridState.DOWN, changes=(change,)), None, NOW)
    assert refused.value.reason is Reason.BAD_SIGNATURE


def test_what_is_gone_since_was_ordered_gone() -> None:
    less = replaced(assignments=RECORD.assignments[1:], epoch=2)
    with pytest.raises(Untrusted, match=r"^malformed: web-1 vanished without an order"):
        AUTHORITY.vouch(less, RECORD, NOW)
    other = msgspec.structs.replace(less, changes=(ordered(Action.TERMINATE, "web-2"),))
    with pytest.raises(Untrusted, match=r"^malformed: web-1 vanished without an order"):
        AUTHORITY.vouch(other, RECORD, NOW)
    fine = msgspec.structs.replace(less, changes=(ordered(Action.TERMINATE, "web-1"),))
    assert AUTHORITY.vouch(fine, RECORD, NOW).spec == shop(2)


@pytest.mark.parametrize(
    "record",
    [
        pytest.param(RECORD, id="as-ordered"),
        pytest.param(replaced(state=GridState.DOWN, changes=(ordered(Action.DOWN),)), id="down"),
        pytest.param(
            replaced(extra_s=40, changes=(lengthened(60), lengthened(-20))), id="extended"
        ),
        pytest.param(replaced(changes=(ordered(Action.PAUSE),)), id="changed-otherwise"),
        pytest.param(begun(LeaseTerms(start_s=START), START), id="reserved"),
        pytest.param(begun(LeaseTerms(before_s=START), START - 1000), id="by-its-deadline"),
        pytest.param(fewer(least=2, placed=2), id="as-few-as-may-be"),
    ],
)
def test_a_record_that_says_what_was_ordered(record: GridRecord) -> None:
    found = AUTHORITY.vouch(record, None, NOW + 3600)
    assert (found.name, found.owner) == ("shop", ADMIN.signer.key), "however old the orders are"


def test_those_ended_since_count_among_the_least() -> None:
    short = fewer(least=2, placed=1)
    gone = ADMIN.order(Action.TERMINATE, short.id, NOW, workspace="web-2")
    assert AUTHORITY.vouch(msgspec.structs.replace(short, changes=(gone,)), None, NOW)
    assert AUTHORITY.vouch(short, short, NOW), "who knew it as small before looks at what changed"


def test_when_its_time_is_over_it_may_be_down_without_an_order() -> None:
    down = replaced(state=GridState.DOWN)
    assert AUTHORITY.vouch(down, RECORD, NOW, lapsed=True).name == "shop"
    longer = msgspec.structs.replace(down, extra_s=1)
    with pytest.raises(Untrusted, match="a lease that nobody ordered so long"):
        AUTHORITY.vouch(longer, RECORD, NOW, lapsed=True)


def test_what_changed_it_before_was_believed_then() -> None:
    """A build before this one took a change that named the grid by its name; and keys are revoked since."""
    named = Admin(FEDERATION, "s1", Random(9)).order(Action.LEASE, "shop", NOW, body=LONGER)
    changed = replaced(epoch=2, extra_s=60, changes=(named,))
    with pytest.raises(Untrusted, match="an order about shop, not "):
        AUTHORITY.vouch(changed, None, NOW)
    revoked = {(FEDERATION.key, read_certificate(ADMIN.chain[0]).serial)}
    later = Authority(FEDERATION.key, SimVerifier(), revoked)
    down = msgspec.structs.replace(changed, epoch=3, state=GridState.DOWN)
    assert later.vouch(down, changed, NOW, lapsed=True).name == "shop"
    with pytest.raises(Untrusted, match="revoked"):
        later.vouch(changed, None, NOW)
    again = msgspec.structs.replace(down, changes=(named, ordered(Action.DOWN)))
    with pytest.raises(Untrusted, match="revoked"):
        later.vouch(again, changed, NOW)
