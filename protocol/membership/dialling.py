"""Which addresses are dialled, and how often. An address is somebody's word, and a dial knocks at a door.

Only a single host's address is dialled. This machine's own is, if this peer is itself found there, or was told
so by its configuration: a member could else have every peer talk to what listens on its loopback. Each host is
dialled so often and no more, whoever is said to be there and at whatever port: members could else have all
peers knock at one, or search its ports. What a name stands for is not known here: who looks it up holds that to
the same. A newcomer is dialled on another's word, and on each peer's so many.
"""

from collections.abc import Callable, Iterable

from protocol.terms.address import Address, address_of, is_one_host
from protocol.terms.allowance import Allowance
from protocol.terms.dial_share import DialShare
from protocol.terms.ids import PeerId
from protocol.terms.limits import (
    DIALLED_HOSTS,
    NEWCOMERS_BURST,
    NEWCOMERS_PER_S,
)


class Dialling:
    """What was dialled lately, by host, and on whose word."""

    def __init__(self, own: Callable[[], str], told: Iterable[str] = ()) -> None:
        """`own` answers where this peer itself is dialled; `told` are the addresses of its configuration."""
        self._own, self._told = own, frozenset(map(address_of, told))
        self._share = DialShare()
        self._senders = Allowance(NEWCOMERS_BURST, NEWCOMERS_PER_S, DIALLED_HOSTS)
        self.refused = 0
        """How many dials there were not."""

    def means_one_host(self, text: str) -> bool:
        """Whether HOST:PORT is one host's, and not this machine's own for another's word."""
        address = address_of(text)
        return address is not None and self._is_meant(address)

    def allows(self, text: str, now: float) -> bool:
        """Whether to dial HOST:PORT now. That uses up some of the host's share."""
        address = address_of(text)
        meant = address is not None and self._is_meant(address)
        if address is None or not meant or not self._share.take(address.ip or address.host, now):
            self.refused += 1
            return False
        return True

    def hears_of(self, sender: PeerId, now: float) -> bool:
        """Whether to dial a newcomer on the word of that peer. That uses up some of the peer's budget."""
        if self._senders.take(sender, now):
            return True
        self.refused += 1
        return False

    def _is_meant(self, address: Address) -> bool:
        ip = address.ip
        if ip is None or address in self._told:
            return True
        if ip.is_loopback:
            own = address_of(self._own())
            return own is not None and own.ip is not None and own.ip.is_loopback
        return is_one_host(ip)
