"""An elastic grid is made larger, as a conversation of its first host with hosts and stewards."""

import msgspec
from deciding import certificate, decided
from elastic_world import ORDER, RECORD, by_room
from negotiating import AUTHORITY, NOW, A, B, C, HostKey, asks, offer, record_of
from one_requester import FULL, ME, Scene, released

from protocol.capacity.quantum import Quantum
from protocol.contract.messages import Decided, DecidedAck, HoldReply
from protocol.contract.outcomes import ChangeGrid, Propose
from protocol.grid.grant import HoldGrant, sign_grant
from protocol.grid.record import GridRecord, Register
from protocol.grid.steps import Decline, Rescale
from protocol.placement.fit import Offer
from protocol.requesting.by_room import Grown
from protocol.terms.effects import Effect, Send
from protocol.terms.ids import GridId, PeerId

MINE = record_of(ORDER, {"web-1": ME, "web-2": B, "web-3": B})
"""The grid of which this host is the first."""
LATER = NOW + 20.0


class Carrying:
    """This peer as a host of an elastic grid."""

    def __init__(self, record: GridRecord = MINE) -> None:
        self.grids = [Grown(record, certificate(Register(record)), NOW + 5000.0)]

    def elastic(self) -> list[Grown]:
        return self.grids

    def own(self) -> Offer:
        return msgspec.structs.replace(offer(A), peer=ME, free=Quantum())

    def stewards(self, grid: GridId) -> tuple[PeerId, ...]:
        return (A, B, C)


class Growing(Scene):
    """It looks for room, and finds some at C."""

    def __init__(self, record: GridRecord = MINE) -> None:
        self.carrying = Carrying(record)
        super().__init__(carries=self.carrying)

    def look(self, now: float = LATER) -> list[Effect]:
        effects, _ = self.requester.tick(now)
        return effects

    def asked(self, now: float = LATER) -> list[Effect]:
        """Asks for quotes, and has room at B and C. Answers what it asks to be held."""
        effects, _ = self.answer_quotes(self.look(now), now=now)
        return effects

    def held(self, effects: list[Effect], now: float = LATER) -> Propose:
        """All that is asked for is held. Answers what is proposed."""
        outcomes = []
        for peer, ask in asks(effects).items():
            vnis = tuple(vni for _, vni in ask.vnis)
            grant = HoldGrant(ask.of, ask.workspaces, vnis, ask.start_s, "", ask.grid)
            reply = HoldReply(ask.grid, ask.workspaces, (), sign_grant(grant, HostKey(peer)))
            _, more = self.requester.message(peer, reply, now)
            outcomes += more
        (proposal,) = outcomes
        assert isinstance(proposal, Propose)
        return proposal


def test_hosts_are_asked_under_the_standing_order_with_what_was_decided() -> None:
    scene = Growing()
    effects = scene.asked()
    holds = asks(effects)
    assert holds
    for peer, ask in holds.items():
        assert (ask.order, ask.change, ask.of) == (ORDER, ORDER, MINE.id)
        assert ask.shown == scene.carrying.grids[0].certificate
        assert ask.until_s == NOW + 5000.0
        assert ask.asked, "its word that it asks"
        stays = [a.workspace for a in MINE.assignments if a.host == peer]
        assert set(ask.workspaces) > set(stays), "all that it would carry"


def test_what_is_held_is_proposed_and_told() -> None:
    scene = Growing()
    proposal = scene.held(scene.asked())
    assert isinstance(proposal.step, Rescale)
    record = proposal.step.record
    assert [a.workspace for a in record.assignments] == [f"web-{n}" for n in range(1, 6)]
    AUTHORITY.follows(ORDER, Register(MINE), proposal.step, ME, LATER)
    assert isinstance(proposal.purpose, ChangeGrid)
    effects, _ = scene.requester.settled(proposal.purpose, decided(record), LATER)
    told = [e.peer for e in effects if isinstance(e, Send) and isinstance(e.message, Decided)]
    assert set(told) == set(record.carriers())
    assert scene.requests.views()[0].kind == "grow"
    for peer in told:
        scene.requester.message(peer, DecidedAck(MINE.id, record.epoch), LATER)
    (view,) = scene.requests.views()
    assert (view.state, view.answer) == ("done", ("shop is larger by room that came: epoch 2",))


def test_only_the_last_growth_of_a_grid_is_remembered() -> None:
    scene = Growing()
    for number in range(3):
        now = LATER + 100.0 * number
        proposal = scene.held(scene.asked(now), now)
        assert isinstance(proposal.step, Rescale)
        assert isinstance(proposal.purpose, ChangeGrid)
        record = proposal.step.record
        scene.requester.settled(proposal.purpose, decided(record), now)
        for peer in record.carriers():
            scene.requester.message(peer, DecidedAck(MINE.id, record.epoch), now)
        scene.requester.notes()
    assert [view.kind for view in scene.requests.views()] == ["grow"]


def test_what_comes_to_nothing_is_not_told_of_and_is_let_go() -> None:
    scene = Growing()
    effects = scene.asked()
    proposal = scene.held(effects)
    assert isinstance(proposal.purpose, ChangeGrid)
    other = by_room(MINE, {"web-4": C}, by="other")
    effects, _ = scene.requester.settled(proposal.purpose, decided(other), LATER)
    assert released(effects)
    scene.requester.notes()
    assert scene.requests.views() == []
    assert scene.requests.growing() == 0


def test_while_stewards_are_silent_it_votes_against_itself() -> None:
    scene = Growing()
    proposal = scene.held(scene.asked())
    assert isinstance(proposal.purpose, ChangeGrid)
    scene.requester.unsettled(proposal.purpose, "nobody answers", LATER)
    _, outcomes = scene.requester.tick(LATER + 2.0)
    (vote,) = [o for o in outcomes if isinstance(o, Propose)]
    assert isinstance(vote.step, Decline)
    assert isinstance(proposal.step, Rescale)
    scaled = proposal.step.record.scaled
    assert scaled is not None
    assert vote.step.extension == scaled.attempt


def test_without_room_nobody_is_asked_again_and_again() -> None:
    scene = Growing()
    effects, _ = scene.answer_quotes(scene.look(), FULL, LATER)
    assert asks(effects) == {}
    assert scene.look(LATER + 0.1) == []
    scene.requester.notes()
    assert scene.requests.views() == []


def test_only_the_first_of_its_hosts_asks() -> None:
    scene = Growing(by_room(RECORD, {"web-4": C}))
    assert scene.look() == [], "the first of its hosts is another one"
