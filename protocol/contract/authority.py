"""Whether an order allows what is asked. Every host checks that itself; passing an order on adds no trust.

A site's admin may ask for grids anywhere in the federation, and so may a member of a virtual organisation (VO)
that some site admits, as far as it was granted. Who made a grid may change it. What a host's own site lends to
whom is another question.
"""

from collections.abc import Container

from protocol.contract.entitled import require_entitled
from protocol.contract.judging import believed, follow, genuine
from protocol.contract.ordered import OrderedGrid
from protocol.contract.permitting import permit, require_later
from protocol.contract.reading import Deployment, Governs, Reading, draft, ungoverned
from protocol.contract.vouching import vouch
from protocol.grid.addresses import Card
from protocol.grid.asked import was_asked
from protocol.grid.decision import Certificate, Decision
from protocol.grid.grant import CheckedGrant, SignedGrant
from protocol.grid.model import GridSpec
from protocol.grid.record import GridRecord, Register
from protocol.grid.steps import Step
from protocol.terms.ids import GridId, KeyId, PeerId
from protocol.trust.certificate import Chain, Principal
from protocol.trust.order import CheckedOrder, SignedOrder
from protocol.trust.owner import Owner
from protocol.trust.revocation import Certified
from protocol.trust.signing import Verifier

__all__ = ["Authority", "Deployment"]


class Authority:
    """What this peer believes, given the federation it belongs to. Both sides of an agreement ask it."""

    def __init__(
        self,
        federation: KeyId,
        verifier: Verifier,
        revoked: Container[Certified] = (),
        admitted: Container[KeyId] = (),
        governs: Governs = ungoverned,
    ) -> None:
        """`admitted` are the keys of VOs that some site lends to. Both are asked each time: they change while
        the peer runs. So is `governs`."""
        self._reading = Reading(federation, verifier, revoked, admitted, governs)

    def order(self, signed: SignedOrder, now: float, fresh: bool) -> CheckedOrder:
        """Any order, believed. `fresh` says that it is about to be carried out for the first time.

        Raises Untrusted, which says why it is not believed.
        """
        return self._reading.order(signed, now, fresh)

    def deployment(self, signed: SignedOrder, now: float, fresh: bool) -> Deployment:
        """An `up` order, read. Raises Untrusted if it is not believed or its grid makes no sense."""
        return self._reading.deployment(signed, now, fresh)

    def to_hold(self, signed: SignedOrder, now: float, fresh: bool) -> Deployment:
        """The same, but an order that only holds is read too: its owner uses room as with an `up`.

        Raises Untrusted.
        """
        return self._reading.to_hold(signed, now, fresh)

    def draft(self, spec: GridSpec, site: str) -> Deployment:
        """A grid that nobody has ordered yet, for a plan. Raises Untrusted if it makes no sense."""
        return draft(spec, site)

    def remembered(self, signed: SignedOrder) -> OrderedGrid:
        """The grid in an order from this peer's own store, which was believed when it was stored."""
        return self._reading.remembered(signed)

    def ordered(self, record: GridRecord) -> OrderedGrid:
        """The grid that a record from this peer's own store is: its own order's, or the last one's applied."""
        return self._reading.remembered(record.standing)

    def cards(self, record: GridRecord) -> tuple[Card, ...]:
        """Where each of its workspaces is on each network, by network and then in file order."""
        return self._reading.cards.of(record, self.ordered(record).spec)

    def to_change(
        self, made: SignedOrder, change: SignedOrder, of: GridId, now: float, fresh: bool
    ) -> Deployment:
        """What an order to apply asks for of the grid `of`, which the order `made` has made (reading.py).

        Raises Untrusted.
        """
        return self._reading.to_change(made, change, of, now, fresh)

    def to_grow(self, record: GridRecord, by: PeerId, now: float) -> Deployment:
        """What room may make of a decided grid, for its host `by` (reading.py). It came last, so what others
        claim goes before. Raises Untrusted."""
        return self._reading.to_grow(record, by, now)

    def spec(self, signed: SignedOrder) -> GridSpec:
        """The grid in an order, whether or not it makes sense. Raises Untrusted if it cannot be read."""
        return self._reading.spec(signed)

    def change(self, signed: SignedOrder, record: GridRecord, now: float) -> CheckedOrder:
        """A fresh order about a grid that exists, from its owner. Raises Untrusted."""
        checked = self.order(signed, now, fresh=True)
        permit(checked, record)
        require_later(checked.order, record)
        return checked

    def barred(self, owner: Owner) -> str:
        """Why nothing new is kept for an owner (reading.py); empty if it is."""
        return self._reading.barred(owner)

    def decision(self, certificate: Certificate) -> Decision:
        """What a certificate says was decided (judging.py). Raises Untrusted."""
        return believed(self._reading, certificate)

    def signed(self, signed: SignedOrder) -> CheckedOrder:
        """An order whose signer could give it when it was signed. It allows nothing by itself. Raises
        Untrusted."""
        return self._reading.signed(signed)

    def revoked(self, signed: SignedOrder) -> str:
        """Which grant that an order from this peer's own store shows was revoked since (reading.py)."""
        return self._reading.revoked(signed)

    def host(self, chain: Chain) -> Principal:
        """The host that a chain is of, whatever has become of it since. Raises Untrusted."""
        return self._reading.host(chain)

    def judges(self, key: str, value: bytes) -> Register:
        """The register that a value says. Raises Untrusted if it does not vouch for itself (judging.py)."""
        return genuine(self._reading, key, value)

    def grant(self, signed: SignedGrant) -> CheckedGrant:
        """What a host granted, by its signature. Raises Untrusted."""
        return self._reading.grant(signed)

    def entitles(
        self,
        order: SignedOrder,
        record: GridRecord | None,
        stewards: tuple[PeerId, ...],
        step: Step,
        asker: PeerId,
        site: str,
    ) -> None:
        """Raises Untrusted if a peer may not ask for that step, by what a steward knows (entitled.py)."""
        require_entitled(self._reading, order, record, stewards, step, asker, site)

    def was_asked(self, deployment: Deployment, attempt: GridId, me: PeerId, asked: bytes) -> bool:
        """Whether the peer that an order is for signed that it asked this one to hold an attempt."""
        return was_asked(self._reading.verifier, PeerId(deployment.via), attempt, me, asked)

    def follows(
        self, order: SignedOrder, register: Register, step: Step, asker: PeerId, now: float
    ) -> Register:
        """What a register is after a step. Raises Untrusted if the step goes beyond the owner's orders."""
        return follow(self._reading, order, register, step, asker, now)

    def vouch(
        self, record: GridRecord, before: GridRecord | None, now: float, lapsed: bool = False
    ) -> Deployment:
        """What the record's own order says. Raises Untrusted if the record goes beyond its owner's orders.

        `before` and `lapsed` are as in vouching.py.
        """
        return vouch(self._reading, record, before, now, lapsed)
