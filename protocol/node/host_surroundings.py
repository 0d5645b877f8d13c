"""What the host's side asks of the rest of this peer (hosting/surroundings.py)."""

from protocol.membership.membership import Membership
from protocol.node.relaying import Relaying
from protocol.terms.coordinate import Coordinate


class PeerSurroundings:
    """Answered by membership and relaying."""

    def __init__(self, membership: Membership, relaying: Relaying) -> None:
        self._membership, self._relaying = membership, relaying

    def hidden(self) -> bool:
        """Whether not every peer can dial this one."""
        return self._relaying.hidden()

    def clock_fault(self) -> str:
        """Why this peer's clock is not to be relied on; empty if it is."""
        return self._membership.clock_fault()

    def here(self) -> Coordinate:
        """Where this peer is in the network."""
        return self._membership.vivaldi.here
