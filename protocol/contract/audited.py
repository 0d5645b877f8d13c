"""What a peer writes down of a decision about an order: who gave it, for what, and what forbade it."""

from msgspec.structs import replace

from protocol.contract.authority import Authority
from protocol.terms.effects import Audit, Effect, Send
from protocol.terms.ids import PeerId
from protocol.trust.order import SignedOrder, claimed, order_id, read_order
from protocol.trust.owner import Owner
from protocol.trust.signing import Untrusted

Via = tuple[PeerId, str]
"""The peer that shows an order, and its site."""


def audited(
    authority: Authority, what: str, signed: SignedOrder, via: Via, now: float, forbids: str = ""
) -> Audit:
    """That a peer showed an order for that, and what forbade it; it was allowed if nothing did."""
    said = Audit(what, not forbids, forbids, order=order_id(signed), via=via[0], via_site=via[1])
    return _of_whom(authority, signed, _about(signed, said), now)


def before_said(effects: list[Effect], audit: Audit) -> list[Effect]:
    """The effects with the line where it belongs: behind what is written of the decision, before it is told."""
    first = next((i for i, e in enumerate(effects) if isinstance(e, Send)), len(effects))
    return [*effects[:first], audit, *effects[first:]]


def _about(signed: SignedOrder, said: Audit) -> Audit:
    try:
        order = read_order(signed)
    except Untrusted:
        return said
    return replace(said, action=order.action, grid=order.grid, workspace=order.workspace)


def _of_whom(authority: Authority, signed: SignedOrder, said: Audit, now: float) -> Audit:
    try:
        return _given_by(authority.order(signed, now, fresh=False).owner, said, believed=True)
    except Untrusted:
        return _claimed(signed, said)


def _claimed(signed: SignedOrder, said: Audit) -> Audit:
    """Who an order that is not believed says that it is of."""
    try:
        return _given_by(claimed(signed), said, believed=False)
    except Untrusted:
        return said


def _given_by(owner: Owner, said: Audit, *, believed: bool) -> Audit:
    return replace(
        said,
        believed=believed,
        owner=owner.key,
        whose=owner.label,
        member=owner.member,
        line=owner.line[1:],
    )
