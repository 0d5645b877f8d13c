"""Each type of message in every hostile shape, from a member: what others have stays, after a restart too.

What can still do harm is in tests/tidy/unattacked.txt, and left out here.
"""

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import get_args

import msgspec
import pytest
from attacked_world import AttackedWorld
from golden.vectors import BODIES, tag_of
from hostile_values import arrived, hostile_bytes, hostile_frames

from protocol.broadcast.messages import Records
from protocol.contract.attaching import AttachAsk
from protocol.contract.messages import Act, HoldAsk, LeaseAsk
from protocol.grid.attached import AttachBody
from protocol.grid.model import GridSpec
from protocol.grid.record import ApplyTerms, HoldTerms, LeaseChange
from protocol.grid.stopping import RebuildTerms, StopTerms
from protocol.grid.volumes import TerminateTerms
from protocol.image.commit import CommitTerms
from protocol.node.events import Arrived
from protocol.node.messages import Message
from protocol.peering.news import News
from protocol.stream.messages import ConnectBody
from protocol.terms.ids import RequestId
from protocol.trust.order import DOMAIN, Action, Order, SignedOrder
from protocol.trust.record import Record, SignedRecord, sign_record
from protocol.wire.codec import encode
from protocol.wire.envelope import pack

LIST = Path(__file__).parents[1] / "tidy" / "unattacked.txt"
UNATTACKED = LIST.read_text().splitlines()
KINDS = {tag_of(k): k for k in get_args(Message) if tag_of(k) not in UNATTACKED}
RECORDS = [kind for kind in BODIES if f"record {kind}" not in UNATTACKED]
ACTIONS = [action for action in Action if f"order {action}" not in UNATTACKED]
ORDERED: dict[Action, type[msgspec.Struct]] = {
    Action.UP: GridSpec,
    Action.HOLD: HoldTerms,
    Action.LEASE: LeaseChange,
    Action.CONNECT: ConnectBody,
    Action.COMMIT: CommitTerms,
    Action.TERMINATE: TerminateTerms,
    Action.DOWN: StopTerms,
    Action.REBUILD: RebuildTerms,
    Action.APPLY: ApplyTerms,
    Action.ATTACH: AttachBody,
}
"""What an order of that action has as its body."""


@pytest.fixture
def attacked() -> AttackedWorld:
    return AttackedWorld()


def unharmed(attacked: AttackedWorld) -> None:
    """Nothing has changed, and has not after a restart."""
    attacked.settle()
    assert attacked.changed() == []
    attacked.restart()
    attacked.settle()
    assert attacked.changed() == []


@pytest.mark.parametrize("name", sorted(KINDS))
def test_nothing_a_member_says_changes_what_others_have(name: str, attacked: AttackedWorld) -> None:
    kind = KINDS[name]
    frames = list(hostile_frames(kind, attacked.truth, Random(7)))
    overheard = [pack(message, "") for message in attacked.overheard(kind)]
    for sender in (attacked.mallory.id, attacked.stranger()):
        for frame in (*frames, *overheard):
            attacked.tell(arrived(sender, frame))
    unharmed(attacked)


@pytest.mark.parametrize("kind", sorted(RECORDS))
def test_nothing_a_member_signs_into_a_record_changes_it(
    kind: str, attacked: AttackedWorld
) -> None:
    sender = attacked.mallory.id
    for signed in _records(attacked, kind):
        attacked.tell(Arrived(sender, Records((signed,)), ""))
    unharmed(attacked)


@pytest.mark.parametrize("action", ACTIONS)
def test_nothing_another_site_orders_changes_it(action: Action, attacked: AttackedWorld) -> None:
    world, grid = attacked.world, attacked.record.id
    admin = world.admins[attacked.mallory.site]
    names = tuple(a.workspace for a in attacked.record.assignments)
    sender = attacked.mallory.id
    for number, body in enumerate(
        hostile_bytes(ORDERED.get(action, News), attacked.truth, Random(7))
    ):
        order = Order(action, "shop", world.now_s, 600.0, f"{number:016x}", names[0], body)
        # Who is honest signs no order that breaks a rule.
        payload = encode(order)
        signed = SignedOrder(payload, admin.signer.sign(DOMAIN, payload), admin.chain)
        match action:
            case Action.UP | Action.HOLD:
                message: Message = HoldAsk(grid, signed, names, (), 8.0)
            case Action.LEASE:
                message = LeaseAsk(RequestId("r"), grid, signed)
            case Action.APPLY:
                ask = HoldAsk(grid, attacked.order, names, (), 8.0)
                message = msgspec.structs.replace(ask, change=signed, of=grid)
            case Action.ATTACH:
                message = AttachAsk(signed, "10.42.0.200", 0)
            case _:
                message = Act(RequestId("r"), grid, signed)
        attacked.tell(Arrived(sender, message, ""))
    unharmed(attacked)


def _records(attacked: AttackedWorld, kind: str) -> Iterator[SignedRecord]:
    """Records of the hostile member, truly signed; newer and newer, and about everybody."""
    signer, incarnation = attacked.mallory.identity.signer, 1 << 40
    names = {"grid": attacked.record.id, "suspicion": attacked.victims[0].id}
    for body in hostile_bytes(BODIES[kind], attacked.truth, Random(7)):
        incarnation += 1
        record = Record(signer.key, kind, names.get(kind, ""), incarnation, 1, body, 3600.0)
        try:
            yield sign_record(record, signer)
        except ValueError:
            continue
