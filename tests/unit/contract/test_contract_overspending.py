"""Which of a member's grids stay within its ceiling at all sites, whoever judges."""

from random import Random

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from member_grids import STAR, made, person, spends, wide
from negotiating import NOW, A, B

from protocol.capacity.allotments import Amounts
from protocol.contract.overspending import kept, over
from protocol.contract.spends import Spends, total
from protocol.terms.ids import GridId, KeyId
from protocol.trust.ceilings import Ceilings
from protocol.trust.order import Action
from protocol.wire.codec import encode

ANN = STAR.key_of("ann").key
SPEC = wide("shop", 3)
RECORD = made(SPEC, A, A, B)


def test_only_ceilings_of_grants_for_several_sites_count() -> None:
    def counted(**grant: object) -> tuple[KeyId, ...]:
        record = made(SPEC, A, A, B, by=person(**grant))
        return tuple(key for key, _ in spends(record, SPEC).ceilings)

    assert counted() == (ANN,)
    assert counted(sites=("s1", "s2")) == (ANN,)
    assert counted(sites=("s1",)) == ()
    assert counted(ceilings=Ceilings(lease_s=60)) == (), "how long is no amount"
    chain = STAR.grant("ann", ceilings=Ceilings(cpus_milli=8000))
    bob = STAR.grant("bob", by="ann", under=chain, ceilings=Ceilings(cpus_milli=1000))
    below = made(SPEC, A, A, B, by=person("bob", bob))
    assert dict(spends(below, SPEC).ceilings) == {
        ANN: Ceilings(cpus_milli=8000),
        STAR.key_of("bob").key: Ceilings(cpus_milli=1000),
    }


def test_nobody_gets_before_others_by_a_date() -> None:
    """Grids stand in the order of the time until which their orders could be given."""
    first, second = made(SPEC, A, at_s=NOW), made(SPEC, A, at_s=NOW + 5)
    assert spends(first, SPEC).place < spends(second, SPEC).place
    order = person().order(Action.UP, "shop", NOW - 86400, body=encode(SPEC), valid_s=2 * 86400.0)
    dated_back = msgspec.structs.replace(second, order=order)
    assert spends(first, SPEC).place < spends(dated_back, SPEC).place


SPENDS = spends(RECORD, SPEC)


def grid(number: int, most: int) -> Spends:
    ceilings = ((ANN, Ceilings(cpus_milli=most)),)
    return msgspec.structs.replace(
        SPENDS, grid=GridId(str(number)), given_until_s=float(number // 2), ceilings=ceilings
    )


@given(
    st.lists(st.integers(0, 9), max_size=9),
    st.integers(0, 20),
    st.randoms(use_true_random=False),
)
def test_what_stays_is_within_and_what_comes_later_changes_nothing_of_it(
    sizes: list[int], most: int, dice: Random
) -> None:
    each = [(grid(n, most), Amounts(cpus_milli=size)) for n, size in enumerate(sizes)]
    within = kept(ANN, each)
    assert total(within.values()).cpus_milli <= most
    shuffled = list(each)
    dice.shuffle(shuffled)
    assert kept(ANN, shuffled) == within, "whoever judges, and in whatever order it heard"
    for many in range(len(each)):
        before = kept(ANN, each[:many])
        assert before == {g: a for g, a in within.items() if int(g) < many}
    for one, has in each:
        beside = total(a for g, a in within.items() if int(g) < int(one.grid))
        assert (one.grid in within) == ((beside + has).cpus_milli <= most)


def test_one_whose_order_shows_no_such_ceiling_stays() -> None:
    free = msgspec.structs.replace(grid(9, 0), ceilings=())
    assert kept(ANN, [(free, Amounts(cpus_milli=99))]) == {GridId("9"): Amounts(cpus_milli=99)}


def test_over_looks_at_what_a_ceiling_names() -> None:
    assert not over(Ceilings(), Amounts(9, 9, 9, 9, 9))
    assert over(Ceilings(workspaces=1), Amounts(workspaces=2))
    assert not over(Ceilings(workspaces=1, lease_s=0), Amounts(workspaces=1))
