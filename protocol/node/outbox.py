"""The way out: it orders the effects of one step so that a failure takes no more with it than it must."""

import msgspec

from protocol.membership.membership import Membership
from protocol.membership.messages import Hello, Unwelcome
from protocol.terms.effects import Effect, HandOver, Note, Persist, Realise, Send
from protocol.terms.ids import PeerId
from protocol.wire.limits import MAX_CAUSE_CHARACTERS


class Outbox:
    """Orders effects and sends them through connections."""

    def __init__(self, me: PeerId, membership: Membership) -> None:
        self._me, self._membership = me, membership
        self._promises: list[Effect] = []

    def promise(self, effects: list[Effect]) -> None:
        """Takes in a write that may fail by itself, with what may only be said after it."""
        self._promises += effects

    @property
    def promised(self) -> bool:
        """Whether promises are to go out."""
        return bool(self._promises)

    def order(self, effects: list[Effect]) -> list[Effect]:
        """The effects in order: first what must succeed, then promises, then mere tidying.

        What is behind a write that failed does not happen, so nothing else may be behind one that may fail by
        itself.
        """
        if not self._promises and not any(isinstance(effect, Persist) for effect in effects):
            return effects
        tidying = [e for e in effects if isinstance(e, Persist) and e.otherwise is not None]
        must = [e for e in effects if not (isinstance(e, Persist) and e.otherwise is not None)]
        promises, self._promises = self._promises, []
        return must + promises + tidying

    def send(self, effects: list[Effect], cause: str, now: float) -> list[Effect]:
        """Sends go by the peer's connection, which is made if need be. Effects without a cause get `cause`."""
        out: list[Effect] = []
        for effect in caused(self.order(effects), cause):
            if isinstance(effect, Send) and len(effect.cause) > MAX_CAUSE_CHARACTERS:
                # Causes are ids, and some of those are whatever a peer called its request or grid.
                cut = effect.cause[:MAX_CAUSE_CHARACTERS]
                effect = msgspec.structs.replace(effect, cause=cut)
            if (
                not isinstance(effect, Send)
                or effect.peer == self._me
                or isinstance(effect.message, Hello | Unwelcome)
            ):
                out.append(effect)
            else:
                out += self._membership.route(effect, now)
        return out


def caused(effects: list[Effect], cause: str) -> list[Effect]:
    """The same effects; those without a cause get this one."""
    if not cause:
        return effects
    return [
        msgspec.structs.replace(effect, cause=cause)
        if isinstance(effect, Send | Note | Realise | HandOver) and not effect.cause
        else effect
        for effect in effects
    ]
