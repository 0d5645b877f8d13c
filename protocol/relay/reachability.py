"""Whether others can dial this peer. It asks others, because a peer cannot see its own door from outside.

Peers at other sites are asked to dial back (as AutoNAT does in libp2p). A peer that dialled this one need not
be asked. A peer that had to come through a relay says that it did. If all got through this peer is public, if
none did it is behind nat, and if some did it is relayed. A member that lies can make a peer say that it is
relayed. That costs the peer nothing, except that it names its neighbours.

A dial back goes only to the address that a member signed for itself, proves the key that answers, and is made
seldom. So it is no better than any presence for knocking at a stranger's door.
"""

from protocol.relay.messages import DialBack, DialledBack
from protocol.relay.outcomes import Around, Outcome, ReachChanged
from protocol.terms.effects import Deadline, Effect, Knock, Send
from protocol.terms.ids import PeerId
from protocol.terms.limits import (
    ASK_AGAIN_NAT_S,
    ASK_AGAIN_S,
    DIAL_BACK_EVERY_S,
    DIAL_BACKS,
    VERDICT_S,
    VERDICTS,
    VERDICTS_WANTED,
)
from protocol.terms.reach import Reach

REACH_WORDS = {
    Reach.PUBLIC: "others can dial this peer",
    Reach.NAT: "nobody can dial this peer; others reach it through those it dials",
    Reach.RELAYED: "some cannot dial this peer; they reach it through others",
}

Answer = tuple[list[Effect], list[Outcome]]


class Reachability:
    """What others found when they dialled this peer, and what this one finds for others."""

    def __init__(self, site: str, address: str, said: Reach | None, around: Around) -> None:
        """`said` is what the configuration says; None if it is to be found out. An empty address means nat."""
        self._site, self._around = site, around
        self._address, self._configured = address, said
        self._said = said if address else Reach.NAT
        self.reach = self._said or Reach.PUBLIC
        self._verdicts: dict[PeerId, tuple[bool, float]] = {}
        self._asked: dict[PeerId, None] = {}
        """Peers that were asked in this round and have not answered yet."""
        self._again_s = 0.0
        self._knocking: dict[PeerId, float] = {}
        """The peers that this one dialled back or is dialling back, and when."""

    def readdressed(self, address: str, now: float) -> None:
        """This peer is dialled at that address from now on. If it is another, others are asked anew."""
        if address == self._address:
            return
        self._address = address
        self._said = self._configured if address else Reach.NAT
        self.reach = self._said or Reach.PUBLIC
        self._verdicts.clear()
        self._asked.clear()
        self._again_s = now

    def met(self, peer: PeerId, accepted: bool, now: float) -> Answer:
        """A connection was introduced. `accepted`: that peer made it."""
        if self._said is Reach.NAT or self._at_home(peer):
            return [], []
        if accepted:
            return [], self.told(peer, True, now)
        if self._said is not None or not self._wants(peer):
            return [], []
        return self._ask(peer, now), []

    def told(self, peer: PeerId, reached: bool, now: float) -> list[Outcome]:
        """That peer says whether it got through."""
        self._asked.pop(peer, None)
        if self._said is Reach.NAT or self._at_home(peer):
            return []
        self._verdicts.pop(peer, None)
        self._verdicts[peer] = (reached, now)
        if len(self._verdicts) > VERDICTS:
            del self._verdicts[next(iter(self._verdicts))]
        return self._judge(now)

    def lost(self, peer: PeerId, now: float) -> list[Outcome]:
        """The connection to that peer is gone, so its answer will not come."""
        if peer not in self._asked:
            return []
        del self._asked[peer]
        return self._judge(now)

    def asked(self, peer: PeerId, now: float) -> list[Effect]:
        """Another peer wants to know whether this one can dial it."""
        told = self._around.told(peer)
        self._knocking = {
            who: at_s for who, at_s in self._knocking.items() if now < at_s + DIAL_BACK_EVERY_S
        }
        if told is None or peer in self._knocking or len(self._knocking) >= DIAL_BACKS:
            return []
        if not told.address:
            return [Send(peer, DialledBack(False))]
        self._knocking[peer] = now
        return [Knock(peer, told.address)]

    def knocked(self, peer: PeerId, reached: bool) -> list[Effect]:
        """A knock was answered, or was not."""
        if peer not in self._knocking or not self._around.is_direct(peer):
            return []
        return [Send(peer, DialledBack(reached))]

    def tick(self, now: float) -> Answer:
        """Forgets old verdicts, and asks again."""
        if now < self._again_s or not self._again_s:
            return [], []
        self._asked.clear()
        self._verdicts = {
            peer: verdict
            for peer, verdict in self._verdicts.items()
            if now < verdict[1] + VERDICT_S and self._around.told(peer) is not None
        }
        effects: list[Effect] = []
        if self._said is None:
            for peer in self._around.direct():
                if len(self._asked) < VERDICTS_WANTED and not self._at_home(peer):
                    effects += self._ask(peer, now)
        self._again_s = now + self._pause_s() if self._verdicts or effects else 0.0
        return effects, self._judge(now)

    def next_deadline(self) -> Deadline | None:
        """When to tick."""
        return Deadline(self._again_s, "reach") if self._again_s else None

    def check(self) -> None:
        """Asserts the bounds."""
        assert len(self._verdicts) <= VERDICTS
        assert len(self._knocking) <= DIAL_BACKS

    def _at_home(self, peer: PeerId) -> bool:
        """Whether that peer is of this one's site, which gets through behind any NAT, or is not known."""
        told = self._around.told(peer)
        return told is None or told.site == self._site

    def _wants(self, peer: PeerId) -> bool:
        if peer in self._verdicts or peer in self._asked:
            return False
        return len(self._verdicts) + len(self._asked) < VERDICTS_WANTED

    def _ask(self, peer: PeerId, now: float) -> list[Effect]:
        self._asked[peer] = None
        self._again_s = self._again_s or now + self._pause_s()
        return [Send(peer, DialBack())]

    def _pause_s(self) -> float:
        sure = self.reach is Reach.PUBLIC and bool(self._verdicts)
        return ASK_AGAIN_S if sure else ASK_AGAIN_NAT_S

    def _judge(self, now: float) -> list[Outcome]:
        got = [reached for reached, _ in self._verdicts.values()]
        reach = self.reach
        if any(got):
            reach = Reach.PUBLIC if all(got) else Reach.RELAYED
        elif got and self._said is None and not self._asked:
            reach = Reach.NAT
        elif got and self._said is Reach.PUBLIC:
            reach = Reach.RELAYED
        elif not got and self._said is not None:
            reach = self._said
        if reach is self.reach:
            return []
        self.reach = reach
        self._again_s = now + self._pause_s()
        return [ReachChanged(reach)]
