"""Members that say to a steward, or as one, what is no register, or what nobody ordered.

Each attack is told to a whole node. What it leaves on the disk is looked at, since that outlives a restart.
"""

from random import Random

import msgspec
import pytest

from protocol.grid.record import GridRecord, GridState, Register, grid_id, register_key
from protocol.node.events import Arrived, Event
from protocol.node.node import Node
from protocol.register.messages import MAX_ROUND, Accept, Ballot, Prepare, Promise
from protocol.requesting.events import OrderGiven
from protocol.sim.people import Admin, grid_spec
from protocol.terms.effects import Effect, Persist, Send
from protocol.terms.ids import RequestId
from protocol.trust.order import SignedOrder
from protocol.wire.codec import encode
from tests.unit.node.one_peer import ADMIN, FED, NOW, YOU, Alone, friends, sends, started

KEY = register_key(ADMIN.signer.key, "web")
THEIRS = Admin(FED, "s2", Random(9))
"""The admin of the site whose host attacks."""


def record(order: SignedOrder, owner: Admin = ADMIN, **said: object) -> GridRecord:
    made = GridRecord(
        grid_id(order), "web", owner.signer.key, "s1", 1, GridState.UP, order, (YOU,), (), (), ()
    )
    return msgspec.structs.replace(made, **said)


UP = ADMIN.up(grid_spec("web", 1), NOW)
INVENTED = {
    "noise": b"\xc1\x00",
    "another type": encode(Ballot(1, YOU, 1)),
    "an order of nobody": encode(
        Register(record(msgspec.structs.replace(UP, payload=b"\xc1"), id=grid_id(UP)))
    ),
    "an order of another": encode(Register(record(THEIRS.up(grid_spec("web", 1), NOW)))),
    "an epoch beyond all": encode(Register(record(UP, epoch=1 << 62))),
    "another register": encode(Register(record(UP, name="other"))),
}


class Overheard(Alone):
    """A peer alone, whose rounds are written down by register."""

    def __init__(self, peer: Node) -> None:
        super().__init__(peer)
        self.rounds: dict[str, list[int]] = {}

    def feed(self, event: Event) -> list[Effect]:
        effects = super().feed(event)
        for effect in effects:
            if isinstance(effect, Send) and isinstance(effect.message, Prepare):
                asked = effect.message
                self.rounds.setdefault(asked.key, []).append(asked.ballot.round)
        return effects


def written(effects: list[Effect]) -> list[Persist]:
    kept = [effect for effect in effects if isinstance(effect, Persist)]
    return [save for save in kept if any(row.table == "register" for row in save.rows)]


@pytest.mark.parametrize("value", INVENTED.values(), ids=INVENTED)
def test_a_steward_takes_no_value_that_nobody_ordered(value: bytes) -> None:
    peer = friends()
    effects = peer.handle(
        Arrived(YOU, Accept(key=KEY, ballot=Ballot(1, YOU, 1), value=value), ""), NOW
    )
    assert sends(effects) == []
    assert written(effects) == []
    assert peer.registers.acceptor.holds(KEY) is None
    assert peer.quarantines.counts["register-value"] == 1
    assert peer.quarantines.faults(YOU) == 1


@pytest.mark.parametrize("value", INVENTED.values(), ids=INVENTED)
def test_what_such_a_steward_promises_ends_no_peer_that_asks_for_a_grid(value: bytes) -> None:
    alone = Overheard(friends())
    request = RequestId("r1")
    alone.lost = (Promise,)
    alone.feed(OrderGiven(request, UP))
    alone.until(lambda: KEY in alone.rounds, 30.0)
    ballot = Ballot(alone.rounds[KEY][-1], alone.peer.me, alone.peer.broadcast.incarnation)
    for sender in (YOU, alone.peer.me):
        lie = Promise(key=KEY, ballot=ballot, accepted=Ballot(1, YOU, 1), value=value)
        alone.feed(Arrived(sender, lie, ""))
    assert alone.peer.requester.requests.running(request) is not None


def test_a_round_beyond_all_costs_one_register_and_is_not_said_on() -> None:
    alone = Overheard(started())
    far = Prepare(key=KEY, ballot=Ballot(MAX_ROUND, YOU, 1))
    alone.feed(Arrived(alone.peer.me, far, ""))
    alone.feed(OrderGiven(RequestId("r1"), UP))
    end_s = alone.now + 20.0
    alone.until(lambda: alone.now >= end_s, 60.0)
    alone.feed(OrderGiven(RequestId("r2"), ADMIN.up(grid_spec("db", 1), alone.now)))
    alone.until(lambda: bool(alone.peer.host.leases.rows()), 30.0)
    assert max(alone.rounds[KEY]) <= MAX_ROUND
    assert max(alone.rounds[register_key(ADMIN.signer.key, "db")]) < 10
