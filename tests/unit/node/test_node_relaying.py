"""Two whole nodes behind NAT, and one that both reach: a path is a connection to everything above it."""

from random import Random

import pytest

from protocol.capacity.advert import HostFacts
from protocol.capacity.quantum import Quantum
from protocol.contract.messages import Quote, QuoteAsk
from protocol.node.events import (
    Arrived,
    Connected,
    Disconnected,
    Event,
    Knocked,
    Say,
    Started,
    Ticked,
)
from protocol.node.messages import ImageAsk
from protocol.node.node import Node
from protocol.node.snapshot import PeerView
from protocol.relay.messages import Relayed
from protocol.sim.keys import SimFederation, SimSealer, SimVerifier
from protocol.terms.effects import Dial, Effect, HandOver, HangUp, Send
from protocol.terms.ids import PeerId, RequestId, digest_of
from protocol.terms.reach import Reach
from protocol.trust.identity import Identity
from protocol.wire.envelope import pack
from protocol.wire.versions import SPOKEN

NOW = 1_000_000.0
FED = SimFederation("fed", from_s=NOW - 1000, until_s=NOW + 10_000_000)
FACTS = HostFacts(Quantum(4000, 4 << 30, 0), "x86_64", "sim", "none", "", "10.0.0.1", True)
ASKED = RequestId("request")
ASK = ImageAsk("session", digest_of(b"image"), 0, 1)


def identity(name: str, site: str, reach: Reach | None) -> Identity:
    signer = FED.host(site, name)
    return Identity(
        signer=signer,
        verifier=SimVerifier(),
        sealer=SimSealer(signer.key),
        chain=FED.host_chain(site, name),
        federation=FED.key,
        name=name,
        site=site,
        address=f"{name}:7000",
        reach=reach,
    )


class Trio:
    """`a` and `b`, each behind a NAT, and `r`; everything sent arrives at once."""

    def __init__(self) -> None:
        self.now = NOW
        self.who = {
            "a": identity("a", "home", Reach.NAT),
            "b": identity("b", "cafe", Reach.NAT),
            "r": identity("r", "open", Reach.PUBLIC),
        }
        self.names = {who.peer: name for name, who in self.who.items()}
        self.nodes = {
            name: Node(who, FACTS, (), (), {}, Random(n), NOW)
            for n, (name, who) in enumerate(self.who.items())
        }
        self.links: dict[str, list[str]] = {"a": [], "b": [], "r": []}
        self.did: list[tuple[str, Effect]] = []
        for name in self.nodes:
            self.feed(name, Started())

    def peer(self, name: str) -> PeerId:
        return self.who[name].peer

    def connect(self, one: str, other: str) -> None:
        self.links[one].append(other)
        self.links[other].append(one)
        connected = (one, Connected(self.peer(other))), (other, Connected(self.peer(one), True))
        self.feed_all(list(connected))

    def disconnect(self, one: str, other: str) -> None:
        self.links[one].remove(other)
        self.links[other].remove(one)
        self.feed(one, Disconnected(self.peer(other), "cut"))
        self.feed(other, Disconnected(self.peer(one), "cut"))

    def feed(self, name: str, event: Event) -> None:
        self.feed_all([(name, event)])

    def feed_all(self, todo: list[tuple[str, Event]]) -> None:
        while todo:
            here, happened = todo.pop(0)
            node = self.nodes[here]
            for effect in node.handle(happened, self.now):
                self.did.append((here, effect))
                if isinstance(effect, Send):
                    to = self.names[effect.peer]
                    if to == here or to in self.links[here]:
                        size = len(pack(effect.message, ""))
                        said = Arrived(self.peer(here), effect.message, effect.cause, size)
                        todo.append((to, said))
            node.check()

    def pass_time(self, seconds: float) -> None:
        end_s = self.now + seconds
        while self.now < end_s:
            self.now = min(end_s, self.now + 0.1)
            for name, node in self.nodes.items():
                due = node.next_deadline()
                if due is not None and due.at_s <= self.now:
                    self.feed(name, Ticked())

    def handed_over(self, name: str) -> list[HandOver]:
        return [e for at, e in self.did if at == name and isinstance(e, HandOver)]


@pytest.fixture
def trio() -> Trio:
    """All three know each other."""
    made = Trio()
    made.connect("a", "r")
    made.connect("b", "r")
    made.pass_time(5.0)
    assert all(len(node.membership.sites_alive()) == 2 for node in made.nodes.values())
    made.did.clear()
    return made


def test_bulk_goes_through_the_relay_and_its_cause_with_it(trio: Trio) -> None:
    trio.feed("a", Say(trio.peer("b"), ASK, "request-1"))
    trio.pass_time(1.0)
    (got,) = trio.handed_over("b")
    assert got == HandOver(trio.peer("a"), ASK, "request-1")
    assert not [e for _, e in trio.did if isinstance(e, Dial)], "nobody dials who is behind NAT"
    passed = [e for at, e in trio.did if at == "r" and isinstance(e, Send)]
    assert all(not e.cause for e in passed if isinstance(e.message, Relayed))


def test_who_answers_for_what_came_through_a_relay_is_who_said_it(trio: Trio) -> None:
    trio.feed("a", Say(trio.peer("b"), ASK))
    trio.pass_time(1.0)
    trio.did.clear()
    trio.feed("a", Say(trio.peer("b"), ASK))
    (passed,) = [e for at, e in trio.did if at == "r" and isinstance(e, Send)]
    assert isinstance(passed.message, Relayed)
    assert PeerView(trio.nodes["b"]).judged == trio.peer("a")


def test_faces_see_how_each_is_reached_and_through_whom(trio: Trio) -> None:
    trio.feed("a", Say(trio.peer("b"), ASK))
    trio.pass_time(1.0)
    rows = {row.name: row for row in PeerView(trio.nodes["a"]).peers(trio.now)}
    assert {name: row.reach for name, row in rows.items()} == {
        "a": "nat",
        "b": "nat",
        "r": "public",
    }
    assert {name: row.through for name, row in rows.items()} == {"a": "", "b": "r", "r": ""}
    assert PeerView(trio.nodes["r"]).this_peer().relayed["messages"] > 0
    known = trio.nodes["a"].membership.known[trio.peer("b")]
    assert known.via == (trio.peer("r"),)


def test_hosts_behind_nat_carry_no_network_of_others(trio: Trio) -> None:
    for name, hidden in (("a", True), ("r", False)):
        effects, _ = trio.nodes[name].host.message(trio.peer("b"), QuoteAsk(ASKED, "s1"), trio.now)
        (said,) = [e.message for e in effects if isinstance(e, Send)]
        assert isinstance(said, Quote)
        assert said.hidden is hidden


def test_nothing_is_relayed_to_be_relayed(trio: Trio) -> None:
    """A path does not count as a connection for what is to be passed on."""
    trio.feed("a", Say(trio.peer("b"), ASK))
    trio.pass_time(1.0)
    a, b = trio.nodes["a"], trio.nodes["b"]
    nested = pack(Relayed(trio.peer("r"), trio.peer("a"), 1, 1000, b"x"), "")
    for send in a.relay.paths.send(trio.peer("b"), nested, trio.now):
        assert isinstance(send, Send)
        assert isinstance(send.message, Relayed)
        trio.feed("b", Arrived(trio.peer("r"), send.message, "", 100))
    assert b.quarantines.counts["relayed-in-relayed"] == 1
    before = a.relaying.dropped
    lost = a.relaying.send(
        [Send(trio.peer("b"), Relayed(trio.peer("r"), trio.peer("a"), 1, 1, b""))], NOW
    )
    assert lost == []
    assert a.relaying.dropped == before + 1


def test_rubbish_in_a_box_is_held_against_who_sealed_it(trio: Trio) -> None:
    trio.feed("a", Say(trio.peer("b"), ASK))
    trio.pass_time(1.0)
    for send in trio.nodes["a"].relay.paths.send(trio.peer("b"), b"\xc1", trio.now):
        assert isinstance(send, Send)
        trio.feed("b", Arrived(trio.peer("r"), send.message, "", 100))  # type: ignore[arg-type]
    assert trio.nodes["b"].quarantines.faults(trio.peer("a")) == 1
    assert trio.nodes["b"].quarantines.faults(trio.peer("r")) == 0


def test_a_direct_connection_takes_over(trio: Trio) -> None:
    trio.feed("a", Say(trio.peer("b"), ASK))
    trio.pass_time(1.0)
    trio.feed("a", Knocked(trio.peer("b"), True))
    trio.pass_time(3.0)
    trio.feed("a", Knocked(trio.peer("b"), True))
    assert Dial(trio.peer("b"), "b:7000") in [e for at, e in trio.did if at == "a"]
    trio.connect("a", "b")
    trio.did.clear()
    trio.feed("a", Say(trio.peer("b"), ASK))
    sent = Send(trio.peer("b"), ASK, version=SPOKEN.newest)
    assert [e for at, e in trio.did if at == "a"] == [sent]
    assert len(trio.handed_over("b")) == 1
    trio.pass_time(3.0)
    assert trio.nodes["a"].relay.paths.peers() == []


def test_when_the_only_relay_goes_the_path_is_down_and_hung_up(trio: Trio) -> None:
    trio.feed("a", Say(trio.peer("b"), ASK))
    trio.pass_time(1.0)
    trio.disconnect("a", "r")
    assert not trio.nodes["a"].membership.links.introduced(trio.peer("b"))
    trio.connect("a", "r")
    trio.pass_time(3.0)
    trio.feed("a", Say(trio.peer("b"), ASK))
    trio.pass_time(3.0)
    assert len(trio.handed_over("b")) == 2


def test_a_path_that_is_hung_up_is_over_at_both_ends(trio: Trio) -> None:
    trio.feed("a", Say(trio.peer("b"), ASK))
    trio.pass_time(1.0)
    a, b = trio.nodes["a"], trio.nodes["b"]
    assert b.membership.links.relayed(trio.peer("a"))
    closing = a.membership.links.close(trio.peer("b"), "idle")
    effects = a.relaying.send(closing, trio.now)
    assert HangUp(trio.peer("b"), "idle") in effects
    for effect in effects:
        if isinstance(effect, Send):
            trio.feed("r", Arrived(trio.peer("a"), effect.message, "", 100))  # type: ignore[arg-type]
    assert not b.relay.paths.carries(trio.peer("a"))
