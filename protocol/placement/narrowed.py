"""Whether a wish to be spread is kept less well than there are hosts, since a network may not cross sites."""

from collections.abc import Mapping

from protocol.grid.expand import workspaces
from protocol.grid.model import Encryption, GridSpec, Spread
from protocol.placement.fit import Offer, Rules, unsuitable


def narrowed(
    spec: GridSpec, rules: Rules, where: Mapping[str, Offer], offers: tuple[Offer, ...]
) -> str:
    """A line that says so; empty if it was not. `where` has the host of each workspace that is placed."""
    spread = spec.placement.spread
    if spread is Spread.NONE or not (rules.one_site or rules.tunnels) or len(where) < 2:
        return ""
    sites = dict.fromkeys(offer.site for offer in where.values())
    if len(sites) > 1:
        return ""
    hosts = dict.fromkeys(offer.peer for offer in where.values())
    if spread is Spread.HOST and len(hosts) == len(where):
        return ""
    members = [workspace for workspace in workspaces(spec) if workspace.name in where]
    elsewhere = [
        offer
        for offer in offers
        if offer.site not in sites
        and any(not unsuitable(workspace, offer, rules) for workspace in members)
    ]
    if not elsewhere:
        return ""
    return f"spread: {spread} is narrowed to site {next(iter(sites))}: {_why(spec, rules)}"


def _why(spec: GridSpec, rules: Rules) -> str:
    if rules.one_site:
        private = [n.name for n in spec.networks if n.encryption is Encryption.REQUIRED]
        return f"network {private[0]} is sealed between hosts, and not every host elsewhere can"
    return "no tunnel leaves the site of a host that not every host can reach"
