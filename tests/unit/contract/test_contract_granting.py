"""What a record says of its hosts is what these granted, or what this peer knew before."""

import msgspec
import pytest
from negotiating import ADMIN, FEDERATION, NOW, A, B, C, HostKey, grants_of, record_of, shop

from protocol.contract.granting import check_granted, check_step, vnis_fault
from protocol.contract.reading import Reading
from protocol.grid.grant import sign_grant
from protocol.grid.record import Assignment, GridRecord, GridState
from protocol.sim.keys import SimVerifier
from protocol.trust.order import Action
from protocol.trust.signing import Untrusted

ORDER = ADMIN.up(shop(3), NOW)
PLACED = {"web-1": A, "web-2": B, "web-3": A}
RECORD = record_of(ORDER, PLACED)
DOWN, GONE = (ADMIN.order(a, "shop", NOW, workspace="") for a in (Action.DOWN, Action.TERMINATE))
READING = Reading(FEDERATION.key, SimVerifier(), ())


def but(**changes: object) -> GridRecord:
    return msgspec.structs.replace(RECORD, **changes)  # type: ignore[arg-type]


def test_every_host_granted_what_it_carries() -> None:
    check_granted(RECORD, (), READING)
    less = but(assignments=RECORD.assignments[1:])
    check_granted(less, ("web-1",), READING)
    check_granted(but(assignments=()), ("web-1", "web-2", "web-3"), READING)


@pytest.mark.parametrize(
    ("record", "why"),
    [
        (but(grants=()), "not those that granted"),
        (but(grants=RECORD.grants[:1]), "not those that granted"),
        (but(hosts=RECORD.hosts[:1]), "not those that granted"),
        (but(grants=RECORD.grants * 2), "two grants of one host"),
        (but(assignments=RECORD.assignments * 2), "places web-1 twice"),
        (but(assignments=RECORD.assignments[1:]), "otherwise than its hosts granted"),
        (but(assignments=(*RECORD.assignments, Assignment("web-4", A))), "otherwise than"),
        (but(assignments=tuple(Assignment(n, A) for n in PLACED)), "otherwise than"),
        (but(vnis=(("lan", 7),)), "has other VXLAN ids"),
        (but(start_s=NOW + 1), "has another start"),
        (but(id=RECORD.id + "1"), "is of another grid"),
        (but(grants=grants_of(RECORD.id, {"web-1": A, "web-2": B}, RECORD.vnis)), "otherwise than"),
    ],
)
def test_what_a_host_did_not_grant_is_not_believed(record: GridRecord, why: str) -> None:
    with pytest.raises(Untrusted, match=why):
        check_granted(record, (), READING)


def test_nobody_grants_in_anothers_name() -> None:
    mine = READING.grant(RECORD.grants[1]).grant
    forged = msgspec.structs.replace(sign_grant(mine, HostKey(C)), host=B)
    with pytest.raises(Untrusted, match="bad-signature"):
        check_granted(but(grants=(RECORD.grants[0], forged)), (), READING)


@pytest.mark.parametrize(
    "record",
    [
        RECORD,
        but(epoch=2, changes=(GONE,), assignments=RECORD.assignments[1:]),
        but(epoch=2, changes=(DOWN,), state=GridState.DOWN),
        but(epoch=2, state=GridState.DOWN),
        but(epoch=3, changes=(DOWN,), state=GridState.DOWN),
    ],
)
def test_a_record_follows_another_by_what_its_orders_say(record: GridRecord) -> None:
    check_step(record, RECORD)


@pytest.mark.parametrize(
    "record",
    [
        but(hosts=RECORD.hosts[:1]),
        but(grants=()),
        but(vnis=(("lan", 7),)),
        but(start_s=NOW),
        but(stewards=(A,)),
        but(id=RECORD.id + "1"),
        but(epoch=2),
        but(epoch=10**9),
        but(epoch=10**9, changes=(DOWN,), state=GridState.DOWN),
        but(assignments=(*RECORD.assignments, Assignment("web-4", A))),
        but(assignments=RECORD.assignments * 2),
        but(assignments=tuple(Assignment(n, A) for n in PLACED)),
    ],
)
def test_nothing_else_follows(record: GridRecord) -> None:
    with pytest.raises(Untrusted):
        check_step(record, RECORD)


def test_no_change_is_forgotten() -> None:
    before = but(epoch=2, changes=(GONE,))
    with pytest.raises(Untrusted, match="forgot a change"):
        check_step(but(epoch=2, changes=(DOWN,), state=GridState.DOWN), before)


def test_a_record_of_an_older_build_is_believed_as_ones_own_store_has_it() -> None:
    old = but(grants=())
    check_step(msgspec.structs.replace(old, epoch=2, changes=(GONE,)), old)


@pytest.mark.parametrize(
    ("vnis", "fault"),
    [
        ((("lan", 1), ("wan", (1 << 24) - 1)), ""),
        ((("lan", 1),), "one for each"),
        ((("wan", 1), ("lan", 2)), "one for each"),
        ((("lan", 0), ("wan", 2)), "out of range"),
        ((("lan", 1 << 24), ("wan", 2)), "out of range"),
        ((("lan", 2), ("wan", 2)), "are the same"),
    ],
)
def test_each_network_has_an_id_that_it_can_have(
    vnis: tuple[tuple[str, int], ...], fault: str
) -> None:
    found = vnis_fault(vnis, ["lan", "wan"])
    assert fault in found
    assert bool(fault) is bool(found)
