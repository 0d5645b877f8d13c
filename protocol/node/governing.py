"""What a site's newest policy makes of the allotments of its hosts, as a steward knows it."""

from protocol.capacity.allotments import Allotments, governed
from protocol.peering.certificates import Certificates
from protocol.peering.site_policies import SitePolicies
from protocol.trust.owner import Owner


class Governing:
    """It has the ceilings of the policy, and no hosts that were removed."""

    def __init__(self, policies: SitePolicies, certificates: Certificates) -> None:
        self._policies, self._certificates = policies, certificates

    def __call__(self, site: Owner, value: Allotments) -> Allotments:
        """The allotments of that site, by the policy of its key."""
        policy = self._policies.of(site.key)
        number, ceilings = (policy.number, policy.counted) if policy is not None else (0, ())
        hosts = dict.fromkeys(line.host for line in value.lines)
        removed = [host for host in hosts if self._certificates.is_revoked(host, site.site)]
        return governed(value, number, ceilings, removed)
