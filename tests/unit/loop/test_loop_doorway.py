"""What is wanted of grids before the host's side is open waits for it; what peers ask does not."""

from typing import Any

from overlayd.loop.doorway import Doorway
from protocol.node.messages import ImageAsk
from protocol.terms.effects import Probing, Sealed
from protocol.terms.ids import Digest, PeerId

PEER = PeerId("a" * 64)
ASK = ImageAsk("s", Digest("0" * 64), 0, 1)


class Side:
    def __init__(self) -> None:
        self.kicked: list[tuple[str, str]] = []
        self.bulk: list[Any] = []
        self.tables: list[Sealed] = []
        self.probed: list[str] = []

    def kick(self, grid: str, cause: str) -> None:
        self.kicked.append((grid, cause))

    def take(self, peer: PeerId, message: Any, cause: str) -> None:
        self.bulk.append(message)

    def seal(self, table: Sealed) -> None:
        self.tables.append(table)

    def probe_paths(self, probing: Probing) -> None:
        self.probed.append(probing.instance)


def test_what_waited_comes_first_once_a_grid() -> None:
    doorway, side = Doorway(), Side()
    for grid, cause in (("star", "a"), ("moon", "b"), ("star", "c")):
        doorway.kick(grid, cause)
    doorway.open(side, side)
    doorway.kick("star", "d")
    assert side.kicked == [("star", "c"), ("moon", "b"), ("star", "d")]


def test_an_ask_that_comes_too_early_is_dropped_and_counted() -> None:
    doorway, side = Doorway(), Side()
    doorway.take(PEER, ASK, "")
    doorway.open(side, side)
    assert (side.bulk, doorway.counts) == ([], {"bulk-too-early": 1})
    doorway.take(PEER, ASK, "")
    assert side.bulk == [ASK]


def test_of_tables_that_came_too_early_the_last_is_told() -> None:
    doorway, side = Doorway(), Side()
    for instance in ("one", "two"):
        doorway.seal(Sealed(instance, ()))
    doorway.open(side, side, side)
    doorway.seal(Sealed("three", ()))
    assert [table.instance for table in side.tables] == ["two", "three"]


def test_probes_that_come_too_early_are_not_sent_later() -> None:
    """An answer would be to a probe that the node has given up."""
    doorway, side = Doorway(), Side()
    doorway.probe_paths(Probing("one", ()))
    doorway.open(side, side, side)
    doorway.probe_paths(Probing("two", ()))
    assert side.probed == ["two"]
