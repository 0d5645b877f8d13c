"""Questions to other hosts that wait for their answers, each for a few seconds."""

import asyncio
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from protocol.node.events import Say
from protocol.node.messages import BulkMessage
from protocol.terms.ids import PeerId, short_hash

ANSWER_WITHIN_S = 5.0


class Answer(Protocol):
    """What tells answers to different questions apart."""

    @property
    def session(self) -> str:
        """The question's."""


T = TypeVar("T", bound=Answer)


class Asks(Generic[T]):
    """The questions of one kind. An answer counts once, and from the peer alone that was asked."""

    def __init__(self, me: PeerId, kind: str, say: Callable[[Say], None]) -> None:
        self._me, self._kind, self._say = me, kind, say
        self._waiting: dict[tuple[PeerId, str], asyncio.Future[T]] = {}
        self._asked = 0

    def session(self) -> str:
        """What to call the next question."""
        self._asked += 1
        return short_hash(str(self._asked), self._me, self._kind, digits=16)

    async def ask(self, peer: PeerId, session: str, question: BulkMessage) -> T | None:
        """What that peer answers; None if it does not in time."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting[peer, session] = future
        try:
            self._say(Say(peer, question))
            async with asyncio.timeout(ANSWER_WITHIN_S):
                return await future
        except TimeoutError:
            return None
        finally:
            self._waiting.pop((peer, session), None)

    def deliver(self, peer: PeerId, answer: T) -> None:
        """An answer came. It is ignored if nobody waits for it, or not from that peer."""
        waiting = self._waiting.get((peer, answer.session))
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)
