"""What a lease is after its grid was changed: what came, went, grew, and is started anew."""

import msgspec
from changing_host import END_S, Changing, sized, to_apply
from hosting_world import EACH, GRID, ORDER, REQUEST, ROOM, notes
from negotiating import ADMIN, MIB, NOW, B, C, HostKey, record_of, shop

from protocol.capacity.quantum import Quantum
from protocol.contract.messages import Act
from protocol.contract.told import Notices
from protocol.grid.grant import HoldGrant, SignedGrant, sign_grant
from protocol.grid.lifecycle import Phase, Power, Wanted
from protocol.grid.model import ImageRef, Mount, VolumeSpec
from protocol.grid.record import ApplyTerms, GridRecord, GridState, grid_id
from protocol.hosting.definitions import files_of
from protocol.hosting.events import Cleared, Progressed
from protocol.hosting.part import Part, PartOf, part_of
from protocol.terms.effects import Realise
from protocol.trust.order import Action, SignedOrder
from protocol.wire.codec import encode

OTHER_IMAGE = ImageRef("debian", "d" * 64)


def part(one: Changing) -> Part:
    found = part_of(one.host.leases, Notices(), GRID)
    assert found is not None
    return found


def in_part(one: Changing, name: str) -> PartOf:
    return next(p for p in part(one).mine if p.workspace.name == name)


def grant_of(one: Changing, record: GridRecord, change: SignedOrder) -> SignedGrant:
    """What it granted in a life that it does not remember: to carry `web-1`."""
    vnis = tuple(vni for _, vni in record.vnis)
    grant = HoldGrant(record.id, ("web-1",), vnis, change=grid_id(change, 0, B))
    return sign_grant(grant, HostKey(one.me))


def ordered(one: Changing, action: Action, name: str = "web-1", now: float = NOW) -> None:
    one.hears(Act(REQUEST, GRID, ADMIN.order(action, GRID, now, workspace=name)), now)


def is_where(one: Changing, phase: Phase, name: str = "web-1") -> None:
    one.keep(one.host.handle(Progressed(GRID, name, phase, "", one.wanted(name).boot), NOW))


# -- what comes


def test_what_was_held_is_taken_up_beside_what_is_there() -> None:
    one = Changing()
    record = one.up()
    after = one.changes(record, shop(2), "web-1", "web-2")
    assert one.row().record == after
    assert one.row().wanted == (Wanted("web-1"), Wanted("web-2"))
    assert one.host.ledger.free == ROOM - EACH - EACH
    assert one.rows["hold"] == {}
    assert [p.workspace.name for p in part(one).mine] == ["web-1", "web-2"]


def test_it_is_all_there_after_a_restart() -> None:
    one = Changing()
    one.changes(one.up(), shop(2), "web-1", "web-2")
    row = one.row()
    one.start()
    one.host.check()
    assert one.row() == row
    assert one.host.ledger.free == ROOM - EACH - EACH


def test_a_change_is_told_in_a_line_of_the_story() -> None:
    one = Changing()
    record = one.up()
    change = to_apply(shop(2))
    reply = one.hold(record, change, "web-1", "web-2")
    assert reply.grant is not None
    effects = one.decides(one.applied(record, change, {"web-2": one.me}, (reply.grant,)))
    assert ("grid.changed", "+ web-2") in notes(effects)
    assert Realise(GRID, GRID) in effects


def test_the_story_says_what_is_changed_live_and_nothing_of_what_is_on_other_hosts() -> None:
    one = Changing()
    record = one.up()
    change = to_apply(sized(shop(1), cpus_milli=200))
    reply = one.hold(record, change, "web-1")
    grants = () if reply.grant is None else (reply.grant,)
    effects = one.decides(one.applied(record, change, {}, grants))
    assert ("grid.changed", "~ web-1 (live)") in notes(effects)
    one = Changing(ADMIN.up(shop(2), NOW))
    record = one.up({"web-1": one.me, "web-2": B})
    effects = one.decides(one.applied(record, to_apply(shop(1), of=record.id)))
    assert [kind for kind, _ in notes(effects) if kind == "grid.changed"] == []


def test_a_host_of_which_nothing_was_asked_before_ends_the_lease_when_the_others_do() -> None:
    one = Changing()
    record = record_of(ORDER, {"web-1": C})
    change = to_apply(shop(2))
    reply = one.hold(record, change, "web-2", now=NOW + 100)
    assert reply.grant is not None
    one.decides(one.applied(record, change, {"web-2": one.me}, (reply.grant,)), NOW + 101)
    assert one.row().wanted == (Wanted("web-2"),)
    assert one.row().lease_until_s == END_S
    assert one.row().made_s == NOW + 101
    assert one.rows["hold"] == {}
    one.start(NOW + 102)
    assert one.row().lease_until_s == END_S


def test_an_added_host_ends_the_lease_no_later_than_it_was_ordered_for() -> None:
    one = Changing()
    record = record_of(ORDER, {"web-1": C})
    terms = ApplyTerms(
        shop(2), 1, until_s=NOW + 300 * 86400
    )  # as a host of the grid told its owner
    change = ADMIN.order(Action.APPLY, GRID, NOW, body=encode(terms))
    reply = one.hold(record, change, "web-2", now=NOW + 100)
    assert reply.grant is not None
    one.decides(one.applied(record, change, {"web-2": one.me}, (reply.grant,)), NOW + 101)
    assert one.row().lease_until_s == NOW + 101 + 86400


def test_what_it_granted_and_let_go_is_taken_up_if_there_is_room() -> None:
    one = Changing()
    record = one.up()
    change = to_apply(shop(2))
    reply = one.hold(record, change, "web-1", "web-2")
    assert reply.grant is not None
    one.keep(one.host.holds.lost())
    one.decides(one.applied(record, change, {"web-2": one.me}, (reply.grant,)))
    assert one.row().wanted == (Wanted("web-1"), Wanted("web-2"))


def test_what_it_granted_and_has_no_room_for_waits_for_room() -> None:
    one = Changing()
    record = one.up()
    change = to_apply(sized(shop(2), memory_bytes=512 * MIB))
    reply = one.hold(record, change, "web-1", "web-2")
    assert reply.grant is not None
    one.keep(one.host.holds.lost())
    one.other(Quantum(0, 600 * MIB))
    effects = one.decides(one.applied(record, change, {"web-2": one.me}, (reply.grant,)))
    assert one.row().lacks == ("web-1", "web-2")
    assert one.row().wanted == (Wanted("web-1"),)
    assert in_part(one, "web-1").workspace.memory_bytes == 128 * MIB
    assert any(kind == "grid.lacks" for kind, _ in notes(effects))
    one.other(Quantum())
    one.keep(one.host.tick(NOW + 1))
    assert one.row().lacks == ()
    assert one.row().wanted == (Wanted("web-1", boot=2), Wanted("web-2"))
    assert one.host.ledger.free == ROOM - Quantum(1000, 1024 * MIB)


# -- what goes


def test_what_is_left_out_of_its_file_is_told_to_the_shell_once() -> None:
    one = Changing(ADMIN.up(shop(2), NOW))
    record = one.up({"web-1": one.me, "web-2": one.me})
    change = to_apply(shop(2), of=record.id, without=("web-1",))
    one.decides(one.applied(record, change))
    found = part_of(one.host.leases, Notices(), record.id)
    assert found is not None
    assert [p.workspace.name for p in found.mine] == ["web-1", "web-2"]


def test_what_the_file_has_no_more_goes_and_is_known_until_it_is_gone() -> None:
    one = Changing(ADMIN.up(shop(2), NOW))
    record = one.up({"web-1": one.me, "web-2": one.me})
    grid = record.id
    change = to_apply(shop(1), of=grid)
    effects = one.decides(one.applied(record, change))
    assert one.row(grid).wanted == (Wanted("web-1"), Wanted("web-2", Power.GONE))
    assert [w.name for w in one.row(grid).leaving] == ["web-2"]
    assert ("grid.changed", "- web-2") in notes(effects)
    one.start()
    one.host.check()
    found = part_of(one.host.leases, Notices(), grid)
    assert found is not None
    assert [(p.workspace.name, p.wanted.power) for p in found.mine] == [
        ("web-1", Power.RUNNING),
        ("web-2", Power.GONE),
    ]
    one.keep(one.host.handle(Progressed(grid, "web-2", Phase.GONE, "", 1), NOW))
    assert one.row(grid).wanted == (Wanted("web-1"),)
    assert one.row(grid).leaving == ()
    assert one.host.ledger.free == ROOM - EACH


def test_a_host_that_is_left_with_nothing_clears_it() -> None:
    one = Changing(ADMIN.up(shop(2), NOW))
    record = one.up({"web-1": C, "web-2": one.me})
    grid = record.id
    one.decides(one.applied(record, to_apply(shop(1), of=grid)))
    assert one.row(grid).wanted == (Wanted("web-2", Power.GONE),)
    one.keep(one.host.handle(Progressed(grid, "web-2", Phase.GONE, "", 1), NOW))
    one.keep(one.host.handle(Cleared(grid), NOW))
    assert one.host.leases.row(grid) is None
    assert one.host.ledger.free == ROOM
    assert one.rows["grid"] == {}


def test_what_went_and_is_back_is_made_anew() -> None:
    one = Changing(ADMIN.up(shop(2), NOW))
    record = one.up({"web-1": one.me, "web-2": one.me})
    grid = record.id
    smaller = one.applied(record, to_apply(shop(1), of=grid))
    one.decides(smaller)
    one.changes(smaller, shop(2), "web-1", "web-2")
    assert one.row(grid).wanted == (Wanted("web-1"), Wanted("web-2", boot=2, build=2))
    assert one.row(grid).leaving == ()
    assert one.host.ledger.free == ROOM - EACH - EACH


def test_down_in_the_middle_ends_all_of_it() -> None:
    one = Changing()
    record = one.up()
    after = one.changes(record, sized(shop(2), image=OTHER_IMAGE), "web-1", "web-2")
    down = ADMIN.order(Action.DOWN, GRID, NOW)
    one.decides(msgspec.structs.replace(after, state=GridState.DOWN, epoch=3, changes=(down,)))
    assert all(w.power is Power.GONE for w in one.row().wanted)
    assert one.row().behind == ()


# -- what is changed


def test_what_grows_while_it_runs_is_larger_at_once_in_the_same_start() -> None:
    one = Changing()
    one.changes(one.up(), sized(shop(1), cpus_milli=900), "web-1")
    assert one.wanted("web-1") == Wanted("web-1")
    assert in_part(one, "web-1").workspace.cpus_milli == 900
    assert one.host.ledger.free == ROOM - Quantum(900, 128 * MIB)


def test_what_shrinks_frees_its_room_only_once_that_is_decided() -> None:
    one = Changing()
    record = one.up()
    change = to_apply(sized(shop(1), cpus_milli=200))
    reply = one.hold(record, change, "web-1")
    assert reply.grant is not None
    assert one.host.ledger.free == ROOM - EACH
    one.decides(one.applied(record, change, {}, (reply.grant,)))
    assert one.host.ledger.free == ROOM - Quantum(200, 128 * MIB)


def test_another_image_is_another_root_disk_and_another_start() -> None:
    one = Changing()
    one.changes(one.up(), sized(shop(1), image=OTHER_IMAGE), "web-1")
    assert one.wanted("web-1") == Wanted("web-1", boot=2, build=2)
    assert in_part(one, "web-1").workspace.image == OTHER_IMAGE
    assert one.row().behind == ()


def test_what_it_is_started_from_anew_is_another_start_of_the_same_disk() -> None:
    one = Changing()
    one.changes(one.up(), sized(shop(1), scratch_bytes=8 * MIB), "web-1")
    assert one.wanted("web-1") == Wanted("web-1", boot=2)


def test_what_is_suspended_is_left_as_it_is_until_it_is_restored() -> None:
    one = Changing()
    record = one.up()
    is_where(one, Phase.RUNNING)
    ordered(one, Action.SUSPEND)
    is_where(one, Phase.SUSPENDED)
    one.changes(record, sized(shop(1), image=OTHER_IMAGE, memory_bytes=256 * MIB), "web-1")
    assert one.wanted("web-1") == Wanted("web-1", Power.SUSPENDED)
    one.start()
    one.host.check()
    assert [b.workspace.name for b in one.row().behind] == ["web-1"]
    assert in_part(one, "web-1").workspace.memory_bytes == 128 * MIB
    ordered(one, Action.RESTORE, now=NOW + 1)
    assert one.wanted("web-1") == Wanted("web-1", boot=2, build=2)
    assert in_part(one, "web-1").workspace.memory_bytes == 256 * MIB
    assert one.host.ledger.free == ROOM - Quantum(500, 256 * MIB)


def test_a_suspended_one_that_is_resized_has_the_new_size_when_it_is_restored() -> None:
    one = Changing()
    record = one.up()
    is_where(one, Phase.RUNNING)
    ordered(one, Action.SUSPEND)
    is_where(one, Phase.SUSPENDED)
    one.changes(record, sized(shop(1), cpus_milli=900), "web-1")
    assert one.wanted("web-1") == Wanted("web-1", Power.SUSPENDED)
    ordered(one, Action.RESTORE, now=NOW + 1)
    assert one.wanted("web-1") == Wanted("web-1")
    assert one.host.ledger.free == ROOM - Quantum(900, 128 * MIB)


def test_it_is_not_suspended_while_a_change_of_it_is_held() -> None:
    one = Changing()
    record = one.up()
    is_where(one, Phase.RUNNING)
    one.hold(record, to_apply(shop(2)), "web-1", "web-2")
    ordered(one, Action.SUSPEND)
    assert one.wanted("web-1").power is Power.RUNNING


def test_a_host_that_missed_an_epoch_follows_to_the_last() -> None:
    one = Changing()
    record = one.up()
    first = to_apply(sized(shop(1), memory_bytes=256 * MIB))
    reply = one.hold(record, first, "web-1")
    assert reply.grant is not None
    grown = one.applied(record, first, {}, (reply.grant,))
    one.keep(one.host.holds.lost())
    second = to_apply(sized(shop(1), memory_bytes=64 * MIB), 2)
    grant = grant_of(one, grown, second)
    assert one.row().record.epoch == 1
    one.decides(one.applied(grown, second, {}, (grant,)))
    assert one.row().record.epoch == 3
    assert in_part(one, "web-1").workspace.memory_bytes == 64 * MIB


def test_what_is_not_named_in_a_change_is_not_touched() -> None:
    one = Changing()
    record = one.up()
    before = in_part(one, "web-1")
    one.changes(record, shop(3), "web-1", "web-2", "web-3")
    assert in_part(one, "web-1") == before


def test_what_is_paused_is_started_anew_when_it_goes_on() -> None:
    one = Changing()
    record = one.up()
    is_where(one, Phase.RUNNING)
    ordered(one, Action.PAUSE)
    is_where(one, Phase.PAUSED)
    one.changes(record, sized(shop(1), image=OTHER_IMAGE), "web-1")
    assert one.wanted("web-1") == Wanted("web-1", Power.PAUSED)
    ordered(one, Action.RESUME, now=NOW + 1)
    assert one.wanted("web-1") == Wanted("web-1", boot=2, build=2)


def test_what_leaves_by_a_change_is_asked_to_shut_down_first() -> None:
    one = Changing(ADMIN.up(shop(2), NOW))
    record = one.up({"web-1": one.me, "web-2": one.me})
    one.decides(one.applied(record, to_apply(shop(1), of=record.id)))
    found = part_of(one.host.leases, Notices(), record.id)
    assert found is not None
    leaving = next(p for p in found.mine if p.workspace.name == "web-2")
    assert leaving.stop_within_s == leaving.workspace.stop_within_s > 0


def test_a_volume_that_the_file_has_no_more_is_told_and_kept() -> None:
    mounts = {"mounts": (Mount("data", "/data"),)}
    volumes = (VolumeSpec("data", 64 * MIB),)
    with_data = msgspec.structs.replace(sized(shop(1), **mounts), volumes=volumes)
    one = Changing(ADMIN.up(with_data, NOW))
    grid = one.up().id
    before = one.host.ledger.free
    one.changes(one.row(grid).record, shop(1), "web-1")
    row = one.row(grid)
    assert one.host.leases.keeps(row) == ("data",)
    assert one.host.leases.volumes(row) == (("data", 64 * MIB, "web-1"),)
    assert one.host.ledger.free == before, "its room is not free"
    assert one.wanted("web-1", grid) == Wanted("web-1", boot=2)


def test_a_volume_that_another_workspace_has_now_takes_its_room_once() -> None:
    mounts = {"mounts": (Mount("data", "/data"),)}
    volumes = (VolumeSpec("data", 64 * MIB),)
    with_data = msgspec.structs.replace(sized(shop(1), **mounts), volumes=volumes)
    one = Changing(ADMIN.up(with_data, NOW))
    record = one.up()
    before = one.host.ledger.free
    one.changes(record, sized(with_data, name="site"), "site-1")
    one.keep(one.host.handle(Progressed(record.id, "web-1", Phase.GONE, "", 1), NOW))
    row = one.row(record.id)
    assert row.wanted == (Wanted("site-1"),)
    assert one.host.ledger.free == before
    assert one.host.leases.keeps(row) == ("data",)


def test_the_file_of_what_waits_for_its_turn_is_still_needed() -> None:
    one = Changing()
    record = one.changes(one.up(), sized(shop(1), user_data="a" * 64), "web-1")
    is_where(one, Phase.RUNNING)
    ordered(one, Action.SUSPEND)
    is_where(one, Phase.SUSPENDED)
    one.changes(record, sized(shop(1), user_data="b" * 64), "web-1")
    assert files_of(one.row()) == (("web", "a" * 64),)


def test_the_end_of_the_one_before_does_not_end_what_came_back() -> None:
    one = Changing()
    record = one.changes(one.up(), shop(2), "web-1", "web-2")
    fewer = one.applied(record, to_apply(shop(1), record.epoch, record.id))
    one.decides(fewer)
    assert one.wanted("web-2").power is Power.GONE
    one.changes(fewer, shop(2), "web-1", "web-2")
    again = one.wanted("web-2")
    assert (again.power, again.boot) == (Power.RUNNING, 2)
    one.keep(one.host.handle(Progressed(GRID, "web-2", Phase.GONE, "", 1), NOW))
    assert one.wanted("web-2") == again


def test_what_is_left_out_of_a_larger_cluster_is_as_large_as_it_was_until_it_is_gone() -> None:
    one = Changing()
    record = one.changes(one.up(), shop(2), "web-1", "web-2")
    larger = sized(shop(2), memory_bytes=384 * MIB, max_memory_bytes=384 * MIB)
    one.changes(record, larger, "web-2", without=("web-1",))
    assert one.wanted("web-1").power is Power.GONE
    assert one.host.leases.members(one.row())["web-1"].memory_bytes == 128 * MIB
    one.host.check()
