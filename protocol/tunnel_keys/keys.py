"""The keys that this host's forwarder has with every partner, and how they come, change and go.

Partners are the hosts with members on a sealed network that has members here, too. Keys are for one instance of
the forwarder: a new one begins to count packets anew, and with old keys it would use a nonce twice. So another
instance means new keys with everybody. Nothing here is ever on disk: another life of the daemon makes new keys,
too, while its forwarder goes on by those that it has.
"""

from collections.abc import Callable, Mapping

from protocol.grid.tunnel import TunnelEnd
from protocol.terms.effects import Deadline, Effect, Sealed
from protocol.terms.ids import PeerId
from protocol.terms.ranges import NUMBER_MOST
from protocol.terms.sealed import Cipher, SealedPeer
from protocol.trust.identity import Identity
from protocol.tunnel_keys.answerer import Answerer
from protocol.tunnel_keys.beginner import Beginner
from protocol.tunnel_keys.limits import ASK_FIRST_S, LACKING_S, PARTNERS_MOST
from protocol.tunnel_keys.messages import TunnelKeysMessage
from protocol.tunnel_keys.own import Own
from protocol.tunnel_keys.sessions import NEVER

Partners = Mapping[PeerId, TunnelEnd | None]
"""Each partner, and where its forwarder is; None if it has not told."""
_NO_END = TunnelEnd("", 0)


class TunnelKeys:
    """All pairs that this host is an end of."""

    def __init__(
        self, identity: Identity, life: Callable[[], int], count: Callable[[str], None]
    ) -> None:
        """`life` answers this host's incarnation, `count` counts what is not heeded, by reason."""
        self._identity, self._life, self._count = identity, life, count
        self._own: Own | None = None
        self._instance = ""
        self._partners: dict[PeerId, TunnelEnd] = {}
        self._ends: dict[PeerId, Beginner | Answerer] = {}
        """This host's end of each pair; nobody, while there is no forwarder."""
        self._rows: dict[PeerId, SealedPeer] = {}
        self._lacks: dict[PeerId, float] = {}
        """Partners that there are no keys with, and since when."""
        self._round = 0
        self._changed = False
        self._due_s: float | None = NEVER
        """When to tick; None if that is to be looked for."""

    # -- what happened

    def began(self, instance: str, ciphers: tuple[Cipher, ...], now: float) -> list[Effect]:
        """There is a forwarder with these ciphers, the best first. Of the same as before nothing follows."""
        exchange = self._identity.exchange
        if exchange is None or (self._own is not None and instance == self._instance):
            return []
        self._instance, self._changed = instance, True
        self._own = Own(self._identity, exchange, ciphers, self._number, self._taken)
        heard = {p: end.heard for p, end in self._ends.items() if isinstance(end, Answerer)}
        self._lacks = {peer: self._lacks.get(peer, now) for peer in self._partners}
        self._ends.clear()
        self._rows.clear()
        self._due_s = None
        for peer in self._partners:
            self._open(peer, now, heard.get(peer, (-1, -1)))
        return self.tick(now)

    def among(self, partners: Partners, now: float) -> list[Effect]:
        """These are the partners now. Keys with whoever is none any more are gone at once."""
        wanted = {peer: partners[peer] or _NO_END for peer in list(partners)[:PARTNERS_MOST]}
        if wanted == self._partners:
            return []
        self._due_s = None
        before, self._partners, self._changed = self._partners, wanted, True
        self._lacks |= {peer: now for peer in wanted if peer not in before}
        for peer in before:
            if peer not in wanted:
                self._lacks.pop(peer, None)
                self._ends.pop(peer, None)
                self._rows.pop(peer, None)
        for peer, end in wanted.items():
            if peer not in self._ends and self._own is not None:
                self._open(peer, now + ASK_FIRST_S)
            elif end != before.get(peer) and peer in self._ends:
                self._ends[peer].reachable = bool(end.port)
                self._rows.pop(peer, None)
        return self.tick(now)

    def handle(self, sender: PeerId, message: TunnelKeysMessage, now: float) -> list[Effect]:
        """A peer says something. Who is no partner is not heard. Raises Untrusted."""
        end = self._ends.get(sender)
        if end is None:
            self._count("tunnel-keys-no-partner")
            return []
        self._due_s = None
        return end.handle(message, now) + self._told(end, now)

    def tick(self, now: float) -> list[Effect]:
        """Does what is due."""
        if self._due_s is not None and now < self._due_s:
            return []  # It is asked whenever anything of this host's work is due.
        effects: list[Effect] = []
        self._due_s = None
        for end in self._ends.values():
            if now >= end.next_s():
                effects += end.tick(now)
                self._look(end, now)
        return effects + self._table()

    def next_deadline(self) -> Deadline | None:
        """When to tick."""
        if self._due_s is None:
            self._due_s = min((end.next_s() for end in self._ends.values()), default=NEVER)
        return Deadline(self._due_s, "tunnel keys") if self._due_s != NEVER else None

    # -- what is known

    @property
    def instance(self) -> str:
        """The forwarder that there are keys for; empty if there is none."""
        return self._instance

    def lacking(self, now: float) -> list[tuple[PeerId, float]]:
        """The partners that have been without keys for long, and since when."""
        return [(p, since_s) for p, since_s in self._lacks.items() if now >= since_s + LACKING_S]

    def is_reachable(self, peer: PeerId) -> bool:
        """Whether it is known where that partner's forwarder is."""
        return peer in self._partners and bool(self._partners[peer].port)

    def made(self, peer: PeerId) -> int:
        """How many sessions there are with that peer."""
        return len(self._ends[peer].sessions) if peer in self._ends else 0

    def row(self, peer: PeerId) -> SealedPeer | None:
        """What the forwarder is told of that peer; None if it is no partner, or there is no forwarder."""
        return self._row(peer) if peer in self._ends else None

    def table(self) -> Sealed:
        """All that the forwarder is told; of nobody, if there is none."""
        partners = self._partners if self._own is not None else {}
        return Sealed(self._instance, tuple(self._row(peer) for peer in partners))

    def check(self) -> None:
        """Keys are with partners only, and each index is of one session."""
        assert not [peer for peer in self._ends if peer not in self._partners]
        assert all((p in self._lacks) is (not self.made(p)) for p in self._partners)
        assert not [peer for peer in self._lacks if peer not in self._partners]
        indexes = [s.index for end in self._ends.values() for s in end.sessions.rows]
        assert len(indexes) == len(dict.fromkeys(indexes)), indexes
        for end in self._ends.values():
            end.sessions.check()
            assert self._due_s is None or self._due_s <= end.next_s()

    # -- parts

    def _open(self, peer: PeerId, ask_s: float, heard: tuple[int, int] = (-1, -1)) -> None:
        assert self._own is not None
        begins = self._identity.peer < peer
        end = Beginner(self._own, peer) if begins else Answerer(self._own, peer, ask_s, heard)
        end.reachable = bool(self._partners[peer].port)
        self._ends[peer] = end

    def _number(self) -> tuple[int, int]:
        self._round = min(self._round + 1, NUMBER_MOST)
        return self._life(), self._round

    def _taken(self, index: int) -> bool:
        return any(end.has(index) for end in self._ends.values())

    def _look(self, end: Beginner | Answerer, now: float) -> None:
        if end.sessions.changed:
            if len(end.sessions):
                self._lacks.pop(end.peer, None)
            else:
                self._lacks.setdefault(end.peer, now)
            end.sessions.changed = False
            self._rows.pop(end.peer, None)
            self._changed = True

    def _told(self, end: Beginner | Answerer, now: float) -> list[Effect]:
        self._look(end, now)
        return self._table()

    def _table(self) -> list[Effect]:
        """The whole table for the forwarder, if it is another than it was told last."""
        if not self._changed or self._own is None:
            return []
        self._changed = False
        return [self.table()]

    def _row(self, peer: PeerId) -> SealedPeer:
        row = self._rows.get(peer)
        if row is None:
            end, told = self._ends[peer], self._partners[peer]
            place = told.underlay if told.port else ""
            row = self._rows[peer] = SealedPeer(peer, place, told.port, end.sessions.rows)
        return row
