"""Changes of a grid that nobody ordered so, told to its hosts as if all stewards had lied, and to stewards.

What its hosts carry and its stewards keep stays as it was, also after a restart, and the owner still ends it.
The member that tries has a valid host certificate, all that was ever said, and often the owner's own order.
"""

from collections.abc import Callable

import msgspec
import pytest
from applying_world import grant, grown, regranted
from asked_stewards import AskedStewards
from test_records_forged import her_grant

from protocol.grid.model import Encryption, NetworkSpec
from protocol.grid.record import (
    Applied,
    ApplyTerms,
    Assignment,
    GridRecord,
    GridState,
    HoldTerms,
    HostRef,
    KeptVolume,
    LeaseChange,
    Places,
    Register,
    grid_id,
    register_key,
)
from protocol.grid.steps import Apply
from protocol.node.events import Arrived
from protocol.register.messages import StepAsk
from protocol.sim.people import Admin, grid_spec
from protocol.trust.order import Action, SignedOrder
from protocol.wire.codec import encode

WITHIN_S = 30.0
LONGER_S = 60


class Changing(AskedStewards):
    """The grid is at its second epoch: its lease was extended. Its owner has signed an order to change it."""

    step = Apply

    def __init__(self) -> None:
        super().__init__()
        world = self.world
        self.first = self.record
        longer = self.admin.order(
            Action.LEASE, self.record.id, world.now_s, body=encode(LeaseChange(LONGER_S))
        )
        world.give(self.asked, longer)
        assert world.run_until(lambda: self.carried(self.one).epoch == 2, WITHIN_S)
        world.run(5.0)
        self.record = self.carried(self.one)
        assert self.carried(self.other) == self.record
        self.more = self.to_apply(3)
        self.kept = self.keepers()

    def to_apply(
        self,
        count: int,
        admin: Admin | None = None,
        epoch: int = 2,
        grid: str = "",
        memory: int = 1,
    ) -> SignedOrder:
        spec = grid_spec("shop", count, memory_bytes=memory * (128 << 20))
        body = encode(ApplyTerms(spec, epoch))
        signer = admin or self.admin
        return signer.order(Action.APPLY, grid or self.record.id, self.world.now_s, body=body)

    def honest(self, order: SignedOrder | None = None) -> GridRecord:
        """What would be right: `web-3` comes to mallory, who grants it."""
        return grown(order or self.more, {"web-3": self.mallory.id}, self.record)


@pytest.fixture(scope="module")
def scene() -> Changing:
    return Changing()


def became(scene: Changing, **said: object) -> GridRecord:
    record = scene.honest()
    applied = record.applied
    assert isinstance(applied, Applied)
    changed = msgspec.structs.replace(applied, **said)  # type: ignore[arg-type]
    return msgspec.structs.replace(record, became=changed)


def of_another_owner(scene: Changing) -> GridRecord:
    rival = scene.world.admins[scene.mallory.site]
    assert rival is not scene.admin
    return scene.honest(scene.to_apply(3, rival))


def of_a_plan(scene: Changing) -> GridRecord:
    """Its owner had a change held, and no more."""
    body = encode(HoldTerms(grid_spec("shop", 3), 60.0, 2))
    order = scene.admin.order(Action.HOLD, scene.record.id, scene.world.now_s, body=body)
    return scene.honest(order)


def of_another_grid(scene: Changing) -> GridRecord:
    return scene.honest(scene.to_apply(3, grid="0" * 20))


def replayed(scene: Changing) -> GridRecord:
    """The order was for the epoch before, of which mallory kept the record."""
    return grown(scene.to_apply(3, epoch=1), {"web-3": scene.mallory.id}, scene.first)


def replayed_on_top(scene: Changing) -> GridRecord:
    return scene.honest(scene.to_apply(3, epoch=1))


def from_the_future(scene: Changing) -> GridRecord:
    return msgspec.structs.replace(scene.honest(), epoch=1 << 30)


def takes_what_stays(scene: Changing) -> GridRecord:
    record = scene.honest()
    first = record.assignments[0].workspace
    mine = tuple(
        Assignment(first, scene.mallory.id) if a.workspace == first else a
        for a in record.assignments
    )
    moved = msgspec.structs.replace(record, assignments=mine)
    return regranted(moved, scene.mallory.id, workspaces=(first, "web-3"))


def swaps_what_stays(scene: Changing) -> GridRecord:
    record = scene.honest()
    one, other, new = record.assignments
    swapped = (Assignment(one.workspace, other.host), Assignment(other.workspace, one.host), new)
    return msgspec.structs.replace(record, assignments=swapped)


def readdresses(scene: Changing) -> GridRecord:
    return became(scene, places=(Places("lan", "web", (1, 0, 2)),))


def adds_what_nobody_ordered(scene: Changing) -> GridRecord:
    record = scene.honest()
    more = msgspec.structs.replace(
        record, assignments=(*record.assignments, Assignment("web-4", scene.mallory.id))
    )
    return regranted(more, scene.mallory.id, workspaces=("web-3", "web-4"))


def drops_one(scene: Changing) -> GridRecord:
    record = scene.honest()
    return msgspec.structs.replace(record, assignments=record.assignments[1:])


def grants_for_another(scene: Changing) -> GridRecord:
    """`web-3` is put onto a host that was never asked, with a grant that mallory signed."""
    record = scene.honest()
    last = Assignment("web-3", record.hosts[0].peer)
    return msgspec.structs.replace(record, assignments=(*record.assignments[:2], last))


def without_a_grant(scene: Changing) -> GridRecord:
    record = scene.honest()
    return msgspec.structs.replace(record, grants=record.grants[:2])


def with_an_old_grant(scene: Changing) -> GridRecord:
    return regranted(scene.honest(), scene.mallory.id, change=grid_id(scene.more, 7, "r"))


def with_the_grant_of_a_new_grid(scene: Changing) -> GridRecord:
    record = scene.honest()
    mine = her_grant(scene, "web-3")
    return msgspec.structs.replace(record, grants=(*record.grants[:2], mine))


def resizes_unasked(scene: Changing) -> GridRecord:
    """Its hosts never granted the larger ones: their grants are those of before."""
    record = grown(scene.to_apply(2, memory=2), {}, scene.record)
    return msgspec.structs.replace(record, grants=scene.record.grants)


def resizes_with_promises_to_make_it(scene: Changing) -> GridRecord:
    record = grown(scene.to_apply(2, memory=2), {}, scene.record)
    applied = record.applied
    assert applied is not None
    made = msgspec.structs.replace(applied, attempt=grid_id(applied.order, 1, "r"))
    return msgspec.structs.replace(record, became=made)


def forgets_the_lease(scene: Changing) -> GridRecord:
    record = became(scene, folded=0)
    return msgspec.structs.replace(record, changes=(), extra_s=0)


def lengthens_the_lease(scene: Changing) -> GridRecord:
    return msgspec.structs.replace(scene.honest(), extra_s=1 << 20)


def folds_more(scene: Changing) -> GridRecord:
    gone = scene.admin.order(
        Action.TERMINATE, scene.record.id, scene.world.now_s, workspace="web-1"
    )
    record = became(scene, folded=2)
    return msgspec.structs.replace(record, changes=(*record.changes, gone))


def makes_up_the_past(scene: Changing) -> GridRecord:
    return became(scene, past=())


def makes_up_what_was_before(scene: Changing) -> GridRecord:
    """A rollback would go back to what the owner never had."""
    return became(scene, before=scene.to_apply(9))


def makes_up_a_volume(scene: Changing) -> GridRecord:
    return became(scene, volumes=(KeptVolume("data", scene.record.hosts[0].peer, 1, "web-1"),))


def renames_hosts(scene: Changing) -> GridRecord:
    record = scene.honest()
    hosts = tuple(msgspec.structs.replace(h, name="elsewhere") for h in record.hosts)
    return msgspec.structs.replace(record, hosts=hosts)


def adds_a_host(scene: Changing) -> GridRecord:
    record = scene.honest()
    idle = next(p for p in scene.world.peers if p.id not in {h.peer for h in record.hosts})
    return msgspec.structs.replace(
        record,
        hosts=(*record.hosts, HostRef(idle.id, idle.name, idle.site)),
        grants=(*record.grants, grant(record, idle.id, ())),
    )


def changes_network_ids(scene: Changing) -> GridRecord:
    return msgspec.structs.replace(scene.honest(), vnis=(("lan", 7),))


def wired(scene: Changing) -> GridRecord:
    """What would be right of an order for another network, which a cluster at mallory is on."""
    spec = grid_spec("shop", 2)
    back = NetworkSpec("back", "10.77.0.0/24", Encryption.NONE)
    more = msgspec.structs.replace(spec.clusters[0], name="more", count=1, networks=("back",))
    spec = msgspec.structs.replace(
        spec, networks=(*spec.networks, back), clusters=(*spec.clusters, more)
    )
    body = encode(ApplyTerms(spec, 2))
    order = scene.admin.order(Action.APPLY, scene.record.id, scene.world.now_s, body=body)
    return grown(order, {"more-1": scene.mallory.id}, scene.record)


def renumbered(scene: Changing, network: str) -> GridRecord:
    record = wired(scene)
    vnis = tuple((name, 7 if name == network else vni) for name, vni in record.vnis)
    record = msgspec.structs.replace(record, vnis=vnis)
    return regranted(record, scene.mallory.id, vnis=tuple(vni for _, vni in vnis))


def chooses_a_network_id(scene: Changing) -> GridRecord:
    return renumbered(scene, "back")


def changes_the_id_of_what_stays(scene: Changing) -> GridRecord:
    return renumbered(scene, "lan")


def names_stewards(scene: Changing) -> GridRecord:
    return msgspec.structs.replace(scene.honest(), stewards=(scene.mallory.id,))


def ends_it(scene: Changing) -> GridRecord:
    return msgspec.structs.replace(scene.honest(), state=GridState.DOWN)


def lengthens_by_file(scene: Changing) -> GridRecord:
    spec = grid_spec("shop", 3, lease_s=1 << 20)
    body = encode(ApplyTerms(spec, 2))
    return scene.honest(
        scene.admin.order(Action.APPLY, scene.record.id, scene.world.now_s, body=body)
    )


FORGERIES = (
    of_another_owner, of_a_plan, of_another_grid, replayed, replayed_on_top, from_the_future, takes_what_stays,
    swaps_what_stays, readdresses, adds_what_nobody_ordered, drops_one, grants_for_another, without_a_grant,
    with_an_old_grant, with_the_grant_of_a_new_grid, resizes_unasked, resizes_with_promises_to_make_it,
    forgets_the_lease, lengthens_the_lease, folds_more, makes_up_the_past, makes_up_what_was_before,
    makes_up_a_volume, renames_hosts, adds_a_host, changes_network_ids, names_stewards, ends_it,
    lengthens_by_file, chooses_a_network_id, changes_the_id_of_what_stays,
)  # fmt: skip


@pytest.mark.parametrize("forge", FORGERIES)
def test_what_is_carried_and_kept_stays_as_it_is(
    scene: Changing, forge: Callable[[Changing], GridRecord]
) -> None:
    scene.tell(forge(scene))
    scene.unharmed()


def test_after_a_restart_nothing_has_changed_and_the_owner_still_ends_it() -> None:
    scene = Changing()
    for forge in FORGERIES:
        scene.tell(forge(scene))
    scene.restart()
    scene.unharmed()
    for forge in FORGERIES:
        scene.tell(forge(scene))
    scene.unharmed()
    down = scene.admin.order(Action.DOWN, scene.record.id, scene.world.now_s)
    scene.world.give(scene.asked, down)
    assert scene.world.run_until(lambda: scene.carriers() == [], WITHIN_S)


def test_stewards_decide_what_is_in_order_whoever_asks() -> None:
    scene = Changing()
    record = scene.honest()
    key = register_key(record.order)
    for peer in scene.world.peers:
        ask = StepAsk("right", key, Apply(record), record.order)
        peer.feed(Arrived(scene.mallory.id, ask, ""))
    value = encode(Register(record))
    assert scene.world.run_until(
        lambda: sum(value in values for values in scene.keepers().values()) >= 2, WITHIN_S
    )
