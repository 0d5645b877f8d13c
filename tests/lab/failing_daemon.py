"""A real daemon with a fault that a stranger can reach: failing_daemon.py run -c CONFIG

Its node fails, with its state half changed, on a `disconnect`, and on a directory record of kind `news` whose
body is `fails`.
"""

from overlayd import assembly, daemon
from protocol.broadcast.messages import Gossip, Records
from protocol.membership.messages import Disconnect
from protocol.node.events import Arrived, Event
from protocol.node.node import Node
from protocol.terms.effects import Effect
from protocol.trust.record import Record, read_record


class FailingNode(Node):
    """A node with that fault."""

    def handle(self, event: Event, now: float) -> list[Effect]:
        effects = super().handle(event, now)
        match event:
            case Arrived(message=Disconnect()):
                self.host.ledger.reserved = None  # type: ignore[attr-defined]  # half changed
                raise KeyError("a stranger's \x1b[2J words")
            case Arrived(message=Gossip(records=records) | Records(records=records)):
                for signed in records:
                    learn(read_record(signed))
        return effects


def learn(record: Record) -> None:
    """Fails on what nobody should say."""
    if (record.kind, record.body) == ("news", b"fails"):
        raise KeyError(record.name)


if __name__ == "__main__":
    vars(assembly).update(Node=FailingNode)
    daemon.main()
