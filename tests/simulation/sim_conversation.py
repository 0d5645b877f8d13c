"""A person who asks one peer for one thing after another, and asks again when the answer was lost.

Ids of requests follow from the orders, as the API's do. Everything is said twice, as a client does that got
no answer. When the peer was restarted in the middle, the same signed order is given again.
"""

from collections.abc import Callable

import msgspec

from protocol.node.events import Event
from protocol.requesting.events import CancelAsked, OrderGiven, PlanAsked
from protocol.requesting.request import RequestState, RequestView
from protocol.sim.peer import SimPeer
from protocol.sim.people import grid_spec
from protocol.sim.world import World
from protocol.terms.ids import RequestId
from protocol.trust.order import SignedOrder, order_key

HOLD_S = 20.0
_LOOKS_EVERY_S = 0.05

Word = Callable[["Conversation"], tuple[RequestId, Event]]


class Conversation:
    """A conversation about one grid of three workspaces."""

    def __init__(
        self, world: World, peer: SimPeer, words: tuple[Word, ...], first: str = ""
    ) -> None:
        """`first` goes on where an earlier one ended."""
        self._world, self._peer, self._left = world, peer, list(words)
        self.admin, self.spec = world.admins["s1"], grid_spec("shop", 3)
        self.signed: dict[Word, SignedOrder] = {}
        self.first = RequestId(first)
        """What was asked first: a quote, or a plan that is held."""
        self.answers: list[RequestView] = []
        self.request = RequestId("")
        self._say()
        world.after(_LOOKS_EVERY_S, self._look)

    @property
    def over(self) -> bool:
        """Whether everything was said and answered."""
        return not self._left

    @property
    def now_s(self) -> float:
        """When something is signed."""
        return self._world.now_s

    def _say(self) -> None:
        self.request, event = self._left[0](self)
        self.first = self.first or self.request
        self._world.invariants.asked(self._peer, self.request)
        for _ in range(2):
            self._peer.feed(event)

    def _look(self) -> None:
        if self.over:
            return
        self._world.after(_LOOKS_EVERY_S, self._look)
        if self._peer.node is None:
            return
        view = self._peer.node.requester.requests.view(self.request)
        lost = view is None or view.state is RequestState.INTERRUPTED
        if lost and self._left[0] is cancel:
            del self._left[0]  # The API says that there is no such request, or that it has ended.
        elif lost:
            self._say()
        elif view is not None and view.state is not RequestState.RUNNING:
            self.answers.append(view)
            del self._left[0]
            if self._left:
                self._say()


def up(talk: Conversation) -> tuple[RequestId, Event]:
    """A grid."""
    order = _signed(talk, up)
    return _id(order), OrderGiven(_id(order), order)


def quote(talk: Conversation) -> tuple[RequestId, Event]:
    """A plan that is kept."""
    return RequestId("quote-1"), PlanAsked(RequestId("quote-1"), talk.spec, "s1", keep=True)


def hold(talk: Conversation) -> tuple[RequestId, Event]:
    """A plan that is held."""
    if hold not in talk.signed:
        talk.signed[hold] = talk.admin.hold(talk.spec, HOLD_S, talk.now_s)
    order = talk.signed[hold]
    return _id(order), OrderGiven(_id(order), order)


def take(talk: Conversation) -> tuple[RequestId, Event]:
    """Exactly what was quoted, or is held."""
    order = _signed(talk, take)
    return _id(order), OrderGiven(_id(order), order, talk.first)


def change(talk: Conversation) -> tuple[RequestId, Event]:
    """One workspace more than the grid that is up has, and larger ones."""
    if change not in talk.signed:
        cluster = msgspec.structs.replace(talk.spec.clusters[0], count=4, cpus_milli=1000)
        spec = msgspec.structs.replace(talk.spec, clusters=(cluster,))
        talk.signed[change] = talk.admin.apply(spec, 1, talk.now_s)
    order = talk.signed[change]
    return _id(order), OrderGiven(_id(order), order)


def cancel(talk: Conversation) -> tuple[RequestId, Event]:
    """Cancels what was asked first."""
    return talk.first, CancelAsked(talk.first)


def _signed(talk: Conversation, word: Word) -> SignedOrder:
    if word not in talk.signed:
        talk.signed[word] = talk.admin.up(talk.spec, talk.now_s)
    return talk.signed[word]


def _id(order: SignedOrder) -> RequestId:
    return RequestId(order_key(order))
