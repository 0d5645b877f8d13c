"""A host in a network of a grid that it carries nothing of, for as long as its person wants it there.

    asker                                 each host with members on the network
     |   attach-ask (order, address) ->    |  checks the order alone, gives the address to nobody else
     |   <- attach-told                    |  with the certificate, if the asker knows an older one
     |   ...                               |  again every few seconds; without that the address is free
     |   attach-end ->                     |

A host gives an address to one asker only, on disk before it says so. The asker is on the network once more
than half of these hosts gave it the same address, so no two askers ever have one. What else the asker goes by
(who is a member, and where) follows from the certificate.
"""

import msgspec

from protocol.grid.attached import AttachBody
from protocol.grid.decision import Certificate
from protocol.terms.ids import GridId
from protocol.terms.ranges import Name, Number, Place, Said, cut
from protocol.trust.order import Action, CheckedOrder, SignedOrder
from protocol.trust.signing import Reason, Untrusted
from protocol.wire.codec import Malformed, decode

ATTACH_EVERY_S = 4.0
"""How often an asker that is attached asks again."""
ATTACH_AGAIN_S = 1.0
"""How often one asks that is not attached yet."""
ATTACH_LIFE_S = 15.0
"""How long a host's word lasts: three asks may be lost."""
ATTACHED_MOST = 32
"""Askers on the networks of one grid at once, as each of its hosts counts them."""


class AttachAsk(msgspec.Struct, frozen=True, tag="attach-ask"):
    """Have me on the network that the order names, at that address, for ATTACH_LIFE_S more.

    It takes the place of what the sender had there before.
    """

    order: SignedOrder
    address: Place
    """IPv4. Empty: only the certificate is asked for."""
    epoch: Number
    """Of the newest certificate of the grid that the sender knows; 0 if it knows none."""


class AttachTold(msgspec.Struct, frozen=True, tag="attach-told"):
    """The address is yours here (and that is on disk), or why it is not."""

    grid: GridId
    network: Name
    address: Place
    """The one that was asked for."""
    problem: Said
    """Empty if it is given, or none was asked for."""
    taken: bool = False
    """Whether another address would do."""
    shown: Certificate | None = None
    """What was decided of the grid, if that is newer than what the sender knows."""

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "problem", cut(self.problem))


class AttachEnd(msgspec.Struct, frozen=True, tag="attach-end"):
    """I leave that network. It is not answered."""

    grid: GridId
    network: Name


ToAttacher = AttachTold
ToCarrier = AttachAsk | AttachEnd
AttachMessage = ToCarrier | ToAttacher


def network_of(checked: CheckedOrder) -> str:
    """The network that an order to attach names. Raises Untrusted if it is another order."""
    order = checked.order
    if order.action is not Action.ATTACH:
        raise Untrusted(Reason.MALFORMED, f"an order to {order.action} attaches nobody")
    try:
        return decode(order.body, AttachBody).network
    except Malformed as error:
        raise Untrusted(Reason.MALFORMED, f"an order to attach names a network: {error}") from None
