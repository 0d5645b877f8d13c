"""What a host knows of the peer around it."""

from typing import Protocol

from protocol.capacity.allotments import Parts
from protocol.capacity.quantum import Quantum
from protocol.grid.tunnel import ToldEnd
from protocol.membership.clocks import SURE, ClockView
from protocol.policy.demand import NOTHING, Demand
from protocol.policy.site_policy import SitePolicy
from protocol.terms.coordinate import NOWHERE, Coordinate
from protocol.terms.ids import KeyId, PeerId


class HostSurroundings(Protocol):
    """What a host asks of its peer. It asks each time, because all of it changes while the peer runs."""

    def hidden(self) -> bool:
        """Whether not every peer can dial this one."""

    def clock_fault(self) -> str:
        """Why this peer's clock cannot be relied on, for people; empty if it can."""

    def barred(self) -> str:
        """Why this host is to take no work at all, for people; empty if it may."""

    def site_key(self) -> KeyId:
        """The key of this host's site."""

    def policy(self) -> SitePolicy | None:
        """The newest policy of this host's site; None if none was heard of."""

    def elsewhere(self, key: KeyId) -> Demand:
        """What other hosts of this host's site have by orders of a key, as far as they were heard."""

    def beside(self) -> Quantum:
        """What the other hosts of this host's site have in all, as far as they were heard."""

    def least_policy(self) -> int:
        """The least number of a policy that this host may go by, as its certificate says."""

    def hosts(self) -> int:
        """How many hosts this host's site has, itself included."""

    def lacking(self) -> Parts:
        """What other hosts of the site lack of its ceilings (hosting/allotting.py)."""

    def leaving(self) -> bool:
        """Whether this host is to be stopped for good, as its person says."""

    def clock(self) -> ClockView:
        """Whether this peer's clock decides what cannot be taken back."""

    def here(self) -> Coordinate:
        """Where this peer is in the network; NOWHERE if that is not known yet."""

    def name(self, peer: PeerId) -> str:
        """What people call a host; the beginning of its key if it is not known."""

    def site(self, peer: PeerId) -> str:
        """The site of a peer, also of this one; empty if it is not known."""

    def tunnel(self, peer: PeerId) -> ToldEnd | None:
        """Where another host takes the traffic of its networks, as its presence says; None if it does not."""


class Alone:
    """The surroundings of a host without a network: everybody reaches it, and its clock is right."""

    def hidden(self) -> bool:
        """Never."""
        return False

    def clock_fault(self) -> str:
        """Always empty."""
        return ""

    def barred(self) -> str:
        """Always empty."""
        return ""

    def site_key(self) -> KeyId:
        """Nobody's."""
        return KeyId("")

    def policy(self) -> SitePolicy | None:
        """None: every site is let in."""
        return None

    def elsewhere(self, key: KeyId) -> Demand:
        """Nothing."""
        return NOTHING

    def beside(self) -> Quantum:
        """There are none."""
        return Quantum()

    def least_policy(self) -> int:
        """Any will do."""
        return 0

    def hosts(self) -> int:
        """This one."""
        return 1

    def lacking(self) -> Parts:
        """Nothing."""
        return ()

    def leaving(self) -> bool:
        """Never."""
        return False

    def clock(self) -> ClockView:
        """It counts."""
        return SURE

    def here(self) -> Coordinate:
        """Never known: NOWHERE."""
        return NOWHERE

    def name(self, peer: PeerId) -> str:
        """Nobody's is known."""
        return peer[:12]

    def site(self, peer: PeerId) -> str:
        """Nobody's is known."""
        return ""

    def tunnel(self, peer: PeerId) -> ToldEnd | None:
        """Nobody's is known."""
        return None
