"""Names and network ids in use: of what is held, carried, and held for a change of what is carried."""

from changing_host import Changing, to_apply
from hosting_world import GRID, ORDER
from negotiating import AUTHORITY, NOW, shop

from protocol.hosting.in_use import taken_by
from protocol.hosting.taken import Taken

KEY = AUTHORITY.deployment(ORDER, NOW, fresh=True).key


def taken(one: Changing) -> Taken:
    host = one.host
    return taken_by(host.holds, host.leases, host.foundlings, AUTHORITY)


def test_what_is_held_for_a_change_is_in_use_by_the_grid_that_is_carried() -> None:
    one = Changing()
    record = one.up()
    one.hold(record, to_apply(shop(2)), "web-1", "web-2")
    assert taken(one).names == {KEY: (GRID, True)}
    assert taken(one).vnis == {vni: GRID for _, vni in record.vnis}


def test_where_the_grid_is_not_carried_it_is_in_use_by_the_attempt() -> None:
    one = Changing()
    record = one.record()
    reply = one.hold(record, to_apply(shop(2), now=NOW), "web-2")
    assert taken(one).names == {KEY: (reply.grid, False)}
