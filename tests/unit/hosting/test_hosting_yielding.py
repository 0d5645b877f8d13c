"""What an elastic grid gives up on a host: the newest beyond its min, in time, by the host's own word."""

from collections.abc import Mapping

import msgspec
import pytest
from changing_host import Changing
from deciding import decided
from elastic_world import elastic
from hosting_world import ROOM
from negotiating import ADMIN, AUTHORITY, NOW, A, B

from protocol.capacity.quantum import Quantum
from protocol.capacity.timetable import Window
from protocol.contract.messages import Decided
from protocol.contract.outcomes import Propose, YieldMembers
from protocol.grid.grant import read_grant
from protocol.grid.history import history
from protocol.grid.lifecycle import Phase, Power, Status
from protocol.grid.record import GridRecord, Register
from protocol.grid.steps import Rescale
from protocol.membership.clocks import ClockView
from protocol.terms.effects import Send
from protocol.terms.ids import PeerId

START_S = NOW + 3600.0
CPUS = 500


class Elastic(Changing):
    """It carries three of an elastic grid, whose min is two. Then a reservation needs room here."""

    def __init__(self, placed: Mapping[str, PeerId] | None = None, least: int = 2) -> None:
        super().__init__(ADMIN.up(elastic(5, least), NOW))
        self.host.check = lambda: None  # type: ignore[method-assign]
        self.record = self.up(placed or {f"web-{n}": self.me for n in (1, 2, 3)})

    def needs(self, cpus_milli: int) -> None:
        """A reservation takes so many more than are free beside this grid."""
        free = ROOM.cpus_milli - 3 * CPUS
        taken = Quantum(free + cpus_milli, 0, 0)
        self.host.ledger.enter(("exam", "w"), taken, Window(START_S, START_S + 100.0, 0))

    def gives(self, now: float) -> list[Propose]:
        _, outcomes = self.host.tick(now)
        return [
            o for o in outcomes if isinstance(o, Propose) and isinstance(o.purpose, YieldMembers)
        ]


def smaller(proposal: Propose) -> GridRecord:
    assert isinstance(proposal.step, Rescale)
    return proposal.step.record


def names(record: GridRecord) -> list[str]:
    return [a.workspace for a in record.assignments]


def test_the_newest_go_and_no_more_than_is_needed() -> None:
    one = Elastic()
    assert one.gives(NOW + 10.0) == []
    one.needs(400)
    due = one.host.next_deadline()
    assert due is not None
    assert one.gives(NOW + 20.0) == [], "not before it must"
    (proposal,) = one.gives(START_S - 60.0)
    record = smaller(proposal)
    assert names(record) == ["web-1", "web-2"]
    assert history(record)[-1].by == "others' need on alpha"
    after = AUTHORITY.follows(record.order, Register(one.record), proposal.step, one.me, NOW)  # type: ignore[arg-type]
    assert after.record == record
    (grant,) = [read_grant(g) for g in record.grants]
    assert grant.workspaces == ("web-1", "web-2")


def test_what_is_decided_is_ended_and_the_others_are_told() -> None:
    one = Elastic({"web-1": A, "web-2": B, "web-3": Elastic().me})
    one.needs(1400)
    (proposal,) = one.gives(START_S - 60.0)
    record = smaller(proposal)
    assert [h.peer for h in record.hosts] == [A, B, one.me], "its word stays"
    effects, _ = one.host.settled(YieldMembers(record.id), decided(record), START_S - 59.0)
    told = [e.peer for e in effects if isinstance(e, Send) and isinstance(e.message, Decided)]
    assert told == [A, B]
    (wanted,) = one.row(record.id).wanted
    assert (wanted.workspace, wanted.power) == ("web-3", Power.GONE)
    assert one.gives(START_S - 50.0) == [], "what goes already is counted as gone"
    one.host.leases.progress(record.id, Status("web-3", Phase.GONE, "", START_S))


def test_where_it_would_save_nothing_nothing_goes() -> None:
    one = Elastic()
    one.needs(2 * CPUS)
    assert one.gives(START_S - 60.0) == [], "two would have to go, and only one may"
    one = Elastic(least=3)
    one.needs(100)
    assert one.gives(START_S - 60.0) == [], "it is as small as it may be"


def test_it_is_asked_again_and_never_by_a_clock_that_may_be_wrong() -> None:
    one = Elastic()
    one.needs(400)
    one.around.view = ClockView("its clock may be wrong", apart=True)
    assert one.gives(START_S - 60.0) == []
    one.around.view = Elastic().around.view
    assert len(one.gives(START_S - 59.0)) == 1
    assert one.gives(START_S - 58.0) == []
    one.host.unsettled(YieldMembers(one.record.id), START_S - 57.0)
    assert len(one.gives(START_S - 50.0)) == 1


@pytest.mark.parametrize("power", [Power.PAUSED, Power.SUSPENDED])
def test_what_rests_goes_as_well(power: Power) -> None:
    one = Elastic()
    one.needs(400)
    row = one.row(one.record.id)
    wanted = tuple(msgspec.structs.replace(w, power=power) for w in row.wanted)
    one.host.leases.put(msgspec.structs.replace(row, wanted=wanted))
    assert one.gives(START_S - 60.0)
