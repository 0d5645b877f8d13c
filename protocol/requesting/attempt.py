"""One attempt to gather promises for every workspace of a grid: quotes, a choice, holds.

Rules. Holds that were granted are kept while refused ones are asked for elsewhere. A host that does not answer
may hold all the same, so it is told to let go. What is believed of hosts is in offers.py.
"""

from collections.abc import Callable

import msgspec

from protocol.capacity.quantum import Quantum
from protocol.contract.authority import Deployment
from protocol.contract.messages import HoldAsk, HoldRelease, HoldReply, Quote, QuoteAsk
from protocol.grid.check_expose import fixed_ports
from protocol.grid.grant import HoldGrant, SignedGrant
from protocol.grid.lease import asked
from protocol.grid.model import Workspace
from protocol.grid.next_epoch import vnis_after
from protocol.grid.record import Assignment, GridRecord, GridState, HostRef, vni_of
from protocol.placement.choose import Choice, choose
from protocol.placement.counter import CounterOffer, counter_offers
from protocol.placement.explain import Explanation, explain
from protocol.placement.fit import Offer, quantum_of, rules_of, to_be_exposed
from protocol.placement.narrowed import narrowed
from protocol.requesting.change import Change
from protocol.requesting.claiming import Shares, wanted
from protocol.requesting.offers import Offers
from protocol.requesting.pinned import Pinned, fewer, later, whole
from protocol.requesting.request import Planned
from protocol.requesting.shortlist import Candidate, others, shortlist
from protocol.requesting.stuck import movable, would_work
from protocol.terms.dice import Dice
from protocol.terms.effects import Effect, Send
from protocol.terms.ids import GridId, PeerId, RequestId
from protocol.terms.limits import MTU_USUAL
from protocol.terms.refusal import QUANTITIES, Constraint, Refusal
from protocol.trust.order import SignedOrder
from protocol.wire.codec import decode


class Opening(msgspec.Struct, frozen=True):
    """How an attempt begins."""

    sure: tuple[PeerId, ...] = ()
    """Hosts that are asked for a quote even if the lot does not draw them."""
    everybody: bool = False
    """Whether all others are asked at once as well."""
    start_s: float | None = None
    """When the lease is to begin, Unix seconds; None if that is as the order says."""
    instead: GridId = GridId("")
    """The grid id of a held plan whose place the holds take."""


class Attempt:
    """The hosts that were invited to offer, what they offered, and what they hold."""

    def __init__(
        self,
        request: RequestId,
        deployment: Deployment,
        grid: GridId,
        candidates: tuple[Candidate, ...],
        dice: Dice,
        opening: Opening,
        change: Change | None = None,
    ) -> None:
        """With a `change`, `deployment` is the whole grid as it will be, and `grid` the id of the attempt."""
        self._request, self._deployment, self._dice = request, deployment, dice
        self.grid = grid
        self._candidates = candidates
        self.change = change
        there = {**change.stays, **change.fixed} if change is not None else {}
        self._free = tuple(w for w in deployment.workspaces if w.name not in there)
        """What may go anywhere: all of it, if nothing is there yet."""
        wanted = dict.fromkeys(opening.sure)
        surely = [c for c in candidates if c.peer in wanted] if wanted else []
        first: tuple[Candidate, ...] = ()
        if self._free:
            first = shortlist(candidates, deployment.spec, self._free, dice)
        self._invited = {candidate.peer: candidate for candidate in (*surely, *first)}
        self._offers = Offers(deployment.spec)
        own_s = deployment.spec.lease.start_s
        self.start_s = own_s if opening.start_s is None else opening.start_s
        """When the lease is to begin; 0 if that is now, or is not chosen yet because there is a deadline."""
        self._everybody, self._instead = opening.everybody, opening.instead
        self._stays: dict[str, PeerId] = change.stays if change is not None else {}
        self._held: dict[str, PeerId] = dict(self._stays)
        self._waiting: dict[str, PeerId] = {}
        self._grants: dict[PeerId, SignedGrant] = {}
        """What each host granted last: all that it holds."""
        self._sizes: dict[str, Workspace] = {w.name: w for w in deployment.workspaces}
        self.rounds = 0
        self.stuck: dict[str, Refusal] = {}
        """Workspaces that are to be changed and cannot be where they are, by the last choice."""
        self.refused: list[Refusal] = []
        """Every refusal of a hold in this attempt."""

    # -- quotes

    def request_quotes(self) -> list[Effect]:
        """Asks the hosts drawn first for a quote, and the others too if everybody is asked at once."""
        return self._requests(tuple(self._invited)) + (self.widen() if self._everybody else [])

    def widen(self) -> list[Effect]:
        """Asks all others too; no effects if there are none."""
        if not (wanted := self._free or movable(self._sizes, self.stuck)):
            return []
        more = others(self._candidates, self._invited, wanted, self._dice)
        self._candidates = ()
        self._invited |= {candidate.peer: candidate for candidate in more}
        return self._requests(tuple(candidate.peer for candidate in more))

    def _requests(self, peers: tuple[PeerId, ...]) -> list[Effect]:
        deployment = self._deployment
        request = QuoteAsk(
            self._request,
            deployment.owner_site,
            asked(deployment.spec, self.start_s),
            deployment.name,
            deployment.spec.placement.apart,
            deployment.order,
            deployment.issued_at_s,
            fixed_ports(deployment.spec),
            deployment.owner,
        )
        return [Send(peer, request, self._request) for peer in peers]

    @property
    def candidates(self) -> int:
        """How many hosts were asked."""
        return len(self._invited)

    def quote(self, sender: PeerId, quote: Quote, now: float) -> bool:
        """A host gives its quote. True when all hosts have."""
        candidate = self._invited.get(sender)
        if candidate is None:
            return False
        self._offers.quoted(candidate, quote, now)
        return len(self._offers) == len(self._invited)

    def silent(self) -> list[str]:
        """Names of hosts that gave no quote."""
        return [c.name for peer, c in self._invited.items() if peer not in self._offers]

    def knows(self, peer: PeerId) -> bool:
        """Whether that host was there to be asked."""
        return peer in self._invited

    def offer(self, peer: PeerId) -> Offer | None:
        """A host's offer, as far as it is believed; None if it made none."""
        return self._offers.get(peer)

    @property
    def offers(self) -> tuple[Offer, ...]:
        """The offers of all hosts, as far as they are believed."""
        return self._offers.all()

    # -- the choice

    def choose(self, now: float) -> Choice:
        """Where what is not held yet would go.

        If there is a deadline and nothing is held yet, this also chooses the first start at which all of it
        fits.
        """
        if not self._deployment.spec.lease.before_s or self.start_s:
            return self._choose()
        first: Choice | None = None
        for start_s in self._offers.starts(now):
            choice = self._choose(self._offers.at(start_s))
            if choice.enough:
                self.start_s = start_s
                self._offers.begin_at(start_s)
                return choice
            first = first or choice
        return first or self._choose()

    def count_in(self, placed: dict[str, PeerId]) -> None:
        """Counts as free what a plan of this request's own holds, which hosts count as used."""
        for name, peer in placed.items():
            if peer in self._offers:
                self._offers.given_back(peer, self._size(name))

    def afresh(self, now: float) -> Choice:
        """Where all of it would go by what is known now. To be asked only while nothing is held."""
        self.rounds, self.start_s = 0, self._deployment.spec.lease.start_s
        return self.choose(now)

    def _choose(self, believed: tuple[Offer, ...] | None = None) -> Choice:
        """With these offers, or those that are believed now."""
        by_peer = {o.peer: o for o in (self.offers if believed is None else believed)}
        offers = tuple(by_peer[peer] for peer in self._invited if peer in by_peer)
        if self.rounds and any(w.name not in self._held for w in self._free):
            roomier = tuple(self._with_less(offer) for offer in offers)
            choice = self._seat(roomier)
            if not choice.unplaced:
                return choice
        return self._seat(offers)

    def _seat(self, offers: tuple[Offer, ...]) -> Choice:
        """The choice among these offers, beside what is held and what is changed where it is."""
        members, change = self._deployment.workspaces, self.change
        if change is None:
            rules = rules_of(self._deployment.spec, offers)
            return choose(members, offers, rules, self._held, self._dice)
        pinned = Pinned(change, self._held, offers)
        self.stuck = pinned.refused
        if pinned.refused:
            return pinned.choice(members, self._held)
        # A change is made whole or not at all, whatever its clusters could do without.
        rules = rules_of(whole(self._deployment.spec), pinned.offers)
        return choose(members, pinned.offers, rules, {**change.fixed, **self._held}, self._dice)

    def _size(self, name: str) -> Quantum:
        """What a host that holds it has to have for it, beside what it carries of this grid."""
        return self.change.size(name) if self.change else quantum_of(self._sizes[name])

    def _with_less(self, offer: Offer) -> Offer:
        """An offer with less room, so that nearly full hosts are passed over if there are others.

        Where other requests were faster they will be again. With each refill a host must have room for one more
        of the largest workspaces.
        """
        left = [quantum_of(w) for w in self._free if w.name not in self._held]
        cpus_milli = offer.free.cpus_milli - self.rounds * max(q.cpus_milli for q in left)
        memory_bytes = offer.free.memory_bytes - self.rounds * max(q.memory_bytes for q in left)
        free = msgspec.structs.replace(
            offer.free, cpus_milli=max(0, cpus_milli), memory_bytes=max(0, memory_bytes)
        )
        return msgspec.structs.replace(offer, free=free)

    def contended(self) -> bool:
        """Whether it would fit if what hosts hold for others, and keep for older orders, came free.

        Then others are only ahead of this request.
        """
        offers = self._offers.uncontended()
        return bool(offers) and self._seat(offers).enough

    @property
    def ahead(self) -> str:
        """What is ahead of this request, for people."""
        return self._offers.ahead

    @property
    def short(self) -> bool:
        """Whether room was lacking, by the quotes or when hosts were asked to hold."""
        lacking = (*QUANTITIES, Constraint.OLDER)
        return not self.rounds or any(refusal.constraint in lacking for refusal in self.refused)

    def wanted(self) -> Shares:
        """The workspaces that it would claim room for, and where."""
        offers, deployment = self.offers, self._deployment
        return wanted(deployment.spec, deployment.workspaces, offers, self._dice)

    def explain(self, choice: Choice, now: float, suspects: tuple[str, ...] = ()) -> Explanation:
        """Why a choice is not enough, and what would work if everything that is held were let go.

        `suspects` tell of names that nobody has.
        """
        spec = self._deployment.spec
        if self.change is not None:
            change, members = self.change, self._deployment.workspaces
            less = () if self.stuck else fewer(change, choice, self.offers)
            ahead = self._offers.later(self.offers, now)
            then = later(change, members, ahead, change.ends_s - now)
            return explain(whole(spec), choice, (*then, *less), suspects)
        offers = {offer.peer: offer for offer in self.offers}
        for name, peer in self._held.items():
            free = offers[peer].free + quantum_of(self._sizes[name])
            offers[peer] = msgspec.structs.replace(offers[peer], free=free)
        plain = tuple(offers.values())
        offered = counter_offers(spec, plain, choice, self._offers.later(plain, now))
        return explain(spec, choice, offered, suspects)

    def instead_of_stuck(self, later: tuple[CounterOffer, ...]) -> list[str]:
        """What would work in place of what cannot be changed where it is; `later` of it is known."""
        return would_work(self.change, self.stuck, self.offers, later) if self.change else []

    def narrowed(self, placement: tuple[Planned, ...]) -> str:
        """What is to be said of a wish to be spread that a network keeps at one site; empty if nothing is."""
        spec, offers = self._deployment.spec, self.offers
        by_peer = {offer.peer: offer for offer in offers}
        where = {row.workspace: by_peer[row.peer] for row in placement if row.peer in by_peer}
        return narrowed(spec, rules_of(spec, offers), where, offers)

    def planned(self, choice: Choice) -> tuple[Planned, ...]:
        """A choice as people read it; of a change, where that places what is added."""
        change = self.change
        return self._rows(choice, None if change is None else change.delta.added)

    def grown(self, choice: Choice) -> tuple[Planned, ...]:
        """The same of what a change alters where it is."""
        return self._rows(choice, () if self.change is None else tuple(self.change.changed))

    def _rows(self, choice: Choice, names: tuple[str, ...] | None) -> tuple[Planned, ...]:
        """The rows of those workspaces; of all without `names`."""
        planned = []
        members = self._deployment.workspaces
        for workspace in (w for w in members if names is None or w.name in names):
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
                    scratch_bytes=workspace.root_bytes + workspace.scratch_bytes,
                    mtu=offer.facts.mtu or MTU_USUAL,
                    console_bytes=workspace.console_bytes,
                    wireguard=offer.facts.wireguard is not None and not offer.hidden,
                    exposed=to_be_exposed(workspace, offer.facts.ports),
                )
            )
        return tuple(planned)

    # -- holds

    @property
    def complete(self) -> bool:
        """Whether everything is held."""
        return len(self._held) == len(self._sizes)

    @property
    def held(self) -> dict[str, PeerId]:
        """What is held and where: workspace name to host."""
        return dict(self._held)

    @property
    def enough(self) -> bool:
        """Whether what is held makes a grid: at least its `min` of every cluster. A change is made whole."""
        if self.change is not None:
            return self.complete
        held: dict[str, int] = {}
        for name in self._held:
            cluster = self._sizes[name].cluster
            held[cluster] = held.get(cluster, 0) + 1
        return all(held.get(c.name, 0) >= c.least for c in self._deployment.spec.clusters)

    @property
    def waiting(self) -> bool:
        """Whether hosts have still to answer."""
        return bool(self._waiting)

    def hold(
        self,
        choice: Choice,
        order: SignedOrder,
        asked: Callable[[GridId, PeerId], bytes] = lambda attempt, host: b"",
    ) -> list[Effect]:
        """Asks hosts to hold what the choice places and is not held yet.

        `asked` answers this peer's word that it asks a host, which an order that is for this peer needs.
        """
        self.rounds += 1
        self._waiting = {n: peer for n, peer in choice.placed.items() if n not in self._held}
        # A host grants what it is asked for in one grant, so what it holds already is named again.
        held = _by_host(self._held)
        words = asked if self._deployment.via else lambda attempt, host: b""
        return [
            Send(
                peer,
                self._ask(order, (*held.get(peer, ()), *names), words(self.grid, peer)),
                self._request,
            )
            for peer, names in _by_host(self._waiting).items()
        ]

    def _ask(self, order: SignedOrder, names: tuple[str, ...], word: bytes) -> HoldAsk:
        change = self.change
        terms = (self._vnis(), self._deployment.hold_s, self.start_s, self._instead)
        ask = HoldAsk(self.grid, order, names, *terms, asked=word)
        if change is None:
            return ask
        made, of, start_s = change.record.order, change.record.id, change.record.start_s
        ask = msgspec.structs.replace(ask, order=made, change=order, of=of, start_s=start_s)
        return change.proven(ask)

    def reply(self, sender: PeerId, reply: HoldReply) -> list[Refusal]:
        """A host holds, or says why not. Answers what is newly refused. Its grant's signature is checked."""
        refused: list[Refusal] = []
        asked_now = sender in self._waiting.values()
        if asked_now and reply.held and (fault := self._ungranted(sender, reply)):
            no = Refusal(Constraint.AUTHORITY, self._invited[sender].name, detail=fault)
            untrue = tuple((name, no) for name in reply.held)
            reply = HoldReply(reply.grid, (), (*untrue, *reply.refused))
        elif asked_now and reply.grant is not None:
            self._grants[sender] = reply.grant
        for name in reply.held:
            if self._waiting.get(name) == sender:
                del self._waiting[name]
                self._held[name] = sender
                self._offers.taken(sender, self._size(name))
        for name, refusal in reply.refused:
            if self._waiting.get(name) == sender:
                del self._waiting[name]
                self._offers.refused(sender, refusal)
                refused.append(refusal)
        self.refused += refused
        return refused

    def overdue(self) -> tuple[list[Effect], list[Refusal]]:
        """Gives up on hosts that did not answer. Answers releases, since they may hold, and the refusals."""
        effects: list[Effect] = []
        refused: list[Refusal] = []
        for peer, names in _by_host(self._waiting).items():
            effects.append(Send(peer, HoldRelease(self.grid, tuple(names)), self._request))
            silent = Refusal(
                Constraint.SILENT, self._invited[peer].name, detail="no answer in time"
            )
            self._offers.refused(peer, silent)
            refused.append(silent)
        self._waiting = {}
        self.refused += refused
        return effects, refused

    def release(self, record: GridRecord | None = None) -> list[Effect]:
        """Lets everything go except what a record says is the grid's."""
        kept = record.placed if record is not None else {}
        going = {**self._held, **self._waiting}
        kept |= self._stays
        going = {name: peer for name, peer in going.items() if kept.get(name) != peer}
        for name, peer in self._held.items():
            if name not in self._stays:
                self._offers.given_back(peer, self._size(name))
        self._held, self._waiting, self._grants = dict(self._stays), {}, {}
        return [
            Send(peer, HoldRelease(self.grid, tuple(names)), self._request)
            for peer, names in _by_host(going).items()
        ]

    def draft(self, order: SignedOrder) -> GridRecord:
        """The record that makes what is held a grid, or a part of it."""
        deployment = self._deployment
        members = [w for w in deployment.workspaces if w.name in self._held]
        if self.change is not None:
            asked_of = [self._offers[peer] for peer in self._grants]
            refs = tuple(HostRef(o.peer, o.host, o.site) for o in asked_of)
            grants = tuple(self._grants.values())
            return self.change.next(order, self.grid, self._held, refs, grants)
        used = dict.fromkeys(self._held[w.name] for w in members)
        offers = [self._offers[peer] for peer in used]
        return GridRecord(
            id=self.grid,
            name=deployment.name,
            owner=deployment.owner,
            owner_site=deployment.owner_site,
            epoch=1,
            state=GridState.UP,
            order=order,
            stewards=deployment.stewards,
            hosts=tuple(HostRef(o.peer, o.host, o.site) for o in offers),
            assignments=tuple(Assignment(w.name, self._held[w.name]) for w in members),
            vnis=self._vnis(),
            start_s=self.start_s,
            grants=tuple(self._grants[peer] for peer in used),
        )

    def _ungranted(self, sender: PeerId, reply: HoldReply) -> str:
        """Why a reply does not grant what it says is held; empty if it does, or is about a plan."""
        if not self._deployment.commits:
            return ""
        if reply.grant is None:
            return "it granted nothing of what it says it holds"
        vnis = tuple(vni for _, vni in self._vnis())
        grant = decode(reply.grant.payload, HoldGrant)
        before = tuple(name for name, peer in self._held.items() if peer == sender)
        meant = (self.grid, GridId(""), vnis, self.start_s, sender)
        if self.change is not None:
            meant = (self.change.record.id, self.grid, vnis, self.change.record.start_s, sender)
        if (grant.grid, grant.change, grant.vnis, grant.start_s, reply.grant.host) != meant:
            return "it granted something else than was asked"
        if grant.workspaces != reply.held or any(name not in reply.held for name in before):
            return "it granted other workspaces than it says it holds"
        return ""

    def _vnis(self) -> tuple[tuple[str, int], ...]:
        if self.change is not None:
            return vnis_after(self.change.record, self.change.new, self.grid)
        networks = self._deployment.spec.networks
        return tuple((network.name, vni_of(self.grid, network.name)) for network in networks)


def _by_host(placed: dict[str, PeerId]) -> dict[PeerId, list[str]]:
    per_host: dict[PeerId, list[str]] = {}
    for name, peer in placed.items():
        per_host.setdefault(peer, []).append(name)
    return per_host
