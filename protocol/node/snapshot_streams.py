"""Whether an order opens a stream to a workspace of this host, and whether one that is open may stay."""

from protocol.grid.lifecycle import Power
from protocol.hosting.lease import Lease
from protocol.node.carried import NotYours, carried
from protocol.node.node import Node
from protocol.node.rows import NoStream, StreamWay
from protocol.node.snapshot_peers import health_of, site_of
from protocol.stream.admission import Carried
from protocol.stream.messages import ConnectBody, Why
from protocol.terms.ids import PeerId
from protocol.trust.order import Action, CheckedOrder, SignedOrder
from protocol.wire.codec import Malformed, decode

GONE = ("dead", "left")
_RUNS = (Power.RUNNING, Power.PAUSED)


def way(
    node: Node, signed: SignedOrder, via: PeerId, now: float, kept: StreamWay | None
) -> StreamWay:
    """Where the order leads if `via` shows it now. Raises Untrusted or NoStream.

    With `kept`, what it answered before, the question is whether a stream that is open may stay: then the
    order's age does not count. Whoever is not the owner is told nothing of what is here but whose it is.
    """
    checked = node.authority.order(signed, now, fresh=kept is None)
    body = _body(checked, via)
    if kept is not None:
        _require_member(node, via, kept.site)
    row = _row(node, checked)
    order, record = checked.order, row.record
    here = {wanted.workspace: wanted.power for wanted in node.host.leases.wanted(record.id)}
    power = here.get(order.workspace)
    if power is None or power is Power.GONE:
        raise _not_here(checked, record.name)
    if power not in _RUNS:
        raise NoStream(Why.ENDED, f"{order.workspace} is stopped: it is {power}")
    cards = node.host.leases.cards(row)
    return StreamWay(
        Carried(via, checked.owner.key, record.id, order.workspace),
        body.port,
        tuple((card.network, card.address) for card in cards if card.workspace == order.workspace),
        kept.site if kept is not None else site_of(node, via),
    )


def _body(checked: CheckedOrder, via: PeerId) -> ConnectBody:
    order = checked.order
    if order.action is not Action.CONNECT:
        raise NoStream(Why.REFUSED, f"an order to {order.action} does not open a stream")
    try:
        body = decode(order.body, ConnectBody)
    except Malformed as error:
        raise NoStream(
            Why.REFUSED, f"an order to connect names a port and a peer: {error}"
        ) from None
    if body.via != via:
        raise NoStream(Why.REFUSED, "this order is for use through another peer")
    return body


def _row(node: Node, checked: CheckedOrder) -> Lease:
    """The grid of whoever signed the order, as this host carries it."""
    try:
        row = carried(node, checked)
    except NotYours as error:
        raise NoStream(Why.REFUSED, str(error)) from None
    if row is None:
        raise _not_here(checked)
    return row


def _require_member(node: Node, via: PeerId, site: str) -> None:
    if node.overlay.is_out(via, site):
        raise NoStream(Why.REFUSED, "the certificate of the peer it goes through was revoked")
    if health_of(node, via) in GONE:
        raise NoStream(Why.SILENT, "the peer it goes through is gone")


def _not_here(checked: CheckedOrder, name: str = "") -> NoStream:
    order = checked.order
    what = f"{name or order.grid}/{order.workspace}"
    return NoStream(Why.ENDED, f"this host does not carry {what}")
