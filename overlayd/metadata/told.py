"""What a guest may know of its grid, as JSON and as lines for a shell. Pure functions of what its host carries
and has heard."""

from collections.abc import Iterable
from typing import Any

import msgspec

from protocol.grid.expand import as_member, cluster_of
from protocol.grid.lifecycle import Phase
from protocol.grid.model import ClusterSpec
from protocol.grid.six import cards6, cidr6_of, ranges6
from protocol.hosting.part import Part, PartOf
from protocol.node.rows import WorkspaceRow
from protocol.terms.ids import GridId

Addresses = dict[str, dict[str, str]]


class Asker(msgspec.Struct, frozen=True):
    """The guest that asks, and the part of its grid that this host carries."""

    part: Part
    mine: PartOf

    @property
    def grid(self) -> GridId:
        return self.part.record.id

    @property
    def name(self) -> str:
        return self.mine.workspace.name


def grid_of(asker: Asker, rows: Iterable[WorkspaceRow]) -> dict[str, Any]:
    """The whole grid: its clusters, its networks, and every member with its place and where it is."""
    spec, record = asker.part.spec, asker.part.record
    cards, six = _addresses(asker.part), _six(asker.part)
    return {
        "grid": record.name,
        "id": record.id,
        "self": asker.name,
        "clusters": [
            {
                "name": cluster.name,
                "count": cluster.count,
                "networks": list(cluster.networks),
                "provides": list(cluster.provides),
                "requires": list(cluster.requires),
            }
            for cluster in spec.clusters
        ],
        "networks": [
            {"name": net.name, "cidr": net.cidr, "cidr6": cidr6_of(net, record.id)}
            for net in spec.networks
        ],
        "members": [_member(asker.part, cards, six, row) for row in rows],
    }


def self_of(asker: Asker, rows: Iterable[WorkspaceRow]) -> dict[str, Any]:
    """The guest that asks."""
    row = next((row for row in rows if row.workspace == asker.name), None)
    cards, six = _addresses(asker.part), _six(asker.part)
    member = _member(asker.part, cards, six, row) if row is not None else {"name": asker.name}
    return {"grid": asker.part.record.name, "id": asker.grid, **member}


def hosts_of(asker: Asker, rows: Iterable[WorkspaceRow]) -> str:
    """`ADDRESS NAME CLUSTER` of each member, in the grid's order.

    The address is on the first network that the asker shares with it; on its own first one if they share none.
    """
    cards = _addresses(asker.part)
    mine = asker.mine.workspace.networks
    lines = []
    for row in rows:
        has = cards.get(row.workspace, {})
        shared = [has[name] for name in mine if name in has]
        if address := (shared or [*has.values()] or [""])[0]:
            lines.append(f"{address} {row.workspace} {cluster_of(row.workspace)}\n")
    return "".join(lines)


def keys_of(asker: Asker, rows: Iterable[WorkspaceRow]) -> str:
    """Lines for a known_hosts file: each member that has named host keys, by all its names and addresses."""
    cards, six, domain = _addresses(asker.part), _six(asker.part), asker.part.record.name
    lines = []
    for row in rows:
        both = (*cards.get(row.workspace, {}).values(), *six.get(row.workspace, {}).values())
        names = (row.workspace, f"{row.workspace}.{domain}", *both)
        lines += [f"{','.join(names)} {key}\n" for key in row.host_keys]
    return "".join(lines)


def _member(part: Part, cards: Addresses, six: Addresses, row: WorkspaceRow) -> dict[str, Any]:
    name = cluster_of(row.workspace)
    cluster = _cluster(part, name)
    cluster = as_member(cluster, row.workspace) if cluster is not None else None
    return {
        "name": row.workspace,
        "cluster": name,
        "index": int(row.workspace.rpartition("-")[2]),
        "addresses": cards.get(row.workspace, {}),
        "addresses6": six.get(row.workspace, {}),
        "provides": list(cluster.provides) if cluster is not None else [],
        "requires": list(cluster.requires) if cluster is not None else [],
        "site": row.site,
        "cpus": cluster.cpus_milli / 1000 if cluster is not None else 0.0,
        "memory_bytes": cluster.memory_bytes if cluster is not None else 0,
        "phase": row.phase,
        "ready": row.phase == Phase.READY,
        "host_keys": list(row.host_keys),
    }


def _cluster(part: Part, name: str) -> ClusterSpec | None:
    return next((cluster for cluster in part.spec.clusters if cluster.name == name), None)


def _addresses(part: Part) -> Addresses:
    """By workspace: its address on each of its networks."""
    found: Addresses = {}
    for card in part.cards:
        found.setdefault(card.workspace, {})[card.network] = card.address
    return found


def _six(part: Part) -> Addresses:
    """The same of IPv6. Networks without it are left out."""
    found: Addresses = {}
    for card, address in cards6(part.cards, ranges6(part.spec.networks, part.record.id)):
        found.setdefault(card.workspace, {})[card.network] = address
    return found
