"""What a change takes of a host beside what its lease has there."""

import pytest
from changing_host import Changing, sized, to_apply
from hosting_world import EACH, ORDER
from negotiating import ADMIN, AUTHORITY, MIB, NOW, shop

from protocol.capacity.quantum import Quantum
from protocol.grid import apply
from protocol.grid.model import GridSpec
from protocol.hosting import change_needs
from protocol.hosting.change_needs import ChangeNeeds

MANY = 8


def needs(one: Changing, spec: GridSpec) -> ChangeNeeds:
    row = one.host.leases.row(one.record_id)
    becomes = {
        w.name: w for w in AUTHORITY.to_hold(ADMIN.up(spec, NOW), NOW, fresh=True).workspaces
    }
    return ChangeNeeds(one.me, one.host.leases, one.host.ledger, row, becomes, spec)


class Carries(Changing):
    """It carries `web-1`, or nothing."""

    def __init__(self, *, carries: bool = True) -> None:
        super().__init__(ORDER)
        self.record_id = (self.up() if carries else self.record()).id


def test_what_is_new_takes_all_and_what_stays_nothing() -> None:
    found = needs(Carries(), shop(2))
    assert (found.of("web-1"), found.of("web-2")) == (None, EACH)
    assert (found.is_new("web-1"), found.is_new("web-2")) == (False, True)
    assert found.any(["web-1", "web-2"])
    assert not found.any(["web-1"])


def test_what_grows_takes_what_it_grows_by() -> None:
    found = needs(Carries(), sized(shop(1), memory_bytes=512 * MIB, cpus_milli=400))
    assert found.of("web-1") == Quantum(0, 384 * MIB), "fewer cpus are free later"
    assert found.any(["web-1"])


def test_where_nothing_is_carried_all_is_new() -> None:
    found = needs(Carries(carries=False), shop(2))
    assert (found.of("web-1"), found.of("web-2")) == (EACH, EACH)


def test_a_large_grid_is_compared_once_and_not_for_each_of_its_workspaces(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    small = sized(shop(MANY), cpus_milli=10, memory_bytes=32 * MIB)
    one = Changing(ADMIN.up(small, NOW))
    record = one.up({f"web-{i}": one.me for i in range(1, MANY + 1)})
    walked = list[int]()

    def counted(placed: list[str], *specs: GridSpec) -> apply.Delta:
        walked.append(len(placed))
        return apply.delta(placed, *specs)

    monkeypatch.setattr(change_needs, "delta", counted)
    larger = to_apply(sized(small, memory_bytes=64 * MIB), of=record.id)
    held = one.hold(record, larger, *(f"web-{i}" for i in range(1, MANY + 1)))
    assert len(held.held) == MANY, held.refused
    assert walked == [MANY]
