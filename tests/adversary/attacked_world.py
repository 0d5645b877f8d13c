"""A federation of honest peers with a grid, and one member that says anything to its carriers and stewards."""

from typing import Any

import msgspec

from protocol.grid.decision import Ballot
from protocol.grid.model import Encryption
from protocol.grid.record import Assignment, GridRecord, HostRef
from protocol.hosting.lease import Lease
from protocol.membership.messages import Presence
from protocol.node.events import Connected, Event
from protocol.node.snapshot import PeerView
from protocol.peering.quarantine import Quarantines
from protocol.register.slot import Slot
from protocol.requesting.events import GridsAsked
from protocol.sim.peer import SimPeer
from protocol.sim.people import grid_spec
from protocol.sim.sealed import opens
from protocol.sim.world import World
from protocol.terms.ids import PeerId
from protocol.trust.certificate import Chain
from protocol.trust.order import Action, SignedOrder
from protocol.trust.record import SignedRecord
from protocol.wire.codec import decode

GRID = "shop"
SETTLES_S = 20.0
LOOK_EVERY = 25
"""It is looked after so many hostile messages what has changed."""
KEPT = ("grid", "hold", "steward", "revocation", "policy", "quote", "queue", "attached")
"""The tables whose rows nothing that a stranger says may change."""


class AttackedWorld:
    """Six peers at three sites, one of which is hostile. `shop` runs on two of the others, and is sealed."""

    def __init__(self, seed: int = 11) -> None:
        self.world = World(seed, 6, 3)
        self.heard: dict[type, list[msgspec.Struct]] = {}
        """What honest peers said to each other, by type."""
        said = self.world.said

        def hear(peer: SimPeer, send: Any) -> None:
            self.heard.setdefault(type(send.message), []).append(send.message)
            said(peer, send)

        self.world.said = hear  # type: ignore[method-assign]  # a listener, beside what it does
        self.world.start_all()
        self.world.run(4.0)
        asked = self.world.peers[0]
        spec = grid_spec(GRID, 2, encryption=Encryption.REQUIRED)
        self.order = self.world.admins[asked.site].up(spec, self.world.now_s)
        self.world.give(asked, self.order)
        view = PeerView(_node(asked))
        assert self.world.run_until(lambda: _ready(view, self.world.now_s), 60.0)
        self.world.run(10.0)
        carriers = [p for p in self.world.peers if _node(p).host.leases.rows()]
        (row,) = _node(carriers[0]).host.leases.rows()
        self.record: GridRecord = row.record
        stewards = [p for p in self.world.peers if p.id in self.record.stewards]
        self.victims = [carriers[-1], next(p for p in stewards if p not in carriers)]
        """A host that carries it, and a steward."""
        others = [p for p in self.world.peers if p not in carriers and p not in stewards]
        self.mallory = others[-1]
        self._told = 0
        self.settle()
        self.before = self.standing()

    # -- attacks

    def tell(self, event: Event) -> None:
        """Has the victims hear something of the hostile member, whose faults so far are forgotten.

        There may be many like it, so it is not its quarantine that protects them.
        """
        for victim in self.victims:
            node = _node(victim)
            fresh = Quarantines()
            fresh.counts = node.overlay.quarantines.counts
            vars(node.overlay.quarantines).update(vars(fresh))
            victim.feed(event)
        self._told += 1
        if self._told % LOOK_EVERY == 0:
            self.world.run(0.2)
            changed = [what for what in self.changed() if ": hold: " not in what]
            assert not changed, f"{changed}, at or before {str(event)[:999]}"

    def stranger(self) -> PeerId:
        """A key of the federation that is connected with the victims and has not said hello."""
        key = PeerId(self.world.federation.host("s1", "unheard").key)
        for victim in self.victims:
            victim.feed(Connected(key, True))
        return key

    def truth(self, hint: Any, name: str) -> list[Any]:
        """What is true and has that type."""
        record = self.record
        others = [p.id for p in self.world.peers if p is not self.mallory]
        match name:
            case "key" | "register":
                return [record.id.partition(".")[0]]
            case "workspace" | "workspaces" | "claimed":
                names = [a.workspace for a in record.assignments]
                return [tuple(names)] if name != "workspace" else names
            case "value":
                slots = [p.store.get("steward", {}) for p in self.world.peers]
                return [value for slot in slots for value in slot.values()]
            case "site":
                return ["s1", "s2", "s3"]
            case _:
                pass
        known: dict[Any, list[Any]] = {
            GridRecord: self._records(),
            SignedOrder: self._orders(),
            Presence: [],
            HostRef: list(record.hosts),
            Assignment: list(record.assignments),
            Ballot: [Ballot(round_, self.mallory.id) for round_ in (1, 2, 9)],
            Chain: [self.world.federation.host_chain(self.mallory.site, self.mallory.name)],
            SignedRecord: [],
        }
        if getattr(hint, "__name__", "") == "GridId":
            return [record.id, record.id + "x"]
        if getattr(hint, "__name__", "") in ("PeerId", "KeyId"):
            return [self.victims[0].id, *others]
        try:
            return known.get(hint, [])
        except TypeError:
            return []

    def overheard(self, kind: type) -> list[msgspec.Struct]:
        """What honest peers have said of that type: the first and the last of it."""
        heard = self.heard.get(kind, [])
        return [*heard[:10], *heard[-10:]]

    def _records(self) -> list[GridRecord]:
        """The grid's record with something in it changed, and nothing that would allow it."""
        change, old = msgspec.structs.replace, self.record
        mallory = HostRef(self.mallory.id, self.mallory.name, self.mallory.site)
        moved = tuple(Assignment(a.workspace, self.mallory.id) for a in old.assignments)
        return [
            change(old, epoch=old.epoch + 1, hosts=(mallory,), assignments=moved),
            change(old, epoch=1 << 40, stewards=(self.mallory.id,) * 3),
            change(old, epoch=old.epoch + 1, state="down"),
        ]

    def _orders(self) -> list[SignedOrder]:
        """The owner's order, and others of another site's admin."""
        admin = self.world.admins[self.mallory.site]
        now = self.world.now_s
        return [
            self.order,
            admin.order(Action.DOWN, GRID, now),
            admin.up(grid_spec(GRID, 1), now),
        ]

    # -- what must be as before

    def settle(self) -> None:
        """Lets time pass. Everywhere somebody asks what grids there are, so that what is told is checked."""
        self.world.run(SETTLES_S / 2)
        for peer in self.world.peers:
            peer.feed(GridsAsked())
        self.world.run(SETTLES_S / 2)

    def restart(self) -> None:
        """Has the victims begin again from what is on their disks."""
        for victim in self.victims:
            victim.crash()
            self.world.run(1.0)
            victim.start()

    def standing(self) -> dict[str, Any]:
        """All that may not change: confirmed grids, machines, rows, keys, who is believed alive, or blamed."""
        honest = [p for p in self.world.peers if p is not self.mallory]
        found: dict[str, Any] = {}
        for peer in honest:
            view, now = PeerView(_node(peer)), self.world.now_s
            grids = [row for row in view.grids(now) if row.confirmed]
            found[f"{peer.name}: grids"] = [
                (g.grid, g.name, g.owner_site, g.state, g.epoch, g.phases, g.stewards, g.lost)
                for g in grids
            ]
            found[f"{peer.name}: workspaces"] = [
                (w.workspace, w.host, w.phase, w.address, w.boot)
                for g in grids
                for w in view.workspaces(g.grid, now)
            ]
            found[f"{peer.name}: peers"] = [
                (p.peer, p.name, p.address, "alive" if p.health == "suspect" else p.health)
                for p in view.peers(now)
                if p.peer != self.mallory.id
            ]
            blamed = [p.name for p in honest if _node(peer).overlay.quarantines.faults(p.id)]
            found[f"{peer.name}: blames"] = blamed
            found[f"{peer.name}: keys"] = [p.name for p in honest if opens(peer, p)]
            found[f"{peer.name}: machines"] = sorted(peer.machines.there)
            for table in KEPT:
                rows = peer.store.get(table, {})
                found[f"{peer.name}: {table}"] = {key: _said(table, rows[key]) for key in rows}
        return found

    def changed(self) -> list[str]:
        """What is not as it was, in words."""
        now = self.standing()
        return [
            f"{what}: {str(self.before.get(what))[:300]} -> {str(now.get(what))[:300]}"
            for what in now
            if now[what] != self.before.get(what)
        ]


def _said(table: str, row: bytes) -> Any:
    """What a row says, without what honest reading renews: ballots, and when something was seen."""
    match table:
        case "steward":
            return decode(row, Slot).value
        case "grid":
            return decode(row, Lease).record
        case _:
            return row


def _ready(view: PeerView, now: float) -> bool:
    return any(dict(row.phases).get("ready") == 2 for row in view.grids(now))  # type: ignore[call-overload]


def _node(peer: SimPeer) -> Any:
    assert peer.node is not None
    return peer.node
