"""Measures a world from outside: how fast news gets round, how soon deaths are known, which peers are wronged.

It sees what people would: the notes of peers. Nothing in the world depends on it.
"""

from collections.abc import Sequence

import msgspec

from protocol.broadcast.messages import Gossip, Records
from protocol.node.events import NewsGiven
from protocol.peering.news import KIND as NEWS
from protocol.sim.environment import Environment
from protocol.sim.peer import SimPeer
from protocol.sim.wires import Wires
from protocol.terms.effects import Note, Send

EXCUSED_S = 30.0
"""A peer may be accused with reason if it was cut off, stalled, down or late in this many seconds before."""
_DEAD, _SUSPECT, _NEWS, _SHUNNED = "peer.dead", "peer.suspect", "news", "peer.shunned"


class Telling(msgspec.Struct):
    """One line of news."""

    text: str
    author: str
    at_s: float
    audience: dict[str, int] = {}
    """Peers that were up then, without the author: name to the life each was in."""
    heard_s: dict[str, float] = {}
    """How many seconds each of them took to have it, in that life."""
    payloads: int = 0
    """How often the record was sent in all."""


class Death(msgspec.Struct):
    """A peer that stopped without a word, and when others knew."""

    name: str
    at_s: float
    suspected_s: list[float] = []
    known_s: list[float] = []
    """How many seconds each peer took that came to believe it dead."""


class Accusation(msgspec.Struct, frozen=True):
    """A peer that was believed dead and was not."""

    at_s: float
    by: str
    of: str


class Meter:
    """Counts and times, for the report."""

    def __init__(self, world: Environment, peers: Sequence[SimPeer], wires: Wires) -> None:
        self._world, self._peers, self._wires = world, peers, wires
        self.tellings: list[Telling] = []
        self._told: dict[str, Telling] = {}
        self._records: dict[bytes, Telling] = {}
        self.deaths: list[Death] = []
        self._down: dict[str, Death] = {}
        self._names: dict[str, SimPeer] = {}
        self._doubtful_until_s: dict[str, float] = {}
        self.false_deaths: list[Accusation] = []
        """Accusations of peers that were up, whole, quick and reachable."""
        self.excused_deaths = 0
        """How many accused peers were up, but had been cut off, down or late just before."""
        self.shunned: list[Accusation] = []
        """Honest peers on which an honest peer hung up for their faults."""

    # -- what the world is asked to do

    def tell(self, author: SimPeer) -> Telling:
        """Somebody gives news to a peer that is up."""
        audience = {p.name: p.life for p in self._peers if p.up and p is not author}
        telling = Telling(
            f"line {len(self.tellings) + 1}", author.name, self._world.now_s, audience
        )
        self.tellings.append(telling)
        self._told[telling.text] = telling
        author.feed(NewsGiven(telling.text))
        if author.node is not None:
            for held in author.node.broadcast.directory.of_kind(NEWS):
                if telling.text.encode() in held.signed.payload:
                    self._records[held.signed.payload] = telling
        for message in self._sent_at_once(author):
            self._count(message)
        return telling

    def missed(self, telling: Telling) -> list[str]:
        """The names of peers that have lived on ever since and have not heard it."""
        lives = {peer.name: peer.life for peer in self._peers if peer.up}
        return [
            name
            for name, life in telling.audience.items()
            if lives.get(name) == life and name not in telling.heard_s
        ]

    # -- what peers do

    def began(self, peer: SimPeer) -> None:
        """The peer's process starts."""
        self._names[peer.name] = peer
        self._down.pop(peer.name, None)
        self._excuse(peer)

    def died(self, peer: SimPeer) -> None:
        """The peer's process is gone, or frozen, which to others is as good as dead."""
        death = Death(peer.name, self._world.now_s)
        self.deaths.append(death)
        self._down[peer.name] = death

    def thawed(self, peer: SimPeer) -> None:
        """The peer was frozen and goes on."""
        self._down.pop(peer.name, None)
        self._excuse(peer)

    def sent(self, send: Send) -> None:
        """A message is on its way."""
        if self._records:
            self._count(send.message)

    def noted(self, peer: SimPeer, note: Note) -> None:
        """A peer tells its people something."""
        if note.kind == _NEWS:
            telling = self._told.get(note.detail)
            if telling is not None and telling.audience.get(peer.name) == peer.life:
                telling.heard_s.setdefault(peer.name, self._world.now_s - telling.at_s)
        elif note.kind in (_DEAD, _SUSPECT):
            self._accused(peer, note)
        elif note.kind == _SHUNNED and not peer.lies:
            other = next((p for p in self._peers if p.id == note.subject), None)
            if other is not None and not other.lies:
                self.shunned.append(Accusation(self._world.elapsed_s, peer.name, other.name))

    # -- parts

    def _accused(self, by: SimPeer, note: Note) -> None:
        death = self._down.get(note.subject)
        if death is not None:
            times = death.known_s if note.kind == _DEAD else death.suspected_s
            times.append(self._world.now_s - death.at_s)
            return
        accused = self._names.get(note.subject)
        if note.kind != _DEAD or accused is None or accused.lies or by.lies:
            return
        if self._is_excused(accused) or self._is_excused(by):
            self.excused_deaths += 1
        else:
            self.false_deaths.append(Accusation(self._world.elapsed_s, by.name, accused.name))

    def _excuse(self, peer: SimPeer) -> None:
        self._doubtful_until_s[peer.name] = self._world.now_s + EXCUSED_S

    def _is_excused(self, peer: SimPeer) -> bool:
        now_s = self._world.now_s
        if peer.late_s or peer.stalled or now_s < self._wires.whole_since_s + EXCUSED_S:
            return True
        return now_s < self._doubtful_until_s.get(peer.name, 0.0)

    def _sent_at_once(self, author: SimPeer) -> list[object]:
        """The messages that the author sent in the step that told it, before its record was known here."""
        if not author.story:
            return []
        _, event, effects = author.story[-1]
        if not isinstance(event, NewsGiven):
            return []
        return [effect.message for effect in effects if isinstance(effect, Send)]

    def _count(self, message: object) -> None:
        if isinstance(message, Gossip | Records):
            for record in message.records:
                telling = self._records.get(record.payload)
                if telling is not None:
                    telling.payloads += 1
