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
from protocol.sim.keys import SimFederation, SimSigner, SimVerifier
from protocol.sim.people import Admin, grid_spec
from protocol.terms.ids import GridId, PeerId
from protocol.trust.certificate import read_certificate, sign_certificate
from protocol.trust.order import Action, Order, SignedOrder, sign_order
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


def by_name(at_s: float) -> SignedOrder:
    """An order about the grid as a build before this one took it, by its name."""
    return Admin(FED, "ams", Random(9)).order(Action.DOWN, "shop", at_s)


def test_a_change_that_an_older_build_took_by_name_is_believed_if_it_is_not_older_than_the_grid() -> (
    None
):
    down = msgspec.structs.replace(
        RECORD, epoch=2, changes=(by_name(NOW + 1),), state=GridState.DOWN
    )
    assert said(encode(Register(down))).record == down


def test_the_end_that_a_sites_next_key_ordered_is_believed_and_nothing_else_of_it() -> None:
    key = SimSigner("fed/ams/next")
    certificate = msgspec.structs.replace(
        read_certificate(ADMIN.chain[0]), subject=key.key, serial="0123456789abcdef"
    )
    chain = (sign_certificate(certificate, FED.root),)

    def ordered(action: Action, body: bytes = b"") -> SignedOrder:
        return sign_order(
            Order(action, RECORD.id, NOW + 1, 60.0, "01234567", body=body), key, chain
        )

    down = msgspec.structs.replace(
        RECORD, epoch=2, changes=(ordered(Action.DOWN),), state=GridState.DOWN
    )
    assert said(encode(Register(down))).record == down
    longer = ordered(Action.LEASE, encode(LeaseChange(60)))
    with pytest.raises(Untrusted, match="belongs to another site's admin"):
        said(encode(Register(msgspec.structs.replace(RECORD, changes=(longer,), extra_s=60))))


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
    "a change of the grid before": lambda r: msgspec.structs.replace(
        r, changes=(ADMIN.order(Action.DOWN, GridId("0" * 20 + ".0"), NOW + 1),)
    ),
    "a change by name of before": lambda r: msgspec.structs.replace(r, changes=(by_name(NOW - 1),)),
    "one change twice": lambda r: msgspec.structs.replace(r, changes=(LONGER,) * 2, extra_s=120),
    "another site's end": lambda r: msgspec.structs.replace(
        r, changes=(OTHER.order(Action.DOWN, r.id, NOW + 1),)
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
