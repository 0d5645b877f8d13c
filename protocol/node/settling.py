"""Which side of the work a change of a register was for."""

from protocol.contract.outcomes import Answer, RequesterPurpose
from protocol.hosting.host import Host
from protocol.node.registers import Outcome as Settlement
from protocol.register.asking import Unsettled
from protocol.requesting.requester import Requester

__all__ = ["Settlement", "settled"]


def settled(host: Host, requester: Requester, outcome: Settlement, now: float) -> Answer:
    """What the side whose purpose it was makes of what came of a change."""
    purpose = outcome.purpose
    if isinstance(purpose, RequesterPurpose):
        if isinstance(outcome, Unsettled):
            return requester.unsettled(purpose, outcome.why, now)
        return requester.settled(purpose, outcome.decision, now)
    if isinstance(outcome, Unsettled):
        return host.unsettled(purpose, now)
    return host.settled(purpose, outcome.decision, now)
