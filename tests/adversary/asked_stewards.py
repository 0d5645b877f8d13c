"""Records that a member changed, asked of stewards, too: they keep what they had, as their disks say."""

from test_records_forged import Scene

from protocol.grid.record import GridRecord, register_key
from protocol.grid.steps import Apply, Rescale
from protocol.node.events import Arrived
from protocol.register.acceptor import Slot
from protocol.register.messages import StepAsk
from protocol.terms.ids import PeerId
from protocol.wire.codec import decode


class AskedStewards(Scene):
    """Who makes one says from when on stewards are to keep what they have: `kept`."""

    step: type[Apply | Rescale]
    """The step by which a record of its kind is decided."""
    kept: dict[PeerId, list[bytes]]

    def tell(self, record: GridRecord) -> None:
        super().tell(record)
        key = register_key(record.order)
        for peer in self.world.peers:
            for order in (None, record.order):
                ask = StepAsk(f"{record.epoch}", key, self.step(record), order)
                peer.feed(Arrived(self.mallory.id, ask, ""))
        self.world.run(0.5)

    def keepers(self) -> dict[PeerId, list[bytes]]:
        """What is decided, by its stewards' disks."""
        return {
            peer.id: [decode(row, Slot).value for row in peer.store.get("steward", {}).values()]
            for peer in self.world.peers
        }

    def unharmed(self) -> None:
        super().unharmed()
        assert self.keepers() == self.kept
