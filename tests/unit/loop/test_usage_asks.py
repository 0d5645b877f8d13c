"""Usage is told to hosts of the same site alone, bounded, and believed of the host that was asked."""

import asyncio
from collections.abc import Sequence

import pytest
from turns import until

from overlayd.loop import asks
from overlayd.loop.usage_asks import TOLD_AT_ONCE, UsageAsks
from overlayd.ports.usage import UsageFault
from protocol.node.events import Say
from protocol.node.messages import UsageAsk, UsageTold
from protocol.policy.receipts import (
    HOUR_S,
    LEASES_TOLD,
    LeaseUsage,
    Payer,
    Receipt,
    Reserved,
    SignedReceipt,
    Total,
    Used,
    sign_receipt,
)
from protocol.sim.keys import SimSigner
from protocol.terms.ids import GridId, KeyId, PeerId
from protocol.terms.ranges import AMOUNT_MOST, SAID_MOST
from protocol.wire.codec import Malformed, decode, encode
from protocol.wire.limits import MAX_FRAME_BYTES

ME, YOU, MALLORY = PeerId("me"), PeerId("you"), PeerId("mallory")
HOST = SimSigner("host")
PAYER = Payer(KeyId("a" * 64), "ams")


def receipt(grid: str, hour: int = 1, cpu_ms: int = 5) -> Receipt:
    return Receipt(
        HOST.key, "h1", "ams", GridId(grid), grid, PAYER,
        hour * HOUR_S, (hour + 1) * HOUR_S, Reserved(10), Used(cpu_ms),
    )  # fmt: skip


class Host:
    """One of the site of YOU."""

    def __init__(self) -> None:
        self.said: list[Say] = []
        self.receipts: Sequence[Receipt] = [receipt("g"), receipt("g", 2)]
        self.open, self.now_s, self.full = [receipt("g", 3)], 0.0, False
        self.usage = UsageAsks(
            ME, self, lambda peer: peer != MALLORY, self.said.append, lambda: self.now_s
        )

    async def signed(self, since_s: float) -> list[SignedReceipt]:
        if self.full:
            raise UsageFault("the disk is gone")
        return [sign_receipt(r, HOST) for r in self.receipts if r.until_s > since_s]

    def running(self) -> list[Receipt]:
        return self.open


@pytest.fixture
def host() -> Host:
    return Host()


ASK = UsageAsk("s", 0.0)


async def test_receipts_and_what_is_in_none_yet_are_added_up(host: Host) -> None:
    total = Total(Reserved(30), Used(15), HOUR_S, 4 * HOUR_S)
    lease = LeaseUsage(GridId("g"), "g", PAYER, total)
    assert await host.usage.serve(YOU, ASK) == UsageTold("s", (lease,), 0, "")
    told = await host.usage.serve(YOU, UsageAsk("s", 3.0 * HOUR_S))
    assert told.leases[0].total.reserved == Reserved(10)
    own = await host.usage.ask(ME, 0.0)
    assert own.leases == (lease,)
    assert host.said == []


async def test_a_host_of_another_site_is_told_nothing(host: Host) -> None:
    told = await host.usage.serve(MALLORY, ASK)
    assert told == UsageTold("s", (), 0, "it tells only hosts of its own site")


async def test_who_asks_all_the_time_is_told_now_and_then(host: Host) -> None:
    told = [await host.usage.serve(YOU, ASK) for _ in range(20)]
    assert [not each.problem for each in told].count(True) == TOLD_AT_ONCE
    assert (await host.usage.serve(PeerId("other"), ASK)).problem == ""
    host.now_s = 5.0
    assert (await host.usage.serve(YOU, ASK)).problem == ""


async def test_others_are_told_of_the_last_leases_and_how_many_there_were_before(
    host: Host,
) -> None:
    host.receipts, host.open = [receipt(f"g{n}") for n in range(LEASES_TOLD + 7)], []
    told = await host.usage.serve(YOU, ASK)
    assert (len(told.leases), told.left_out) == (LEASES_TOLD, 7)
    assert told.leases[-1].grid == f"g{LEASES_TOLD + 6}"
    assert len((await host.usage.ask(ME, 0.0)).leases) == LEASES_TOLD + 7


async def test_a_disk_that_does_not_answer_is_said(host: Host) -> None:
    host.full = True
    assert (await host.usage.serve(YOU, ASK)).problem == "the disk is gone"


async def test_an_answer_counts_only_from_who_was_asked(host: Host) -> None:
    asking = asyncio.create_task(host.usage.ask(YOU, 7.0))
    await until(lambda: host.said, "it is asked")
    (say,) = host.said
    assert isinstance(say.message, UsageAsk)
    assert (say.peer, say.message.since_s) == (YOU, 7.0)
    lie = UsageTold(say.message.session, (), 9, "")
    host.usage.deliver(MALLORY, lie)
    told = UsageTold(say.message.session, (), 0, "")
    host.usage.deliver(YOU, told)
    assert await asking == told


async def test_a_host_that_does_not_answer_is_said(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asks, "ANSWER_WITHIN_S", 0.01)
    assert (await host.usage.ask(YOU, 0.0)).problem == "it does not answer; `overlayctl peers`"


LONG = "x" * 128
LONGEST = LeaseUsage(
    GridId("f" * 64),
    LONG,
    Payer(KeyId("a" * 64), LONG, LONG, (KeyId("b" * 64),) * 4),
    Total(Reserved(*[AMOUNT_MOST] * 3), Used(*[AMOUNT_MOST] * 6), 1 << 40, 1 << 40),
)


def test_the_most_that_may_be_told_fits_a_frame_and_more_is_malformed() -> None:
    told = UsageTold(LONG, (LONGEST,) * LEASES_TOLD, 1 << 31, "x" * SAID_MOST)
    assert len(encode(told)) < MAX_FRAME_BYTES
    assert decode(encode(told), UsageTold) == told
    with pytest.raises(Malformed):
        decode(encode(UsageTold("s", (LONGEST,) * (LEASES_TOLD + 1), 0, "")), UsageTold)
