"""A federation in which people work and one member attacks: what either does, and what must hold."""

from random import Random
from typing import Any

import msgspec
from attacked_world import AttackedWorld
from golden import examples
from golden.vectors import BODIES
from histories import Histories
from hostile_values import arrived, truthful

from protocol.broadcast.messages import Records
from protocol.contract.messages import Act, HoldAsk, LeaseAsk
from protocol.grid.record import GridState, LeaseChange
from protocol.grid.stewards import draw_stewards
from protocol.node.events import Arrived
from protocol.node.messages import Message
from protocol.node.snapshot import PeerView
from protocol.sim.bending import bent
from protocol.sim.budgets import exceeded
from protocol.sim.peer import SimPeer
from protocol.sim.people import grid_spec
from protocol.terms.ids import RequestId
from protocol.trust.order import Action, Order, sign_order
from protocol.trust.record import Record, sign_record
from protocol.wire.codec import encode
from protocol.wire.envelope import pack

ANSWERED_WITHIN_S, SETTLES_S, AFTER_ATTACK_S = 60.0, 4.0, 0.3
GRIDS_MOST = 4


class MixedWorld(AttackedWorld):
    """It begins with `shop` on two hosts. Each thing that people do is done before the next begins."""

    def __init__(self, histories: Histories) -> None:
        self.histories = histories
        super().__init__()
        self.dice = Random(1)
        self._incarnation = 1 << 40
        self.grids: dict[str, str] = {"shop": self.record.owner_site}
        """The name and site of each grid that is to be up."""
        # She carries nothing, so whatever there is belongs to others.
        self.mallory.facts = None
        self.mallory.crash()
        self.mallory.start()
        self._look()
        for site, admin in self.world.admins.items():
            admin.stewards = lambda site=site: self._draw(site)

    @property
    def honest(self) -> list[SimPeer]:
        return [peer for peer in self.world.peers if peer is not self.mallory]

    def _draw(self, site: str) -> Any:
        """Nobody makes Mallory a steward, who could undo what she decided."""
        return draw_stewards([(peer.id, peer.site) for peer in self.honest], site, self.dice)

    # -- what people do

    def up(self, name: str, asked: int, count: int) -> None:
        """A grid of that name, by the admin of the site of the peer that is asked."""
        peer = self.honest[asked]
        order = self.world.admins[peer.site].up(grid_spec(name, count), self.world.now_s)
        self._done("up", peer, self.world.give(peer, order))
        self.grids[name] = peer.site
        self._look()

    def change(self, name: str, asked: int, action: Action) -> None:
        """Something is ordered of a grid that is up."""
        admin, peer = self.world.admins[self.grids[name]], self.honest[asked]
        body = encode(LeaseChange(600)) if action is Action.LEASE else b""
        order = admin.order(action, name, self.world.now_s, body=body)
        self._done(action, peer, self.world.give(peer, order))
        if action is Action.DOWN:
            del self.grids[name]
        self._look()

    def restart(self, which: int) -> None:
        """A daemon is started again, from its disk."""
        peer = self.honest[which]
        peer.crash()
        self.world.run(0.5)
        peer.start()
        self._look()

    def _done(self, what: str, peer: SimPeer, request: RequestId) -> None:
        assert peer.node is not None
        requests = peer.node.requester.requests

        def answered() -> bool:
            view = requests.view(request)
            return view is not None and view.state != "running"

        assert self.world.run_until(answered, ANSWERED_WITHIN_S, 0.05), f"{what} has no answer"
        view = requests.view(request)
        assert view is not None
        must = what in ("up", Action.DOWN, Action.LEASE)
        assert view.state == "done" or not must, f"{what}: {view.answer} {view.story}"

    def _look(self) -> None:
        """Lets time pass, and keeps what there is from now on."""
        self.world.run(SETTLES_S)
        self.before = self.standing()
        for peer in self.honest:
            assert peer.node is not None
            for row in peer.node.host.leases.rows():
                if row.record.name in self.grids:
                    self.record = row.record
                    self.order = row.record.order

    # -- what Mallory does

    def say(self, kind: type[msgspec.Struct], to: int, seed: int) -> None:
        """A message of that type: overheard, true or an example; often with something changed."""
        dice = Random(seed)
        heard = self.overheard(kind)
        made = [examples.example(kind), *truthful(kind, self.truth)]
        message: Any = dice.choice(heard if heard and dice.random() < 0.6 else made)
        frame = bent(message, dice) if dice.random() < 0.7 else pack(message, "")
        self._attack(to, arrived(self.mallory.id, frame))

    def publish(self, kind: str, to: int, seed: int) -> None:
        """A record of that kind, truly signed, whose body is of that type, or nearly."""
        dice, signer = Random(seed), self.mallory.identity.signer
        body = encode(dice.choice(list(truthful(BODIES[kind], self.truth))))
        if dice.random() < 0.5:
            changed = bytearray(body)
            changed[dice.randrange(len(changed))] ^= 1 << dice.randrange(8)
            body = bytes(changed)
        self._incarnation += 1
        name = {"grid": self.record.id, "suspicion": self.honest[to].id}.get(kind, "")
        record = Record(signer.key, kind, name, self._incarnation, 1, body, 60.0)
        signed = sign_record(record, signer)
        self._attack(to, Arrived(self.mallory.id, Records((signed,)), ""))

    def order_of_hers(self, action: Action, to: int, body: bytes) -> None:
        """An order by the admin of Mallory's site, about somebody else's grid."""
        record = self.record
        admin = next(a for s, a in self.world.admins.items() if s != record.owner_site)
        names = tuple(a.workspace for a in record.assignments)
        number = f"{self.dice.getrandbits(64):016x}"
        order = Order(action, record.id, self.world.now_s, 600.0, number, names[0], body)
        signed = sign_order(order, admin.signer, admin.chain)
        message: Message
        match action:
            case Action.UP | Action.HOLD:
                message = HoldAsk(record.id, signed, names, record.vnis, 8.0)
            case Action.LEASE:
                message = LeaseAsk(RequestId("r"), record.id, signed)
            case _:
                message = Act(RequestId("r"), record.id, signed)
        self._attack(to, Arrived(self.mallory.id, message, ""))

    def _attack(self, to: int, event: Any) -> None:
        self.victims = [self.honest[to]]
        self.tell(event)
        self.world.run(AFTER_ATTACK_S)
        lost = self.lost()
        assert not lost, f"{lost} by {str(event)[:600]}"

    # -- what must hold

    def lost(self) -> list[str]:
        """What there was and is no more, or is another. A hold or a register may be new."""
        now, lost = self.standing(), []
        for what, was in self.before.items():
            there = now[what]
            if isinstance(was, dict):
                if ": hold" not in what:
                    lost += [f"{what} {key}" for key in was if there.get(key) != was[key]]
            elif what.endswith(": blames"):
                lost += [f"{what} {there}"] if there else []
            else:
                lost += [f"{what} {one}" for one in was if one not in there]
        return lost

    def check(self) -> None:
        """Nobody is wronged, nobody keeps more than it may, and what registers told has an order."""
        self.world.invariants.nobody_is_wronged(self.world.meter)
        for peer in self.honest:
            assert list(exceeded(peer)) == []
        self.histories.check()
        view, now = PeerView(self.honest[0].node), self.world.now_s  # type: ignore[arg-type]
        up = [row.name for row in view.grids(now) if row.state is GridState.UP]
        assert set(self.grids) <= set(up)
