"""What the host's side asks of the rest of this peer (hosting/surroundings.py)."""

from protocol.membership.membership import Membership
from protocol.node.relaying import Relaying
from protocol.terms.coordinate import Coordinate


class PeerSurroundings:
    """The surroundings of this peer's host, as membership and relaying know them."""

    def __init__(self, membership: Membership, relaying: Relaying) -> None:
        self._membership, self._relaying = membership, relaying

    def hidden(self) -> bool:
        """Whether not every peer can dial this one."""
        return self._relaying.hidden()

    def clock_fault(self) -> str:
        """Why this peer's clock cannot be relied on, for people; empty if it can."""
        return self._membership.clock_fault()

    def here(self) -> Coordinate:
        """Where this peer is in the network; NOWHERE if that is not known yet."""
        return self._membership.vivaldi.here
