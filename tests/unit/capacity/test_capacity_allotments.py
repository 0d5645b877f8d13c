"""What a step makes of the lines of a site."""

import msgspec

from protocol.capacity.allotments import (
    LINES_MOST,
    NONE,
    Allot,
    Allotments,
    Amounts,
    Line,
    allotted,
    governed,
)
from protocol.terms.ids import KeyId, PeerId, StoreId
from protocol.wire.codec import decode, encode

STAR, CMS = KeyId("star"), KeyId("cms")
A, B = PeerId("a"), PeerId("b")
STORE, NEW = StoreId("1"), StoreId("2")
RULED = governed(Allotments(), 1, ((STAR, Amounts(10, 20)),))


def step(host: PeerId, cpus: int, serial: int = 0, store: StoreId = STORE, **more: object) -> Allot:
    return Allot(host, store, serial, 7, ((STAR, Amounts(cpus, 2 * cpus)),), **more)  # type: ignore[arg-type]


def has(value: Allotments, host: PeerId, store: StoreId = STORE) -> int:
    return dict(value.of(host, store).parts).get(STAR, NONE).cpus_milli


def test_a_host_gets_what_is_free_and_no_more() -> None:
    value = allotted(allotted(RULED, step(A, 7)), step(B, 7))
    assert (has(value, A), has(value, B)) == (7, 3)
    assert value.sum(STAR) == value.ceiling(STAR)


def test_a_step_is_taken_once() -> None:
    once = allotted(RULED, step(A, 7))
    assert allotted(once, step(A, 7)) == once
    assert allotted(once, step(A, 2)) == once
    assert has(allotted(once, step(A, 2, serial=1)), A) == 2


def test_who_is_not_named_in_the_policy_gets_nothing() -> None:
    value = allotted(RULED, Allot(A, STORE, 0, 7, ((CMS, Amounts(1)),)))
    assert value.of(A, STORE) == Line(A, STORE, 1, 7)


def test_no_line_grows_while_a_lowered_ceiling_is_passed_and_each_may_stay() -> None:
    value = governed(allotted(RULED, step(A, 7)), 2, ((STAR, Amounts(5, 10)),))
    assert has(allotted(value, step(A, 9, serial=1)), A) == 7
    assert has(allotted(value, step(B, 1)), B) == 0
    assert has(allotted(value, step(A, 2, serial=1)), A) == 2


def test_an_older_policy_changes_nothing() -> None:
    newer = governed(RULED, 3, ((STAR, Amounts(5)),))
    assert governed(newer, 2, ((STAR, Amounts(50)),)) == newer


def test_the_line_of_a_removed_host_is_free() -> None:
    value = governed(allotted(RULED, step(A, 7)), 1, (), removed=(A,))
    assert has(allotted(value, step(B, 10)), B) == 10


def test_a_store_takes_over_the_line_of_the_one_before_though_the_ceiling_is_passed() -> None:
    value = governed(allotted(RULED, step(A, 7)), 2, ((STAR, Amounts(1, 2)),))
    other = allotted(value, step(B, 1, gone=(STORE,)))
    assert has(other, A) == 7, "another's store is not ended"
    after = allotted(value, step(A, 4, store=NEW, gone=(STORE,)))
    assert (has(after, A), has(after, A, NEW)) == (0, 4)


def test_there_are_so_many_lines_and_no_more() -> None:
    lines = tuple(Line(PeerId(str(n)), STORE, 1) for n in range(LINES_MOST))
    full = msgspec.structs.replace(RULED, lines=lines)
    assert allotted(full, step(A, 1)) == full
    assert has(allotted(full, step(PeerId("5"), 1, serial=1)), PeerId("5")) == 1


def test_each_change_has_a_version_of_its_own_and_is_said_as_it_is() -> None:
    value = allotted(RULED, step(A, 7))
    assert (RULED.version, value.version) == (1, 2)
    assert decode(encode(value), Allotments) == value


def test_amounts_are_reckoned_by_component() -> None:
    one, other = Amounts(3, 8, 0, 1), Amounts(5, 2, 1, 1)
    assert one + other == Amounts(8, 10, 1, 2)
    assert one - other == Amounts(0, 6)
    assert one.least(other) == Amounts(3, 2, 0, 1)
    assert one.most(other) == Amounts(5, 8, 1, 1)
    assert Amounts(10, 11).shared(3) == Amounts(3, 3)
    assert Amounts(10).shared(0) == Amounts(10)
    assert one.least(other).fits(other)
    assert not one.fits(other)
