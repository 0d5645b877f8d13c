"""Nothing is started in room that others have not left yet, and nothing waits for what does not leave."""

import msgspec
import pytest
from negotiating import ADMIN, AUTHORITY, MIB, NOW, A, record_of, shop

from protocol.capacity.ledger import Ledger
from protocol.capacity.quantum import Quantum
from protocol.grid.lifecycle import Phase, Power, Status, Wanted
from protocol.grid.model import LeaseTerms, OnExpiry
from protocol.hosting.lease import Lease
from protocol.hosting.readiness import Readiness
from protocol.terms.ids import GridId

EXAM, WORK, MORE = GridId("exam"), GridId("work"), GridId("more")
EACH = Quantum(500, 256 * MIB)
SAVES = LeaseTerms(on_expiry=OnExpiry.SUSPEND)
"""Such work has disk for its memory from the beginning."""


class One:
    """A host and the grids it carries, each a workspace web-1 with EACH."""

    def __init__(self, places: int, disk_bytes: int = 0) -> None:
        room = Quantum(places * 500, places * 256 * MIB, disk_bytes)
        self.told: dict[GridId, dict[str, Status]] = {}
        self.gate = Readiness(Ledger(room, NOW), AUTHORITY, self.told)
        self.rows: dict[GridId, Lease] = {}
        self.wanted: dict[GridId, tuple[Wanted, ...]] = {}

    def carries(
        self,
        grid: GridId,
        power: Power,
        phase: Phase | None,
        detail: str = "",
        lease: LeaseTerms = LeaseTerms(),  # noqa: B008  it is frozen
    ) -> None:
        spec = msgspec.structs.replace(shop(1, 256, lease=lease), name=grid)
        record = record_of(ADMIN.up(spec, NOW), {"web-1": A}, grid)
        self.rows[grid] = Lease(record, (), NOW + 100.0, NOW)
        self.wanted[grid] = (Wanted("web-1", power),)
        self.told[grid] = {} if phase is None else {"web-1": Status("web-1", phase, detail)}

    def blocked(self, grid: GridId = EXAM) -> str:
        return self.gate.blocked(grid, self.rows, self.wanted)


def test_it_waits_for_what_leaves_and_says_for_what() -> None:
    one = One(places=2)
    one.carries(MORE, Power.RUNNING, Phase.REACHABLE)
    one.carries(WORK, Power.SUSPENDED, Phase.SAVING)
    one.carries(EXAM, Power.RUNNING, Phase.HELD)
    assert one.blocked() == "waits for work/web-1 to leave its room"
    assert one.gate.waiting(but=WORK) == [EXAM]
    assert one.gate.waiting(but=EXAM) == []


@pytest.mark.parametrize(
    ("phase", "detail", "waits"),
    [
        pytest.param(Phase.BOOTING, "", True, id="booting"),
        pytest.param(Phase.RUNNING, "", True, id="running"),
        pytest.param(Phase.REACHABLE, "", True, id="reachable"),
        pytest.param(Phase.PAUSED, "", True, id="paused"),
        pytest.param(Phase.SAVING, "", True, id="saving"),
        pytest.param(Phase.RESTORING, "", True, id="restoring"),
        pytest.param(Phase.ENDING, "", True, id="ending"),
        pytest.param(Phase.HELD, "found at start", True, id="found-at-a-start"),
        pytest.param(Phase.HELD, "", False, id="never-begun"),
        pytest.param(Phase.IMAGE, "", False, id="not-made-yet"),
        pytest.param(Phase.SUSPENDED, "", False, id="saved"),
        pytest.param(Phase.EXPIRED, "", False, id="stopped"),
        pytest.param(Phase.GONE, "", False, id="gone"),
        pytest.param(None, "", False, id="never-told-of"),
    ],
)
def test_what_is_to_leave_is_there_until_it_is_told_to_be_gone(
    phase: Phase | None, detail: str, waits: bool
) -> None:
    for power in (Power.SUSPENDED, Power.OFF, Power.GONE):
        one = One(places=1)
        one.carries(WORK, power, phase, detail)
        one.carries(EXAM, Power.RUNNING, Phase.HELD)
        assert bool(one.blocked()) is waits


def test_it_waits_no_longer_when_there_is_room() -> None:
    one = One(places=1)
    one.carries(WORK, Power.SUSPENDED, Phase.SAVING)
    one.carries(EXAM, Power.RUNNING, Phase.HELD)
    assert one.blocked() != ""
    one.told[WORK]["web-1"] = Status("web-1", Phase.SUSPENDED)
    assert one.blocked() == ""
    assert one.gate.waiting(but=WORK) == []


def test_room_beside_what_leaves_is_enough_to_the_last_of_it() -> None:
    one = One(places=2)
    one.carries(WORK, Power.SUSPENDED, Phase.SAVING)
    one.carries(EXAM, Power.RUNNING, Phase.HELD)
    assert one.blocked() == "", "also where there is no disk"
    assert one.gate.waiting(but=WORK) == []


def test_it_does_not_wait_for_what_stays() -> None:
    """That would be a promise too many, and no waiting mends it."""
    one = One(places=1)
    one.carries(WORK, Power.RUNNING, Phase.RUNNING)
    one.carries(EXAM, Power.RUNNING, Phase.HELD)
    assert one.blocked() == ""


def test_what_others_are_about_to_start_is_not_counted() -> None:
    one = One(places=2)
    one.carries(WORK, Power.SUSPENDED, Phase.SAVING)
    one.carries(MORE, Power.RUNNING, Phase.HELD, "found at start")
    one.carries(EXAM, Power.RUNNING, Phase.HELD)
    assert one.blocked() == ""


def test_what_starts_nothing_waits_for_nobody() -> None:
    one = One(places=1)
    one.carries(WORK, Power.SUSPENDED, Phase.SAVING)
    for power, phase in ((Power.OFF, Phase.EXPIRED), (Power.RUNNING, Phase.RUNNING)):
        one.carries(EXAM, power, phase)
        assert one.blocked() == "", "it runs already, or is not to"
    one.carries(MORE, Power.RUNNING, Phase.HELD)
    assert one.blocked(MORE) != ""


def test_disks_are_not_waited_for_they_are_promised_beside_each_other() -> None:
    one = One(places=2, disk_bytes=300 * MIB)
    one.carries(WORK, Power.SUSPENDED, Phase.SAVING, lease=SAVES)
    one.carries(EXAM, Power.RUNNING, Phase.HELD, lease=SAVES)
    assert one.blocked() == ""
