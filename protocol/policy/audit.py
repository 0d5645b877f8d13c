"""A host's log of what it decided about people's orders: lines that hang together, and are signed.

Each line has a number and the digest of the line before it, so a line that was changed, taken out or put
elsewhere shows at the next one (Schneier and Kelsey 1999; here without forward security). Every so often a
*head* follows: the host's signature over all lines up to there. Who makes the lines after a change anew needs
the host's key. Who has the key, or only cuts lines off, or begins anew, is found by a line's number and digest
that were kept elsewhere; the host itself keeps those of the newest beside the log.

What strangers can have written is bounded (`Sifter`): the same decision about the same order is written once,
and each site has so many refusals. What was left out for that is counted in the site's next line.
"""

from collections import Counter, OrderedDict
from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from protocol.terms.allowance import Allowance
from protocol.terms.effects import Audit
from protocol.terms.ids import KeyId, digest_of
from protocol.trust.signing import Signer, Verifier

DOMAIN = "audit-head"
LINE_BYTES = 16 << 10
"""The longest line that is read: a decision has a dozen texts, each of them cut before it is written."""
FAULTS_NAMED = 20
"""How many faults of a log are named one by one; more are counted."""
REFUSALS, REFUSALS_PER_S = 60.0, 0.1
"""So many refusals at once are written of one site's peers, and so many a second: 17 MiB a week of a flood."""
GRANTED, GRANTED_PER_S = 1000.0, 5.0
"""The same of what an owner was allowed, who uses up more than lines by it."""
SITES, OWNERS, SEEN = 1024, 1024, 8192
"""How many are told apart; the one not heard of for longest is forgotten first."""


class Kind(StrEnum):
    """What a line is about."""

    ORDER = "order"
    """A decision about an order."""
    HEAD = "head"
    """The host's signature over what is before it."""
    BEGUN = "begun"
    """The daemon was started."""
    HEALED = "healed"
    """The end of the file was no whole line: whoever wrote it was killed meanwhile. It was cut off."""
    MISSING = "missing"
    """Lines that were here are not any more."""
    UNWRITTEN = "unwritten"
    """Lines that the disk did not take."""
    DROPPED = "dropped"
    """The oldest lines are removed, to bound the log."""


class Line(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One line of the log, as JSON."""

    n: Annotated[int, Meta(ge=1)]
    """From 1, in steps of 1."""
    before: Annotated[str, Meta(max_length=64)]
    """SHA-256 of the line before, 64 hexadecimal digits; of the first one `origin`."""
    at_s: float
    kind: Kind
    order: Audit | None = None
    text: str = ""
    count: int = 0
    """Of what the kind says: the last line that is dropped, or missing; how many were not written."""
    signature: str = ""
    """Of a head, in hexadecimal digits, over `covered`."""


class Chain(msgspec.Struct, frozen=True):
    """Where a log ends."""

    n: int
    """The number of its last line, 0 if there is none."""
    digest: str
    """What the next line names as the one before."""


def origin(host: KeyId) -> Chain:
    """An empty log of that host."""
    return Chain(0, digest_of(f"{DOMAIN} {host}".encode()))


def covered(n: int, before: str, at_s: float) -> bytes:
    """What the signature of the head with number `n` covers, besides its domain."""
    return f"{n} {before} {at_s!r}".encode()


def follow(
    chain: Chain,
    kind: Kind,
    at_s: float,
    *,
    order: Audit | None = None,
    text: str = "",
    count: int = 0,
    signature: str = "",
) -> tuple[bytes, Chain]:
    """The next line, without its end, and where the log ends with it."""
    line = Line(chain.n + 1, chain.digest, at_s, kind, order, text, count, signature)
    encoded = msgspec.json.encode(line)
    return encoded, Chain(line.n, digest_of(encoded))


def head(chain: Chain, at_s: float, signer: Signer) -> tuple[bytes, Chain]:
    """The line that signs all before it."""
    signature = signer.sign(DOMAIN, covered(chain.n + 1, chain.digest, at_s)).hex()
    return follow(chain, Kind.HEAD, at_s, signature=signature)


def read_line(encoded: bytes) -> Line:
    """What a line says, before anything is believed. Raises ValueError."""
    if len(encoded) > LINE_BYTES:
        raise ValueError(f"{len(encoded)} bytes, at most {LINE_BYTES} are read")
    try:
        return msgspec.json.decode(encoded, type=Line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(str(error)) from None


class Sifter:
    """Which decisions are written."""

    def __init__(self) -> None:
        self._seen: OrderedDict[tuple[str, str, bool], None] = OrderedDict()
        self._refused = Allowance(REFUSALS, REFUSALS_PER_S, SITES)
        self._granted = Allowance(GRANTED, GRANTED_PER_S, OWNERS)
        self._left: Counter[str] = Counter()

    def __len__(self) -> int:
        """Of how many sites something was left out since their last line."""
        return len(self._left)

    def take(self, audit: Audit, now: float) -> Audit | None:
        """The decision as it is to be written; None if it is not."""
        key = (audit.what, audit.order, audit.allowed)
        if key in self._seen:
            self._seen.move_to_end(key)
            return None
        allowed = (
            self._granted.take(audit.owner, now)
            if audit.allowed
            else self._refused.take(audit.via_site, now)
        )
        site = audit.via_site
        if not allowed:
            if site in self._left or len(self._left) < SITES:
                self._left[site] += 1
            return None
        self._seen[key] = None
        if len(self._seen) > SEEN:
            self._seen.popitem(last=False)
        return msgspec.structs.replace(audit, left_out=self._left.pop(site, 0))


class Report(msgspec.Struct, frozen=True):
    """What was found of a log."""

    lines: int
    first: int
    """The number of the first line, 0 if there is none."""
    last: int
    digest: str
    """Of the last line."""
    signed: int
    """The number of the last head whose signature holds; 0 if there is none."""
    faults: tuple[str, ...]
    """What is wrong, in order; empty if the log is whole."""
    remarks: tuple[str, ...]
    """What the log says itself of gaps."""


class _Reading:
    """A log that is gone through."""

    def __init__(self, host: KeyId, verifier: Verifier, expected: tuple[Chain, ...]) -> None:
        self._host, self._verifier = host, verifier
        self._expected = {chain.n: chain.digest for chain in expected}
        self.end = origin(host)
        self.lines = self.first = self.signed = self._dropped = 0
        self.faults: list[str] = []
        self.remarks: list[str] = []

    def line(self, encoded: bytes) -> None:
        self.lines += 1
        digest = digest_of(encoded)
        try:
            line = read_line(encoded)
        except ValueError as error:
            self.faults.append(f"line {self.end.n + 1} cannot be read: {error}")
            self._now_at(Chain(self.end.n + 1, digest))
            return
        before = self.end
        if self.lines == 1 and line.n > 1:
            self._dropped = line.n - 1
        elif line.n > before.n + 1:
            self.faults.append(f"lines {before.n + 1} to {line.n - 1} are missing")
        elif line.n <= before.n:
            self.faults.append(f"line {line.n} stands behind line {before.n}: out of order")
        elif line.before != before.digest:
            which = f"line {before.n} was changed" if before.n else "it is the log of another host"
            self.faults.append(f"{which}: line {line.n} does not follow from it")
        self._said(line)
        self._now_at(Chain(line.n, digest))

    def _said(self, line: Line) -> None:
        if line.kind is Kind.HEAD:
            self._head(line)
        elif line.kind is Kind.DROPPED:
            self._dropped = 0 if line.count >= self._dropped else self._dropped
        elif line.kind is Kind.MISSING:
            self.faults.append(f"line {line.n} says: {line.text}")
        elif line.kind in (Kind.HEALED, Kind.UNWRITTEN):
            self.remarks.append(f"line {line.n} says: {line.text}")

    def _head(self, line: Line) -> None:
        try:
            signature = bytes.fromhex(line.signature)
        except ValueError:
            signature = b""
        payload = covered(line.n, line.before, line.at_s)
        if self._verifier.verify(self._host, DOMAIN, payload, signature):
            self.signed = line.n
        else:
            self.faults.append(f"line {line.n} is not signed by host {self._host[:16]}")

    def _now_at(self, chain: Chain) -> None:
        self.first = self.first or chain.n
        self.end = chain
        known = self._expected.pop(chain.n, chain.digest)
        if known != chain.digest:
            self.faults.append(f"line {chain.n} is another one than was kept of it")

    def over(self) -> None:
        if self._dropped:
            self.faults.append(
                f"it begins at line {self._dropped + 1}, and does not say that earlier ones were removed"
            )
        for n in sorted(self._expected):
            if n >= self.first:
                self.faults.append(f"line {n}, which is known to have been there, is missing")
        if unsigned := self.end.n - max(self.signed, self.first - 1):
            self.remarks.append(f"its last {unsigned} lines are not signed (yet)")


def verify(
    lines: Iterable[bytes], host: KeyId, verifier: Verifier, expected: tuple[Chain, ...] = ()
) -> Report:
    """What is wrong with the log of that host. `lines` are without their ends; `expected` are lines that were
    there once, each with its number and digest."""
    reading = _Reading(host, verifier, expected)
    for line in lines:
        reading.line(line)
    reading.over()
    named = reading.faults[:FAULTS_NAMED]
    if more := len(reading.faults) - len(named):
        named.append(f"and {more} more faults")
    return Report(
        lines=reading.lines,
        first=reading.first,
        last=reading.end.n,
        digest=reading.end.digest,
        signed=reading.signed,
        faults=tuple(named),
        remarks=tuple(reading.remarks[-FAULTS_NAMED:]),
    )
