"""A change that goes through a cluster: one after another, each once those before it are through."""

import msgspec
import pytest
from changing_host import Changing, sized, to_apply
from deciding import decided
from negotiating import ADMIN, MIB, NOW, B, HostKey, shop

from protocol.contract.messages import Decided
from protocol.contract.notices import Notice, notice_of
from protocol.grid.grant import HoldGrant, sign_grant
from protocol.grid.lifecycle import Phase, Status, Wanted
from protocol.grid.model import GridSpec, ImageRef, Wait
from protocol.grid.record import GridRecord, grid_id
from protocol.hosting.events import Progressed
from protocol.hosting.publishing import Publishing

OTHER = ImageRef("debian", "d" * 64)
REACHED = Status("web-1", Phase.REACHABLE, "", NOW, boot=2)
READY = Status("web-1", Phase.READY, "", NOW, boot=2)


class Rolls(Changing):
    """It carries `web-2` (and what else `mine` says); B carries the rest."""

    def __init__(self, count: int, *mine: str, **update: object) -> None:
        self.spec = sized(shop(count), **update)
        super().__init__(ADMIN.up(self.spec, NOW))
        placed = {f"web-{n}": B for n in range(1, count + 1)} | dict.fromkeys(mine, self.me)
        self.record = self.up(placed)
        for name in mine:
            self.tells(name, Phase.READY)

    def tells(self, name: str, phase: Phase) -> None:
        """The shell reports the start that is wanted."""
        boot = self.wanted(name, self.record.id).boot
        self.keep(self.host.handle(Progressed(self.record.id, name, phase, "", boot), NOW))
        self.keep((self.host.leases.turn(self.record.id), []))

    def rolls(self, spec: GridSpec | None = None) -> GridRecord:
        """The grid is another image everywhere."""
        spec = spec or sized(self.spec, image=OTHER)
        change = to_apply(spec, self.record.epoch, self.record.id)
        mine = self.record.on(self.me)
        reply = self.hold(self.record, change, *mine)
        vnis = tuple(vni for _, vni in self.record.vnis)
        theirs = HoldGrant(self.record.id, self.record.on(B), vnis, change=grid_id(change, 0, B))
        grants = (reply.grant, sign_grant(theirs, HostKey(B)))
        self.record = self.applied(self.record, change, {}, tuple(g for g in grants if g))
        self.hears(Decided(decided(self.record).certificate))
        return self.record

    def hears_of(self, *statuses: Status, behind: tuple[str, ...] = (), epoch: int = 0) -> None:
        """B tells where its workspaces are."""
        plain: Notice = notice_of(self.record, self.spec)
        notice = msgspec.structs.replace(
            plain, mine=statuses, behind=behind, epoch=epoch or self.record.epoch
        )
        self.notices.put(B, notice, NOW)
        self.keep((self.host.noticed(B, notice, NOW), []))

    def builds(self) -> dict[str, int]:
        return {w.workspace: w.build for w in self.row(self.record.id).wanted}


def test_the_first_is_changed_at_once_and_the_next_when_it_is_ready() -> None:
    one = Rolls(3, "web-1", "web-2", "web-3")
    one.rolls()
    assert one.builds() == {"web-1": 2, "web-2": 1, "web-3": 1}
    one.tells("web-1", Phase.RUNNING)
    assert one.builds()["web-2"] == 1
    one.tells("web-1", Phase.READY)
    assert one.builds() == {"web-1": 2, "web-2": 2, "web-3": 1}
    one.tells("web-2", Phase.READY)
    assert one.builds() == {"web-1": 2, "web-2": 2, "web-3": 2}
    assert one.row(one.record.id).behind == ()


def test_it_waits_for_what_another_host_tells() -> None:
    one = Rolls(2, "web-2")
    one.hears_of(READY)
    one.rolls()
    assert one.builds() == {"web-2": 1}
    one.hears_of(READY, epoch=1)
    assert one.builds() == {"web-2": 1}, "that was before the change"
    one.hears_of(READY, behind=("web-1",))
    assert one.builds() == {"web-2": 1}, "that is what it was before"
    one.hears_of(REACHED)
    assert one.builds() == {"web-2": 1}
    one.hears_of(READY)
    assert one.builds() == {"web-2": 2}


def test_the_first_that_does_not_come_up_stops_the_rest() -> None:
    one = Rolls(3, "web-1", "web-2", "web-3")
    one.rolls()
    one.tells("web-1", Phase.FAILED)
    one.keep(one.host.tick(NOW + 3600))
    assert one.builds() == {"web-1": 2, "web-2": 1, "web-3": 1}


def test_a_grid_that_is_changed_back_is_as_it_was_where_it_was_not_its_turn() -> None:
    one = Rolls(2, "web-1", "web-2")
    one.rolls()
    one.tells("web-1", Phase.FAILED)
    one.rolls(one.spec)
    assert one.wanted("web-1", one.record.id) == Wanted("web-1", boot=3, build=3)
    assert one.wanted("web-2", one.record.id) == Wanted("web-2")
    assert one.row(one.record.id).behind == ()


def test_as_many_as_the_file_says_are_on_their_way_at_once() -> None:
    one = Rolls(3, "web-1", "web-2", "web-3", update_at_once=2)
    one.rolls()
    assert one.builds() == {"web-1": 2, "web-2": 2, "web-3": 1}
    one.tells("web-2", Phase.READY)
    assert one.builds()["web-3"] == 2


def test_it_may_wait_for_no_more_than_that_it_runs() -> None:
    one = Rolls(2, "web-1", "web-2", update_wait=Wait.RUNNING)
    one.rolls()
    one.tells("web-1", Phase.RUNNING)
    assert one.builds()["web-2"] == 2


def test_what_is_changed_while_it_runs_waits_for_nobody() -> None:
    one = Rolls(2, "web-1", "web-2")
    one.rolls(sized(one.spec, memory_bytes=64 * MIB))
    assert one.row(one.record.id).behind == ()
    assert one.builds() == {"web-1": 1, "web-2": 1}


@pytest.mark.parametrize("phase", [Phase.SUSPENDED, Phase.EXPIRED, Phase.PAUSED])
def test_nobody_waits_for_what_rests(phase: Phase) -> None:
    one = Rolls(2, "web-2")
    one.rolls()
    one.hears_of(Status("web-1", phase), behind=("web-1",))
    assert one.builds() == {"web-2": 2}


def test_a_notice_says_which_are_not_changed_or_are_on_their_way() -> None:
    one = Rolls(2, "web-1", "web-2")
    one.rolls()
    publishing = Publishing(one.host)
    publishing.due(one.record.id)
    (told,) = [p for p in publishing.pop_due(NOW + 5) if p.notice is not None]
    assert told.notice is not None
    assert told.notice.behind == ("web-2", "web-1")


def test_turns_go_on_after_a_restart() -> None:
    one = Rolls(2, "web-1", "web-2")
    one.rolls()
    one.start()
    one.host.check()
    assert one.builds() == {"web-1": 2, "web-2": 1}
    one.keep(one.host.tick(NOW + 1))
    assert one.builds()["web-2"] == 1
    one.tells("web-1", Phase.READY)
    assert one.builds() == {"web-1": 2, "web-2": 2}


def test_another_host_s_word_counts_only_for_its_own_workspaces() -> None:
    one = Rolls(3, "web-1", "web-2")
    one.rolls()
    one.hears_of(READY, Status("web-2", Phase.READY, boot=2))
    assert one.builds() == {"web-1": 2, "web-2": 1}
