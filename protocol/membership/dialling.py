"""Which addresses are dialled, and how often. An address is somebody's word, and a dial knocks at a door.

Only a single host's address is dialled. This machine's own is, if this peer is itself found there, or was told
so by its configuration: a member could else have every peer talk to what listens on its loopback. Each host is
dialled so often and no more, whoever is said to be there and at whatever port: members could else have all
peers knock at one, or search its ports. A newcomer is dialled on another's word, and on each peer's so many.
"""

from collections.abc import Callable, Iterable
from ipaddress import AddressValueError, IPv4Address

from protocol.terms.allowance import Allowance
from protocol.terms.ids import PeerId
from protocol.terms.limits import (
    DIALLED_HOSTS,
    DIALS_BURST,
    DIALS_PER_S,
    NEWCOMERS_BURST,
    NEWCOMERS_PER_S,
)


class Dialling:
    """What was dialled lately, by host, and on whose word."""

    def __init__(self, own: Callable[[], str], told: Iterable[str] = ()) -> None:
        """`own` answers where this peer itself is dialled; `told` are the addresses of its configuration."""
        self._own, self._told = own, tuple(told)
        self._hosts = Allowance(DIALS_BURST, DIALS_PER_S, DIALLED_HOSTS)
        self._senders = Allowance(NEWCOMERS_BURST, NEWCOMERS_PER_S, DIALLED_HOSTS)
        self.refused = 0
        """How many dials there were not."""

    def allows(self, address: str, now: float) -> bool:
        """Whether to dial HOST:PORT now. That uses up some of the host's budget."""
        host, _, port = address.rpartition(":")
        allowed = self._is_one_host(host, address) and _is_port(port)
        if not allowed or not self._hosts.take(host, now):
            self.refused += 1
            return False
        return True

    def hears_of(self, sender: PeerId, now: float) -> bool:
        """Whether to dial a newcomer on the word of that peer. That uses up some of the peer's budget."""
        if self._senders.take(sender, now):
            return True
        self.refused += 1
        return False

    def _is_one_host(self, host: str, address: str) -> bool:
        if address in self._told:
            return True
        try:
            ip = IPv4Address(host)
        except AddressValueError:
            return bool(
                host
            )  # A name. The transport looks at what it stands for, and takes none today.
        if ip.is_loopback:
            return self._own().startswith("127.")
        return not (ip.is_multicast or ip.is_unspecified or ip.is_link_local or ip.is_reserved)


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 5 and 0 < int(text) < 65536
