"""What nobody's room made of an elastic grid, told to its hosts as if all stewards had lied, and to stewards.

The member that tries has a valid host certificate and all that was ever said. What its hosts carry and its
stewards keep stays as it was, also after a restart, and the owner still ends it.
"""

from collections.abc import Callable

import msgspec
import pytest
from applying_world import grant
from asked_stewards import AskedStewards

from protocol.grid.asked import sign_asked
from protocol.grid.elastic import attempt_at, line_by_room, rescaled
from protocol.grid.grant import SignedGrant
from protocol.grid.model import GridSpec, LeaseTerms
from protocol.grid.next_epoch import Added
from protocol.grid.record import GridRecord, HostRef, Word, register_key, spec_of
from protocol.grid.steps import Rescale
from protocol.node.events import Arrived
from protocol.register.messages import StepAsk
from protocol.sim.people import grid_spec
from protocol.terms.ids import PeerId
from protocol.trust.order import Action, read_order

WITHIN_S = 30.0


def elastic(count: int = 3, least: int = 1) -> GridSpec:
    """A grid that is as large as it may be, so it does not grow by itself."""
    spec = grid_spec("shop", count, lease=LeaseTerms(best_effort=True))
    (cluster,) = spec.clusters
    cluster = msgspec.structs.replace(cluster, minimum=least, elastic=True)
    return msgspec.structs.replace(spec, clusters=(cluster,))


class Elastic(AskedStewards):
    """The grid has two; a third one was terminated, and mallory would like to be that."""

    step = Rescale

    def __init__(self) -> None:
        super().__init__()
        world = self.world
        down = self.admin.order(Action.DOWN, self.record.id, world.now_s)
        world.give(self.asked, down)
        assert world.run_until(lambda: not self.carriers(), WITHIN_S)
        order = self.admin.up(elastic(), world.now_s)
        world.give(self.asked, order)
        assert world.run_until(lambda: len(self.carriers()) == 3, WITHIN_S)
        world.run(10.0)
        gone = self.admin.order(Action.TERMINATE, "shop", world.now_s, workspace="web-3")
        world.give(self.asked, gone)
        assert world.run_until(lambda: len(self.carriers()) == 2, WITHIN_S)
        world.run(5.0)
        self.one, self.other = self.carriers()
        self.record = self.carried(self.one)
        used = (*(host.peer for host in self.record.hosts), self.asked.id)
        self.mallory = next(peer for peer in world.peers if peer.id not in used)
        self.kept = self.keepers()

    @property
    def spec(self) -> GridSpec:
        return spec_of(read_order(self.record.standing))


@pytest.fixture(scope="module")
def scene() -> Elastic:
    return Elastic()


def made(
    scene: Elastic,
    come: dict[str, PeerId],
    go: tuple[str, ...] = (),
    grants: tuple[SignedGrant, ...] = (),
) -> GridRecord:
    """What she says that room made of it. Each grant is signed by whoever `applying_world` plays."""
    record, me = scene.record, scene.mallory
    attempt = attempt_at(record, "mallory")
    word = Word(me.id, me.id, attempt, sign_asked(me.identity.signer, attempt, me.id))
    hosts = (HostRef(me.id, "mallory", me.site),) if me.id in come.values() else ()
    added = Added(attempt, come, hosts, grants, (word,))
    return rescaled(record, scene.spec, added, go, line_by_room([*come], go, "room", 1.0))


def her_grant(scene: Elastic, *names: str) -> SignedGrant:
    return grant(scene.record, scene.mallory.id, names, attempt_at(scene.record, "mallory"))


def adds_herself(scene: Elastic) -> GridRecord:
    """What was terminated comes back with her, by nobody's call."""
    return made(scene, {"web-3": scene.mallory.id}, (), (her_grant(scene, "web-3"),))


def takes_one_over(scene: Elastic) -> GridRecord:
    (first, *_) = scene.record.assignments
    here = {first.workspace: scene.mallory.id}
    return made(scene, here, (), (her_grant(scene, first.workspace),))


def ends_one(scene: Elastic) -> GridRecord:
    """Within min, but its host did not say so."""
    return made(scene, {}, (scene.record.assignments[-1].workspace,))


def ends_one_in_its_host_s_name(scene: Elastic) -> GridRecord:
    last = scene.record.assignments[-1]
    forged = her_grant(scene)
    return made(scene, {}, (last.workspace,), (msgspec.structs.replace(forged, host=last.host),))


def ends_all(scene: Elastic) -> GridRecord:
    return made(scene, {}, tuple(a.workspace for a in scene.record.assignments))


def moves_the_epoch(scene: Elastic) -> GridRecord:
    """Nothing but the epoch, so that whatever its owner orders is out of date."""
    return made(scene, {})


def far_ahead(scene: Elastic) -> GridRecord:
    record = made(scene, {})
    assert record.scaled is not None
    room = msgspec.structs.replace(record.scaled, epoch=1 << 20, steps=1 << 20)
    return msgspec.structs.replace(record, epoch=1 << 20, room=room)


FORGED = [adds_herself, takes_one_over, ends_one, ends_one_in_its_host_s_name, ends_all]


@pytest.mark.parametrize("forge", FORGED)
@pytest.mark.parametrize("again", [False, True], ids=["at-once", "after-a-restart"])
def test_hosts_and_stewards_keep_what_they_have(
    scene: Elastic, forge: Callable[[Elastic], GridRecord], again: bool
) -> None:
    if again:
        scene.restart()
        scene.kept = scene.keepers()
    scene.tell(forge(scene))
    scene.unharmed()


@pytest.mark.parametrize("forge", [moves_the_epoch, far_ahead])
def test_stewards_take_no_epoch_from_a_stranger(
    scene: Elastic, forge: Callable[[Elastic], GridRecord]
) -> None:
    record = forge(scene)
    key = register_key(record.order)
    for peer in scene.world.peers:
        ask = StepAsk("e", key, Rescale(record), record.order)
        peer.feed(Arrived(scene.mallory.id, ask, ""))
    scene.world.run(0.5)
    scene.unharmed()


def test_its_owner_still_ends_it(scene: Elastic) -> None:
    down = scene.admin.order(Action.DOWN, scene.record.id, scene.world.now_s)
    scene.world.give(scene.asked, down)
    assert scene.world.run_until(lambda: not scene.carriers(), WITHIN_S)
