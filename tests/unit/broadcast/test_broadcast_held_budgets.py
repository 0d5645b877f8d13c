"""What stays of too much: the same everywhere, and nobody's but the owner's that said too much."""

from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from some_notices import SIGNERS, notice

from protocol.broadcast.budgets import fault
from protocol.broadcast.directory import Directory
from protocol.sim.keys import SimSigner
from protocol.terms.kinds import KINDS, RECORD_COST_BYTES
from protocol.trust.record import Record, sign_record


def test_an_owner_has_its_share_and_gives_up_its_oldest_for_more() -> None:
    directory, most = Directory(), KINDS["grid"].number
    for number in range(most):
        assert directory.put(*notice(0, f"n{number}", number + 1), 0.0)
    assert directory.pop_evicted() == []
    assert directory.put(*notice(0, "new", most + 1), 0.0)
    assert directory.pop_evicted() == [notice(0, "n0")[0]]
    assert not directory.put(*notice(0, "n0"), 0.0), "what went is older than all that is kept"
    assert directory.pop_evicted() == []
    assert directory.put(*notice(1, "n0"), 0.0)
    assert directory.put(*notice(0, "n5", most + 2), 0.0), "a newer version takes no more room"
    assert len(directory) == most + 1
    directory.check()


def test_an_owner_has_so_many_bytes_and_no_more() -> None:
    directory, budget = Directory(), KINDS["grid"].owner_bytes
    for number in range(150):
        directory.put(*notice(0, f"n{number}", number + 1, 60_000), 0.0)
    kept = sum(len(h.signed.payload) + RECORD_COST_BYTES for h in directory.of_kind("grid"))
    assert budget - 61_000 < kept <= budget
    assert directory.get(SIGNERS[0].key, "grid", "n149") is not None
    directory.check()


def test_of_a_site_the_owner_that_takes_most_gives_way() -> None:
    directory = Directory()
    directory.put(*notice(0, "small"), 0.0, "uc")
    many = [SimSigner(f"host {number}") for number in range(12)]
    for number, signer in enumerate(many):
        for turn in range(60):
            directory.put(*notice(0, f"n{turn}", turn + 1, 60_000, signer), 0.0, "uc")
        directory.put(*notice(1, f"m{number}"), 0.0, "elsewhere")
    budget = KINDS["grid"].site_bytes
    held = directory.of_kind("grid")
    assert sum(h.cost_bytes for h in held if h.site == "uc") <= budget
    assert directory.get(SIGNERS[0].key, "grid", "small") is not None, "it took little"
    assert sum(h.site == "elsewhere" for h in held) == 12, "another site does not notice"
    counts = {s.key: sum(h.record.owner == s.key for h in held) for s in many}
    assert max(counts.values()) - min(counts.values()) <= 1, "those that take much share alike"
    directory.check()


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 9), st.integers(1, 64_000)), max_size=60),
    st.randoms(use_true_random=False),
)
def test_what_stays_of_too_much_does_not_depend_on_the_order(
    said: list[tuple[int, int, int]], dice: Random
) -> None:
    """An owner that took more than its share loses the same records everywhere."""
    with pytest.MonkeyPatch.context() as patch:
        tight = msgspec.structs.replace(
            KINDS["grid"], number=4, owner_bytes=100_000, site_bytes=200_000
        )
        patch.setitem(KINDS, "grid", tight)
        signers = [SimSigner(f"host {number}") for number in range(6)]
        numbered = {(o, n): notice(0, f"n{n}", n, 1 + s // 8, signers[o]) for o, n, s in said}
        one, other, shuffled = Directory(), Directory(), list(numbered.values())
        dice.shuffle(shuffled)
        for made in numbered.values():
            one.put(*made, 0.0, "uc")
        for made in shuffled:
            other.put(*made, 0.0, "uc")
        one.check()
        assert one.roots() == other.roots()


@pytest.mark.parametrize(
    ("kind", "site_bytes"), [("presence", 3_000), ("advert", 3_000), ("site", 3_000)]
)
def test_a_site_has_so_many_bytes_of_what_each_host_says_once(kind: str, site_bytes: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(KINDS, kind, msgspec.structs.replace(KINDS[kind], site_bytes=site_bytes))
        made = [
            Record(SimSigner(f"host {n}").key, kind, "", 1, 1, bytes(n), 60.0) for n in range(9)
        ]
        signed = [sign_record(made[n], SimSigner(f"host {n}")) for n in range(9)]
        roots = []
        for order in (range(9), reversed(range(9))):
            directory = Directory()
            for n in order:
                directory.put(made[n], signed[n], 0.0, "uc")
            assert 1 < len(directory) < 9
            directory.check()
            roots.append(directory.roots())
        assert roots[0] == roots[1]


@pytest.mark.parametrize(
    ("changes", "size_bytes", "why"),
    [
        ({}, 500, ""),
        ({}, 70_000, "oversized-record"),
        ({"kind": "blob"}, 500, "unknown-kind"),
        ({"ttl_s": 7200.0}, 500, "record-lives-too-long"),
        ({"name": "x"}, 500, "named-record"),
        ({"name": "x", "kind": "grid"}, 500, ""),
        ({"kind": "suspicion", "name": "x"}, 1025, "oversized-record"),
    ],
)
def test_what_is_kept_of_nobody(changes: dict[str, str | float], size_bytes: int, why: str) -> None:
    advert = Record(SIGNERS[0].key, "advert", "", 1, 1, b"", 3600.0)
    assert fault(msgspec.structs.replace(advert, **changes), size_bytes) == why
