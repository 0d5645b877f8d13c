"""One running peer, assembled from its parts: first what it takes to join, then the host's side and the API.

Joining must not wait for anything else, so everything else is imported after it, beside the loop.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING

from overlayd.adapters.audit_log import DirectoryAuditLog
from overlayd.adapters.clock import SystemClock
from overlayd.adapters.credentials import Credentials
from overlayd.adapters.earlier_life import traces_of
from overlayd.adapters.key_exchange import NaclExchange
from overlayd.adapters.nacl_keys import NaclSealer, NaclVerifier
from overlayd.adapters.names import Names
from overlayd.adapters.sealed_boxes import SealedBoxes
from overlayd.adapters.sqlite_store import SqliteStore
from overlayd.adapters.underlay import UnderlayWatch, dialled_at, source_of
from overlayd.adapters.zmq_transport import ZmqTransport
from overlayd.api.listening import Listening, listen
from overlayd.config.daemonfile import DaemonConfig, ReachUse
from overlayd.loop.auditing import Auditing
from overlayd.loop.certificate_watch import CertificateWatch
from overlayd.loop.doorway import Doorway
from overlayd.loop.driver import Driver
from overlayd.loop.inbox import Inbox
from overlayd.loop.intake import Intake
from overlayd.loop.interpreter import Interpreter
from overlayd.loop.mishandled import Mishandled, Notebook
from overlayd.loop.set_aside import keep_aside, unsound
from overlayd.ports.peer import Busy, EventLine, Pipe
from overlayd.ports.store import Put, Tables
from overlayd.ports.transport import TransportEvent, Up
from overlayd.telemetry.events import EventRing
from overlayd.telemetry.logs import logger
from overlayd.telemetry.supervisor import Supervisor
from protocol.membership.messages import Contact
from protocol.node.events import Event, Started
from protocol.node.kept import SELF, begun_anew
from protocol.node.messages import CommitTold, ConsoleText, PathsTold, UsageTold
from protocol.node.node import Node
from protocol.node.poison import Poison
from protocol.node.trial import lives
from protocol.terms.dice import Dice
from protocol.terms.effects import Note
from protocol.terms.ids import GridId, PeerId, short_hash
from protocol.terms.reach import Reach
from protocol.trust.identity import Identity
from protocol.trust.order import SignedOrder
from protocol.trust.own_store import ID_BYTES
from protocol.trust.own_store import KEY as STORE

if TYPE_CHECKING:
    from overlayd.api.server import Served
    from overlayd.hosting import Hosting
    from overlayd.ports.attachments import Attachments
    from overlayd.ports.images import Collected, Images
    from overlayd.ports.usage import Metered
    from protocol.node.snapshot import PeerView

NOWHERE = "127.0.0.1:0"
"""A peer that only dials out listens here: the transport must listen, and nobody else gets there."""

OWNER_TAG = 6
"""Characters of the host's tag in names of kernel objects."""

JOIN_FIRST_S = 0.5
"""How long the host's side waits for the first connection, and then for what everybody knows to come through
it. To load it meanwhile would take the loop's turns."""


class Assembly:
    """The running peer: what the faces use, what feeds the node, and what closes in which order."""

    def __init__(self, config: DaemonConfig, credentials: Credentials) -> None:
        state = Path(config.host.state)
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.config, self._credentials = config, credentials
        self.clock = SystemClock()
        self.inbox = Inbox()
        self.intake = Intake(self.inbox)
        self.supervisor = Supervisor()
        self.store = SqliteStore(state)
        signer = credentials.identity
        self.audit_log = DirectoryAuditLog(state / "audit", signer, NaclVerifier())
        self.auditing = Auditing(self.audit_log, self.now)
        told = [str(contact.endpoint) for contact in config.overlay.join]
        self.transport = ZmqTransport(credentials.identity, Names(told))
        self.ring = EventRing(str(config.host.name))
        self.counts: Counter[str] = Counter()
        self.driver: Driver
        self._node: Node
        self._interpreter: Interpreter
        self._doorway = Doorway()
        self._connected = asyncio.Event()
        self._hosting: Hosting | None = None
        self._listening: Listening | None = None
        self._api: Served | None = None

    # -- LocalPeer

    @property
    def view(self) -> "PeerView":
        """The peer as it is now, to be read. Its code is loaded with the host's side."""
        from protocol.node.snapshot import PeerView

        return PeerView(self._node)

    @property
    def images(self) -> "Images":
        """This host's image store. The API is served once there is one."""
        return self._hosted().images

    @property
    def attachments(self) -> "Attachments":
        """The files that came with orders."""
        return self._hosted().attachments

    @property
    def usage(self) -> "Metered":
        """What is counted of this host's leases."""
        return self._hosted().metering

    @property
    def cards(self) -> Mapping[tuple[str, str], str]:
        """Of networks that this host is attached to."""
        return self._hosted().sealing.cards

    def now(self) -> float:
        """The peer's clock."""
        return self.clock.now()

    def submit(self, event: Event) -> None:
        """Hands the node an event. Raises Busy."""
        self.inbox.put(event)

    def events(self, since: int) -> list[EventLine]:
        """The kept lines after that number."""
        return self.ring.since(since)

    async def events_after(self, since: int, timeout_s: float) -> list[EventLine]:
        """Like `events`, but waits for the first line."""
        return await self.ring.after(since, timeout_s)

    async def images_changed(self) -> None:
        """Tells the node what the image store has."""
        await self._hosted().images_changed()

    async def collect_images(self, limit_bytes: int | None, need_bytes: int = 0) -> "Collected":
        """Removes images that nobody here uses."""
        return await self._hosted().image_cache.collect(limit_bytes, need_bytes)

    async def console(
        self, peer: PeerId, order: SignedOrder, offset: int, keys: bytes
    ) -> ConsoleText:
        """A workspace's console, wherever it is."""
        return await self._hosted().consoles.ask(peer, order, offset, keys)

    async def connect(self, peer: PeerId, order: SignedOrder) -> Pipe:
        """A stream to a port of a workspace, wherever it is."""
        return await self._hosted().streams.ask(peer, order)

    async def commit(self, peer: PeerId, order: SignedOrder) -> CommitTold:
        """An image of a workspace's root disk, wherever it is."""
        return await self._hosted().commits.ask(peer, order)

    async def paths(self, peer: PeerId, grid: GridId) -> PathsTold:
        """How a host reaches the other hosts of a grid."""
        return await self._hosted().path_asks.ask(peer, grid)

    async def usage_of(self, peer: PeerId, since_s: float) -> UsageTold:
        """What leases of a host of this site reserved and used."""
        return await self._hosted().usage_asks.ask(peer, since_s)

    def metrics(self) -> bytes:
        """Prometheus text."""
        from overlayd.telemetry import metrics

        counts = self.inbox.dropped + self._interpreter.counts + self._doorway.counts + self.counts
        counts += self.certificate.counts + self.auditing.counts
        counts += self._hosted().counts
        waits_s = self.inbox.waits.quantiles_s()
        return metrics.render(self.view, self.transport, counts, waits_s, self.now())

    # -- life

    async def start(self, dice: Dice, doubted: bool = False) -> None:
        """Starts what it takes to join. Raises whatever fails, and then closes what was opened.

        `doubted` says that the last life failed on its own, so that a row of the store may be why.
        """
        api = self.config.api
        await self.store.open()
        rows = await self.store.load() or self._begin_anew()
        self._listening = await asyncio.to_thread(listen, Path(api.socket), api.group)
        levels_above = self.config.overlay.levels_above
        identity, joins = self._identity(), self._joins()
        if doubted:
            rows = await self._without_unsound(identity, rows, dice)
        try:
            self._node = Node(identity, None, (), joins, rows, dice, self.now(), levels_above)
        except Exception:
            # Whatever it is, it is about the rows, since nothing else has been read yet.
            rows = await self._without_unsound(identity, rows, dice)
            self._node = Node(identity, None, (), joins, rows, dice, self.now(), levels_above)
        poison = Poison(rows, self.now())
        self.intake.sift = lambda arrived: poison.sift(arrived, self.now())
        self._interpreter = Interpreter(
            identity.peer,
            self.transport,
            self.store,
            self._doorway,
            self._doorway,
            self._doorway,
            self.ring,
            self.clock,
            self.auditing,
        )
        self.driver = Driver(self._node, self.inbox, self._interpreter, self.clock)
        files = self.config.identity
        self.certificate = CertificateWatch(
            Path(files.key),
            Path(files.certificate),
            Path(files.federation),
            self._credentials.chain,
            self._tell,
        )
        self.supervisor.keep("certificate", self.certificate.watch)
        await self.auditing.open()
        self.supervisor.keep("audit", self.auditing.run)
        where = self.config.overlay.listen or NOWHERE
        await self.transport.open(f"tcp://{where}", self._from_transport)

    async def run(self) -> None:
        """Runs until the driver is told to stop. Raises StoreError, or Mishandled when all is written down."""
        try:
            await self.driver.step(Started())
            await self.driver.run()
        except Mishandled as failed:
            notebook, view = Notebook(Path(self.config.host.state)), self.view
            failed.again_s = await notebook.write(
                self.store, failed, view.judged, self._identity(), view.site_of, self.now()
            )
            raise

    async def open_host(self) -> None:
        """Opens the host's side after joining, and the API for its callers. Raises whatever fails."""
        if self.config.overlay.join:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(JOIN_FIRST_S):
                    await self._connected.wait()
                await asyncio.sleep(JOIN_FIRST_S)
        hosting_of = await asyncio.to_thread(_load_hosting)
        boxes = SealedBoxes(self._credentials.identity)
        tag = short_hash(self._credentials.identity.key, digits=OWNER_TAG)
        self._hosting = hosting_of(
            self.config,
            tag,
            self.view,
            self.supervisor,
            self._tell,
            self.now,
            boxes,
            self.auditing,
            self._credentials.identity,
        )
        await self._hosting.open()
        self._doorway.open(self._hosting.realiser, self._hosting.bulk, self._hosting.sealing)
        fitness, short = self._hosting.fitness, self.store.short
        self.supervisor.keep("store", lambda: fitness.follow_store(short))
        assert self._listening is not None
        self._listening.on_first(self._knocked)

    async def close(self) -> None:
        """Closes everything, in the order that loses nothing. Guests go on."""
        if self._api is not None:
            await self._api.stop()
        if self._listening is not None:
            self._listening.close()
        await self.supervisor.close()
        await self.transport.close()
        if self._hosting is not None:
            await self._hosting.close()
        await self.auditing.close()
        await self.store.close()

    # -- parts

    async def _without_unsound(self, identity: Identity, rows: Tables, dice: Dice) -> Tables:
        """The rows that a peer can live with. The others go to files, and people are told."""
        now = self.now()
        bad = await asyncio.to_thread(
            unsound, rows, lambda tried: lives(identity, tried, dice, now)
        )
        if not bad:
            return rows
        folder = await keep_aside(Path(self.config.host.state), rows, bad)
        # Who lost rows may have lost what it promised: it is another store (trust/own_store.py).
        gone = {*bad, (SELF, STORE)}
        await self.store.write([Put(table, key, None) for table, key in sorted(gone)], must=True)
        tables = ", ".join(f"{n} of {t}" for t, n in Counter(table for table, _ in bad).items())
        detail = (
            f"rows of the store that cannot be read were moved to {folder} ({tables}); what they were about "
            "is asked of the stewards"
        )
        logger().error("store.set-aside", detail=detail)
        self.ring.add(Note("store.set-aside", str(self.config.host.name), detail), now)
        return {t: {k: v for k, v in r.items() if (t, k) not in gone} for t, r in rows.items()}

    def _begin_anew(self) -> Tables:
        """What the store begins with. If a daemon has lived here before, it says that nothing is remembered."""
        if left := traces_of(Path(self.config.host.state)):
            detail = (
                f"{', '.join(left)} of an earlier life are here: kept, and their stewards are asked"
            )
            logger().warning("store.empty", state=self.config.host.state, found=left)
            self.ring.add(Note("store.empty", str(self.config.host.name), detail), self.now())
        return begun_anew(self.now(), token_hex(ID_BYTES))

    def _knocked(self) -> None:
        self.supervisor.keep("api", self._serve)

    async def _serve(self) -> None:
        served = await asyncio.to_thread(_load_api)
        assert self._listening is not None
        self._api = await served.of(self, self._hosted().paths.uploads, self._listening)

    def _hosted(self) -> "Hosting":
        assert self._hosting is not None, "the API is served after the host's side has opened"
        return self._hosting

    def _tell(self, event: Event) -> None:
        """Hands in an event of our own. If the inbox is full it is lost and counted, and will be told again."""
        try:
            self.inbox.put(event)
        except Busy:
            self.counts["told-while-busy"] += 1

    def _from_transport(self, event: TransportEvent) -> None:
        if isinstance(event, Up):
            self._connected.set()
        self.intake.take(event)

    def _identity(self) -> Identity:
        credentials, overlay = self._credentials, self.config.overlay
        return Identity(
            signer=credentials.identity,
            verifier=NaclVerifier(),
            sealer=NaclSealer(credentials.identity),
            chain=credentials.chain,
            federation=credentials.federation,
            name=credentials.principal.name,
            site=credentials.principal.site,
            address=dialled_at(self.config, UnderlayWatch(source_of(self.config)).look()),
            reach=None if overlay.reach is ReachUse.AUTO else Reach(overlay.reach.value),
            exchange=NaclExchange(),
        )

    def _joins(self) -> tuple[Contact, ...]:
        joins = self.config.overlay.join
        return tuple(Contact(PeerId(join.peer), "", str(join.endpoint)) for join in joins)


async def assemble(
    config: DaemonConfig, credentials: Credentials, dice: Dice, doubted: bool = False
) -> Assembly:
    """A started peer. It is closed again if anything cannot be opened."""
    assembly = Assembly(config, credentials)
    try:
        await assembly.start(dice, doubted)
    except BaseException:
        await asyncio.shield(assembly.close())
        raise
    return assembly


# These are loaded when they are needed, in a thread, so that the loop goes on meanwhile.


def _load_hosting() -> "type[Hosting]":
    from overlayd.hosting import Hosting

    return Hosting


def _load_api() -> "type[Served]":
    from overlayd.api.server import Served

    return Served
