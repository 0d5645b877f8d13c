"""Peers and their sessions while they run: counters, windows, and where each peer is.

A counter is never used twice under a key. A told session that runs already goes on; one that ran before and is
told again is refused, for as long as it would be young enough to send. Then its age keeps it from sending.
"""

import hashlib
from collections.abc import Iterable, Iterator

from netns.tunnel.cipher import aead
from netns.tunnel.frame import header
from netns.tunnel.tables import (
    COUNTER_END,
    NOWHERE,
    SESSION_RECEIVES_S,
    SESSION_SENDS_S,
    SESSIONS_PER_PEER_MAX,
    Peers,
    PeerState,
    SealedPeer,
    Session,
)
from netns.tunnel.window import Window

ENDED_MAX = 262_144
"""Sessions of the last ten minutes that are remembered, by a hash of their keys: 32 for each of as many peers
as there may be, who have eight if they get new ones every two minutes. About 50 MB if so many came."""
Endpoint = tuple[str, int]


class LivePeer:
    """A peer: where it was told to be, where it is, its sessions with the one to send with first."""

    __slots__ = ("endpoint", "heard_s", "mtu", "name", "pair", "sessions", "told")

    def __init__(self, name: str) -> None:
        self.name = name
        self.told: tuple[str, int, int] = (*NOWHERE, 0)
        self.endpoint: Endpoint = NOWHERE
        self.heard_s = 0.0
        self.mtu = 0
        self.pair = 0
        """Both as in SealedPeer."""
        self.sessions: list[LiveSession] = []

    def sending(self, now_s: float) -> "LiveSession | None":
        """The first session that may send."""
        for session in self.sessions:
            if session.counter < COUNTER_END and now_s < session.made_s + SESSION_SENDS_S:
                return session
        return None

    def takes(self, mtu: int) -> int:
        """The largest packet of a network with that MTU that the way to it takes."""
        return min(mtu, self.mtu or mtu)

    def state(self, now_s: float) -> PeerState:
        """What is told of it."""
        sending = self.sending(now_s)
        address, port = self.endpoint
        return PeerState(
            peer=self.name,
            address=address,
            port=port,
            last_heard_s=self.heard_s,
            index=sending.index if sending else 0,
            packets_left=COUNTER_END - sending.counter if sending else 0,
            received=sum(session.received for session in self.sessions),
            sent=sum(session.counter for session in self.sessions),
            pair=self.pair,
        )


class LiveSession:
    """A session: both keys, what was sent under it, what was received."""

    __slots__ = (
        "counter", "index", "keys_hash", "made_s", "peer", "peer_index", "received", "receives", "sends",
        "told", "window",
    )  # fmt: skip

    def __init__(self, told: Session, peer: LivePeer, now_s: float) -> None:
        self.told, self.index, self.peer_index, self.peer = told, told.index, told.peer_index, peer
        self.sends = aead(told.cipher, told.send_key)
        self.receives = aead(told.cipher, told.receive_key)
        self.keys_hash = keys_hash(told)
        self.made_s = min(told.made_s, now_s)
        self.counter = 0
        """Of the next frame to be sealed."""
        self.received = 0
        self.window = Window()

    def seal(self, plain: bytes) -> bytes | None:
        """The next datagram; None if it has had its last."""
        if self.counter >= COUNTER_END:
            return None
        head = header(self.peer_index, self.counter)
        self.counter += 1
        return head + self.sends.encrypt(head[4:], plain, head)

    def may_receive(self, now_s: float) -> bool:
        """Whether it is young enough."""
        return now_s < self.made_s + SESSION_RECEIVES_S


class Sessions:
    """All peers and sessions, by what the loop looks for."""

    def __init__(self) -> None:
        self.peers: dict[str, LivePeer] = {}
        self.by_index: dict[int, LiveSession] = {}
        self._ended: dict[bytes, float] = {}
        """When each session of late would be too old to send, by the hash of its keys; oldest end first."""

    def replace(self, table: Peers, now_s: float) -> None:
        """Puts a checked table in force. Raises ValueError, with nothing changed, if it uses a key again."""
        self._forget_old(now_s)
        self._check(table)
        peers: dict[str, LivePeer] = {}
        for told in table.peers:
            peer = self.peers.get(told.peer) or LivePeer(told.peer)
            peer.sessions, peer.mtu = self._sessions_of(told, peer, now_s), told.mtu
            if peer.told != (told.address, told.port, told.pair):
                peer.told = (told.address, told.port, told.pair)
                peer.endpoint, peer.pair = (told.address, told.port), told.pair
            peers[told.peer] = peer
        going = {session.index: session for peer in peers.values() for session in peer.sessions}
        for session in self.by_index.values():
            if going.get(session.index) is not session:
                self._ended[session.keys_hash] = session.made_s + SESSION_SENDS_S
        self.peers, self.by_index = peers, going

    def _sessions_of(self, told: SealedPeer, peer: LivePeer, now_s: float) -> list[LiveSession]:
        sessions = [
            self._running(session, peer) or LiveSession(session, peer, now_s)
            for session in told.sessions
        ]
        if told.keep:
            kept = [one for one in peer.sessions if one not in sessions]
            sessions += [one for one in kept if one.may_receive(now_s)][:SESSIONS_PER_PEER_MAX]
        return sessions

    def _running(self, told: Session, peer: LivePeer) -> LiveSession | None:
        found = self.by_index.get(told.index)
        return (
            found if found and found.peer is peer and found.keys_hash == keys_hash(told) else None
        )

    def _check(self, table: Peers) -> None:
        wrong = list(self._wrong(table))
        if wrong:
            raise ValueError("peers: " + "; ".join(wrong))

    def _wrong(self, table: Peers) -> Iterator[str]:
        in_use = {session.keys_hash: session for session in self.by_index.values()}
        kept = {peer.peer for peer in table.peers if peer.keep}
        fresh = 0
        for told in table.peers:
            for session in told.sessions:
                hashed = keys_hash(session)
                same, holder = in_use.get(hashed), self.by_index.get(session.index)
                if same is not None and (same.index, same.peer.name) != (session.index, told.peer):
                    yield f"session {session.index} has the keys of session {same.index}"
                if hashed in self._ended:
                    yield f"session {session.index} has ended, and cannot begin again"
                if holder is not None and holder is not same and holder.peer.name in kept:
                    yield f"session {session.index} is another one, which is to be kept"
                fresh += same is None
        if len(self._ended) + len(self.by_index) + fresh > ENDED_MAX:
            yield f"more than {ENDED_MAX} sessions in ten minutes"

    def _forget_old(self, now_s: float) -> None:
        over = [hashed for hashed, over_s in self._ended.items() if over_s <= now_s]
        for hashed in over:
            del self._ended[hashed]

    def states(self, now_s: float) -> Iterable[PeerState]:
        """What is told of each peer."""
        return (peer.state(now_s) for peer in self.peers.values())


def keys_hash(session: Session) -> bytes:
    """Tells whether two sessions are one, without keeping a key."""
    return hashlib.sha256(session.send_key + session.receive_key).digest()[:16]
