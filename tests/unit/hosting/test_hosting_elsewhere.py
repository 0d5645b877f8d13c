"""What is brought back on another host than it was on: it is never started while it is still there."""

import msgspec
from changing_host import Changing, to_apply
from hosting_world import GRID, ORDER
from negotiating import NOW, B, C, record_of, shop

from protocol.contract.notices import notice_of
from protocol.grid.lifecycle import Phase, Status
from protocol.hosting.part import part_of
from protocol.hosting.starting import Starting
from protocol.terms.effects import Realise
from protocol.terms.limits import CLEAR_S

STOP_S = shop(1).clusters[0].stop_within_s


class Brought(Changing):
    """`web-2` was at C; a change took it out, and the next one brings it here."""

    def __init__(self, *, carried: bool = True) -> None:
        super().__init__()
        here = {"web-1": self.me} if carried else {"web-1": B}
        record = self.up(here) if carried else record_of(ORDER, here)
        change = to_apply(shop(2), record.epoch)
        names = ("web-1", "web-2") if carried else ("web-2",)
        reply = self.hold(record, change, *names)
        assert reply.grant is not None
        self.record = self.applied(record, change, {"web-2": self.me}, (reply.grant,))
        self.starting = Starting(self.host.leases, self.notices)

    def comes(self) -> None:
        self.decides(self.record)

    def tells(self, *phases: Phase, epoch: int = 1) -> list[Realise]:
        """C tells that `web-2` is there, or nothing more of it. Answers what follows here."""
        plain = notice_of(self.record, shop(2))
        mine = tuple(Status("web-2", phase) for phase in phases)
        told = msgspec.structs.replace(plain, mine=mine, epoch=epoch)
        self.notices.put(C, told, NOW)
        effects = self.starting.noticed(GRID)
        return [effect for effect in effects if isinstance(effect, Realise)]

    def waits(self, now: float = NOW) -> str:
        part = part_of(self.host.leases, self.notices, GRID, now)
        assert part is not None
        (mine,) = [p for p in part.mine if p.workspace.name == "web-2"]
        assert all(p.elsewhere == "" for p in part.mine if p.workspace.name == "web-1")
        return mine.elsewhere


def test_what_is_still_there_is_not_started_here_until_it_is_gone() -> None:
    one = Brought()
    one.tells(Phase.READY)
    one.comes()
    assert one.waits() == f"waits until it is gone from {C[:12]}: ready there"
    one.tells(Phase.ENDING)
    assert one.waits().endswith("ending there")
    assert one.tells(Phase.GONE) == [Realise(GRID, GRID)]
    assert one.waits() == ""


def test_so_it_is_on_a_host_that_carried_nothing_of_it_and_after_a_restart() -> None:
    one = Brought(carried=False)
    one.tells(Phase.READY)
    one.comes()
    assert one.waits()
    one.start()
    assert one.waits()
    one.tells()
    assert one.waits() == ""


def test_a_host_that_is_lost_or_lies_is_waited_for_no_longer_than_a_guest_has_to_shut_down() -> (
    None
):
    for carried in (True, False):
        one = Brought(carried=carried)
        one.tells(Phase.READY)
        one.comes()
        until_s = NOW + STOP_S + CLEAR_S
        assert one.waits(until_s - 1)
        assert one.waits(until_s) == ""


def test_nobody_keeps_a_grid_that_was_never_changed_from_its_start() -> None:
    one = Changing()
    record = one.up()
    told = msgspec.structs.replace(
        notice_of(record, shop(1)), mine=(Status("web-1", Phase.RUNNING),)
    )
    one.notices.put(C, told, NOW)
    part = part_of(one.host.leases, one.notices, GRID, NOW)
    assert part is not None
    assert [p.elsewhere for p in part.mine] == [""]


def test_what_is_saved_or_was_never_there_is_not_waited_for() -> None:
    one = Brought()
    one.comes()
    for phase in (Phase.HELD, Phase.SUSPENDED, Phase.EXPIRED, Phase.OFF):
        one.tells(phase)
        assert one.waits() == ""
