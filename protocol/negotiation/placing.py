"""The requester's side of quote, hold, commit: one request to place one grid.

    quoting > holding (refill, up to four rounds) > committing > building > done
                     \\ back off, next attempt        \\ voiding, when no majority of stewards answered

Rules. A quote binds nobody. Holds that were granted are kept while refused ones are asked for
elsewhere; after four rounds everything is let go and tried again after a jittered pause, until the
request's deadline. Committing is one change of the name's register: then it is a grid, or it never
becomes one. When the stewards do not answer, nobody knows, so the attempt is voted down until somebody
answers; only then is the person told, truthfully.
"""

from collections.abc import Callable
from enum import StrEnum

import msgspec

from protocol.capacity.quantum import Quantum
from protocol.grid.lifecycle import Phase, Status
from protocol.grid.model import Encryption
from protocol.grid.record import (
    Assignment,
    GridRecord,
    GridState,
    HostRef,
    committing,
    grid_id,
    read_register,
    vni_of,
    voiding,
)
from protocol.negotiation.authority import Deployment
from protocol.negotiation.messages import (
    Decided,
    DecidedAck,
    HoldAsk,
    HoldRelease,
    HoldReply,
    Notice,
    Quote,
    QuoteAsk,
)
from protocol.negotiation.outcomes import Outcome, Propose
from protocol.negotiation.request import Planned, Request, RequestState
from protocol.placement.choose import Choice, choose
from protocol.placement.explain import explain, summarise
from protocol.placement.fit import Offer, Rules, quantum_of
from protocol.terms.dice import Dice
from protocol.terms.effects import Deadline, Effect, Send
from protocol.terms.ids import GridId, PeerId, RequestId
from protocol.terms.limits import (
    BACKOFF_S,
    DECIDED_EVERY_S,
    HOLD_REPLY_WITHIN_S,
    HOLD_S,
    QUOTE_WITHIN_S,
    QUOTED_HOSTS,
    REQUEST_S,
    ROUNDS,
)
from protocol.terms.refusal import QUANTITIES, Constraint, Refusal
from protocol.trust.order import SignedOrder


class Candidate(msgspec.Struct, frozen=True):
    """A live host that may be asked."""

    peer: PeerId
    name: str
    site: str


class World(msgspec.Struct, frozen=True):
    """What the node knows that a request needs, asked for when it is needed."""

    candidates: Callable[[], tuple[Candidate, ...]]
    stewards: Callable[[str], tuple[PeerId, ...]]
    """For a register key."""


class Stage(StrEnum):
    """Where a placing request is."""

    QUOTING = "quoting"
    HOLDING = "holding"
    BACKING_OFF = "backing off"
    COMMITTING = "committing"
    VOIDING = "voiding"
    BUILDING = "building"
    OVER = "over"


class Placing(Request):
    """One `plan` (without an order to sign it) or one `up`."""

    kind = "up"

    def __init__(
        self,
        request: RequestId,
        deployment: Deployment,
        order: SignedOrder | None,
        world: World,
        dice: Dice,
        now: float,
    ) -> None:
        super().__init__(request, deployment.name, now)
        self.kind = "up" if order is not None else "plan"
        self.deployment, self.order = deployment, order
        self._world, self._dice = world, dice
        self._attempt = -1
        self.grid_id = GridId("")
        self._step = Stage.QUOTING
        self._deadline_s = now
        self._give_up_s = now + REQUEST_S
        self._cancelled = False
        self._contended: list[Refusal] = []
        self._asked: dict[PeerId, Candidate] = {}
        self._offers: dict[PeerId, Offer] = {}
        self._held: dict[str, PeerId] = {}
        self._waiting: dict[str, PeerId] = {}
        self._round = 0
        self._stewards: tuple[PeerId, ...] = ()
        self.record: GridRecord | None = None
        self._unacked: dict[PeerId, None] = {}
        self._statuses: dict[str, Status] = {}

    # -- quoting

    def start(self, now: float) -> list[Effect]:
        """Asks every candidate for a quote."""
        self._attempt += 1
        if self.order is not None:
            self.grid_id = grid_id(self.order, self._attempt)
        self._held, self._waiting, self._offers, self._round = {}, {}, {}, 0
        self._stewards = self._world.stewards(self.deployment.key)
        candidates = self._world.candidates()[:QUOTED_HOSTS]
        self._asked = {candidate.peer: candidate for candidate in candidates}
        self._enter(Stage.QUOTING, now + QUOTE_WITHIN_S)
        self.tell(now, f"asking {len(candidates)} hosts for quotes")
        ask = QuoteAsk(self.id, self.deployment.owner_site)
        return [Send(peer, ask, self.id) for peer in self._asked]

    def quote(self, sender: PeerId, quote: Quote, now: float) -> tuple[list[Effect], list[Outcome]]:
        """A host's word. When all have spoken it goes on."""
        if self._step is not Stage.QUOTING or sender not in self._asked:
            return [], []
        self._offers[sender] = Offer(
            peer=sender,
            host=self._asked[sender].name,
            site=self._asked[sender].site,
            free=quote.free,
            architecture=quote.architecture,
            underlay=quote.underlay,
            encrypts=quote.encrypts,
            images=quote.images,
        )
        if len(self._offers) < len(self._asked):
            return [], []
        return self._choose(now)

    def _choose(self, now: float) -> tuple[list[Effect], list[Outcome]]:
        offers = tuple(self._offers[peer] for peer in self._asked if peer in self._offers)
        choice = choose(
            self.deployment.workspaces, offers, self._rules(offers), self._held, self._dice
        )
        self.placement = self._planned(choice)
        if choice.unplaced:
            return self._not_placed(choice, now)
        if self.order is None:
            self.end(RequestState.DONE, [], now)
            self._enter(Stage.OVER, now)
            return [], []
        return self._hold(choice, now), []

    def _not_placed(self, choice: Choice, now: float) -> tuple[list[Effect], list[Outcome]]:
        if self.order is not None and self._contended and now < self._give_up_s:
            return self._back_off(now), []
        lines = explain(choice, len(self.deployment.workspaces))
        silent = [c.name for peer, c in self._asked.items() if peer not in self._offers]
        if silent:
            lines.append(f"  no answer in time from {', '.join(silent)}")
        return self._fail(lines, now), []

    def _rules(self, offers: tuple[Offer, ...]) -> Rules:
        spec = self.deployment.spec
        private = [n for n in spec.networks if n.encryption is Encryption.REQUIRED]
        return Rules(
            sites=spec.placement.sites,
            exclude=spec.placement.exclude,
            spread=spec.placement.spread,
            one_site=bool(private) and not all(offer.encrypts for offer in offers),
        )

    def _planned(self, choice: Choice) -> tuple[Planned, ...]:
        planned = []
        for workspace in self.deployment.workspaces:
            offer = self._offers.get(choice.placed.get(workspace.name, PeerId("")))
            if offer is None:
                continue
            planned.append(
                Planned(
                    workspace=workspace.name,
                    host=offer.host,
                    site=offer.site,
                    peer=offer.peer,
                    cpus_milli=workspace.cpus_milli,
                    memory_bytes=workspace.memory_bytes,
                    image=workspace.image.name,
                    image_cached=workspace.image.digest in offer.images,
                )
            )
        return tuple(planned)

    # -- holding

    def _hold(self, choice: Choice, now: float) -> list[Effect]:
        assert self.order is not None
        self._round += 1
        self._waiting = {n: peer for n, peer in choice.placed.items() if n not in self._held}
        if not self._waiting:
            return []
        self._enter(Stage.HOLDING, now + HOLD_REPLY_WITHIN_S)
        per_host: dict[PeerId, list[str]] = {}
        for name, peer in self._waiting.items():
            per_host.setdefault(peer, []).append(name)
        self.tell(
            now, f"round {self._round}: asking {len(per_host)} hosts to hold {len(self._waiting)}"
        )
        vnis = tuple(
            (network.name, vni_of(self.grid_id, network.name))
            for network in self.deployment.spec.networks
        )
        return [
            Send(
                peer,
                HoldAsk(self.grid_id, self.order, tuple(names), self._stewards, vnis, HOLD_S),
                self.id,
            )
            for peer, names in per_host.items()
        ]

    def hold_reply(
        self, sender: PeerId, reply: HoldReply, now: float
    ) -> tuple[list[Effect], list[Outcome]]:
        """Promised, or why not."""
        if reply.grid != self.grid_id or self._step is not Stage.HOLDING:
            return [], []
        for name in reply.held:
            if self._waiting.get(name) == sender:
                del self._waiting[name]
                self._held[name] = sender
                self._take_room(sender, name)
        for name, refusal in reply.refused:
            if self._waiting.get(name) == sender:
                del self._waiting[name]
                self._refused(sender, refusal, now)
                if refusal.constraint is Constraint.NAME:
                    return self._fail([f"cannot make {self.grid}: {refusal.detail}"], now), []
        if self._waiting:
            return [], []
        return self._held_or_refill(now)

    def _refused(self, sender: PeerId, refusal: Refusal, now: float) -> None:
        self._contended.append(refusal)
        self.tell(now, f"refused by {refusal}")
        offer = self._offers[sender]
        if refusal.constraint in QUANTITIES:
            room = dict(offer.free.by_constraint())
            room[refusal.constraint] = min(room[refusal.constraint], refusal.available)
            free = Quantum(room[Constraint.CPUS], room[Constraint.MEMORY], room[Constraint.DISK])
            self._offers[sender] = msgspec.structs.replace(offer, free=free)
        else:
            del self._offers[sender]

    def _take_room(self, peer: PeerId, name: str) -> None:
        offer = self._offers[peer]
        workspace = next(w for w in self.deployment.workspaces if w.name == name)
        self._offers[peer] = msgspec.structs.replace(offer, free=offer.free - quantum_of(workspace))

    def _held_or_refill(self, now: float) -> tuple[list[Effect], list[Outcome]]:
        if len(self._held) == len(self.deployment.workspaces):
            return self._commit(now)
        network_id = any(r.constraint is Constraint.NETWORK_ID for r in self._contended)
        if self._round >= ROUNDS or network_id:
            return self._back_off(now), []
        return self._choose(now)

    def _back_off(self, now: float) -> list[Effect]:
        effects = self._release()
        pause_s = self._dice.uniform(0.5, 1.5) * BACKOFF_S * (1 + self._attempt)
        if now + pause_s >= self._give_up_s:
            lines = [f"could not hold all of {self.grid} within {REQUEST_S:.0f} s"]
            return effects + self._fail(lines + summarise(tuple(self._contended[-8:])), now)
        self.tell(now, f"letting everything go, trying again in {pause_s:.1f} s")
        self._enter(Stage.BACKING_OFF, now + pause_s)
        return effects

    def _release(self) -> list[Effect]:
        per_host: dict[PeerId, list[str]] = {}
        for name, peer in (*self._held.items(), *self._waiting.items()):
            per_host.setdefault(peer, []).append(name)
        self._held, self._waiting = {}, {}
        return [
            Send(peer, HoldRelease(self.grid_id, tuple(names)), self.id)
            for peer, names in per_host.items()
        ]

    # -- committing

    def _commit(self, now: float) -> tuple[list[Effect], list[Outcome]]:
        self._enter(Stage.COMMITTING, float("inf"))
        record = self._draft()
        self.tell(now, f"all held; committing with {len(self._stewards)} stewards")
        proposal = Propose(
            f"commit:{self.grid_id}",
            self.deployment.key,
            self._stewards,
            committing(record),
            self.id,
        )
        return [], [proposal]

    def _draft(self) -> GridRecord:
        assert self.order is not None
        used = dict.fromkeys(self._held[w.name] for w in self.deployment.workspaces)
        offers = [self._offers[peer] for peer in used]
        return GridRecord(
            id=self.grid_id,
            name=self.deployment.name,
            owner=self.deployment.owner,
            owner_site=self.deployment.owner_site,
            epoch=1,
            state=GridState.UP,
            order=self.order,
            stewards=self._stewards,
            hosts=tuple(HostRef(o.peer, o.host, o.site, o.underlay) for o in offers),
            assignments=tuple(
                Assignment(w.name, self._held[w.name]) for w in self.deployment.workspaces
            ),
            vnis=tuple(
                (n.name, vni_of(self.grid_id, n.name)) for n in self.deployment.spec.networks
            ),
        )

    def settled(self, value: bytes, now: float) -> tuple[list[Effect], list[Outcome]]:
        """The register's value after the commit, or after the vote against it."""
        if self._step not in (Stage.COMMITTING, Stage.VOIDING):
            return [], []
        record = read_register(value).record
        if record is not None and record.id == self.grid_id:
            return self._build(record, now), []
        effects = self._release()
        if record is not None and record.state is GridState.UP:
            other = f"a grid named {self.grid} exists already, id {record.id}"
            lines = [f"cannot make {self.grid}: {other}", "  would work: " + _ANOTHER_NAME]
            return effects + self._fail(lines, now), []
        if now < self._give_up_s and not self._cancelled:
            self.tell(now, "the holds ran out before the stewards decided")
            return effects + self._back_off(now), []
        lines = [f"could not commit {self.grid}: its stewards did not decide in time"]
        return effects + self._fail(lines, now), []

    def unsettled(self, why: str, now: float) -> tuple[list[Effect], list[Outcome]]:
        """No majority of stewards answered: nobody knows, so vote against it until somebody does."""
        if self._step not in (Stage.COMMITTING, Stage.VOIDING):
            return [], []
        self.tell(now, f"the stewards did not decide: {why}")
        self._enter(Stage.VOIDING, now + self._dice.uniform(0.5, 1.5))
        return [], []

    # -- building

    def _build(self, record: GridRecord, now: float) -> list[Effect]:
        self.record = record
        self._held, self._waiting = {}, {}
        self._unacked = dict.fromkeys(record.carriers())
        self._statuses = {a.workspace: Status(a.workspace, Phase.HELD) for a in record.assignments}
        self.tell(now, f"committed: {len(record.assignments)} workspaces, epoch {record.epoch}")
        self._enter(Stage.BUILDING, now + DECIDED_EVERY_S)
        return self._announce()

    def _announce(self) -> list[Effect]:
        assert self.record is not None
        return [Send(peer, Decided(self.record), self.id) for peer in self._unacked]

    def acknowledged(self, sender: PeerId, ack: DecidedAck, now: float) -> None:
        """A host has it on disk."""
        if ack.grid == self.grid_id and self._unacked.pop(sender, "") is None and not self._unacked:
            self.tell(now, "every host has the contract")

    def noticed(self, notice: Notice, now: float) -> None:
        """A host tells where its workspaces are."""
        if notice.grid != self.grid_id or self._step is not Stage.BUILDING:
            return
        if notice.state is GridState.DOWN:
            self.end(RequestState.FAILED, [f"{self.grid} was taken down meanwhile"], now)
            self._enter(Stage.OVER, now)
            return
        for status in notice.mine:
            old = self._statuses.get(status.workspace)
            if old is None or old == status:
                continue
            self._statuses[status.workspace] = status
            if old.phase is not status.phase:
                self.tell(now, f"{status.workspace} {status.phase} {status.detail}".rstrip())
        if all(status.settled for status in self._statuses.values()):
            done = f"{self.grid} is up: {len(self._statuses)} workspaces"
            self.end(RequestState.DONE, [done], now)
            self._enter(Stage.OVER, now)

    # -- time and people

    def cancel(self, now: float) -> list[Effect]:
        """The person changed their mind. Before the commit everything is let go; after it, use down."""
        if self._step in (Stage.QUOTING, Stage.HOLDING, Stage.BACKING_OFF):
            effects = self._release()
            self.end(RequestState.CANCELLED, ["cancelled; nothing is held"], now)
            self._enter(Stage.OVER, now)
            return effects
        self._cancelled = True
        return []

    def tick(self, now: float) -> tuple[list[Effect], list[Outcome]]:
        """What follows when an answer did not come."""
        if now < self._deadline_s:
            return [], []
        match self._step:
            case Stage.QUOTING:
                return self._choose(now)
            case Stage.HOLDING:
                return self._overdue(now)
            case Stage.BACKING_OFF:
                self._contended = self._contended[-8:]
                return self.start(now), []
            case Stage.VOIDING:
                self._deadline_s = float("inf")
                change = voiding(self.grid_id, now)
                key = self.deployment.key
                proposal = Propose(f"commit:{self.grid_id}", key, self._stewards, change, self.id)
                return [], [proposal]
            case Stage.BUILDING:
                self._deadline_s = now + DECIDED_EVERY_S
                return self._announce(), []
            case _:
                return [], []

    def next_deadline(self) -> Deadline | None:
        """When to tick."""
        if self._step is Stage.OVER or self._deadline_s == float("inf"):
            return None
        if self._step is Stage.BUILDING and not self._unacked:
            return None
        return Deadline(self._deadline_s, f"{self.kind} {self._step}")

    def _overdue(self, now: float) -> tuple[list[Effect], list[Outcome]]:
        """Hosts that did not answer may hold all the same: tell them to let go, and ask others."""
        effects: list[Effect] = []
        per_host: dict[PeerId, list[str]] = {}
        for name, peer in self._waiting.items():
            per_host.setdefault(peer, []).append(name)
        self._waiting = {}
        for peer, names in per_host.items():
            effects.append(Send(peer, HoldRelease(self.grid_id, tuple(names)), self.id))
            silent = Refusal(Constraint.SILENT, self._asked[peer].name, detail="no answer in time")
            self._refused(peer, silent, now)
        more, outcomes = self._held_or_refill(now)
        return effects + more, outcomes

    def _fail(self, lines: list[str], now: float) -> list[Effect]:
        effects = self._release()
        state = RequestState.CANCELLED if self._cancelled else RequestState.FAILED
        self.end(state, lines, now)
        self._enter(Stage.OVER, now)
        return effects

    def _enter(self, step: Stage, deadline_s: float) -> None:
        self._step, self._deadline_s = step, deadline_s
        if step is not Stage.OVER:
            self.stage = step


_ANOTHER_NAME = "take it down with `overlayctl down`, or choose another name"
