"""Whether a grid may be what a record says that room made of it (grid/elastic.py).

By itself (`check_scaled`): only elastic clusters are smaller than ordered, none is below its `min`, what was
terminated did not come back, and the epoch follows. That each host granted what the record says of it is
looked at as for any record. Beside the record before (`check_rescaled`): what is there no more, or anew, is so
by a grant that its host signed since.
"""

from collections import Counter

from protocol.contract.changes import Changed
from protocol.contract.reading import Reading
from protocol.grid.asked import was_asked
from protocol.grid.elastic import first_call, is_attempt_at
from protocol.grid.expand import cluster_of, names
from protocol.grid.grant import HoldGrant, read_grant
from protocol.grid.record import GridRecord, GridState, Word, absent, attempt_of, order_part
from protocol.terms.ids import PeerId
from protocol.trust.order import order_key
from protocol.trust.signing import Reason, Untrusted

_FIXED = (
    "id", "order", "name", "owner", "owner_site", "stewards", "vnis", "start_s", "became",
)  # fmt: skip
"""What room does not change."""


def check_scaled(record: GridRecord, ordered: Changed, reading: Reading) -> None:
    """A record that room changed says no more than its standing order allows. Raises Untrusted."""
    scaled = record.scaled
    assert scaled is not None
    spec = reading.spec(record.standing)
    if not is_attempt_at(scaled.attempt, record.standing, scaled.epoch - 1):
        raise _wrong("a record of an attempt at another epoch, or of another order")
    if not 0 < scaled.steps <= record.epoch or scaled.told > len(record.changes):
        raise _wrong("a record that room changed less than never")
    orders = len(record.changes) - record.folded
    steps = record.epoch - record.applied_epoch - orders - scaled.steps
    if scaled.epoch > record.epoch or steps not in _lapse(record):
        raise _wrong(f"an epoch of {record.epoch}, which neither orders nor room explain")
    there = [a.workspace for a in record.assignments]
    left_out = absent(record.standing)
    out = {*ordered.gone, *left_out}
    if len(set(there)) != len(there) or out.intersection(there):
        raise _wrong("a record of a workspace twice, or of one that was ordered gone")
    _check_asked(record, reading)
    if not any(cluster.elastic for cluster in spec.clusters):
        raise _wrong("a record that room changed, of a grid that is not elastic")
    if not set(there) <= set(names(spec)):
        raise _wrong("a record of workspaces nobody ordered")
    counts = Counter(cluster_of(name) for name in (*there, *ordered.gone))
    for cluster in spec.clusters:
        lacks = sum(cluster_of(name) == cluster.name for name in left_out)
        if cluster.elastic and counts[cluster.name] < min(cluster.least, cluster.count - lacks):
            raise _wrong(f"a record with fewer than {cluster.least} of {cluster.name}")


def _check_asked(record: GridRecord, reading: Reading) -> None:
    """Each host that granted something for room was asked by a host of the grid. Raises Untrusted."""
    assert record.scaled is not None
    words = {(word.host, word.attempt): word for word in record.scaled.words}
    hosts = {host.peer for host in record.hosts}
    granted = _by_room(record)
    if all(grant.change != record.scaled.attempt for grant in granted.values()):
        raise _wrong("a record of an attempt that no host granted")
    for host, grant in granted.items():
        word = words.get((host, grant.change))
        if word is None or word.by not in hosts:
            raise _wrong("a record of a host that none of the grid's hosts asked")
        if not _signed(word, reading):
            raise _wrong("a record of a host that was not asked for that attempt")


def _by_room(record: GridRecord) -> dict[PeerId, HoldGrant]:
    """The grants that hosts gave because room came, or was needed."""
    key, applied = order_key(record.standing), record.applied
    ordered = applied.attempt if applied is not None else ""
    return {
        host: grant
        for host, grant in _grants(record).items()
        if grant.change not in ("", ordered) and order_part(grant.change) == key
    }


def check_rescaled(
    record: GridRecord, before: GridRecord, ordered: Changed, reading: Reading
) -> None:
    """A record follows, by room and orders, the one that this peer had. Raises Untrusted.

    That it says no more than its order and its hosts' grants is not looked at.
    """
    scaled = record.scaled
    for field in _FIXED:
        if getattr(record, field) != getattr(before, field):
            raise _wrong(f"a record of another {field} than before")
    if scaled is None or scaled.steps <= before.steps_by_room:
        raise _wrong("a record that forgot what room changed")
    if record.changes[: len(before.changes)] != before.changes:
        raise _wrong("a record that forgot a change")
    more = scaled.steps - before.steps_by_room
    steps = record.epoch - before.epoch - (len(record.changes) - len(before.changes)) - more
    if steps not in _lapse(record):
        raise _wrong(f"an epoch of {record.epoch}, which neither orders nor room explain")
    if record.hosts[: len(before.hosts)] != before.hosts:
        raise _wrong("a record that lost a host, which room does not")
    check_own_word(record, before, ordered.gone, reading)


def check_own_word(
    record: GridRecord, before: GridRecord, gone: tuple[str, ...], reading: Reading
) -> None:
    """What is otherwise on a host than before is so by its own grant since. Raises Untrusted.

    `gone` has what was ordered gone.
    """
    old, new = _grants(before), _grants(record)
    key = order_key(record.standing)
    for host, grant in new.items():
        since = order_part(grant.change) == key and attempt_of(grant.change) >= before.epoch
        since = since or (record.applied is not None and grant.change == record.applied.attempt)
        if grant != old.get(host) and not since:
            raise _wrong("a record with a grant for another epoch, or another order")
    _check_called(record, before, reading)
    here = record.placed
    left = Counter(cluster_of(name) for name in here)
    least = {c.name: c.least for c in reading.spec(record.standing).clusters}
    next_one = record.epoch == before.epoch + 1
    for a in before.assignments:
        if a.workspace in gone or here.get(a.workspace) == a.host:
            continue
        own = new.get(a.host)
        if own is None or own == old.get(a.host) or a.workspace in own.workspaces:
            raise _wrong(f"{a.workspace} went, or moved, without a word of its host")
        cluster = cluster_of(a.workspace)
        if next_one and left[cluster] < least.get(cluster, 0):
            raise _wrong(f"a record in which {cluster} gave room below its min")


def _check_called(record: GridRecord, before: GridRecord, reading: Reading) -> None:
    """Who is new was called by a host that was there, and did not come with it. Raises Untrusted."""
    were = {host.peer for host in before.hosts}
    words = record.scaled.words if record.scaled is not None else ()
    for host in _by_room(record):
        if host in were:
            continue
        call = first_call(words, host)
        since = first_call(words, call.by) if call is not None and call.by not in were else None
        early = since is not None and call is not None and _number(since) < _number(call)
        if call is None or not (call.by in were or early) or not _signed(call, reading):
            raise _wrong("a record of a host that none of those before it called")


def _number(word: Word) -> int:
    return attempt_of(word.attempt)


def _signed(word: Word, reading: Reading) -> bool:
    return was_asked(reading.verifier, word.by, word.attempt, word.host, word.asked)


def _grants(record: GridRecord) -> dict[PeerId, HoldGrant]:
    return {signed.host: read_grant(signed) for signed in record.grants}


def _lapse(record: GridRecord) -> tuple[int, ...]:
    """One that is down because its time was over took a step without an order."""
    return (0, 1) if record.state is GridState.DOWN else (0,)


def _wrong(why: str) -> Untrusted:
    return Untrusted(Reason.MALFORMED, why)
