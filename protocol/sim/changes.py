"""People who change grids that are up: grow, shrink, resize, leave out, take out and bring back, two at once.

They ask any peer. Each has looked at what was decided last, or a while ago.
"""

from random import Random

import msgspec

from protocol.grid.expand import names
from protocol.grid.model import ClusterSpec, Encryption, GridSpec, NetworkSpec
from protocol.grid.record import (
    ApplyTerms,
    GridRecord,
    GridState,
    HoldTerms,
    LeaseChange,
    absent,
    apply_terms,
    spec_of,
)
from protocol.requesting.events import CancelAsked
from protocol.sim.peer import SimPeer
from protocol.sim.people import MIB
from protocol.sim.world import World
from protocol.terms.ids import RequestId
from protocol.terms.limits import PLAN_HOLD_LEAST_S
from protocol.trust.order import Action, SignedOrder, read_order
from protocol.wire.codec import encode

_COUNT_MOST = 7
_FIRST = 0.2
"""Nobody changes a grid in the first share of the time: there are hardly any."""
_HOLD_S = PLAN_HOLD_LEAST_S
_GIB = 1 << 30
BACK = NetworkSpec("back", "10.77.0.0/24", Encryption.NONE)
"""The network that comes and goes."""


class Changes:
    """Asks for so many changes within some time, of whatever grids there are then."""

    def __init__(self, world: World, changes: int, within_s: float, dice: Random) -> None:
        self._world, self._dice = world, dice
        self.asked: dict[RequestId, SignedOrder] = {}
        """Every order to apply that was given."""
        self._gone = False
        for _ in range(changes):
            world.after(dice.uniform(_FIRST, 1.0) * within_s, self._change)

    def end(self) -> None:
        """Everybody goes home, and nothing more is asked."""
        self._gone = True

    def _change(self) -> None:
        dice = self._dice
        records = [epochs[max(epochs)] for epochs in self._world.invariants.decided.values()]
        up = [record for record in records if record.state is GridState.UP]
        if not up or self._gone:
            return
        record = dice.choice(up)
        chance = dice.random()
        if chance < 0.12:
            gone = dice.choice([a.workspace for a in record.assignments] or [""])
            self._give(self._order(Action.TERMINATE, record, workspace=gone))
        elif chance < 0.18:
            longer = encode(LeaseChange(dice.choice((60, 600))))
            self._give(self._order(Action.LEASE, record, body=longer))
        elif chance < 0.21:
            self._give(self._order(Action.DOWN, record))
        else:
            self._apply(record)

    def _apply(self, record: GridRecord) -> None:
        """Asks for a change: of one in four another is asked for at once, at another peer."""
        dice = self._dice
        order = self._changed(record)
        if dice.random() < 0.15:
            self._hold(record, order)
            return
        given = self._give(order)
        chance = dice.random()
        if chance < 0.25:
            self._give(self._changed(record))
        elif chance < 0.35:
            self._give(order)
        elif chance < 0.4 and given is not None:
            peer, request = given
            self._world.after(dice.uniform(0.0, 1.0), peer.feed, CancelAsked(request))

    def _hold(self, record: GridRecord, order: SignedOrder) -> None:
        """Has a plan of a change held for a while, and mostly takes it up."""
        terms = apply_terms(read_order(order))
        body = HoldTerms(terms.spec, _HOLD_S, terms.epoch, terms.without, terms.until_s)
        given = self._give(self._order(Action.HOLD, record, body=encode(body)))
        if given is not None:
            peer, plan = given
            after_s = self._dice.uniform(0.2, 0.4 * _HOLD_S)
            self._world.after(after_s, self._take_up, peer, plan, order)

    def _take_up(self, peer: SimPeer, plan: RequestId, order: SignedOrder) -> None:
        if peer.up and not self._gone:
            self.asked[self._world.give(peer, order, plan)] = order

    def _changed(self, record: GridRecord) -> SignedOrder:
        dice = self._dice
        spec = spec_of(read_order(record.standing))
        without: tuple[str, ...] = absent(record.standing) if dice.random() < 0.5 else ()
        for _ in range(dice.randint(0, 2)):
            spec = self._reshaped(spec)
        there = names(spec)
        if dice.random() < 0.2 and len(there) > 1:
            without = (*without, dice.choice(there))
        without = tuple(name for name in dict.fromkeys(without) if name in there)
        stale = 1 if dice.random() < 0.05 else 0
        terms = ApplyTerms(spec, max(1, record.epoch - stale), without, _ends_s(record))
        return self._order(Action.APPLY, record, body=encode(terms))

    def _reshaped(self, spec: GridSpec) -> GridSpec:
        """The grid with one thing changed."""
        dice = self._dice
        index = dice.randrange(len(spec.clusters))
        cluster = spec.clusters[index]
        replace = msgspec.structs.replace
        match dice.randrange(7):
            case 0 | 1:
                count = min(_COUNT_MOST, cluster.count + dice.randint(1, 3))
                cluster = replace(cluster, count=count)
            case 2:
                cluster = replace(cluster, count=max(1, cluster.count - dice.randint(1, 3)))
            case 3:
                cpus, memory = dice.choice((250, 500, 2000)), dice.choice((128, 512, 2048)) * MIB
                cluster = replace(cluster, cpus_milli=cpus, memory_bytes=memory)
            case 4:
                cluster = replace(cluster, scratch_bytes=dice.choice((0, _GIB, 2 * _GIB)))
            case 5:
                return self._rewired(spec, index)
            case _:
                return self._recast(spec)
        clusters = (*spec.clusters[:index], cluster, *spec.clusters[index + 1 :])
        return replace(spec, clusters=clusters)

    def _rewired(self, spec: GridSpec, index: int) -> GridSpec:
        """The grid with another network, which a cluster is on or not; or without that network."""
        there = any(network.name == BACK.name for network in spec.networks)
        goes = there and self._dice.random() < 0.5
        clusters = list(spec.clusters)
        for at, cluster in enumerate(clusters):
            on = tuple(name for name in cluster.networks if name != BACK.name)
            if not goes and (at == index or on != cluster.networks):
                stays = at != index or self._dice.random() < 0.7
                on = (*on, BACK.name) if stays else on
            clusters[at] = msgspec.structs.replace(cluster, networks=on)
        networks = tuple(network for network in spec.networks if network.name != BACK.name)
        if not goes:
            networks = (*networks, BACK)
        return msgspec.structs.replace(spec, clusters=tuple(clusters), networks=networks)

    def _recast(self, spec: GridSpec) -> GridSpec:
        """The grid with a cluster more, or with the second one gone."""
        first, *others = spec.clusters
        if others:
            return msgspec.structs.replace(spec, clusters=(first,))
        more: ClusterSpec = msgspec.structs.replace(
            first, name="more", count=self._dice.randint(1, 2)
        )
        return msgspec.structs.replace(spec, clusters=(first, more))

    def _order(
        self, action: Action, record: GridRecord, *, workspace: str = "", body: bytes = b""
    ) -> SignedOrder:
        admin = self._world.admins[record.owner_site]
        return admin.order(action, record.id, self._world.now_s, workspace=workspace, body=body)

    def _give(self, order: SignedOrder) -> tuple[SimPeer, RequestId] | None:
        up = [peer for peer in self._world.peers if peer.up]
        if not up:
            return None
        peer = self._dice.choice(up)
        request = self._world.give(peer, order)
        if read_order(order).action is Action.APPLY:
            self.asked[request] = order
        return peer, request


def _ends_s(record: GridRecord) -> float:
    """About when the lease ends, as its owner sees it."""
    up = read_order(record.order)
    return (record.start_s or up.issued_at_s) + spec_of(up).lease_s + record.extra_s
