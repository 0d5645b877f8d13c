"""Who this host has keys with for sealed traffic, and by what paths.

Its hosts say who shares networks, and who is attached to them; people here, which it is attached to itself; the
overlay, who is out. Keys are also needed with relays that this host asks to pass on for it, and with hosts that
ask it for that.
"""

from msgspec.structs import replace

from protocol.contract.attaching import AttachAsk, AttachEnd, AttachMessage, AttachTold
from protocol.contract.authority import Authority
from protocol.contract.outcomes import Answer
from protocol.grid.carrier import Carrier, carries
from protocol.hosting.attached import AttachedHosts
from protocol.hosting.host import Host
from protocol.hosting.sealed_with import SealedWith, SealedWithHost
from protocol.hosting.surroundings import HostSurroundings
from protocol.node.events import PartnersEvent, ProbesAnswered
from protocol.node.tunnel_around import TunnelAround, elsewhere
from protocol.peering.addresses import Rows
from protocol.peering.overlay import Overlay
from protocol.peering.shut_out import TABLE as SHUT_OUT
from protocol.peering.shut_out import shut_outs
from protocol.peering.shut_sites import shut
from protocol.relay.relay import Relay
from protocol.requesting.events import AttachDropped, AttachGiven
from protocol.requesting.visiting import Visits
from protocol.terms.dice import Dice
from protocol.terms.effects import Deadline, Effect, Sealed, earliest, soonest
from protocol.terms.ids import PeerId
from protocol.terms.limits import MTU_USUAL
from protocol.terms.paths import PathTold
from protocol.terms.sealed import RelayedPair
from protocol.trust.signing import Untrusted
from protocol.tunnel_keys.keys import TunnelKeys
from protocol.tunnel_keys.messages import TunnelKeysMessage
from protocol.tunnel_paths.lending import Lending
from protocol.tunnel_paths.messages import TunnelPathsMessage, TunnelRelayAsk
from protocol.tunnel_paths.paths import TunnelPaths

Partnering = TunnelKeysMessage | TunnelPathsMessage | AttachMessage
"""What hosts that exchange sealed traffic agree on."""
_NEVER = float("inf")


class TunnelPartners:
    """The keys of this host, and with whom they are."""

    def __init__(
        self,
        overlay: Overlay,
        relay: Relay,
        host: Host,
        authority: Authority,
        around: HostSurroundings,
        rows: Rows,
        dice: Dice,
        now: float,
    ) -> None:
        """`rows` is the whole store, by table: an earlier life may have shut peers and sites out."""
        identity = overlay.certificates.identity
        self._overlay, self._host, self._around = overlay, host, around
        self._now = now
        self._sealed_with = SealedWith(identity.peer, host.leases)
        life, count = overlay.broadcast, overlay.quarantines.count
        self.keys = TunnelKeys(identity, lambda: life.incarnation, count)
        self._others = TunnelAround(
            identity,
            overlay.membership,
            lambda: relay.reachability.reach,
            lambda: host.facts.underlay,
            self._may,
        )
        self.paths = TunnelPaths(identity.peer, dice, self._others)
        self.lending = Lending(identity.peer, lambda: float(self._lent))
        self.attached = AttachedHosts(
            identity.peer, host.leases, authority, around, now, host.admitting.operates
        )
        self.visits = Visits(identity.peer, authority, lambda: host.tunnel, around.tunnel)
        peers = shut_outs(rows.get(SHUT_OUT, {}), now)
        self._shut_peers = {peer: row.until_s for peer, row in peers.items() if row.until_s > now}
        self._shut_sites = shut(rows, now)
        self._is_native = False
        self._mosts: dict[PeerId, int] = {}
        """The largest packet that guests of a partner and of this host may send."""
        self._takes: dict[PeerId, int] = {}
        """What gets to each partner, as the forwarder was told last."""
        self._keyed: Sealed | None = None
        """What there are keys for, by the ways that hosts tell."""
        self._told: Sealed | None = None
        """What the forwarder was told last."""
        self._lending: tuple[tuple[RelayedPair, ...], float, bool] = ((), 0.0, False)
        self._hosts: dict[PeerId, SealedWithHost] = {}
        self._seen: tuple[object, ...] | None = None
        """What all that follows was made of last: it is asked for after each step of the work."""

    def said(self, event: PartnersEvent, now: float) -> Answer:
        """The forwarder is there, or another one, or has answers to probes; or people here want this host on a
        network, or off it."""
        self._now = now
        if isinstance(event, AttachGiven | AttachDropped):
            return self.visits.asked(event, now), []
        if isinstance(event, ProbesAnswered):
            effects = self.paths.answered(event.instance, event.answers, now)
            more, outcomes = self._host.tunnels.measured(self.paths.settled())
            return self._sealed(effects + more, now), outcomes
        self._is_native = event.native
        return self._sealed(self.keys.began(event.instance, event.ciphers, now), now), []

    def follow(self, now: float) -> list[Effect]:
        """Leases, revocations, relays, or where others take traffic may be others than before."""
        self._now = now
        overlay, hosts = self._overlay, self._sealed_with.hosts()
        revoked = overlay.certificates.revoked is not None
        own, mtu = self._host.facts.underlay, self._host.facts.mtu or MTU_USUAL
        certified, visited = len(overlay.certificates.revocations), self.visits.partners
        relaying = self.paths.relays(), tuple(self.lending.ends()), self._lent
        seen = (hosts, visited, overlay.changes, certified, revoked, own, mtu, relaying)
        if self._seen == seen:
            return []
        self._seen = seen
        self._hosts = hosts = hosts | {
            peer: SealedWithHost(site, self._around.tunnel(peer))
            for peer, site in visited.items()
            if peer not in hosts
        }
        mosts = {
            peer: carries(Carrier.SEALED, min(mtu, host.end.mtu), 0)
            for peer, host in hosts.items()
            if host.end is not None
        }
        if mosts != self._mosts:
            self._mosts = mosts
            if self._keyed is not None:
                self.paths.told(self._keyed, mosts, now)
        partners = {
            peer: elsewhere(host.end, own)
            for peer, host in ({} if revoked else hosts).items()
            if not self._overlay.is_out(peer, host.site) and not self._is_shut(peer, host.site, now)
        }
        self.lending.among(lambda peer: not revoked and self._may(peer))
        self.paths.among(partners, now)
        if not revoked:
            for peer in (*self.paths.relays(), *self.lending.ends()):
                if peer not in partners and self._may(peer):
                    partners[peer] = self._others.end(peer)
        return self._sealed(self.keys.among(partners, now), now)

    def handle(self, sender: PeerId, message: Partnering, now: float) -> list[Effect]:
        """A peer says something about keys, about ways, or about hosts that are attached."""
        self._now = now
        try:
            match message:
                case AttachAsk() | AttachEnd():
                    return self.attached.handle(sender, message, now)
                case AttachTold():
                    return self.visits.handle(sender, message, now)
                case TunnelRelayAsk():
                    effects = self.lending.asked(sender, message, now) if self._may(sender) else []
                case _ if isinstance(message, TunnelKeysMessage):
                    effects = self.keys.handle(sender, message, now)
                case _:
                    effects = self.paths.handle(sender, message, now)
            return self._sealed(effects, now)
        except Untrusted as error:
            kind = "tunnel-keys" if isinstance(message, TunnelKeysMessage) else "attach"
            return self._overlay.blame(sender, f"{kind}-{error.reason}", now, error.detail)

    def tick(self, now: float) -> list[Effect]:
        """Does what is due."""
        self._now = now
        over = [peer for peer, until_s in self._shut_peers.items() if until_s <= now]
        sites = [site for site, until_s in self._shut_sites.items() if until_s <= now]
        effects = self.attached.tick(now) + self.visits.tick(now)
        if over or sites:
            self._shut_peers = {p: s for p, s in self._shut_peers.items() if p not in over}
            self._shut_sites = {p: s for p, s in self._shut_sites.items() if p not in sites}
            self._seen = None
            effects += self.follow(now)
        self.lending.tick(now)
        return effects + self._sealed(self.keys.tick(now) + self.paths.tick(now), now)

    def shares(self, peer: PeerId) -> bool:
        """Whether that host has members on a sealed network that has members here."""
        return peer in self._hosts

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
        return replace(
            told,
            mtu=min(mtu, takes or mtu),
            relay=self.paths.relay(peer),
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
        lent_s = self.lending.next_s()
        lent = Deadline(lent_s, "relayed") if lent_s != _NEVER else None
        return earliest(keys, paths, attached, visits, lent, soonest(ends, "shut out"))

    def check(self) -> None:
        """Invariants of all three."""
        self.keys.check()
        self.paths.check()
        self.lending.check()

    def _sealed(self, effects: list[Effect], now: float) -> list[Effect]:
        """The same effects; what there are keys for is told to the forwarder with the ways that are taken."""
        out: list[Effect] = []
        for effect in effects:
            if isinstance(effect, Sealed):
                self._keyed = effect
                self.paths.told(effect, self._mosts, now)
            else:
                out.append(effect)
        lent = self.lending.pairs(), self.lending.rate, bool(tuple(self.lending.ends()))
        changed = len(out) < len(effects) or lent != self._lending
        same = all(self.paths.takes(peer) == takes for peer, takes in self._takes.items())
        if not (self.paths.pop_changed() or changed) and same:
            return out
        self._lending, keyed = lent, self._keyed or Sealed("", ())
        table = replace(
            keyed,
            peers=self.paths.routed(keyed.peers),
            pairs=lent[0],
            relay_bytes_per_s=lent[1],
            lends=lent[2],
        )
        before = self._told or Sealed("", (), (), table.relay_bytes_per_s)
        if table == before:
            return out
        self._told = table
        self._takes = {row.peer: row.mtu for row in table.peers}
        return [*out, table]

    @property
    def _lent(self) -> int:
        end = self._host.tunnel
        return end.relay_bytes_s if end is not None else 0

    def _may(self, peer: PeerId) -> bool:
        """Whether a member is one that nothing speaks against."""
        known = self._overlay.membership.known.get(peer)
        if known is None or self._overlay.is_out(peer, known.site):
            return False
        return not self._is_shut(peer, known.site, self._now)

    def _is_shut(self, peer: PeerId, site: str, now: float) -> bool:
        """Whether nothing of that host is taken for a while, because what it said could not be handled."""
        return max(self._shut_peers.get(peer, now), self._shut_sites.get(site, now)) > now
