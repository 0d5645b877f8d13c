"""Starting order: when this host's workspaces wait for other ones than before, the shell looks again."""

from random import Random

import msgspec
import pytest
from deciding import decided, ending, read_register
from negotiating import ADMIN, AUTHORITY, NOW, ROOM, A, B, C, committed, notice, record_of, shop

from protocol.capacity.ledger import Ledger
from protocol.contract.told import Notices
from protocol.grid.lifecycle import Phase, Status
from protocol.grid.record import GridRecord, GridState, grid_id
from protocol.hosting.leases import Leases
from protocol.hosting.part import part_of
from protocol.hosting.starting import Starting
from protocol.hosting.taking_up import Promise
from protocol.terms.effects import Realise
from protocol.terms.ids import GridId, PeerId
from protocol.trust.order import Action

WEB = shop(1).clusters[0]
SPEC = msgspec.structs.replace(
    shop(1),
    clusters=(
        msgspec.structs.replace(WEB, name="db", count=2, provides=("sql",)),
        msgspec.structs.replace(WEB, requires=("sql",)),
    ),
)
ORDER = ADMIN.up(SPEC, NOW)
GRID = grid_id(ORDER)
RECORD = record_of(ORDER, {"db-1": B, "db-2": C, "web-1": A})
LOOK = [Realise(GRID, GRID)]


class Scene:
    """Host A carries `web-1`, which requires `db-1` at B and `db-2` at C."""

    def __init__(self, record: GridRecord = RECORD) -> None:
        self.leases = Leases(A, Ledger(ROOM, NOW), AUTHORITY, Random(1), {}, NOW)
        self.notices = Notices()
        self.starting = Starting(self.leases, self.notices)
        self.record = record
        known, _, _ = self.leases.decided(decided(record), Promise(record.on(A)), NOW)
        assert known

    def told(self, peer: PeerId, phase: Phase, *, final: bool = False) -> list[Realise]:
        """A host tells where its workspaces are. Answers what follows here."""
        mine = tuple(Status(name, phase, final=final) for name in self.record.on(peer))
        self.notices.put(peer, notice(self.record, mine), NOW)
        return self.looks(self.record.id)

    def looks(self, grid: GridId) -> list[Realise]:
        effects = self.starting.noticed(grid)
        assert all(isinstance(effect, Realise) for effect in effects)
        return [effect for effect in effects if isinstance(effect, Realise)]

    def waits_for(self) -> tuple[str, ...]:
        part = part_of(self.leases, self.notices, self.record.id)
        assert part is not None
        (mine,) = part.mine
        return mine.waits_for


def test_each_provider_that_is_up_is_one_less_to_wait_for() -> None:
    scene = Scene()
    assert scene.told(A, Phase.HELD) == LOOK, "nothing was seen before"
    assert scene.waits_for() == ("db-1", "db-2")
    assert scene.told(B, Phase.READY) == LOOK
    assert scene.waits_for() == ("db-2",)
    assert scene.told(C, Phase.READY) == LOOK
    assert scene.waits_for() == ()


def test_what_is_told_again_or_changes_nothing_is_not_looked_at() -> None:
    scene = Scene()
    scene.told(B, Phase.READY)
    assert scene.told(B, Phase.READY) == []
    assert scene.told(C, Phase.HELD) == []
    assert scene.told(A, Phase.HELD) == []


@pytest.mark.parametrize(
    ("phase", "final", "looks"),
    [
        pytest.param(Phase.RUNNING, False, [], id="boots"),
        pytest.param(Phase.RUNNING, True, LOOK, id="cannot-be-more"),
        pytest.param(Phase.PAUSED, False, [], id="paused"),
    ],
)
def test_a_provider_counts_once_it_is_settled(
    phase: Phase, final: bool, looks: list[Realise]
) -> None:
    scene = Scene()
    scene.told(A, Phase.HELD)
    assert scene.told(B, phase, final=final) == looks


def test_a_provider_that_is_gone_again_is_waited_for() -> None:
    """The shell looks, and finds nothing to do about what runs already."""
    scene = Scene()
    scene.told(B, Phase.READY)
    assert scene.told(B, Phase.HELD) == LOOK
    assert scene.waits_for() == ("db-1", "db-2")


def test_a_grid_this_host_does_not_carry_is_not_looked_at() -> None:
    scene = Scene()
    other = record_of(ADMIN.up(SPEC, NOW), {"db-1": B, "web-1": C})
    scene.notices.put(B, notice(other, (Status("db-1", Phase.READY),)), NOW)
    assert scene.looks(other.id) == []


def test_each_grid_is_seen_by_itself() -> None:
    scene = Scene()
    other = record_of(ADMIN.up(SPEC, NOW), {"db-1": B, "db-2": C, "web-1": A})
    scene.leases.decided(decided(other), Promise(("web-1",)), NOW)
    scene.told(B, Phase.READY)
    scene.notices.put(B, notice(other, (Status("db-1", Phase.READY),)), NOW)
    assert scene.looks(other.id) == [Realise(other.id, other.id)]
    assert scene.looks(GRID) == []


def test_what_was_cleared_is_forgotten_with_the_next_word_of_it() -> None:
    """A grid that came back would be looked at."""
    scene = Scene()
    scene.told(B, Phase.READY)
    down = ADMIN.order(Action.DOWN, GRID, NOW)
    ended = read_register(ending(GRID, down)(committed(RECORD))).record
    assert ended is not None
    assert ended.state is GridState.DOWN
    scene.leases.decided(decided(ended), Promise(), NOW)
    scene.leases.progress(GRID, Status("web-1", Phase.GONE))
    scene.leases.cleared(GRID)
    assert scene.leases.row(GRID) is None
    assert scene.looks(GRID) == []
    scene.leases.decided(decided(RECORD), Promise(("web-1",)), NOW)
    assert scene.looks(GRID) == LOOK
