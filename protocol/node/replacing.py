"""When a steward has another that is gone replaced, and by whom.

Each steward looks at the registers it keeps, now and then, and does what it finds is to be done; so nothing is
lost if one attempt comes to nothing, or if the peer starts anew. A steward that has another store than its
seat's is gone as well: it lost what it knew of the register. One that says that it leaves for good is replaced
at the next look, while it is there to vote. Each goes by what it sees itself. Two that look at the same time
may propose two heirs: one is decided, and the other finds that nothing is left to do.
"""

from typing import Protocol

from protocol.contract.judging import heirs_sites
from protocol.contract.outcomes import ReplaceSteward
from protocol.grid.decision import majority
from protocol.grid.record import GridState
from protocol.grid.steps import Finish, Replace
from protocol.membership.messages import Presence
from protocol.membership.presence import KIND as PRESENCE
from protocol.peering.overlay import Overlay
from protocol.register.acceptor import Acceptor
from protocol.register.slot import Kept
from protocol.requesting.host_directory import HostDirectory
from protocol.terms.dice import Dice
from protocol.terms.effects import Deadline
from protocol.terms.ids import KeyId, PeerId, StoreId
from protocol.terms.limits import SEAL_LOOK_EVERY_S, SEALS_AT_ONCE, SEALS_MOST, STEWARD_GONE_S
from protocol.trust.certificate import Chain
from protocol.wire.codec import Malformed, decode

Work = tuple[ReplaceSteward, Replace | Finish]
_Seat = tuple[PeerId, StoreId]


class Sees(Protocol):
    """What a peer knows of others, as its stewarding needs it."""

    def alive(self, peer: PeerId) -> bool:
        """Whether a peer is this one, or is believed alive."""

    def silent(self, peer: PeerId, now: float) -> bool:
        """Whether a peer is not heard. Not if that cannot be said."""

    def expelled(self, peer: PeerId) -> bool:
        """Whether a certificate of a peer was revoked."""

    def leaving(self, peer: PeerId) -> bool:
        """Whether a peer, which may be this one, says that it is to be stopped for good."""

    def members(self) -> dict[PeerId, str]:
        """Live peers and their sites."""

    def site(self, peer: PeerId) -> str:
        """Of which site a peer is; empty if that is not known."""

    def chain(self, peer: PeerId) -> Chain:
        """The certificates that a peer shows; empty if they are not known here."""

    def store(self, peer: PeerId) -> StoreId:
        """The store that a peer says it has; empty if that is not known here."""

    def stewards(self, register: str) -> tuple[PeerId, ...]:
        """Who keeps the register of an order by now, as hosts tell it; nobody if none does."""


class PeersSeen:
    """What the overlay and the directory of hosts say of peers."""

    def __init__(self, overlay: Overlay, directory: HostDirectory) -> None:
        self._overlay, self._directory = overlay, directory
        self.alive, self.stewards = directory.alive, directory.notices.stewards

    def silent(self, peer: PeerId, now: float) -> bool:
        """Whether a peer is not heard. Not if that cannot be said."""
        return self._directory.silence(peer, now) is not None

    def expelled(self, peer: PeerId) -> bool:
        """Whether a certificate of a peer was revoked."""
        overlay = self._overlay
        return overlay.certificates.is_revoked(peer, overlay.members.site(peer))

    def leaving(self, peer: PeerId) -> bool:
        """Whether a peer, which may be this one, says that it is to be stopped for good."""
        known = self._overlay.membership.known.get(peer)
        if peer == self._overlay.me:
            return self._overlay.announcer.leaving
        return known is not None and known.leaving

    def members(self) -> dict[PeerId, str]:
        """Live peers and their sites."""
        return self._overlay.membership.sites_alive()

    def site(self, peer: PeerId) -> str:
        """Of which site a peer is; empty if that is not known."""
        return self._overlay.members.site(peer)

    def chain(self, peer: PeerId) -> Chain:
        """The certificates that a peer shows; empty if they are not known here."""
        held = self._overlay.broadcast.directory.get(KeyId(peer), PRESENCE)
        try:
            return decode(held.record.body, Presence).chain if held is not None else ()
        except Malformed:
            return ()

    def store(self, peer: PeerId) -> StoreId:
        """The store that a peer says it has; empty if that is not known here."""
        known = self._overlay.membership.known.get(peer)
        return known.store if known is not None else StoreId("")


class AllSeen:
    """Peers without an overlay: all are heard, and none is replaced."""

    def alive(self, peer: PeerId) -> bool:
        """Always."""
        return True

    def silent(self, peer: PeerId, now: float) -> bool:
        """Never."""
        return False

    def expelled(self, peer: PeerId) -> bool:
        """Never."""
        return False

    def leaving(self, peer: PeerId) -> bool:
        """Never."""
        return False

    def members(self) -> dict[PeerId, str]:
        """Nobody that could be asked."""
        return {}

    def site(self, peer: PeerId) -> str:
        """Unknown."""
        return ""

    def chain(self, peer: PeerId) -> Chain:
        """Unknown."""
        return ()

    def store(self, peer: PeerId) -> StoreId:
        """Unknown."""
        return StoreId("")

    def stewards(self, register: str) -> tuple[PeerId, ...]:
        """Nobody tells."""
        return ()


class Replacing:
    """The stewards beside this one, and since when they are not heard."""

    def __init__(self, acceptor: Acceptor, sees: Sees, dice: Dice, now: float) -> None:
        self._acceptor, self._sees, self._dice = acceptor, sees, dice
        self._away_s: dict[_Seat, float] = {}
        """By seat: since when its store was not heard, at every look."""
        self._look_s = now + SEAL_LOOK_EVERY_S

    def due(self, now: float) -> list[Work]:
        """What is to be done about registers now: at most SEALS_AT_ONCE steps at a time."""
        if now < self._look_s or not self._acceptor.rows():
            return []
        self._look_s = self._next_s(now)
        kept = [(key, one) for key, one in self._acceptor.rows() if self._goes_on(one)]
        self._watch([one for _, one in kept], now)
        work = ((key, self._step(one, now)) for key, one in kept)
        return [(ReplaceSteward(key), step) for key, step in work if step][:SEALS_AT_ONCE]

    def next_deadline(self) -> Deadline | None:
        """When it looks next; None while this peer is no steward of anything."""
        return Deadline(self._look_s, "look at stewards") if self._acceptor.rows() else None

    def seats(self) -> int:
        """In how many registers of living grids this host is a steward."""
        return sum(self._goes_on(kept) for _, kept in self._acceptor.rows())

    # -- parts

    def _next_s(self, now: float) -> float:
        return now + SEAL_LOOK_EVERY_S * self._dice.uniform(0.8, 1.2)

    def _goes_on(self, kept: Kept) -> bool:
        record = kept.register.record
        mine = self._acceptor.me in kept.stewards
        return mine and record is not None and record.state is GridState.UP

    def _watch(self, kept: list[Kept], now: float) -> None:
        """Notes which stewards are not heard. Who was heard once in between is noted anew."""
        others = dict.fromkeys(seat for one in kept for seat in one.seats.pairs)
        away = [seat for seat in others if self._is_away(seat, now)]
        self._away_s = {seat: self._away_s.get(seat, now) for seat in away}

    def _is_away(self, seat: _Seat, now: float) -> bool:
        peer, store = seat
        has = self._sees.store(peer)
        return self._sees.silent(peer, now) or (store != "" and has not in ("", store))

    def _step(self, kept: Kept, now: float) -> Replace | Finish | None:
        if kept.register.closed is not None or (kept.term and kept.slot.accepted is None):
            # An attempt of before, of this peer or of another, went half the way.
            return Finish()
        stewards = kept.stewards
        if kept.term >= SEALS_MOST:
            return None
        away = [seat for seat in kept.seats.pairs if seat in self._away_s]
        gone = [peer for peer, store in away if self._gone((peer, store), now)]
        gone += [
            peer for peer in stewards if peer != self._acceptor.me and self._sees.leaving(peer)
        ]
        if not gone or len(stewards) - len(away) < majority(stewards):
            return None
        return self._heir(kept, gone[0])

    def _gone(self, seat: _Seat, now: float) -> bool:
        long = now - self._away_s[seat] >= STEWARD_GONE_S
        return long or self._sees.expelled(seat[0])

    def _heir(self, kept: Kept, gone: PeerId) -> Replace | None:
        """By whom a steward is replaced: by a host of a site of which no other steward is, if there is one; and
        by one that carries the grid before others. Last by itself, if it is there with another store."""
        record = kept.register.record
        assert record is not None
        members, stewards = self._sees.members(), kept.stewards
        allowed = heirs_sites(kept.register, record.owner_site)
        others = {members[peer] for peer in stewards if peer in members and peer != gone}
        carriers, named = record.carriers(), kept.seats.store_of(gone) != ""
        ranked = sorted(
            (peer == gone, site in others, peer not in carriers, self._dice.random(), peer)
            for peer, site in members.items()
            if (peer == gone or (site in allowed and peer not in stewards))
            and not self._sees.leaving(peer)
        )
        for *_, peer in ranked:
            chain, store = self._sees.chain(peer), self._sees.store(peer)
            if chain and (store or not (named or peer == gone)):
                return Replace(gone, peer, chain, store)
        return None
