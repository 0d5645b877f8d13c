"""Of what kinds a grid's workspaces are, as they are placed."""

from protocol.grid.model import ImageRef, Workspace
from protocol.placement.fit import Rules
from protocol.placement.packing import Instance


def test_those_of_a_cluster_that_have_another_size_are_a_kind_of_their_own() -> None:
    small = [_worker(f"w-{n}", 1000) for n in (1, 2, 4)]
    table = Instance((*small[:2], _worker("w-3", 4000), small[2]), (), Rules(least=(("w", 3),)), {})
    assert [(k.names, k.least) for k in table.kinds] == [(["w-1", "w-2", "w-4"], 3), (["w-3"], 0)]


def _worker(name: str, cpus_milli: int) -> Workspace:
    return Workspace(name, "w", int(name[2:]), cpus_milli, 1 << 30, 0, ImageRef("tiny"))
