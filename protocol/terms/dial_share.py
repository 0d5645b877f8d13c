"""How often each host is dialled, whoever is said to be there. As one host may have all addresses of an IPv6
network, that network has a share as well.
"""

from ipaddress import IPv6Address

from protocol.terms.address import Ip
from protocol.terms.allowance import Allowance
from protocol.terms.limits import (
    DIALLED_HOSTS,
    DIALS_BURST,
    DIALS_PER_S,
    NETWORK_DIALS_BURST,
    NETWORK_DIALS_PER_S,
)

_NETWORK_BITS = 64
"""Of an IPv6 address, what a host does not choose (RFC 4291)."""


class DialShare:
    """What was dialled lately."""

    def __init__(self) -> None:
        self._hosts = Allowance(DIALS_BURST, DIALS_PER_S, DIALLED_HOSTS)
        self._networks = Allowance(NETWORK_DIALS_BURST, NETWORK_DIALS_PER_S, DIALLED_HOSTS)

    def take(self, host: Ip | str, now: float) -> bool:
        """Whether to dial it, by its address or its name, once more. If so, that is spent."""
        if not self._hosts.take(host, now):
            return False
        if isinstance(host, IPv6Address):
            return self._networks.take(int(host) >> _NETWORK_BITS, now)
        return True
