"""Which leases a host asks to go, ends, or lets stay, by what their owner has at all sites."""

import hosting_world
import msgspec
import pytest
from deciding import decided
from hosting_world import FEDERATION, One
from member_grids import STAR, made, person, tells, wide
from negotiating import NOW, B, C

from protocol.contract.authority import Authority
from protocol.contract.messages import Decided, LeaseAsk, LeaseReply
from protocol.contract.told import known_of
from protocol.grid.model import GridSpec
from protocol.grid.record import GridRecord, GridState, LeaseChange
from protocol.hosting.lease import Lease, LeaseStage
from protocol.hosting.overspent import GOES_AFTER_S
from protocol.membership.clocks import SURE, ClockView
from protocol.policy.site_policy import Line, SitePolicy, VoTerms
from protocol.sim.keys import SimVerifier
from protocol.terms.effects import Note, Send
from protocol.terms.ids import RequestId
from protocol.trust.order import Action
from protocol.wire.codec import encode

SPEC = wide("here", 1, 2000)
ORDER = person().up(SPEC, NOW)
LARGE = wide("there", 3)


class Carrying(One):
    """Two of ann's four cpus are here."""

    def __init__(self) -> None:
        super().__init__()
        terms = VoTerms("star", STAR.signer.key, lines=(Line("", 3, "[vo.star]"),))
        self.around.said = SitePolicy("s1", 1, NOW, (), vos=(terms,))
        assert self.holds(ORDER).held == ("web-1",)
        self.hears(Decided(decided(self.record(ORDER)).certificate))
        row = self.row
        self.notices.know(known_of(row.record, SPEC, b"h" * 32, own=True))
        self.notices.put(self.me, tells(row.record, SPEC, self.me), NOW)

    @property
    def row(self) -> Lease:
        (row,) = self.host.leases.rows()
        return row

    def stage(self) -> LeaseStage:
        return self.host.leases.stage(self.row)

    def hears_of(self, record: GridRecord, spec: GridSpec = LARGE, *, proved: bool = True) -> None:
        """Other hosts tell what they have of it."""
        for peer in record.carriers():
            self.notices.put(peer, tells(record, spec, peer), NOW)
        if proved:
            self.notices.know(known_of(record, spec, b"d" * 32))

    def ticks(self, now: float) -> list[str]:
        """The kinds of what is told of ceilings."""
        own = self.notices.about(self.row.record.id)[self.me].notice
        self.host.noticed(self.me, own, now - 1)
        effects = self.keep(self.host.tick(now))
        kinds = [effect.kind for effect in effects if isinstance(effect, Note)]
        return [kind for kind in kinds if kind.startswith("grid.")]


@pytest.fixture
def one(monkeypatch: pytest.MonkeyPatch) -> Carrying:
    authority = Authority(FEDERATION.key, SimVerifier(), admitted=(STAR.signer.key,))
    monkeypatch.setattr(hosting_world, "AUTHORITY", authority)
    return Carrying()


EARLIER = made(LARGE, B, C, C, at_s=NOW - 60)
LATER = made(LARGE, B, C, C, at_s=NOW + 60)


def test_what_came_last_is_asked_to_go_and_ends_when_its_owner_has_had_time(one: Carrying) -> None:
    one.hears_of(EARLIER)
    assert one.ticks(NOW + 1) == ["grid.overspent"]
    goes_s = one.row.goes_s
    assert goes_s == NOW + 1 + GOES_AFTER_S
    assert one.ticks(NOW + 300) == []
    one.start(NOW + 400)
    assert one.row.goes_s == goes_s, "a restart gives no more time"
    assert one.ticks(goes_s - 1) == []
    assert one.stage() is LeaseStage.CURRENT
    assert one.ticks(goes_s + 31) == ["grid.overspent-ended"]
    assert one.stage() is LeaseStage.OVER
    assert one.ticks(goes_s + 120) == []


def test_what_came_first_stays(one: Carrying) -> None:
    one.hears_of(LATER)
    assert one.ticks(NOW + 1) == []
    assert one.ticks(NOW + 2 * GOES_AFTER_S) == []
    assert one.stage() is LeaseStage.CURRENT


def test_nothing_goes_for_what_is_told_and_not_proved(one: Carrying) -> None:
    one.hears_of(EARLIER, proved=False)
    assert one.ticks(NOW + 1) == []
    assert one.ticks(NOW + 2 * GOES_AFTER_S) == []
    assert one.stage() is LeaseStage.CURRENT


def test_nothing_goes_that_fits_beside_what_came_first(one: Carrying) -> None:
    spec = wide("there", 2)
    one.hears_of(made(spec, B, C, at_s=NOW - 60), spec)
    assert one.ticks(NOW + 1) == []
    assert one.row.goes_s == 0.0


def test_it_stays_when_as_much_is_taken_down_before(one: Carrying) -> None:
    one.hears_of(EARLIER)
    assert one.ticks(NOW + 1) == ["grid.overspent"]
    down = msgspec.structs.replace(EARLIER, epoch=2, state=GridState.DOWN)
    one.notices.know(known_of(down, LARGE, b"e" * 32))
    assert one.ticks(NOW + 60) == ["grid.within"]
    assert one.row.goes_s == 0.0
    assert one.ticks(NOW + 2 * GOES_AFTER_S) == []
    assert one.stage() is LeaseStage.CURRENT


def test_by_a_clock_that_does_not_count_nothing_ends(one: Carrying) -> None:
    one.hears_of(EARLIER)
    assert one.ticks(NOW + 1) == ["grid.overspent"]
    one.around.view = ClockView(doubt="nobody was heard yet")
    assert one.ticks(NOW + 2 * GOES_AFTER_S) == []
    assert one.stage() is LeaseStage.CURRENT
    one.around.view = SURE
    assert one.ticks(NOW + 2 * GOES_AFTER_S + 60) == ["grid.overspent-ended"]


def test_what_is_to_go_is_not_extended(one: Carrying) -> None:
    def extended(now: float) -> str:
        grid = one.row.record.id
        order = person().order(Action.LEASE, grid, now, body=encode(LeaseChange(3600)))
        effects = one.hears(LeaseAsk(RequestId("longer"), grid, order), now)
        (reply,) = [e.message for e in effects if isinstance(e, Send)]
        assert isinstance(reply, LeaseReply)
        return reply.problem

    one.hears_of(EARLIER)
    one.ticks(NOW + 1)
    assert "more than a grant allows" in extended(NOW + 2)
    one.notices.know(
        known_of(msgspec.structs.replace(EARLIER, epoch=2, state=GridState.DOWN), LARGE, b"")
    )
    one.ticks(NOW + 60)
    assert extended(NOW + 61) == ""


def test_who_carries_nothing_of_a_member_is_not_woken_for_it(one: Carrying) -> None:
    one.host.noticed(B, tells(made(LARGE, B), LARGE, B), NOW)
    assert one.host.overspent.next_deadline() is None
    one.ticks(NOW + 1)
    due = one.host.overspent.next_deadline()
    assert due is not None
    assert due.at_s > NOW + 1, "as long as something is here of which it is counted"
