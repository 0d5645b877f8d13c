"""Directories: merging is order-free, equal contents have equal digests, what ended does not come back."""

from collections.abc import Callable
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from some_notices import SIGNERS, notice

from protocol.broadcast.directory import Directory
from protocol.broadcast.messages import version_of
from protocol.terms.effects import Deadline
from protocol.terms.kinds import KINDS
from protocol.terms.limits import TOMBSTONE_S, TOMBSTONES_PER_SITE
from protocol.trust.record import Record, SignedRecord, sign_record


def record(
    owner: int = 0,
    name: str = "",
    incarnation: int = 1,
    sequence: int = 1,
    body: bytes = b"",
    ttl_s: float = 60.0,
    scope: str = "",
) -> tuple[Record, SignedRecord]:
    key = SIGNERS[owner].key
    made = Record(key, "grid", name, incarnation, sequence, body, ttl_s=ttl_s, scope=scope)
    return made, sign_record(made, SIGNERS[owner])


RECORDS = st.lists(
    st.builds(
        record,
        owner=st.integers(0, 2),
        name=st.sampled_from(["", "x"]),
        incarnation=st.integers(0, 2),
        sequence=st.integers(0, 3),
        body=st.sampled_from([b"", b"1", b"2"]),
        scope=st.sampled_from(["", "uc"]),
    ),
    max_size=20,
)


@given(RECORDS, st.randoms(use_true_random=False))
def test_merging_is_order_free(records: list[tuple[Record, SignedRecord]], dice: Random) -> None:
    one, other = Directory(), Directory()
    for made, signed in records:
        one.put(made, signed, 1.0, "uc")
    shuffled = list(records)
    dice.shuffle(shuffled)
    for made, signed in shuffled + records[:3]:
        other.put(made, signed, 2.0, "uc")
        other.check()
    assert one.roots() == other.roots()
    for scope in ("", "uc"):
        assert one.buckets(scope) == other.buckets(scope)
        assert {v.key: v for v in one.versions_in(scope, list(range(64)))} == {
            v.key: v for v in other.versions_in(scope, list(range(64)))
        }
    for made, _ in records:
        assert one.has(version_of(made))
        held = one.get(*made.key)
        assert held is not None
        assert held.record.rank >= made.rank


def test_only_news_is_taken() -> None:
    directory = Directory()
    old, new = record(sequence=1), record(sequence=2)
    assert directory.put(*new, 0.0)
    assert not directory.put(*old, 1.0)
    assert not directory.put(*new, 1.0)
    assert directory.put(*record(incarnation=2, sequence=0), 1.0)
    assert len(directory) == 1
    assert [h.record.incarnation for h in directory.of_kind("grid")] == [2]


def test_digests_tell_in_which_bucket_they_differ() -> None:
    one, other = Directory(), Directory()
    for made, signed in (record(owner=i) for i in range(3)):
        one.put(made, signed, 0.0)
        other.put(made, signed, 0.0)
    other.put(*record(owner=1, sequence=9), 0.0)
    assert one.root("") != other.root("")
    differing = [i for i in range(64) if one.buckets("")[i] != other.buckets("")[i]]
    assert len(differing) == 1
    assert record(owner=1)[0].owner in [v.owner for v in other.versions_in("", differing)]


def test_scopes_have_digests_of_their_own_and_can_be_let_go() -> None:
    directory = Directory()
    for owner, scope in enumerate(("", "uc", "fnal")):
        directory.put(*record(owner=owner, scope=scope), 0.0, scope)
    assert [root.scope for root in directory.roots()] == ["", "fnal", "uc"]
    directory.put(*record(owner=1, scope="fnal", sequence=2), 1.0, "fnal")
    assert [root.scope for root in directory.roots()] == ["", "fnal"], "it moved"
    directory.check()
    directory.narrow("uc")
    assert [root.scope for root in directory.roots()] == [""]
    directory.check()
    assert directory.put(*record(owner=2, scope="fnal"), 2.0, "fnal"), "it may come back"


def test_what_is_renewed_does_not_end() -> None:
    directory = Directory()
    directory.put(*record(ttl_s=10.0), 0.0)
    directory.put(*record(sequence=2, ttl_s=10.0), 8.0)
    assert directory.sweep(12.0) == []
    assert directory.sweep(19.0) == [record(sequence=2, ttl_s=10.0)[0]]


def test_what_ended_does_not_come_back() -> None:
    directory = Directory()
    old = record(ttl_s=10.0)
    directory.put(*old, 0.0)
    assert directory.sweep(9.0) == []
    assert directory.sweep(15.0) == [old[0]]
    assert len(directory) == 0
    assert directory.roots() == ()
    assert directory.has(version_of(old[0])), "remembered as ended"
    assert not directory.put(*old, 16.0)
    assert directory.put(*record(sequence=2), 17.0), "but news is news"
    directory.check()


def test_a_record_ends_at_its_last_instant_and_not_before() -> None:
    directory = Directory()
    made = record(ttl_s=10.0)
    directory.put(*made, 0.0)
    assert directory.sweep(9.999) == []
    assert directory.get(*made[0].key) is not None
    directory = Directory()
    directory.put(*made, 0.0)
    assert directory.sweep(10.0) == [made[0]]
    assert directory.get(*made[0].key) is None


def test_a_renewed_record_ends_at_its_last_instant_too() -> None:
    directory = Directory()
    directory.put(*record(ttl_s=10.0), 0.0)
    directory.put(*record(sequence=2, ttl_s=10.0), 8.0)
    assert directory.sweep(10.0) == []
    assert directory.next_deadline() == Deadline(18.0, "directory sweep")
    assert directory.sweep(17.999) == []
    assert directory.sweep(18.0) == [record(sequence=2, ttl_s=10.0)[0]]


def test_a_tombstone_is_gone_at_its_last_instant_and_not_before() -> None:
    made = record(ttl_s=10.0)
    for later_s, remembered in ((3599.999, True), (3600.0, False)):
        directory = Directory()
        directory.put(*made, 0.0)
        directory.sweep(10.0)
        directory.sweep(10.0 + later_s)
        assert directory.has(version_of(made[0])) is remembered
        assert directory.put(*made, 10.0 + later_s) is not remembered


def test_a_tombstone_keeps_what_is_not_newer_from_coming_back() -> None:
    directory = Directory()
    directory.put(*record(incarnation=2, sequence=5, ttl_s=10.0), 0.0)
    directory.sweep(10.0)
    for old in (
        {"incarnation": 2, "sequence": 5},
        {"incarnation": 2, "sequence": 4},
        {"sequence": 9},
    ):
        assert directory.has(version_of(record(**old)[0]))
        assert not directory.put(*record(**old), 11.0)
    assert not directory.has(version_of(record(incarnation=2, sequence=6)[0]))
    assert directory.put(*record(incarnation=2, sequence=6), 11.0)
    assert directory.has(version_of(record(incarnation=2, sequence=5)[0])), (
        "the newer one stands for it"
    )
    directory.check()


def test_looking_for_what_ended_is_due_every_five_seconds_at_most() -> None:
    directory = Directory()
    assert directory.next_deadline() is None
    made = record(ttl_s=1.0)
    directory.put(*made, 0.0)
    assert directory.next_deadline() == Deadline(5.0, "directory sweep")
    assert directory.sweep(4.999) == []
    assert directory.sweep(5.0) == [made[0]]
    assert directory.next_deadline() == Deadline(3605.0, "directory sweep"), "for its tombstone"
    assert directory.sweep(3605.0) == []
    assert directory.next_deadline() is None, "nothing is left"


def test_a_member_that_left_has_no_tombstones() -> None:
    directory = Directory()
    mine, other = record(name="x"), record(owner=1, name="x")
    directory.put(*mine, 0.0)
    directory.put(*other, 0.0)
    assert directory.drop(mine[0].owner) == [mine[0]]
    assert len(directory) == 1
    assert not directory.has(version_of(mine[0]))
    assert directory.put(*mine, 1.0), "should it come back"
    directory.check()


def test_a_tombstone_outlives_the_copies_elsewhere() -> None:
    long_lived = record(ttl_s=10 * TOMBSTONE_S)
    directory = Directory()
    directory.put(*long_lived, 0.0)
    directory.sweep(10 * TOMBSTONE_S)
    # A newcomer got its copy at the last moment and keeps it for as long again.
    directory.sweep(19 * TOMBSTONE_S)
    assert not directory.put(*long_lived, 19 * TOMBSTONE_S)
    directory.sweep(20 * TOMBSTONE_S + 10)
    assert not directory.has(version_of(long_lived[0]))


def test_a_kind_that_nobody_knows_is_not_kept() -> None:
    made = Record(SIGNERS[0].key, "blob", "", 1, 1, b"", 60.0)
    directory = Directory()
    assert not directory.put(made, sign_record(made, SIGNERS[0]), 0.0)
    assert len(directory) == 0


def test_a_scope_that_no_presence_vouches_for_is_not_begun() -> None:
    directory = Directory()
    assert not directory.put(*record(scope="invented"), 0.0, "uc")
    assert directory.roots() == ()
    made = Record(SIGNERS[1].key, "presence", "", 1, 1, b"", 60.0, "fnal")
    assert directory.put(made, sign_record(made, SIGNERS[1]), 0.0, "fnal")
    assert directory.put(*record(scope="fnal"), 0.0, "uc"), "a suspicion of a host there, say"
    assert [root.scope for root in directory.roots()] == ["fnal"]


def test_what_was_evicted_leaves_nothing_behind() -> None:
    """Not even the moment at which it would have ended."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(KINDS, "grid", msgspec.structs.replace(KINDS["grid"], number=4))
        directory = Directory()
        for number in range(1000):
            directory.put(*notice(0, f"n{number}", number + 1), 0.0)
        directory.check()
        assert len(directory._ends) < 100
        assert len(directory) == 4
        assert directory.drop(SIGNERS[0].key) != []
        directory.check()


def test_of_one_sites_ended_records_the_newest_are_remembered() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("protocol.broadcast.directory.TOMBSTONES_PER_SITE", 3)
        directory = Directory()
        for number in range(9):
            made = Record(SIGNERS[0].key, "grid", f"n{number}", 1, 1, b"", 1.0 + number)
            directory.put(made, sign_record(made, SIGNERS[0]), 0.0, "uc")
        directory.put(*record(owner=1, name="other", ttl_s=1.0), 0.0)
        directory.sweep(100.0)
        names = [f"n{number}" for number in range(9)]
        remembered = [
            name
            for name in names
            if directory.has(version_of(Record(SIGNERS[0].key, "grid", name, 1, 1, b"", 1.0)))
        ]
        assert remembered == names[-3:]
        assert directory.has(version_of(record(owner=1, name="other")[0])), "another site's"
        directory.check()
        directory.sweep(100.0 + TOMBSTONE_S)
        directory.check()
        assert directory.next_deadline() is None
    assert KINDS["grid"].number < TOMBSTONES_PER_SITE


def _forget_a_record(directory: Directory) -> None:
    directory._kinds["grid"].clear()


def _swap_a_record(directory: Directory) -> None:
    kept = directory._kinds["grid"]
    for key, held in kept.items():
        kept[key] = msgspec.structs.replace(held, mark=held.mark + 1)


def _miscount(directory: Directory) -> None:
    directory._count += 1


def _spoil_a_bucket(directory: Directory) -> None:
    directory._scopes[""].buckets[3] ^= 1


def _invent_a_scope(directory: Directory) -> None:
    directory._scopes["uc"] = type(directory._scopes[""])(count=1)


def _miscount_bytes(directory: Directory) -> None:
    next(iter(directory._budgets._owned.values())).bytes += 1


def _misplace_a_tomb(directory: Directory) -> None:
    directory._tombs.clear()


@pytest.mark.parametrize(
    "spoil",
    [
        _forget_a_record,
        _swap_a_record,
        _miscount,
        _spoil_a_bucket,
        _invent_a_scope,
        _miscount_bytes,
        _misplace_a_tomb,
    ],
)
def test_a_directory_that_was_right_is_looked_through_again_when_it_changed(
    spoil: Callable[[Directory], None],
) -> None:
    directory = Directory()
    for name, ttl_s in (("a", 60.0), ("b", 1.0), ("c", 60.0)):
        directory.put(*record(name=name, ttl_s=ttl_s), 1.0, "uc")
    assert directory.sweep(30.0)
    directory.check()
    directory.check()
    spoil(directory)
    with pytest.raises(AssertionError):
        directory.check()


def test_a_short_record_ends_in_time_among_long_ones() -> None:
    directory = Directory()
    directory.put(*record(ttl_s=600.0), 0.0)
    assert directory.sweep(5.0) == []
    short = record(name="x", ttl_s=20.0)
    directory.put(*short, 10.0)
    assert directory.next_deadline() == Deadline(30.0, "directory sweep")
    assert directory.sweep(29.999) == []
    assert directory.sweep(30.0) == [short[0]]


def test_what_is_renewed_for_less_time_ends_sooner() -> None:
    directory = Directory()
    directory.put(*record(ttl_s=600.0), 0.0)
    assert directory.sweep(5.0) == []
    renewed = record(sequence=2, ttl_s=20.0)
    directory.put(*renewed, 10.0)
    assert directory.sweep(30.0) == [renewed[0]]
    directory.put(*record(sequence=3, ttl_s=600.0), 40.0)
    assert directory.sweep(600.0) == [], "the end of the first is not its end"
    assert directory.sweep(640.0) == [record(sequence=3, ttl_s=600.0)[0]]
    directory.check()


def test_ends_that_nothing_is_left_of_are_bounded() -> None:
    directory = Directory()
    for name in map(str, range(200)):
        directory.put(*record(name=name, ttl_s=600.0), 0.0)
        directory.put(*record(name=name, sequence=2, ttl_s=20.0), 0.0)
    assert directory.sweep(20.0)
    directory.check()
