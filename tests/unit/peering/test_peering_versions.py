"""Peers of different versions speak the newest that both know, or part; unknown messages are borne."""

from random import Random

import pytest

from protocol.capacity.advert import HostFacts
from protocol.capacity.quantum import Quantum
from protocol.membership.messages import Hello, Presence, Unwelcome
from protocol.node.events import Arrived, Connected, Disconnected, Garbled, Say, Started
from protocol.node.messages import ImageAsk, Message
from protocol.node.node import Node
from protocol.sim.keys import SimFederation, SimSealer, SimVerifier
from protocol.terms.effects import Effect, HangUp, Note, Send
from protocol.terms.ids import digest_of
from protocol.trust.identity import Identity
from protocol.trust.record import Record, sign_record
from protocol.wire.codec import MalformedReason, encode
from protocol.wire.envelope import pack, unpack
from protocol.wire.versions import GREETINGS, SPOKEN, Span

NOW = 1_000_000.0
FED = SimFederation("fed", from_s=NOW - 1000, until_s=NOW + 10_000_000)
FACTS = HostFacts(Quantum(4000, 4 << 30, 0), "x86_64", "sim", "none", "", "10.0.0.1", True)


def identity(name: str, speaks: Span) -> Identity:
    return Identity(
        signer=FED.host("s1", name),
        verifier=SimVerifier(),
        sealer=SimSealer(FED.host("s1", name).key),
        chain=FED.host_chain("s1", name),
        federation=FED.key,
        name=name,
        site="s1",
        address=f"{name}:7000",
        speaks=speaks,
    )


OTHER = identity("h2", SPOKEN)
YOU = OTHER.peer
ASK = ImageAsk("session", digest_of(b"image"), 0, 1)


def hello(theirs: Span) -> Hello:
    presence = Presence(OTHER.chain, OTHER.address)
    record = Record(OTHER.signer.key, "presence", "", 1, 1, encode(presence), 86400.0, OTHER.site)
    return Hello(sign_record(record, OTHER.signer), theirs.oldest, theirs.newest)


def meeting(mine: Span, theirs: Span) -> tuple[Node, list[Effect], list[Effect]]:
    """The node, what it did when connected, and what it did about their Hello."""
    node = Node(identity("h1", mine), FACTS, (), (), {}, Random(1), NOW)
    node.handle(Started(), NOW)
    first = node.handle(Connected(YOU), NOW)
    return node, first, node.handle(Arrived(YOU, hello(theirs), ""), NOW)


def sent(effects: list[Effect]) -> list[Send]:
    return [e for e in effects if isinstance(e, Send) and e.peer == YOU]


@pytest.mark.parametrize(
    ("mine", "theirs", "version"),
    [(Span(1, 1), Span(1, 2), 1), (Span(1, 2), Span(1, 1), 1), (Span(1, 3), Span(2, 5), 3)],
)
def test_they_speak_the_newest_both_know(mine: Span, theirs: Span, version: int) -> None:
    _, first, after = meeting(mine, theirs)
    (greeting,) = sent(first)
    assert isinstance(greeting.message, Hello)
    assert (greeting.version, greeting.message.oldest, greeting.message.newest) == (
        1,
        mine.oldest,
        mine.newest,
    )
    assert sent(after)
    assert {send.version for send in sent(after)} == {version}


@pytest.mark.parametrize(
    ("mine", "theirs", "whose"),
    [(Span(1, 1), Span(2, 3), "this peer's"), (Span(2, 3), Span(1, 1), "its")],
)
def test_without_a_version_in_common_they_part_and_say_why(
    mine: Span, theirs: Span, whose: str
) -> None:
    node, _, after = meeting(mine, theirs)
    why = f"it speaks {theirs}, this peer {mine}; {whose} overlayd must be upgraded"
    assert HangUp(YOU, why, parting=True) in after
    assert Note("peer.refused", YOU, why) in after
    assert node.quarantines.counts == {"hello-unknown-version": 1}
    assert not node.membership.links.introduced(YOU)


def test_a_build_of_the_first_version_and_this_one_part_and_people_at_both_hear_why() -> None:
    """Each end reads the other's frames as its build does, and tries to go on as long as it is let."""
    spans = {"h1": Span(1, 1), "h2": SPOKEN}
    nodes = {n: Node(identity(n, s), FACTS, (), (), {}, Random(1), NOW) for n, s in spans.items()}
    ids = {name: identity(name, SPOKEN).peer for name in nodes}
    said: dict[str, list[Effect]] = {}
    for name, other in (("h1", "h2"), ("h2", "h1")):
        nodes[name].handle(Started(), NOW)
        said[name] = nodes[name].handle(Connected(ids[other]), NOW)
    told: dict[str, list[Effect]] = {name: [] for name in nodes}
    while any(said.values()):
        heard, said = said, {name: [] for name in nodes}
        for name, other in (("h1", "h2"), ("h2", "h1")):
            for send in (e for e in heard[other] if isinstance(e, Send) and e.peer == ids[name]):
                frame = pack(send.message, send.cause, send.version)
                _, message = unpack(frame, Message, spans[name])
                said[name] += nodes[name].handle(Arrived(ids[other], message, ""), NOW)
            told[name] += said[name]
    for name, other, whose in (("h1", "h2", "this peer's"), ("h2", "h1", "its")):
        why = (
            f"it speaks {spans[other]}, this peer {spans[name]}; {whose} overlayd must be upgraded"
        )
        assert HangUp(ids[other], why, parting=True) in told[name]
        assert Note("peer.refused", ids[other], why) in told[name]
        assert not nodes[name].membership.links.introduced(ids[other])
        assert nodes[name].quarantines.faults(ids[other]) == 0, "it is no liar"


def test_what_goes_before_a_version_is_agreed_is_what_the_wire_calls_greetings() -> None:
    tags = [str(kind.__struct_config__.tag) for kind in (Hello, Unwelcome)]
    assert tags == list(GREETINGS)


def test_what_a_newer_peer_says_and_nobody_here_understands_is_not_held_against_it() -> None:
    node, _, _ = meeting(Span(1, 1), Span(1, 2))
    for _ in range(100):
        assert node.handle(Garbled(YOU, MalformedReason.UNKNOWN_TYPE), NOW) == []
    assert node.quarantines.counts == {"newer-unknown-type": 100}


def test_a_peer_of_the_same_version_has_no_such_excuse() -> None:
    node, _, _ = meeting(Span(1, 1), Span(1, 1))
    effects = [e for _ in range(20) for e in node.handle(Garbled(YOU, "unknown-type"), NOW)]
    assert [e.peer for e in effects if isinstance(e, HangUp)] == [YOU]


def test_a_peer_may_come_back_with_another_version() -> None:
    node, _, _ = meeting(Span(1, 2), Span(1, 2))
    node.handle(Disconnected(YOU, "restarted"), NOW)
    (greeting,) = sent(node.handle(Connected(YOU), NOW))
    assert greeting.version == 1
    node.handle(Arrived(YOU, hello(Span(1, 1)), ""), NOW)
    (said,) = sent(node.handle(Say(YOU, ASK), NOW))
    assert said.version == 1
