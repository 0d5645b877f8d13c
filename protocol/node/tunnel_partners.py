"""Who this host has keys with for sealed traffic, and by what paths.

Its hosts say who shares networks, and who is attached to them; people here, which it is attached to itself; the
overlay, who is out.
"""

from collections.abc import Mapping

import msgspec

from protocol.contract.attaching import AttachAsk, AttachEnd, AttachMessage, AttachTold
from protocol.contract.authority import Authority
from protocol.contract.outcomes import Answer
from protocol.grid.carrier import Carrier, carries
from protocol.grid.tunnel import TunnelEnd, reaches
from protocol.hosting.attached import AttachedHosts
from protocol.hosting.host import Host
from protocol.hosting.sealed_with import SealedWith, SealedWithHost
from protocol.hosting.surroundings import HostSurroundings
from protocol.node.events import PartnersEvent, ProbesAnswered
from protocol.peering.addresses import Rows
from protocol.peering.overlay import Overlay
from protocol.peering.shut_out import TABLE as SHUT_OUT
from protocol.peering.shut_out import shut_outs
from protocol.peering.shut_sites import shut
from protocol.requesting.events import AttachDropped, AttachGiven
from protocol.requesting.visiting import Visits
from protocol.terms.dice import Dice
from protocol.terms.effects import Deadline, Effect, Sealed, earliest, soonest
from protocol.terms.ids import PeerId
from protocol.terms.limits import MTU_USUAL
from protocol.terms.paths import PathTold
from protocol.trust.identity import Identity
from protocol.trust.signing import Untrusted
from protocol.tunnel_keys.keys import TunnelKeys
from protocol.tunnel_keys.messages import TunnelKeysMessage
from protocol.tunnel_paths.paths import TunnelPaths

Partnering = TunnelKeysMessage | AttachMessage
"""What hosts that exchange sealed traffic agree on."""
_Seen = tuple[dict[PeerId, SealedWithHost], Mapping[PeerId, str], int, int, bool, str, int]


def elsewhere(end: TunnelEnd | None, own: str) -> TunnelEnd | None:
    """A partner's end, if this host may send there."""
    return end if end is not None and reaches(own, end.underlay) else None


class TunnelPartners:
    """The keys of this host, and with whom they are."""

    def __init__(
        self,
        identity: Identity,
        overlay: Overlay,
        host: Host,
        authority: Authority,
        around: HostSurroundings,
        rows: Rows,
        dice: Dice,
        now: float,
    ) -> None:
        """`rows` is the whole store, by table: an earlier life may have shut peers and sites out."""
        self._overlay, self._host, self._around = overlay, host, around
        self._sealed_with = SealedWith(identity.peer, host.leases)
        life, count = overlay.broadcast, overlay.quarantines.count
        self.keys = TunnelKeys(identity, lambda: life.incarnation, count)
        self.paths = TunnelPaths(dice)
        self.attached = AttachedHosts(identity.peer, host.leases, authority, around, now)
        self.visits = Visits(identity.peer, authority, lambda: host.tunnel, around.tunnel)
        peers = shut_outs(rows.get(SHUT_OUT, {}), now)
        self._shut_peers = {peer: row.until_s for peer, row in peers.items() if row.until_s > now}
        self._shut_sites = shut(rows, now)
        self._is_native = False
        self._mosts: dict[PeerId, int] = {}
        """The largest packet that guests of a partner and of this host may send."""
        self._takes: dict[PeerId, int] = {}
        """What gets to each partner, as the forwarder was told last."""
        self._seen: _Seen | None = None
        """What all that follows was made of last: it is asked for after each step of the work."""

    def said(self, event: PartnersEvent, now: float) -> Answer:
        """The forwarder is there, or another one, or has answers to probes; or people here want this host on a
        network, or off it."""
        if isinstance(event, AttachGiven | AttachDropped):
            return self.visits.asked(event, now), []
        if isinstance(event, ProbesAnswered):
            self.paths.answered(event.instance, event.answers, now)
            effects, outcomes = self._host.tunnels.measured(self.paths.settled())
            return effects + self._resized(now), outcomes
        self._is_native = event.native
        return self._told(self.keys.began(event.instance, event.ciphers, now), now), []

    def follow(self, now: float) -> list[Effect]:
        """Leases, revocations, or where others take traffic may be others than before."""
        overlay, hosts = self._overlay, self._sealed_with.hosts()
        revoked = overlay.certificates.revoked is not None
        own, mtu = self._host.facts.underlay, self._host.facts.mtu or MTU_USUAL
        certified, visited = len(overlay.certificates.revocations), self.visits.partners
        seen = (hosts, visited, overlay.changes, certified, revoked, own, mtu)
        if self._seen == seen:
            return []
        self._seen = seen
        hosts = hosts | {
            peer: SealedWithHost(site, self._around.tunnel(peer))
            for peer, site in visited.items()
            if peer not in hosts
        }
        before, self._mosts = (
            self._mosts,
            {
                peer: carries(Carrier.SEALED, min(mtu, host.end.mtu), 0)
                for peer, host in hosts.items()
                if host.end is not None
            },
        )
        partners = {
            peer: elsewhere(host.end, own)
            for peer, host in ({} if revoked else hosts).items()
            if not self._overlay.is_out(peer, host.site) and not self._is_shut(peer, host.site, now)
        }
        effects = self.keys.among(partners, now)
        if not effects and before != self._mosts and self.keys.instance:
            effects = [self.keys.table()]
        return self._told(effects, now)

    def handle(self, sender: PeerId, message: Partnering, now: float) -> list[Effect]:
        """A peer says something about keys, or about hosts that are attached."""
        try:
            match message:
                case AttachAsk() | AttachEnd():
                    return self.attached.handle(sender, message, now)
                case AttachTold():
                    return self.visits.handle(sender, message, now)
            return self._told(self.keys.handle(sender, message, now), now)
        except Untrusted as error:
            kind = "tunnel-keys" if isinstance(message, TunnelKeysMessage) else "attach"
            return self._overlay.blame(sender, f"{kind}-{error.reason}", now, error.detail)

    def tick(self, now: float) -> list[Effect]:
        """Does what is due."""
        over = [peer for peer, until_s in self._shut_peers.items() if until_s <= now]
        sites = [site for site, until_s in self._shut_sites.items() if until_s <= now]
        if not (over or sites):
            return self._due(now)
        self._shut_peers = {p: s for p, s in self._shut_peers.items() if p not in over}
        self._shut_sites = {p: s for p, s in self._shut_sites.items() if p not in sites}
        self._seen = None
        return self.follow(now) + self._due(now)

    def path(self, network: str, peer: PeerId, mtu: int) -> PathTold:
        """How this host's forwarder reaches a partner on a network whose packets are `mtu` at most."""
        row, path = self.keys.row(peer), self.paths.path(peer)
        told = PathTold(
            network,
            peer,
            Carrier.SEALED,
            cipher=row.sessions[0].cipher if row is not None and row.sessions else "",
            loop="native" if self._is_native else "python",
            mtu=mtu,
            place=f"{row.address}:{row.port}" if row is not None and row.port else "",
        )
        if path is None:
            return told
        (lost, probes), takes = path.loss, self.paths.takes(peer)
        place = str(path.place) if path.place is not None else told.place
        trip_s = path.round_trip_s if path.round_trip_s is not None else told.round_trip_s
        return msgspec.structs.replace(
            told,
            mtu=min(mtu, takes or mtu),
            place=place,
            round_trip_s=trip_s,
            lost=lost,
            probes=probes,
        )

    def next_deadline(self) -> Deadline | None:
        """When to tick."""
        ends = (*self._shut_peers.values(), *self._shut_sites.values())
        keys, paths = self.keys.next_deadline(), self.paths.next_deadline()
        attached, visits = self.attached.next_deadline(), self.visits.next_deadline()
        return earliest(keys, paths, attached, visits, soonest(ends, "shut out"))

    def check(self) -> None:
        """Invariants of both."""
        self.keys.check()
        self.paths.check()

    def _due(self, now: float) -> list[Effect]:
        effects = self.attached.tick(now) + self.visits.tick(now)
        effects += self._told(self.keys.tick(now), now) + self.paths.tick(now)
        return effects + self._resized(now)

    def _told(self, effects: list[Effect], now: float) -> list[Effect]:
        """The same effects; whom the forwarder is told of by them is probed, and it is told what gets there."""
        return [self._sized(e, now) if isinstance(e, Sealed) else e for e in effects]

    def _sized(self, table: Sealed, now: float) -> Sealed:
        self.paths.told(table, self._mosts, now)
        self._takes = {row.peer: self.paths.takes(row.peer) for row in table.peers}
        rows = (msgspec.structs.replace(row, mtu=self._takes[row.peer]) for row in table.peers)
        return msgspec.structs.replace(table, peers=tuple(rows))

    def _resized(self, now: float) -> list[Effect]:
        """Tells the forwarder if more or less gets to a partner than it knows."""
        same = all(self.paths.takes(peer) == takes for peer, takes in self._takes.items())
        return [] if same else self._told([self.keys.table()], now)

    def _is_shut(self, peer: PeerId, site: str, now: float) -> bool:
        """Whether nothing of that host is taken for a while, because what it said could not be handled."""
        return max(self._shut_peers.get(peer, now), self._shut_sites.get(site, now)) > now
