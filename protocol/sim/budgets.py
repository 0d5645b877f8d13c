"""What strangers can make a peer keep, against what it may keep of them (terms/limits.py, terms/kinds.py)."""

from collections import Counter
from collections.abc import Iterator

from protocol.node.node import Node
from protocol.sim.peer import SimPeer
from protocol.terms.kinds import KINDS, RECORD_COST_BYTES
from protocol.terms.limits import CLAIMS_PER_HOST, HOLDS_PER_HOST, REGISTERS_PER_OWNER

STORE_BYTES_MOST = 16 << 20
"""What all rows of a peer of a small world may take, also in tables that have no budget here."""


def exceeded(peer: SimPeer) -> Iterator[str]:
    """Every budget of the peer that is exceeded, in words."""
    node = peer.node
    if node is None:
        return
    for what, count, most in _counts(node):
        if count > most:
            yield f"{what}: {count}, at most {most}"
    stored = sum(len(value) for rows in peer.store.values() for value in rows.values())
    if stored > STORE_BYTES_MOST:
        tables = {table: len(rows) for table, rows in peer.store.items()}
        yield f"bytes in its store: {stored}, at most {STORE_BYTES_MOST}: {tables}"


def _counts(node: Node) -> Iterator[tuple[str, int, int]]:
    host = node.host
    yield "holds", len(host.holds), HOLDS_PER_HOST
    yield "claims", len(host.claims), CLAIMS_PER_HOST
    registers = node.registers.acceptor.rows()
    for owner, count in Counter(kept.opened.owner for _, kept in registers).items():
        yield f"registers of owner {owner[:12]}", count, REGISTERS_PER_OWNER
    for kind, limit in KINDS.items():
        sizes: Counter[str] = Counter()
        for held in node.broadcast.directory.of_kind(kind):
            sizes[held.site] += len(held.signed.payload) + RECORD_COST_BYTES
        for site, size in sizes.items():
            yield f"bytes of {kind} records of site {site}", size, limit.site_bytes
