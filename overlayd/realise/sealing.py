"""Keeps the forwarder as it is to be: it runs while a sealed network is here, and knows members and keys.

It is level-triggered. Each look takes the networks from their plans on disk, starts the forwarder if none
runs, and tells what it does not know. Nothing is remembered that could be wrong after a kill: a daemon that was
started again finds the forwarder at work, with keys that it does not know itself. It leaves them in force
(`keep`) until the node has made new ones with the other host.

Keys are made for one instance of the forwarder. When another one runs the node is told so, again and again
until its keys are for that one.
"""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from ipaddress import IPv4Network

from netns.model import NetworkPlan, mac_of, own_link_name
from netns.tunnel.tables import Cipher as TunnelCipher
from netns.tunnel.tables import Member, OwnCard, RelayPair, SealedNetwork, SealedPeer, Session
from overlayd.ports.forwarder import Forwarder, ForwarderError, Forwarding, Lent, NewInstance
from overlayd.ports.network import Network, NetworkError
from overlayd.realise.mends import Mends, is_told
from overlayd.realise.paths import grid_of, network_name
from overlayd.realise.probing import Prober
from overlayd.telemetry.logs import logger
from protocol.grid.addresses import gateway
from protocol.hosting.events import Care, Kept
from protocol.node.events import Event, ForwarderBegan
from protocol.terms import sealed
from protocol.terms.effects import Attach, AttachedCard, Probing, Sealed
from protocol.terms.ids import GridId, PeerId

EVERY_S = 30.0
_AGAIN_S = 1.0
"""After a failure, or while the node has not made keys yet."""
_KEEP_S = 15.0
"""So long after the first new keys of a host its old ones stay: it may still send by them."""
_FAILURES = 5
"""After so many looks that failed in a row the host is no longer said to seal."""
_DROPPED = ("in-", "out-")
"""How the counters of frames begin that went nowhere."""
_FORWARDER = "forwarder"


class Sealing:
    """The forwarder of this host, as long as the daemon lives."""

    def __init__(
        self,
        network: Network,
        forwarder: Forwarder,
        tell: Callable[[Event], None],
        now: Callable[[], float],
    ) -> None:
        """`now` is the clock by which the node says when keys were made."""
        self._network, self._forwarder, self._tell = network, forwarder, tell
        self.prober = Prober(forwarder, tell)
        self._older_s = now() - time.monotonic()
        self._table: Sealed | None = None
        self._instance = ""
        self._ciphers: tuple[sealed.Cipher, ...] = ()
        self._native = False
        self._first_s: dict[PeerId, float] = {}
        """When keys for each host were told first in this life."""
        self._mends = Mends()
        self._why, self._failed = "", 0
        self._fault = ""
        self._again_s = EVERY_S
        self._hint = asyncio.Event()
        self._turn = asyncio.Lock()
        self._restarts = 0
        self._frames: Mapping[str, int] = {}
        self._attached: tuple[AttachedCard, ...] = ()
        self.cards: dict[tuple[str, str], str] = {}
        """By grid and network that this host is attached to: why its card is not there, or nothing if it is."""
        forwarder.watch(self._hint.set)

    @property
    def counts(self) -> Counter[str]:
        """How often the forwarder was started again, and frames that it dropped, by reason, as it said last."""
        dropped = {f"frames-{w}": n for w, n in self._frames.items() if w.startswith(_DROPPED)}
        return Counter(dropped | {"forwarder-restarted": self._restarts})

    @property
    def why(self) -> str:
        """Why nothing can be sealed here, as it was tried, or several looks in a row found; else empty."""
        return self._fault or (self._why if self._failed >= _FAILURES else "")

    async def probe(self) -> str:
        """Tries whether this host can seal; each look does so again until it can. Answers `why`."""
        self._fault = await self._forwarder.fault()
        return self.why

    def seal(self, table: Sealed) -> None:
        """The node's newest table."""
        self._table = table
        self._hint.set()

    def attach(self, attach: Attach) -> None:
        """The cards that this host itself is to have, on networks of which it carries nothing."""
        self._attached = attach.cards
        self._hint.set()

    def probe_paths(self, probing: Probing) -> None:
        """The node wants other hosts' forwarders probed."""
        self.prober.probe(probing)

    def changed(self) -> None:
        """Networks of this host may be others than before."""
        self._hint.set()

    async def stands(self, plan: NetworkPlan) -> None:
        """A network is in force. If it is sealed and has members elsewhere, it is carried when this returns.

        Raises NetworkError if it cannot be.
        """
        if not plan.sealed or not plan.neighbours:
            self.changed()
            return
        try:
            taps = await self.settle()
        except ForwarderError as error:
            raise NetworkError(
                f"network {plan.network} is sealed between hosts, and cannot be here: {error}"
            ) from error
        if plan.tunnel not in taps:
            raise NetworkError(
                f"network {plan.network}: the forwarder has not got {plan.tunnel} open"
            )

    async def run(self) -> None:
        """Looks for as long as the daemon lives."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._again_s):
                    await self._hint.wait()
            self._hint.clear()
            try:
                await self.settle()
            except (ForwarderError, NetworkError) as error:
                self._again_s = _AGAIN_S
                self._failed += 1
                if str(error) != self._why:
                    self._why = str(error)
                    logger().error("networks.not-sealed", why=self._why)

    async def settle(self) -> tuple[str, ...]:
        """One look. Answers the taps that the forwarder has open. Raises ForwarderError, NetworkError."""
        async with self._turn:
            plans = await self._network.sealed()
            lends = self._table is not None and self._table.lends
            if not plans and not self._attached and not lends:
                self.cards = {}
                await self._forwarder.stop()
                self._instance, self._again_s = "", EVERY_S
                self._why, self._failed = "", 0
                if self._fault and not await self.probe():
                    logger().info("networks.sealed", again=True)
                return ()
            await self._ensure(plans)
            own = cards_of(self._attached, [plan.vni for plan in plans])
            now = await self._forwarder.tell_networks((*networks_of(plans), *own.values()))
            self._told(own, now)
            await self._carry(plans, now.taps)
            await self._tell_peers()
            if any(self.cards.values()):
                self._again_s = _AGAIN_S
            self._why, self._failed, self._fault = "", 0, ""
            return now.taps

    def _told(self, own: Mapping[tuple[str, str], SealedNetwork], now: Forwarding) -> None:
        """What became of the cards of this host itself."""
        self.cards = {
            (each.grid, each.network): "this host carries another network of that VXLAN id"
            for each in self._attached
        }
        for key, network in own.items():
            gone = "" if network.tap in now.taps else "it is not there yet"
            self.cards[key] = now.faults.get(network.tap, gone)

    async def _ensure(self, plans: tuple[NetworkPlan, ...]) -> None:
        now_s = time.monotonic()
        rests_s = self._mends.rests_s(_FORWARDER, now_s)
        if rests_s and await self._forwarder.state() is None:
            raise ForwarderError(
                f"the forwarder ends again and again; it is started in {rests_s:.0f} s"
            )
        before, now = self._instance, await self._forwarder.ensure()
        self._instance, self._frames = now.instance, now.counters
        self._native = now.native
        self._ciphers = tuple(sealed.Cipher(each.value) for each in now.ciphers)
        if not before or before == self._instance:
            return
        self._restarts += 1
        count, _ = self._mends.mended(_FORWARDER, now_s)
        logger().warning("forwarder.restarted", count=count)
        for plan in plans:
            self._mended(
                plan, "the forwarder that seals it had ended; started again, with new keys"
            )

    async def _carry(self, plans: tuple[NetworkPlan, ...], taps: tuple[str, ...]) -> None:
        """Gives the forwarder's taps their carrier back, if somebody took that: nothing goes without."""
        lost = await self._network.carried(taps)
        for plan in plans:
            if plan.tunnel in lost and is_told(
                self._mends.mended(plan.tunnel, time.monotonic())[0]
            ):
                self._mended(plan, f"tunnel device {plan.tunnel} had no carrier; given back")

    def _mended(self, plan: NetworkPlan, detail: str) -> None:
        grid = grid_of(plan.network)
        subject = f"{plan.domain}/{plan.network.removeprefix(f'{grid}.')}"
        self._tell(Kept(grid, subject, Care.MENDED, detail))

    async def _tell_peers(self) -> None:
        table = self._table
        if table is None or table.instance != self._instance:
            self._tell(ForwarderBegan(self._instance, self._ciphers, self._native))
            self._again_s = _AGAIN_S
            return
        self._again_s = EVERY_S
        now_s = time.monotonic()
        for peer in table.peers:
            if peer.sessions:
                self._first_s.setdefault(peer.peer, now_s)
        fresh = {peer for peer, first_s in self._first_s.items() if now_s < first_s + _KEEP_S}
        try:
            await self._forwarder.tell_peers(
                table.instance, peers_of(table.peers, fresh, self._older_s), lent_of(table)
            )
        except NewInstance:
            self._hint.set()


def networks_of(plans: Iterable[NetworkPlan]) -> tuple[SealedNetwork, ...]:
    """What the forwarder is to carry, by the plans of sealed networks."""
    return tuple(
        SealedNetwork(
            vni=plan.vni,
            tap=plan.tunnel,
            mtu=plan.mtu,
            local=tuple(port.mac for port in plan.ports),
            gateway_mac=plan.gateway_mac,
            multicast=plan.multicast,
            members=tuple(Member(each.mac, each.address, each.peer) for each in plan.neighbours),
            cidr6=plan.cidr6,
        )
        for plan in plans
    )


def cards_of(
    attached: Iterable[AttachedCard], vnis: Iterable[int]
) -> dict[tuple[str, str], SealedNetwork]:
    """What the forwarder is to carry for this host itself, by grid and network.

    One whose VXLAN id is among `vnis`, or another's, is left out: ids tell networks apart.
    """
    taken = set(vnis)
    found: dict[tuple[str, str], SealedNetwork] = {}
    for each in attached:
        if each.vni in taken:
            continue
        taken.add(each.vni)
        name = network_name(GridId(each.grid), each.network)
        mac = mac_of(name, each.address)
        found[each.grid, each.network] = SealedNetwork(
            vni=each.vni,
            tap=own_link_name(each.vni, each.address),
            mtu=each.mtu,
            local=(mac,),
            gateway_mac=mac_of(name, gateway(each.cidr)),
            members=tuple(Member(mac_of(name, a), a, peer) for a, peer in each.members),
            card=OwnCard(mac, each.address, IPv4Network(each.cidr).prefixlen),
        )
    return found


def peers_of(
    peers: Iterable[sealed.SealedPeer], fresh: set[PeerId], older_s: float
) -> tuple[SealedPeer, ...]:
    """Whom the forwarder is to talk to.

    One that does not tell where it is, or takes that back, is heard only: left out, its sessions would end, and
    the forwarder takes no table with a session that has ended. Of those without keys, and of those in `fresh`,
    whose first ones are new, it keeps what it has besides. `older_s` is what the node's clock shows more than
    the monotonic one.
    """
    return tuple(
        SealedPeer(
            peer=each.peer,
            address=each.address if each.port else "",
            port=each.port if each.address else 0,
            sessions=tuple(_session(one, older_s) for one in each.sessions),
            keep=not each.sessions or each.peer in fresh,
            mtu=each.mtu,
            pair=each.pair if each.port and each.address else 0,
        )
        for each in peers
    )


def lent_of(table: Sealed) -> Lent:
    """What this host passes on."""
    pairs = (RelayPair(p.number, p.one, p.other, p.bytes_per_s) for p in table.pairs)
    return Lent(tuple(pairs), table.relay_bytes_per_s)


def _session(one: sealed.SealedSession, older_s: float) -> Session:
    return Session(
        index=one.index,
        peer_index=one.peer_index,
        send_key=one.send.reveal(),
        receive_key=one.receive.reveal(),
        made_s=one.made_s - older_s,
        cipher=TunnelCipher(one.cipher.value),
    )
