"""What a decided grid takes of its member's ceilings, and which of several stay within them."""

import msgspec
import pytest
from member_grids import STAR, made, spends, tells, wide
from negotiating import ADMIN, MIB, NOW, A, B, record_of, shop

from protocol.capacity.allotments import NONE, Amounts
from protocol.contract.spends import spends_of
from protocol.grid.lifecycle import Phase
from protocol.grid.model import LeaseTerms, Mount, OwnSize
from protocol.grid.record import GridState

ANN = STAR.key_of("ann").key
SPEC = wide("shop", 3)
RECORD = made(SPEC, A, A, B)


def test_a_sites_grid_and_one_that_is_down_take_nothing() -> None:
    own = record_of(ADMIN.up(shop(1), NOW), {"web-1": A})
    assert spends_of(own, shop(1)) is None
    assert spends_of(made(SPEC, A, A, B, state=GridState.DOWN), SPEC) is None


def test_what_a_host_has_is_what_both_the_decision_and_its_own_notice_say() -> None:
    mine = spends(RECORD, SPEC)
    assert mine.line == (STAR.signer.key, ANN)
    both = mine.on(A, tells(RECORD, SPEC, A), NOW)
    assert both == Amounts(2000, 512 * MIB, 0, 2, 0)
    assert mine.on(B, tells(RECORD, SPEC, B), NOW).workspaces == 1
    lie = msgspec.structs.replace(tells(RECORD, SPEC, A), mine=tells(RECORD, SPEC, B).mine)
    assert mine.on(A, lie, NOW) == NONE, "what was decided to be on another host is not on this one"
    assert mine.on(A, msgspec.structs.replace(lie, mine=()), NOW) == NONE


@pytest.mark.parametrize(
    ("phase", "over", "cpus", "disk"),
    [
        (Phase.HELD, False, 1000, 7),
        (Phase.OFF, False, 1000, 7),
        (Phase.SUSPENDED, False, 1000, 7),
        (Phase.EXPIRED, True, 0, 7),
        (Phase.SUSPENDED, True, 0, 7),
        (Phase.ENDING, True, 1000, 7),
        (Phase.GONE, False, 0, 0),
    ],
)
def test_what_has_ended_takes_its_disk_and_what_is_gone_nothing(
    phase: Phase, over: bool, cpus: int, disk: int
) -> None:
    spec = wide("shop")
    (cluster,) = spec.clusters
    cluster = msgspec.structs.replace(cluster, disk_bytes=7)
    spec = msgspec.structs.replace(spec, clusters=(cluster,))
    record = made(spec, A)
    notice = tells(record, spec, A, phase, ends_s=NOW - 1 if over else NOW + 60)
    found = spends(record, spec).on(A, notice, NOW)
    assert (found.cpus_milli, found.disk_bytes) == (cpus, disk)


def test_a_decision_counts_no_longer_than_its_order_lets_it_last() -> None:
    """So that what was decided long ago, shown again, is worth nothing."""
    spec = wide("shop", lease_s=600, lease=LeaseTerms(grace_s=60))
    record = made(spec, A)
    mine, notice = spends(record, spec), tells(record, spec, A)
    assert mine.on(A, notice, NOW + 600) != NONE
    assert mine.on(A, notice, mine.over_s - 1) != NONE
    assert mine.on(A, notice, mine.over_s) == NONE
    assert mine.over_s < NOW + 2 * 3600
    waits = wide("shop", lease=LeaseTerms(best_effort=True))
    assert spends(made(waits, A), waits).over_s == float("inf"), "nobody knows when that ends"


def test_each_workspace_takes_its_own_size() -> None:
    (cluster,) = SPEC.clusters
    large = msgspec.structs.replace(cluster, sizes=(OwnSize("web-2", 3000, 0),))
    spec = msgspec.structs.replace(SPEC, clusters=(large,))
    mine = spends(made(spec, A, A, B), spec)
    assert [part.amounts.cpus_milli for part in mine.parts] == [1000, 3000, 1000]


def test_an_order_that_makes_no_sense_takes_nothing_away_from_what_there_is() -> None:
    """Who names stewards of its own has it decided. Nobody has less for it, and nobody falls over it."""
    (cluster,) = SPEC.clusters
    odd = msgspec.structs.replace(
        cluster, cpus_milli=-5, memory_bytes=1 << 62, mounts=(Mount("nowhere", "/x"),),
        requires=("web",), provides=("web",),
    )  # fmt: skip
    spec = msgspec.structs.replace(SPEC, clusters=(odd,))
    found = spends(made(spec, A), spec).parts[0].amounts
    assert (found.cpus_milli, found.disk_bytes) == (0, 0)
    assert found.memory_bytes == 1 << 60
