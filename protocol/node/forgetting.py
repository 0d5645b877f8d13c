"""What a host does that finds that it forgot something: its store has another id then (trust/own_store.py)."""

from protocol.contract.outcomes import Answer
from protocol.hosting.host import Host


def forgot(host: Host, now: float) -> Answer:
    """Nothing is held any more that it promised before, and of what it carries the stewards are asked at once.

    Its guests go on. A grid that was taken down since ends when its stewards say so.
    """
    host.leases.ask_now(now)
    return host.holds.lost()
