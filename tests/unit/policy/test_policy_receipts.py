"""What leases reserve and use is counted once, whoever was killed when; a forged receipt is none."""

from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.capacity.quantum import Quantum
from protocol.policy.receipts import (
    AWAY_MOST_S,
    HOUR_S,
    Count,
    Counts,
    Figures,
    LeaseNow,
    Meter,
    Payer,
    Receipt,
    Reserved,
    SignedReceipt,
    Total,
    Used,
    check_receipt,
    read_receipt,
    sign_receipt,
)
from protocol.sim.keys import SimSigner, SimVerifier
from protocol.terms.ids import GridId, KeyId
from protocol.terms.ranges import AMOUNT_MOST
from protocol.trust.signing import Reason, Untrusted
from protocol.wire.codec import decode, encode

HOST = SimSigner("host")
MIB = 1 << 20
NOON = 1000 * HOUR_S
G, W = GridId("g"), "w-1"
PAYER = Payer(KeyId("a" * 64), "vo:star", "kate", (KeyId("b" * 64),))
LEASE = LeaseNow(G, "shop", PAYER, Quantum(2000, 1024 * MIB, 4096 * MIB))
METER = Meter(HOST.key, "h1", "ams")


class One:
    """One host's counts, as they are on disk."""

    def __init__(self) -> None:
        self.counts: Counts = {}
        self.receipts: list[Receipt] = []

    def look(
        self, now_s: int, *leases: LeaseNow, killed: bool = False, **figures: Figures
    ) -> list[Receipt]:
        """A look at that time. If the daemon is killed before it is on disk, there was none."""
        seen = {(G, name.replace("_", "-")): each for name, each in figures.items()}
        receipts, after = METER.look(self.counts, leases, seen, now_s)
        if killed:
            return []
        self.counts = {g: decode(encode(count), Count) for g, count in after.items()}
        self.receipts += receipts
        return receipts

    def total(self) -> Total:
        """All that was counted."""
        found = [*self.receipts, *(METER.receipt(count) for count in self.counts.values())]
        return sum(map(Total.of, found), Total())


def test_what_is_reserved_is_the_quantum_times_the_time_and_a_receipt_ends_with_its_hour() -> None:
    one = One()
    assert one.look(NOON + 3000, LEASE) == []
    assert one.look(NOON + 3060, LEASE) == []
    (receipt,) = one.look(NOON + HOUR_S + 60, LEASE)
    assert receipt == Receipt(
        HOST.key,
        "h1",
        "ams",
        G,
        "shop",
        PAYER,
        NOON + 3000,
        NOON + HOUR_S,
        Reserved(2000 * 600, 1024 * 600, 4096 * 600),
        Used(),
    )
    assert one.counts[G].reserved == Reserved(2000 * 60, 1024 * 60, 4096 * 60)


def test_what_a_lease_has_changes_from_one_look_to_the_next() -> None:
    one = One()
    one.look(NOON, LEASE)
    one.look(NOON + 60, msgspec.structs.replace(LEASE, quantum=Quantum(500, 0, 0)))
    one.look(NOON + 120, LEASE)
    assert one.total().reserved.cpu_milli_s == 60 * 2000 + 60 * 500


def test_a_lease_that_ended_has_a_last_receipt() -> None:
    one = One()
    one.look(NOON, LEASE)
    one.look(NOON + 60, LEASE)
    (receipt,) = one.look(NOON + 120)
    assert (receipt.from_s, receipt.until_s, receipt.last) == (NOON, NOON + 60, True)
    assert one.counts == {}
    assert one.look(NOON + 180) == []


def test_what_is_used_is_by_how_much_the_hypervisors_counters_rose() -> None:
    one = One()
    one.look(NOON, LEASE)
    one.look(NOON + 60, LEASE, w_1=Figures(5000, 256 * MIB, 1, 2, 3, 4))
    one.look(NOON + 120, LEASE, w_1=Figures(9000, 512 * MIB, 11, 12, 13, 14))
    assert one.total().used == Used(9000, (256 + 512) * 60, 11, 12, 13, 14)


def test_counters_begin_anew_with_a_guest_and_one_that_is_away_comes_back_as_it_was() -> None:
    one = One()
    one.look(NOON, LEASE)
    one.look(NOON + 60, LEASE, w_1=Figures(5000, 0, 100, 100, 100, 100))
    one.look(NOON + 120, LEASE, w_1=Figures(200, 0, 7, 7, 7, 7))
    assert one.total().used == Used(5200, 0, 107, 107, 107, 107)
    one.look(NOON + 180, LEASE)
    one.look(NOON + 240, LEASE, w_1=Figures(300, 0, 8, 8, 8, 8))
    assert one.total().used == Used(5300, 0, 108, 108, 108, 108)


def test_a_counter_that_falls_by_itself_takes_nothing_away() -> None:
    one = One()
    one.look(NOON, LEASE, w_1=Figures(100, 0, 50, 50, 50, 50))
    one.look(NOON + 60, LEASE, w_1=Figures(200, 0, 10, 10, 10, 10))
    assert one.total().used == Used(200, 0, 50, 50, 50, 50)


def test_a_daemon_that_was_away_counts_what_was_reserved_meanwhile_hour_by_hour() -> None:
    one = One()
    one.look(NOON, LEASE, w_1=Figures(1000))
    receipts = one.look(NOON + 5 * HOUR_S + 60, LEASE, w_1=Figures(9000))
    assert [r.from_s for r in receipts] == [NOON + n * HOUR_S for n in range(5)]
    assert one.total().reserved.cpu_milli_s == 2000 * (5 * HOUR_S + 60)
    assert one.total().used.cpu_ms == 9000


def test_but_not_for_months() -> None:
    one = One()
    one.look(NOON, LEASE)
    one.look(NOON + 60, LEASE)
    (receipt,) = one.look(NOON + 60 + AWAY_MOST_S + 1, LEASE)
    assert receipt.until_s == NOON + 60
    assert one.total().reserved.cpu_milli_s == 2000 * 60


def test_a_clock_that_goes_back_counts_nothing_twice() -> None:
    one = One()
    one.look(NOON, LEASE)
    one.look(NOON + 60, LEASE, w_1=Figures(100))
    assert one.look(NOON + 30, LEASE, w_1=Figures(150)) == []
    one.look(NOON + 90, LEASE, w_1=Figures(200))
    assert (one.total().reserved.cpu_milli_s, one.total().used.cpu_ms) == (2000 * 90, 200)


@given(
    st.lists(
        st.tuples(st.integers(0, 5000), st.integers(0, 100), st.booleans(), st.booleans()),
        max_size=30,
    )
)
def test_no_kill_counts_anything_twice_or_loses_what_the_hypervisor_still_says(
    looks: list[tuple[int, int, bool, bool]],
) -> None:
    one, now_s, counter, expected = One(), NOON, 0, 0
    one.look(now_s, LEASE)
    for later_s, more, restarts, killed in looks:
        now_s += later_s
        if restarts and counter > more:
            counter = 0
            unseen = False
        else:
            unseen = True
        counter += more
        one.look(now_s, LEASE, killed=killed, w_1=Figures(counter))
        if killed and not unseen:
            return  # What was before the guest's start and was never on disk is not known any more.
        if not killed:
            expected = one.total().used.cpu_ms
    one.look(now_s, LEASE, w_1=Figures(counter))
    assert one.total().reserved.cpu_milli_s == 2000 * (now_s - NOON)
    assert one.total().used.cpu_ms >= max(counter, expected)
    assert one.total().used.cpu_ms <= sum(more for _, more, *_ in looks)
    ends = [(r.from_s, r.until_s) for r in one.receipts]
    assert all(until_s == from_s for (_, until_s), (from_s, _) in pairwise(ends))


def test_sums_end_at_the_largest_amount() -> None:
    most = Total(Reserved(AMOUNT_MOST), Used(AMOUNT_MOST), 5, 9)
    assert most + most == most
    assert (Total() + most).from_s == (most + Total()).from_s == 5


# -- receipts of others


RECEIPT = METER.receipt(Count(LEASE, NOON, NOON + 60, Reserved(1, 2, 3), Used(1, 2, 3, 4, 5, 6)))


def test_a_receipt_is_what_its_host_signed() -> None:
    assert check_receipt(sign_receipt(RECEIPT, HOST), SimVerifier()) == RECEIPT


def refusal(signed: SignedReceipt) -> Untrusted:
    with pytest.raises(Untrusted) as refused:
        check_receipt(signed, SimVerifier())
    return refused.value


def test_one_that_another_signed_in_its_name_and_one_that_was_altered_are_none() -> None:
    forged = sign_receipt(RECEIPT, SimSigner("rival"))
    assert refusal(forged).reason is Reason.BAD_SIGNATURE
    more = msgspec.structs.replace(RECEIPT, used=Used(1 << 40))
    altered = SignedReceipt(encode(more), sign_receipt(RECEIPT, HOST).signature)
    assert refusal(altered).reason is Reason.BAD_SIGNATURE


@pytest.mark.parametrize(
    "changes",
    [
        {"until_s": NOON + HOUR_S + 1},
        {"until_s": NOON - 1},
        {"reserved": Reserved(-1)},
        {"used": Used(AMOUNT_MOST + 1)},
        {"name": "x" * 200},
        {"payer": msgspec.structs.replace(PAYER, line=(KeyId("b" * 64),) * 5)},
    ],
)
def test_what_no_host_can_have_counted_is_malformed_whoever_signed_it(
    changes: dict[str, Any],
) -> None:
    signed = sign_receipt(msgspec.structs.replace(RECEIPT, **changes), HOST)
    assert refusal(signed).reason is Reason.MALFORMED
    with pytest.raises(Untrusted):
        read_receipt(signed)


def test_garbage_is_malformed() -> None:
    assert refusal(SignedReceipt(b"\xc1", b"")).reason is Reason.MALFORMED
    assert refusal(SignedReceipt(b"x" * 5000, b"")).reason is Reason.MALFORMED
