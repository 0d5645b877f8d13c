"""This host's part of a grid: its workspaces in starting order, each with what it waits for."""

from random import Random

import msgspec
from deciding import decided
from negotiating import ADMIN, AUTHORITY, NOW, ROOM, A, B, record_of, shop

from protocol.capacity.ledger import Ledger
from protocol.contract.messages import Act
from protocol.contract.notices import Notice, placement
from protocol.contract.told import Notices
from protocol.grid.lifecycle import Phase, Power, Status
from protocol.grid.model import GridSpec, ImageRef, LeaseTerms
from protocol.grid.record import GridRecord, grid_id
from protocol.grid.stopping import RebuildTerms, StopTerms
from protocol.hosting.leases import Leases
from protocol.hosting.part import Part, PartOf, part_of
from protocol.hosting.taking_up import Promise
from protocol.terms.effects import Persist
from protocol.terms.ids import GridId, PeerId, RequestId
from protocol.trust.order import Action
from protocol.wire.codec import encode

START = NOW + 3600.0


def tiers(start_s: float = 0.0) -> GridSpec:
    """Two web servers that require what up to three databases provide."""
    spec = shop(2, lease=LeaseTerms(start_s=start_s))
    (web,) = spec.clusters
    db = msgspec.structs.replace(web, name="db", count=3, minimum=1, provides=("sql",))
    web = msgspec.structs.replace(web, requires=("sql",))
    return msgspec.structs.replace(spec, clusters=(web, db))


def tiers_record(start_s: float = 0.0) -> GridRecord:
    """All but the third database, over two hosts."""
    order = ADMIN.up(tiers(start_s), NOW)
    return record_of(order, {"web-1": A, "db-1": A, "db-2": B, "web-2": B}, start_s=start_s)


RECORD = tiers_record()


def carrying(record: GridRecord = RECORD) -> Leases:
    leases = Leases(A, Ledger(ROOM, NOW), AUTHORITY, Random(1), {}, NOW)
    assert leases.decided(decided(record), Promise(("web-1", "db-1")), NOW)[0]
    return leases


def told(peer: PeerId, *statuses: Status) -> tuple[PeerId, Notice, float]:
    """A host tells of its workspaces."""
    notice = Notice(
        RECORD.id,
        "shop",
        RECORD.owner,
        "s1",
        1,
        RECORD.state,
        (),
        placement(()),
        (),
        statuses,
        NOW,
        60,
    )
    return peer, notice, NOW


def part(leases: Leases, notices: Notices | None = None, grid: GridId = RECORD.id) -> Part:
    found = part_of(leases, notices or Notices(), grid)
    assert found is not None
    return found


def waits(notices: Notices) -> dict[str, tuple[str, ...]]:
    return {one.workspace.name: one.waits_for for one in part(carrying(), notices).mine}


def test_all_that_the_shell_needs() -> None:
    found = part(carrying())
    assert found.record == RECORD
    assert found.spec == tiers()
    assert [one.workspace.name for one in found.mine] == ["db-1", "web-1"], "its own, as they start"
    assert [one.wanted.power for one in found.mine] == [Power.RUNNING, Power.RUNNING]
    assert [one.not_yet for one in found.mine] == ["", ""]


def test_of_what_it_does_not_carry_it_has_no_part() -> None:
    assert part_of(carrying(), Notices(), grid_id(ADMIN.up(shop(1), NOW))) is None


def test_a_workspace_waits_for_all_providers_that_were_placed() -> None:
    assert waits(Notices()) == {"db-1": (), "web-1": ("db-1", "db-2")}


def test_it_waits_until_their_hosts_say_that_they_are_up() -> None:
    notices = Notices()
    notices.put(*told(B, Status("db-2", Phase.RUNNING), Status("web-2", Phase.READY)))
    assert waits(notices)["web-1"] == ("db-1", "db-2"), "it may be reached yet"
    notices.put(*told(B, Status("db-2", Phase.READY)))
    assert waits(notices)["web-1"] == ("db-1",)
    notices.put(*told(A, Status("db-1", Phase.RUNNING, final=True)))
    assert waits(notices)["web-1"] == (), "there is nothing to reach it by"
    notices.put(*told(B, Status("db-2", Phase.FAILED)))
    assert waits(notices)["web-1"] == ("db-2",)


def test_before_its_time_nothing_is_made_but_what_is_to_go_goes() -> None:
    record = tiers_record(START)
    leases = carrying(record)
    found = part(leases, grid=record.id)
    assert [one.not_yet for one in found.mine] == ["starts at 1970-01-12 14:46 UTC"] * 2
    gone = ADMIN.order(Action.TERMINATE, record.id, NOW, workspace="web-1")
    left = tuple(a for a in record.assignments if a.workspace != "web-1")
    less = msgspec.structs.replace(record, epoch=2, assignments=left, changes=(gone,))
    leases.decided(decided(less), Promise(), NOW)
    found = part(leases, grid=record.id)
    assert [(one.workspace.name, one.wanted.power, bool(one.not_yet)) for one in found.mine] == [
        ("db-1", Power.RUNNING, True),
        ("web-1", Power.GONE, False),
    ]


def test_a_rebuilt_workspace_has_the_image_that_was_named_also_after_a_restart_of_the_daemon() -> (
    None
):
    leases, image = carrying(), ImageRef("debian", "d" * 64)
    body = encode(RebuildTerms(image))
    order = ADMIN.order(Action.REBUILD, RECORD.id, NOW, workspace="web-1", body=body)
    effects, _ = leases.act(B, Act(RequestId("r"), RECORD.id, order), NOW)
    (save,) = [effect for effect in effects if isinstance(effect, Persist)]
    assert save.rows[0].value is not None
    again = Leases(A, Ledger(ROOM, NOW), AUTHORITY, Random(1), {RECORD.id: save.rows[0].value}, NOW)
    for known in (leases, again):
        web, db = sorted(mine(known), key=lambda p: p.workspace.name, reverse=True)
        assert (web.workspace.image, web.wanted.build, web.wanted.boot) == (image, 2, 2)
        assert (db.workspace.image.name, db.wanted.build) != ("debian", 2)


def test_a_guest_has_its_time_to_shut_down_unless_its_order_says_at_once() -> None:
    at_once = encode(StopTerms(at_once=True))
    for action, body, within_s in (
        (Action.RESTART, b"", 30),
        (Action.RESTART, at_once, 0),
        (Action.DOWN, b"", 30),
        (Action.DOWN, at_once, 0),
    ):
        leases = carrying()
        order = ADMIN.order(action, RECORD.id, NOW, body=body)
        leases.act(B, Act(RequestId("r"), RECORD.id, order), NOW)
        assert {p.stop_within_s for p in mine(leases)} == {within_s}, action


def mine(leases: Leases) -> tuple[PartOf, ...]:
    part = part_of(leases, Notices(), RECORD.id)
    assert part is not None
    return part.mine
