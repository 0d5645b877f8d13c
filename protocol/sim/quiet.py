"""What must hold once nothing is broken any more and everybody had time to hear of it.

A liar is held to nothing, and others may believe of it what they like. Who waits for what a liar was to make is
told in the end that it is not there, but late. Neither is a grid with a liar as a
steward. A peer whose host is gone for good must be believed dead. Among thousands not everybody keeps
everything, and to ask everybody about everybody would take longer than the run. There all peers must be up and
connected.
"""

from collections.abc import Iterator

from protocol.grid.lifecycle import Power
from protocol.grid.record import GridRecord, GridState
from protocol.membership.liveness import Health
from protocol.requesting.request import RequestView
from protocol.requesting.transitions import Stage
from protocol.sim.graph import connected
from protocol.sim.peer import SimPeer
from protocol.sim.sealed import unmatched
from protocol.sim.world import World
from protocol.terms.ids import GridId, PeerId


def unsettled(
    world: World, but_for_liars: bool = False
) -> Iterator[tuple[str, tuple[SimPeer, ...]]]:
    """Everything that is not as it must be, with the peers involved; nothing if it is quiet.

    `but_for_liars` leaves out requests that wait for what a liar was to make.
    """
    down = [peer for peer in _left(world) if not peer.up]
    for peer in down:
        yield f"{peer.name} is not up", (peer,)
    if down:
        return
    if not world.whole_directories:
        if not connected(world):
            yield "the overlay is not connected", ()
    else:
        yield from _unknown(world)
        yield from _unanswered(world, but_for_liars)
        yield from _half_placed(world)
        yield from _left_over(world)
        yield from _different(world)
        yield from _unsealed(world)


def _left(world: World) -> list[SimPeer]:
    return [peer for peer in world.peers if not peer.gone]


def _honest(world: World) -> list[SimPeer]:
    return [peer for peer in _left(world) if not peer.lies]


def _unknown(world: World) -> Iterator[tuple[str, tuple[SimPeer, ...]]]:
    """Everybody believes that everybody is alive, and that those that are gone are dead."""
    gone = [peer for peer in world.peers if peer.gone]
    for peer in _honest(world):
        assert peer.node is not None
        for other in _honest(world) + gone:
            if other is not peer:
                health = peer.node.membership.liveness.health(other.id)
                if health is not (Health.DEAD if other.gone else Health.ALIVE):
                    yield f"{peer.name} believes {other.name} {health}", (peer, other)


def _unanswered(world: World, but_for_liars: bool) -> Iterator[tuple[str, tuple[SimPeer, ...]]]:
    """Every request has its answer, if the peer that was asked did not die on it."""
    for request, (peer, life) in world.invariants.requests.items():
        if peer.life == life and peer.node is not None and not peer.lies:
            view = peer.node.requester.requests.view(request)
            if but_for_liars and view is not None and _waits_for_liar(world, view):
                continue
            if view is None or view.state == "running":
                stage = view.stage if view is not None else "lost"
                yield f"{request} at {peer.name} has no answer, it is {stage}", (peer,)


def _waits_for_liar(world: World, view: RequestView) -> bool:
    hosts = [world.by_id[planned.peer] for planned in view.placement]
    return view.stage is Stage.BUILDING and any(host.lies for host in hosts)


def newest_records(world: World) -> list[GridRecord]:
    """The record of every grid that the stewards decided last."""
    return [epochs[max(epochs)] for epochs in world.invariants.decided.values()]


def _half_placed(world: World) -> Iterator[tuple[str, tuple[SimPeer, ...]]]:
    """A grid that is up is carried by every host it is assigned to, in its newest epoch."""
    for record in newest_records(world):
        if record.state is not GridState.UP or not world.invariants.is_whole(record.id):
            continue
        for host in record.carriers():
            peer = world.by_id[host]
            if peer.gone or peer.lies:
                continue
            assert peer.node is not None
            row = peer.node.host.leases.row(record.id)
            names = [w.workspace for w in row.wanted if w.power is not Power.GONE] if row else []
            if row is None or row.record.epoch != record.epoch:
                yield f"{peer.name} does not carry {record.name} {record.id}", (peer,)
            elif sorted(names) != sorted(record.on(host)):
                yield (
                    f"{peer.name} carries {names} of {record.name}, not {record.on(host)}",
                    (peer,),
                )


def _left_over(world: World) -> Iterator[tuple[str, tuple[SimPeer, ...]]]:
    """There is no hold, no contract and no machine without a decision."""
    is_honest = world.invariants.is_honest
    assigned: dict[tuple[PeerId, str, str], None] = {}
    for record in newest_records(world):
        if record.state is GridState.UP:
            for each in record.assignments:
                assigned[(each.host, record.id, each.workspace)] = None
    for peer in _honest(world):
        assert peer.node is not None
        for hold in peer.node.host.holds.rows():
            if is_honest(hold.grid):
                yield f"{peer.name} still holds {hold.workspaces} of {hold.name}", (peer,)
        for row in peer.node.host.leases.rows():
            for wanted in row.wanted if is_honest(row.record.id) else ():
                if (peer.id, row.record.id, wanted.workspace) not in assigned:
                    yield f"{peer.name} carries {wanted.workspace} of no grid", (peer,)
            if not row.wanted:
                yield f"{peer.name} has not cleared {row.record.name}", (peer,)
        for grid, workspace in peer.machines.there:
            if is_honest(GridId(grid)) and (peer.id, grid, workspace) not in assigned:
                yield f"{peer.name} runs {workspace} of {grid}, which is of no grid", (peer,)


def _unsealed(world: World) -> Iterator[tuple[str, tuple[SimPeer, ...]]]:
    """Hosts that share a sealed network have the same keys, and no others have any."""
    is_whole, is_honest = world.invariants.is_whole, world.invariants.is_honest
    decided = [r for r in newest_records(world) if is_whole(r.id) and is_honest(r.id)]
    yield from unmatched(_honest(world), decided)


def _different(world: World) -> Iterator[tuple[str, tuple[SimPeer, ...]]]:
    """All directories are equal."""
    first, *others = _honest(world)
    assert first.node is not None
    for peer in others:
        assert peer.node is not None
        if peer.node.broadcast.directory.roots() != first.node.broadcast.directory.roots():
            yield f"the directories of {first.name} and {peer.name} differ", (first, peer)
