"""What leases of this host reserve now, whose they are, and what hosts tell that somebody has on them."""

from protocol.capacity.advert import Spent
from protocol.capacity.quantum import Quantum, total
from protocol.grid.lifecycle import Power, Wanted
from protocol.grid.record import GridRecord
from protocol.node.node import Node
from protocol.node.rows import SpentRow
from protocol.policy.receipts import LeaseNow, Payer
from protocol.terms.ids import GridId, KeyId
from protocol.trust.grants import owner_of, read_grant


def leases(node: Node) -> list[LeaseNow]:
    """Every lease of this host that reserves anything now."""
    found = []
    for row in node.host.leases.rows():
        grid = row.record.id
        wanted = node.host.leases.wanted(grid)
        quantum = total(_now(node, grid, each) for each in wanted)
        if quantum != Quantum():
            found.append(LeaseNow(grid, row.record.name, _payer(row.record), quantum))
    return found


def spent(node: Node, key: KeyId, now: float) -> list[SpentRow]:
    """What is held or leased by orders in whose line the key is, on each host that tells of any, by site."""
    me = node.identity
    rows = [
        _spent(who.site, who.name, now - heard.received_s, each)
        for peer, heard in node.directory.adverts.items()
        for each in heard.advert.spent
        if each.key == key and (who := node.membership.known.get(peer)) and peer != me.peer
    ]
    if node.host.known:
        own = (each for each in node.host.advert().spent if each.key == key)
        rows += [_spent(me.site, me.name, 0.0, each) for each in own]
    return sorted(rows, key=lambda row: (row.site, row.host))


def _spent(site: str, host: str, age_s: float, there: Spent) -> SpentRow:
    amounts = (there.cpus_milli, there.memory_bytes, there.disk_bytes)
    return SpentRow(site, host, age_s, *amounts, there.workspaces, there.devices)


def _now(node: Node, grid: GridId, wanted: Wanted) -> Quantum:
    """What the ledger has for a workspace at this moment. What is suspended to make room has only its disk."""
    ledger, key = node.host.ledger, (grid, wanted.workspace)
    spans = ledger.spans(key) if key in ledger else ()
    taken = total(s.quantum for s in spans if s.start_s <= ledger.now_s < s.end_s)
    away = ledger.yields(key) is not None and wanted.power is Power.SUSPENDED
    return taken.kept if away else taken


def _payer(record: GridRecord) -> Payer:
    """Whose a grid is, and which member made it what it is."""
    if not (grants := record.standing.grants):
        return Payer(record.owner, record.owner_site)
    owner = owner_of(grants, [read_grant(grant) for grant in grants])
    return Payer(owner.key, owner.label, owner.member, owner.line[1:])
