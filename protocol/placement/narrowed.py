"""Whether a wish to be spread is kept less well than there are hosts, since a network may not reach them."""

from collections.abc import Mapping

from protocol.grid.expand import workspaces
from protocol.grid.model import GridSpec, Spread
from protocol.placement.fit import Offer, Rules, sealed_networks, unsuitable


def narrowed(
    spec: GridSpec, rules: Rules, where: Mapping[str, Offer], offers: tuple[Offer, ...]
) -> str:
    """A line that says so; empty if it was not. `where` has the host of each workspace that is placed."""
    spread = spec.placement.spread
    if spread is Spread.NONE or not rules.crossing or len(where) < 2:
        return ""
    sites = dict.fromkeys(offer.site for offer in where.values())
    hosts = {offer.peer: offer.host for offer in where.values()}
    if len(sites) > 1 or (spread is Spread.HOST and len(hosts) == len(where)):
        return ""
    at_one_host = spread is Spread.HOST and rules.sealed and len(hosts) == 1
    members = [workspace for workspace in workspaces(spec) if workspace.name in where]
    elsewhere = [
        offer
        for offer in offers
        if (offer.peer not in hosts if at_one_host else offer.site not in sites)
        and any(not unsuitable(workspace, offer, rules) for workspace in members)
    ]
    if not elsewhere:
        return ""
    place = f"host {next(iter(hosts.values()))}" if at_one_host else f"site {next(iter(sites))}"
    return f"spread: {spread} is narrowed to {place}: {_why(spec, rules)}"


def _why(spec: GridSpec, rules: Rules) -> str:
    if rules.sealed:
        return f"network {sealed_networks(spec)[0]} is sealed between hosts, and not every host elsewhere can"
    if rules.families:
        return "no tunnel leads from hosts with IPv4 to hosts with IPv6"
    return "no tunnel leaves the site of a host that not every host can reach"
