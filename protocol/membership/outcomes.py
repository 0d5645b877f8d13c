"""What membership cannot do itself and asks the node to have done."""

import msgspec

from protocol.membership.doubles import Double
from protocol.membership.liveness import Changed
from protocol.membership.messages import Suspicion
from protocol.terms.ids import PeerId


class Accuse(msgspec.Struct, frozen=True):
    """Publish that we hear nothing from this peer. An incarnation of -1: that we do again."""

    suspicion: Suspicion


class Refute(msgspec.Struct, frozen=True):
    """A peer suspects this one: raise the incarnation above `incarnation`, and say so."""

    incarnation: int
    of_liar: bool = False
    """Whether the one that suspects it is wrong all the time: others hardly believe it."""


class Returned(msgspec.Struct, frozen=True):
    """This peer was stopped for a while, and others suspect it: say that it is back."""


class NeighbourUp(msgspec.Struct, frozen=True):
    """A neighbour's connection stands."""

    peer: PeerId


class NeighbourDown(msgspec.Struct, frozen=True):
    """A neighbour is gone, or its connection is."""

    peer: PeerId


class Met(msgspec.Struct, frozen=True):
    """This peer is no neighbour (yet), but directories are worth comparing with it."""

    peer: PeerId


Outcome = Double | Accuse | Refute | Returned | NeighbourUp | NeighbourDown | Met | Changed
