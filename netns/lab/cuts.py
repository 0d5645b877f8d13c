"""Partitions, as nftables tables in the wide-area namespace: one for each set that was cut off.

A table of the bridge family sees all traffic of all hosts, even inside a site. Traffic with one end in the set
and the other outside is dropped, ARP too. So a cut host finds out as it would with a pulled cable.
"""

import json
from hashlib import sha256

from netns import program
from netns.kernel import namespaces

_PREFIX = "cut_"


def cut(wan: str, addresses: list[str]) -> None:
    """Cuts these addresses off from all others. A second time changes nothing."""
    name = _PREFIX + sha256(" ".join(sorted(addresses)).encode()).hexdigest()[:12]
    text = _table(name, sorted(addresses))
    namespaces.inside(wan, lambda: program.run(["nft", "-f", "-"], text=text))


def heal(wan: str) -> int:
    """Undoes every cut. Answers how many there were."""
    return namespaces.inside(wan, _heal)


def cut_addresses(wan: str) -> frozenset[str]:
    """The addresses in any set that was cut off."""
    return namespaces.inside(wan, _cut_addresses)


def _table(name: str, addresses: list[str]) -> str:
    return f"""add table bridge {name}
delete table bridge {name}
table bridge {name} {{
{_set("inside", "ipv4_addr", [each for each in addresses if ":" not in each])}
{_set("inside6", "ipv6_addr", [each for each in addresses if ":" in each])}
    chain prerouting {{
        type filter hook prerouting priority -300; policy accept;
        ip saddr @inside ip daddr != @inside drop
        ip saddr != @inside ip daddr @inside drop
        arp saddr ip @inside arp daddr ip != @inside drop
        arp saddr ip != @inside arp daddr ip @inside drop
        ip6 saddr @inside6 ip6 daddr != @inside6 drop
        ip6 saddr != @inside6 ip6 daddr @inside6 drop
    }}
}}
"""


def _set(name: str, kind: str, addresses: list[str]) -> str:
    elements = f"elements = {{ {', '.join(addresses)} }}" if addresses else ""
    return f"    set {name} {{\n        type {kind}\n        {elements}\n    }}"


def _heal() -> int:
    tables = {str(entry["table"]) for entry in _sets()}
    for table in sorted(tables):
        program.run(["nft", "delete", "table", "bridge", table])
    return len(tables)


def _cut_addresses() -> frozenset[str]:
    return frozenset(str(address) for entry in _sets() for address in entry.get("elem", ()))


def _sets() -> list[dict[str, list[str]]]:
    listed = json.loads(program.run(["nft", "-j", "list", "sets", "bridge"]))["nftables"]
    found = [entry["set"] for entry in listed if "set" in entry]
    return [entry for entry in found if str(entry["table"]).startswith(_PREFIX)]
