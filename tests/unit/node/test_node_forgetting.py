"""A host that finds that it forgot something: its holds are void, and its grids' stewards are asked at once."""

from hosting_world import GRID, One
from negotiating import NOW

from protocol.contract.outcomes import AuditLease, Propose, RoomChanged
from protocol.hosting.holds import TABLE as HELD
from protocol.node.forgetting import forgot
from protocol.terms.effects import Persist


def test_what_is_held_is_held_no_more_also_after_a_restart() -> None:
    one = One()
    one.holds()
    free = one.host.ledger.free
    effects, outcomes = forgot(one.host, NOW)
    (gone,) = effects
    assert isinstance(gone, Persist)
    assert [(row.table, row.key, row.value) for row in gone.rows] == [(HELD, GRID, None)]
    assert outcomes == [RoomChanged()]
    assert one.host.ledger.free != free, "its room is free again"
    assert len(one.host.holds) == 0
    one.host.check()
    assert forgot(one.host, NOW) == ([], [])


def test_what_is_carried_goes_on_and_is_asked_about_at_once() -> None:
    one = One()
    one.leases()
    one.host.tick(NOW)
    before = one.host.leases.rows()
    assert forgot(one.host, NOW) == ([], [])
    assert one.host.leases.rows() == before
    _, outcomes = one.host.tick(NOW)
    asked = [o.purpose for o in outcomes if isinstance(o, Propose)]
    assert asked == [AuditLease(GRID)]
