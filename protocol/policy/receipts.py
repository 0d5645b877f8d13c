"""Receipts: what each lease of a host had reserved and used, by the hour, signed by the host.

What is used is the hypervisor's own figures. They begin anew with each start of a guest, and go on while this
host's daemon does not run. So what counts is by how much they rose since the last look, and what was counted is
on disk in the same write as the receipts that say it: a daemon that is killed counts nothing twice, and loses
nothing that the hypervisor still says. What is reserved is the ledger's quantum, times the time.

A receipt ends with its hour of Unix time, or with its lease. It says what its host says, and no more: whoever
adds up receipts of others trusts their hosts' sites that far.
"""

from collections.abc import Iterable
from typing import Annotated

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from protocol.capacity.quantum import Quantum
from protocol.terms.ids import GridId, KeyId
from protocol.terms.ranges import AMOUNT_MOST, Name, Size, WholeSeconds
from protocol.trust.grants import GRANTS_MOST
from protocol.trust.signing import (
    Reason,
    Signer,
    Untrusted,
    Verifier,
    read_signed,
    require_signature,
)
from protocol.wire.codec import encode

DOMAIN = "receipt"
HOUR_S = 3600
RECEIPT_BYTES = 4096
"""The longest receipt that is read: some names, five keys, a dozen numbers."""
LEASES_TOLD = 512
"""How many leases one host tells another of at most: 400 KiB with the longest names."""
AWAY_MOST_S = 31 * 24 * HOUR_S
"""What a daemon that did not run for longer than that counts of it: nobody knows what it was reserved for."""


class Reserved(msgspec.Struct, frozen=True, array_like=True):
    """What was promised, times the seconds for which it was."""

    cpu_milli_s: Size = 0
    memory_mib_s: Size = 0
    disk_mib_s: Size = 0

    @staticmethod
    def of(quantum: Quantum, for_s: int) -> "Reserved":
        """That much for so long."""
        mib = (quantum.memory_bytes >> 20, quantum.disk_bytes >> 20)
        return Reserved(quantum.cpus_milli * for_s, mib[0] * for_s, mib[1] * for_s)

    def __add__(self, more: "Reserved") -> "Reserved":
        return Reserved(*map(_sum, _values(self), _values(more)))


class Used(msgspec.Struct, frozen=True, array_like=True):
    """What the hypervisor counted."""

    cpu_ms: Size = 0
    """Time of the host's cpus."""
    memory_mib_s: Size = 0
    """Memory that the guest had at each look, times the seconds until the next one."""
    read_bytes: Size = 0
    """From its disks."""
    written_bytes: Size = 0
    received_bytes: Size = 0
    """By its network cards."""
    sent_bytes: Size = 0

    def __add__(self, more: "Used") -> "Used":
        return Used(*map(_sum, _values(self), _values(more)))


class Figures(msgspec.Struct, frozen=True, array_like=True):
    """What the hypervisor says of one machine: counters since its start, and the memory that it has now."""

    cpu_ms: Size = 0
    memory_bytes: Size = 0
    read_bytes: Size = 0
    written_bytes: Size = 0
    received_bytes: Size = 0
    sent_bytes: Size = 0

    def since(self, before: "Figures | None", for_s: int) -> Used:
        """What came since it said `before`, so many seconds ago. A counter that is less has begun anew."""
        old = before or Figures()
        anew = self.cpu_ms < old.cpu_ms
        old = Figures(memory_bytes=old.memory_bytes) if anew else old
        return Used(
            self.cpu_ms - old.cpu_ms,
            (self.memory_bytes >> 20) * for_s,
            max(0, self.read_bytes - old.read_bytes),
            max(0, self.written_bytes - old.written_bytes),
            max(0, self.received_bytes - old.received_bytes),
            max(0, self.sent_bytes - old.sent_bytes),
        )


class Payer(msgspec.Struct, frozen=True):
    """Whose a lease is."""

    owner: KeyId
    whose: Name
    """What the owner is called: a site, or `vo:` and a VO."""
    member: Name = ""
    """What who ordered it is called by who granted; empty for the owner itself, or without a name."""
    line: Annotated[tuple[KeyId, ...], Meta(max_length=GRANTS_MOST)] = ()
    """The keys of the chain of grants behind the owner's."""


class LeaseNow(msgspec.Struct, frozen=True):
    """A lease as it is at a look."""

    grid: GridId
    name: Name
    payer: Payer
    quantum: Quantum
    """What the ledger has for it now."""


class Receipt(msgspec.Struct, frozen=True):
    """What one lease had on one host, from then until then: within one hour."""

    host: KeyId
    host_name: Name
    site: Name
    grid: GridId
    name: Name
    payer: Payer
    from_s: WholeSeconds
    until_s: WholeSeconds
    reserved: Reserved
    used: Used
    last: bool = False
    """Whether the lease has ended."""


class SignedReceipt(msgspec.Struct, frozen=True):
    """An encoded Receipt, and its host's signature."""

    payload: bytes
    signature: bytes


class Count(msgspec.Struct, frozen=True):
    """What is counted of a lease and in no receipt yet. It is on disk."""

    lease: LeaseNow
    from_s: int
    counted_s: int
    reserved: Reserved = Reserved()
    used: Used = Used()
    figures: tuple[tuple[str, Figures], ...] = ()
    """What was said last of each machine, by its workspace."""


Counts = dict[GridId, Count]


class Meter:
    """Whose leases are counted on one host."""

    def __init__(self, host: KeyId, host_name: str, site: str) -> None:
        self._host, self._host_name, self._site = host, host_name, site

    def look(
        self,
        counts: Counts,
        leases: Iterable[LeaseNow],
        figures: dict[tuple[str, str], Figures],
        now_s: int,
    ) -> tuple[list[Receipt], Counts]:
        """The receipts that are due, and the counts after them.

        `figures` are by grid and workspace; a machine that they leave out has not run since. If the clock went
        back nothing is counted until it is where it was.
        """
        receipts: list[Receipt] = []
        after: Counts = {}
        for lease in leases:
            count = counts.get(lease.grid) or Count(lease, now_s, now_s)
            mine = {w: seen for (grid, w), seen in figures.items() if grid == lease.grid}
            due, after[lease.grid] = self._moved(count, lease, mine, now_s)
            receipts += due
        for grid, count in counts.items():
            if grid not in after:
                receipts.append(self.receipt(count, last=True))
        return receipts, after

    def receipt(self, count: Count, *, last: bool = False) -> Receipt:
        """What a count says until it was counted last."""
        lease = count.lease
        return Receipt(
            self._host,
            self._host_name,
            self._site,
            lease.grid,
            lease.name,
            lease.payer,
            count.from_s,
            count.counted_s,
            count.reserved,
            count.used,
            last,
        )

    def _moved(
        self, count: Count, lease: LeaseNow, mine: dict[str, Figures], now_s: int
    ) -> tuple[list[Receipt], Count]:
        """Moves a count on. What was promised at the last look counts until this one."""
        receipts: list[Receipt] = []
        if now_s < count.counted_s:
            return [], count
        if now_s - count.counted_s > AWAY_MOST_S:
            receipts.append(self.receipt(count))
            count = replace(count, from_s=now_s, counted_s=now_s, reserved=Reserved(), used=Used())
        for_s = now_s - count.counted_s
        before = dict(count.figures)
        more = Used()
        for workspace, seen in mine.items():
            more += seen.since(before.get(workspace), for_s)
        while now_s >= (ends_s := _end_of_hour(count.from_s)):
            count = self._until(count, ends_s)
            receipts.append(self.receipt(count))
            count = replace(count, from_s=ends_s, reserved=Reserved(), used=Used())
        count = self._until(count, now_s)
        # What was used around the end of an hour is the next one's: nobody knows how much of it was before.
        known = tuple((before | mine).items())
        return receipts, replace(count, lease=lease, used=count.used + more, figures=known)

    def _until(self, count: Count, until_s: int) -> Count:
        more = Reserved.of(count.lease.quantum, until_s - count.counted_s)
        return replace(count, counted_s=until_s, reserved=count.reserved + more)


def sign_receipt(receipt: Receipt, signer: Signer) -> SignedReceipt:
    """A receipt, signed by its host."""
    payload = encode(receipt)
    return SignedReceipt(payload, signer.sign(DOMAIN, payload))


def read_receipt(signed: SignedReceipt) -> Receipt:
    """What a receipt says, before it is believed. Raises Untrusted(malformed)."""
    receipt = read_signed(signed.payload, Receipt, "receipt", limit_bytes=RECEIPT_BYTES)
    if not receipt.from_s <= receipt.until_s <= _end_of_hour(receipt.from_s):
        raise Untrusted(Reason.MALFORMED, "receipt: it is not of one hour")
    return receipt


def check_receipt(signed: SignedReceipt, verifier: Verifier) -> Receipt:
    """What a host signed. Raises Untrusted if it did not, or if nobody can have had that."""
    receipt = read_receipt(signed)
    require_signature(verifier, receipt.host, DOMAIN, signed.payload, signed.signature)
    return receipt


class Total(msgspec.Struct, frozen=True):
    """Receipts added up."""

    reserved: Reserved = Reserved()
    used: Used = Used()
    from_s: WholeSeconds = 0
    until_s: WholeSeconds = 0
    """From the first of them until the last one ends, Unix seconds; 0 if there is none."""

    @staticmethod
    def of(receipt: Receipt) -> "Total":
        """Of one receipt."""
        return Total(receipt.reserved, receipt.used, receipt.from_s, receipt.until_s)

    def __add__(self, more: "Total") -> "Total":
        return Total(
            self.reserved + more.reserved,
            self.used + more.used,
            min(self.from_s or more.from_s, more.from_s or self.from_s),
            max(self.until_s, more.until_s),
        )


def _end_of_hour(at_s: int) -> int:
    return (at_s // HOUR_S + 1) * HOUR_S


def _values(amounts: msgspec.Struct) -> tuple[int, ...]:
    return msgspec.structs.astuple(amounts)


def _sum(one: int, other: int) -> int:
    return min(one + other, AMOUNT_MOST)


class LeaseUsage(msgspec.Struct, frozen=True):
    """What one lease had on one host, as far as one member made it what it was."""

    grid: GridId
    name: Name
    payer: Payer
    total: Total


def by_lease(receipts: Iterable[Receipt]) -> list[LeaseUsage]:
    """The receipts of one host added up, those that came last at the end."""
    rows: dict[tuple[str, Payer], LeaseUsage] = {}
    for receipt in receipts:
        key = (receipt.grid, receipt.payer)
        row = rows.pop(key, None)
        total = (row.total if row is not None else Total()) + Total.of(receipt)
        rows[key] = LeaseUsage(receipt.grid, receipt.name, receipt.payer, total)
    return list(rows.values())
