"""A requester at A that hears of hosts A, B and C, and what the conversations of these tests say to it."""

from random import Random

import msgspec
from deciding import proposed
from negotiating import (
    AUTHORITY,
    FEDERATION,
    NAMES,
    NOW,
    SITES,
    A,
    B,
    C,
    asks,
    granted,
    quote,
)

from protocol.capacity.advert import Advert, HostFacts, ImageLabel, shapes_in
from protocol.capacity.quantum import Quantum
from protocol.capacity.room import Step
from protocol.contract.messages import (
    ActReply,
    DecidedAck,
    HoldRelease,
    LeaseReply,
    Quote,
    QuoteAsk,
)
from protocol.contract.notices import Notice, placement
from protocol.contract.outcomes import CommitGrid, Outcome, Propose
from protocol.contract.told import KnownGrid, Notices
from protocol.grid.lifecycle import Phase, Status
from protocol.grid.record import GridRecord, GridState
from protocol.membership.membership import Membership
from protocol.membership.messages import Contact
from protocol.membership.presence import Known
from protocol.requesting.events import CancelAsked, OrderGiven
from protocol.requesting.growth import Carries
from protocol.requesting.host_directory import HostDirectory
from protocol.requesting.request import RequestView
from protocol.requesting.requester import Requester
from protocol.sim.keys import SimSealer, SimVerifier
from protocol.sim.people import IMAGE
from protocol.terms.effects import Audit, Effect, Send
from protocol.terms.ids import Digest, PeerId, RequestId
from protocol.trust.identity import Identity
from protocol.trust.order import SignedOrder

ROOM = Quantum(4000, 1 << 30, 1 << 40)
FULL, LITTLE = Quantum(), Quantum(100, 1 << 20, 0)
LABEL = ImageLabel(IMAGE.name, Digest(IMAGE.digest), 1)
Answer = tuple[list[Effect], list[Outcome]]


def _identity() -> Identity:
    signer = FEDERATION.host("s1", "alpha")
    return Identity(
        signer=signer,
        verifier=SimVerifier(),
        sealer=SimSealer(signer.key),
        chain=FEDERATION.host_chain("s1", "alpha"),
        federation=FEDERATION.key,
        name="alpha",
        site="s1",
        address="alpha:7000",
    )


ME = _identity().peer
"""This peer. B and C are the others."""


def advert(free: Quantum = ROOM, images: tuple[ImageLabel, ...] = (LABEL,)) -> Advert:
    facts = HostFacts(ROOM, "x86_64", "sim", "none", "", "10.0.0.1", True)
    return Advert(facts, free, shapes_in(free), images, 0, (Step(0.0, free),))


class Nowhere:
    """All hosts are known: no other site has to be asked."""

    def ask_detail(self, sites: tuple[str, ...], now: float) -> list[Effect]:
        return []


class Alike:
    def priority(self, owner: str) -> float:
        return 1.0


class OneImage:
    sharing = Alike()
    images = (LABEL,)
    facts = HostFacts(ROOM, "x86_64", "sim", "none", "", "10.0.0.1", True)


class Scene:
    """One life of the requester. B and C are alive and have told of their room."""

    def __init__(
        self,
        rows: dict[str, dict[str, bytes]] | None = None,
        born_s: float = NOW - 1.0,
        carries: Carries | None = None,
    ) -> None:
        identity, dice = _identity(), Random(3)
        contact = Contact(identity.peer, identity.site, identity.address)
        membership = Membership(contact, dice, (), born_s)
        for peer in (B, C):
            known = Known(peer, NAMES[peer], SITES[peer], f"{NAMES[peer]}:7000", 1, False, NOW * 2)
            membership.present(known, born_s)
        self.notices = Notices()
        self.directory = HostDirectory(identity, membership, self.notices, False, born_s)
        self.directory.guards = lambda key: ()  # type: ignore[method-assign]  # no name is asked for twice
        self.requester = Requester(
            identity,
            AUTHORITY,
            self.directory,
            Nowhere(),
            OneImage(),
            dice,
            1,
            rows or {},
            carries=carries,
        )
        self.requests = self.requester.requests
        for peer in (B, C):
            self.requester.advertised(peer, advert(), born_s)

    # -- what people and hosts say

    def order(self, request: str, order: SignedOrder, now: float = NOW, quote: str = "") -> Answer:
        """What follows, but for the line about it in the audit log."""
        asked = OrderGiven(RequestId(request), order, quote)
        effects, outcomes = self.requester.handle(asked, now)
        self.audits = [effect for effect in effects if isinstance(effect, Audit)]
        return [effect for effect in effects if effect not in self.audits], outcomes

    def notice(
        self, peer: PeerId, notice: Notice, now: float = NOW, confirmed: bool = True
    ) -> None:
        """Hands the notice on, as the node does. Unless it is hearsay, what it says was seen decided."""
        self.notices.put(peer, notice, now)
        if confirmed:
            self.notices.know(KnownGrid(notice, (*notice.placement.hosts, peer)))
        self.requester.noticed(peer, notice, now)

    def answer_quotes(
        self, effects: list[Effect], free: Quantum = ROOM, now: float = NOW
    ) -> Answer:
        """Has every host that is asked tell what it has, in vain or not. Answers what followed."""
        answer: Answer = ([], [])
        for effect in effects:
            if isinstance(effect, Send) and isinstance(effect.message, QuoteAsk):
                told = quote_of(effect.message.request, effect.peer, free)
                more, outcomes = self.requester.message(effect.peer, told, now)
                answer = (answer[0] + more, answer[1] + outcomes)
        return answer

    def passes(self, now: float, until_s: float, free: Quantum = ROOM) -> list[Effect]:
        """Lets time pass, in which hosts tell what they have when they are asked. Answers all that followed."""
        effects: list[Effect] = []
        while (due := self.requester.next_deadline()) is not None and due.at_s <= until_s:
            now = max(now, due.at_s)
            more, _ = self.requester.tick(now)
            then, _ = self.answer_quotes(more, free, now)
            effects += more + then
        return effects

    def hold_all(self, effects: list[Effect], now: float = NOW) -> Answer:
        """Has every host hold that is asked to. Answers what followed."""
        answer: Answer = ([], [])
        for peer, ask in asks(effects).items():
            answer = self.requester.message(peer, granted(peer, ask), now)
        return answer

    def holding(self, request: str, order: SignedOrder, now: float = NOW) -> list[Effect]:
        """An `up` for which hosts are asked to hold."""
        effects, _ = self.order(request, order, now)
        effects, _ = self.answer_quotes(effects, now=now)
        assert asks(effects)
        return effects

    def committing(self, request: str, order: SignedOrder, now: float = NOW) -> Propose:
        """An `up` whose grid is before its stewards."""
        _, (proposal,) = self.hold_all(self.holding(request, order, now), now)
        assert isinstance(proposal, Propose)
        assert isinstance(proposal.purpose, CommitGrid)
        return proposal

    def building(self, request: str, order: SignedOrder, now: float = NOW) -> GridRecord:
        """An `up` whose grid is decided, and not up yet."""
        proposal = self.committing(request, order, now)
        value = proposed(proposal)
        assert isinstance(proposal.purpose, CommitGrid)
        self.requester.settled(proposal.purpose, value, now)
        record = value.register.record
        assert record is not None
        return record

    def cancel(self, request: str, now: float = NOW) -> list[Effect]:
        effects, outcomes = self.requester.handle(CancelAsked(RequestId(request)), now)
        assert outcomes == []
        return effects

    def acted(self, request: str, peer: PeerId) -> None:
        """A host takes an action on."""
        self.requester.message(peer, ActReply(RequestId(request), "", ""), NOW)

    def promised(self, request: str, record: GridRecord) -> list[Outcome]:
        """Has every host of the grid promise the time. Answers what is asked of the stewards then."""
        outcomes: list[Outcome] = []
        for peer in record.carriers():
            _, outcomes = self.requester.message(peer, LeaseReply(RequestId(request), ""), NOW)
        return outcomes

    def acknowledged(self, record: GridRecord, epoch: int) -> None:
        """Has every host of the grid acknowledge that epoch."""
        for peer in record.carriers():
            self.requester.message(peer, DecidedAck(record.id, epoch), NOW)

    # -- what became of it

    def view(self, request: str) -> RequestView:
        found = self.requests.view(RequestId(request))
        assert found is not None
        return found

    def line(self, request: str) -> str:
        """The first line of the request's answer."""
        return self.view(request).answer[0]


def quote_of(request: str, peer: PeerId, free: Quantum = ROOM) -> Quote:
    """A host's quote for that request."""
    return msgspec.structs.replace(
        quote(peer if peer in NAMES else A, free), request=RequestId(request)
    )


def asked_to_hold(effects: list[Effect]) -> dict[PeerId, tuple[str, ...]]:
    """The workspaces that each host is asked to hold."""
    return {peer: ask.workspaces for peer, ask in asks(effects).items()}


def released(effects: list[Effect]) -> dict[PeerId, tuple[str, ...]]:
    """The workspaces that each host is to let go."""
    return {
        e.peer: e.message.workspaces
        for e in effects
        if isinstance(e, Send) and isinstance(e.message, HoldRelease)
    }


def notice_of(
    record: GridRecord,
    peer: PeerId,
    phase: Phase = Phase.READY,
    state: GridState = GridState.UP,
    epoch: int = 1,
    boot: int = 1,
) -> Notice:
    """What a host of a grid tells of it."""
    return Notice(
        grid=record.id,
        name=record.name,
        owner=record.owner,
        owner_site=record.owner_site,
        epoch=epoch,
        state=state,
        stewards=record.stewards,
        placement=placement((a.workspace, a.host) for a in record.assignments),
        addresses=(),
        mine=tuple(Status(name, phase, since_s=NOW, boot=boot) for name in record.on(peer)),
        made_s=NOW,
        lease_s=86400,
        ends_s=NOW + 86400,
    )
