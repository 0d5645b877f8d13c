"""What a steward keeps of one register, and for how long."""

from collections.abc import Callable

import msgspec

from protocol.grid.decision import Ballot
from protocol.grid.limits import LEASE_S_MAX
from protocol.grid.record import GridState, Register
from protocol.grid.seal import Seal, Seats
from protocol.grid.statement import Said
from protocol.register.messages import Sealed
from protocol.terms.ids import KeyId, PeerId, StoreId, digest_of
from protocol.trust.order import SignedOrder
from protocol.trust.signing import Untrusted

TABLE = "steward"

_FORGET_AFTER_S = 32 * 86400.0
"""A month, as long as an order may wait."""


class Slot(msgspec.Struct, frozen=True):
    """What is on disk of one register. `order` is there while no value has it."""

    promised: Ballot
    accepted: Ballot | None = None
    value: bytes = b""
    signature: bytes = b""
    order: SignedOrder | None = None
    seals: tuple[Seal, ...] = ()
    """How its stewards came to be those that they are."""
    base: bytes = b""
    """What the set before decided last; empty if this steward was not told, or there was none before."""


class Opened(msgspec.Struct, frozen=True):
    """What the order of a register says of it."""

    owner: KeyId
    stewards: tuple[PeerId, ...]
    until_s: float
    """Until when the order may be carried out for the first time, Unix seconds."""
    stores: tuple[StoreId, ...] = ()
    """Which store of each steward has its seat, as in an order."""
    barred: str = ""
    """Why no new register is kept for its owner here; empty if one is."""

    @property
    def seats(self) -> Seats:
        """The first set."""
        return Seats(self.stewards, self.stores)


class Unseated(Untrusted):
    """This host has no seat in a register any more, or not with the store that it has now.

    Who asks may not know that.
    """


Opens = Callable[[SignedOrder], Opened]
"""An order whose signature is right. Raises Untrusted."""
Judges = Callable[[str, bytes], Register]
"""The register that a value of that key says. Raises Untrusted if it does not vouch for itself."""


class Kept(msgspec.Struct, frozen=True):
    """One register as this steward has it."""

    slot: Slot
    register: Register
    opened: Opened
    order: SignedOrder

    @property
    def term(self) -> int:
        """How often its stewards were replaced, as far as this one knows."""
        return len(self.slot.seals)

    @property
    def stewards(self) -> tuple[PeerId, ...]:
        """Who they are now."""
        return self.seats.members

    @property
    def seats(self) -> Seats:
        """The same, with their stores."""
        return self.at(self.term)

    def at(self, term: int) -> Seats:
        """Who they were at a term that it knows."""
        return self.slot.seals[term - 1].seats if term else self.opened.seats

    def sealed(self, ask: str, key: str) -> Sealed:
        """What is answered to who does not know who they are now."""
        return Sealed(ask, key, self.order, self.slot.seals)


def is_over(kept: Kept, now: float, *, retired: bool) -> bool:
    """Whether nothing can come of a register any more, by this steward's clock and with a wide margin.

    A carrier that was away asks what became of its grid for as long as its lease could last.
    """
    record = kept.register.record
    if record is None and not kept.term:
        return may_be_forgotten(kept.opened, now)
    extra_s = max(0, record.extra_s) if record is not None else 0
    longest_s = kept.opened.until_s + extra_s + _FORGET_AFTER_S
    if record is None or record.state is GridState.UP:
        # Stewards are replaced only while a grid is up, so an heir that was not told of it yet has such a one.
        # Who was replaced hears nothing any more, so it goes by how long the grid could last.
        return retired and now > longest_s + LEASE_S_MAX
    return now > max(longest_s, record.start_s + _FORGET_AFTER_S)


def may_be_forgotten(opened_: Opened, now: float) -> bool:
    """Whether its register at term 0 may have been forgotten here. None is before that (is_over)."""
    return now > opened_.until_s + _FORGET_AFTER_S


def beyond(said: Said, slot: Slot) -> bool:
    """Whether a statement of this store and of the slot's term says more than the slot remembers."""
    if said.promised is not None and said.promised > slot.promised:
        return True
    if said.accepted is None:
        return False
    if slot.accepted is None or said.accepted > slot.accepted:
        return True
    return said.accepted == slot.accepted and said.digest != digest_of(slot.value)
