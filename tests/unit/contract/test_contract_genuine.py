"""What a value of a register must show by itself, and what it may not say."""

from collections.abc import Callable
from random import Random

import msgspec
import pytest

from protocol.contract.authority import Authority
from protocol.grid.record import (
    GridRecord,
    GridState,
    LeaseChange,
    Register,
    Void,
    grid_id,
    register_key,
)
from protocol.sim.keys import SimFederation, SimVerifier
from protocol.sim.people import Admin, grid_spec
from protocol.terms.ids import GridId, PeerId
from protocol.trust.order import Action
from protocol.trust.signing import Untrusted
from protocol.wire.codec import encode

NOW = 1_000_000.0
FED = SimFederation("fed", from_s=NOW - 1000, until_s=NOW + 1000)
ADMIN, OTHER = Admin(FED, "ams", Random(1)), Admin(FED, "osl", Random(2))
UP = ADMIN.up(grid_spec("shop"), NOW)
KEY = register_key(ADMIN.signer.key, "shop")
RECORD = GridRecord(
    grid_id(UP), "shop", ADMIN.signer.key, "ams", 1, GridState.UP, UP, (PeerId("s"),), (), (), ()
)
DOWN = ADMIN.order(Action.DOWN, "shop", NOW + 1)
LONGER = ADMIN.order(Action.LEASE, "shop", NOW + 1, body=encode(LeaseChange(60)))


def said(value: bytes, key: str = KEY) -> Register:
    return Authority(FED.key, SimVerifier()).register(key, value)


@pytest.mark.parametrize(
    "register",
    [
        Register(),
        Register(RECORD),
        Register(None, (Void("x.0", NOW),)),
        Register(msgspec.structs.replace(RECORD, epoch=2, changes=(DOWN,), state=GridState.DOWN)),
        Register(msgspec.structs.replace(RECORD, epoch=2, changes=(LONGER,), extra_s=60)),
    ],
)
def test_what_the_owner_ordered_is_believed_at_any_time(register: Register) -> None:
    assert said(encode(register)) == register


LIES: dict[str, Callable[[GridRecord], GridRecord]] = {
    "another order": lambda r: msgspec.structs.replace(r, order=OTHER.up(grid_spec("shop"), NOW)),
    "a turned order": lambda r: msgspec.structs.replace(
        r, order=msgspec.structs.replace(UP, payload=UP.payload[:-1] + b"x")
    ),
    "no up": lambda r: msgspec.structs.replace(r, order=DOWN, id=grid_id(DOWN)),
    "another id": lambda r: msgspec.structs.replace(r, id=GridId("0" * 20 + ".0")),
    "another's change": lambda r: msgspec.structs.replace(
        r, changes=(OTHER.order(Action.DOWN, "shop", NOW),)
    ),
    "time that nobody ordered": lambda r: msgspec.structs.replace(r, extra_s=60),
    "no change of a lease": lambda r: msgspec.structs.replace(
        r, changes=(ADMIN.order(Action.LEASE, "shop", NOW, body=b"x"),)
    ),
    "no steward": lambda r: msgspec.structs.replace(r, stewards=()),
    "an epoch beyond all": lambda r: msgspec.structs.replace(r, epoch=1 << 60),
    "no epoch": lambda r: msgspec.structs.replace(r, epoch=0),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_a_record_that_goes_beyond_its_orders_is_not(
    lie: Callable[[GridRecord], GridRecord],
) -> None:
    with pytest.raises(Untrusted):
        said(encode(Register(lie(RECORD))))


def test_nor_what_is_no_register_or_another_one() -> None:
    with pytest.raises(Untrusted):
        said(b"\xc1")
    with pytest.raises(Untrusted):
        said(encode(Register(RECORD)), register_key(ADMIN.signer.key, "other"))
    with pytest.raises(Untrusted):
        said(encode(Register(None, (Void("x.0", NOW),) * 300)))
