"""A relay between two hosts: what it passes on and to where, how much, and what it does not."""

import socket
import time
from collections.abc import Iterator

import pytest
from tunnel_sides import FREE, Side, drained, incoming, outgoing, sealed, session

from netns.tunnel.counters import Count
from netns.tunnel.frame import RELAY, RELAYED, paired
from netns.tunnel.orders import SendProbes, TellPeers
from netns.tunnel.relays import BURST_BYTES, UDP_BYTES, Meter, Relays
from netns.tunnel.sessions import LivePeer
from netns.tunnel.tables import (
    PAIR_MAX,
    PAIRS_MAX,
    Peers,
    Probe,
    RelayPair,
    SealedPeer,
    Session,
)

PAIR = 77


def udp() -> socket.socket:
    handle = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    handle.bind(("127.0.0.1", 0))
    handle.setblocking(False)
    return handle


class Trio:
    """A relay, and two sockets that stand for forwarders; a third is a stranger's."""

    def __init__(self, native: bool) -> None:
        self.one, self.other, self.stranger = udp(), udp(), udp()
        self.side = Side(native, self.one)
        self.epoch = 1
        self.tell()

    def tell(
        self,
        bytes_per_s: float = FREE,
        total: float = FREE,
        one: SealedPeer | None = None,
        pairs: tuple[RelayPair, ...] | None = (),
    ) -> None:
        self.epoch += 1
        ends = (
            one or SealedPeer("one", *self.one.getsockname(), ()),
            SealedPeer("other", *self.other.getsockname(), ()),
        )
        told = (RelayPair(PAIR, "one", "other", bytes_per_s),) if pairs == () else pairs
        self.side.ask(TellPeers(1, Peers(self.epoch, ends, told, total)))

    def gives(self, sender: socket.socket, *datagrams: bytes) -> list[bytes]:
        """What comes out at the other end, or anywhere."""
        self.side.from_socket(datagrams, sender)
        return [d for handle in (self.one, self.other, self.stranger) for d in drained(handle)]

    def counted(self, count: Count) -> int:
        return self.side.told()[0][count.value]

    def close(self) -> None:
        self.side.close()
        for handle in (self.one, self.other, self.stranger):
            handle.close()


@pytest.fixture(params=[False, True], ids=["python", "c"])
def trio(request: pytest.FixtureRequest) -> Iterator[Trio]:
    made = Trio(request.param)
    yield made
    made.close()


def datagram(size: int = 1_000, kind: int = RELAY, pair: int = PAIR) -> bytes:
    return paired(bytes([9]) * size, kind, pair)


def test_what_one_end_gives_goes_to_the_other_as_it_was(trio: Trio) -> None:
    sent = [datagram(size) for size in (54, 1_472, 1_472, 900, 1_472)]
    passed = [datagram(len(one), RELAYED) for one in sent]
    assert trio.gives(trio.one, *sent) == passed
    assert trio.gives(trio.other, *sent) == passed
    assert trio.counted(Count.PASSED_ON) == trio.counted(Count.SENT) == 10


def test_nothing_else_is_passed_on(trio: Trio) -> None:
    assert trio.gives(trio.stranger, datagram()) == [], "not from where an end is"
    assert trio.gives(trio.one, datagram(pair=PAIR + 1)) == [], "of no pair"
    assert trio.counted(Count.IN_NO_PAIR) == 2
    for wrong in (
        datagram(kind=RELAYED),
        datagram(kind=1),
        datagram(kind=0),
        datagram(pair=PAIR << 1)[:4],
        datagram(53),
        bytes([RELAY, 0, 0, 0]) + bytes(100),
    ):
        assert trio.gives(trio.one, wrong) == []
    assert trio.counted(Count.PASSED_ON) == 0


def test_an_end_that_nobody_knows_where_it_is_gets_nothing(trio: Trio) -> None:
    trio.tell(one=SealedPeer("one", "", 0, ()))
    assert trio.gives(trio.other, datagram()) == []
    assert trio.counted(Count.IN_NO_PAIR) == 1


def test_an_end_is_where_its_own_seal_has_shown_it_to_be(trio: Trio) -> None:
    trio.tell(one=SealedPeer("one", "192.0.2.9", 9, (session(4),)))
    assert trio.gives(trio.one, datagram()) == []
    trio.side.from_socket([sealed(4, 0, incoming(0, b"x"))], trio.one)
    assert trio.gives(trio.one, datagram()) == [datagram(kind=RELAYED)]


def test_an_end_behind_another_relay_is_none(trio: Trio) -> None:
    """Else a datagram could be passed on for ever."""
    trio.tell(one=SealedPeer("one", *trio.one.getsockname(), (), pair=5))
    assert trio.gives(trio.one, datagram()) == []
    assert trio.gives(trio.other, datagram()) == []


@pytest.mark.parametrize("which", ["pair", "total"])
def test_a_pair_and_all_together_pass_no_more_than_is_lent(which: str, trio: Trio) -> None:
    trio.tell(*((1.0, FREE) if which == "pair" else (FREE, 1.0)))
    count = BURST_BYTES // (1_000 + UDP_BYTES)
    got = [d for _ in range(10) for d in trio.gives(trio.one, *[datagram()] * 60)]
    assert len(got) == count
    assert trio.counted(Count.IN_OVER_RATE) == 600 - count
    trio.tell(0.0, 0.0)
    assert trio.gives(trio.one, datagram(54)) == [], "nothing is lent any more"
    trio.tell()
    assert len(trio.gives(trio.one, datagram())) == 1


def test_a_table_without_pairs_ends_them_and_one_that_says_nothing_leaves_them(trio: Trio) -> None:
    trio.tell(pairs=None)
    assert len(trio.gives(trio.one, datagram())) == 1
    trio.side.ask(TellPeers(1, Peers(9, (SealedPeer("other", "192.0.2.1", 9, ()),), None)))
    trio.epoch = 9
    assert trio.gives(trio.one, datagram()) == [], "an end is gone"
    trio.tell()
    trio.tell(pairs=(RelayPair(PAIR + 1, "one", "other", FREE),))
    assert trio.gives(trio.one, datagram()) == []
    assert len(trio.gives(trio.one, datagram(pair=PAIR + 1))) == 1


@pytest.mark.parametrize("native", [False, True], ids=["python", "c"])
def test_frames_and_probes_go_by_a_relay_and_come_from_it(native: bool) -> None:
    relay = Trio(native)
    ends = [Side(native, handle) for handle in (relay.one, relay.other)]
    keys = session(4).send_key, session(4).receive_key
    made_s = time.monotonic()
    told = Session(1, 2, *keys, made_s), Session(2, 1, *reversed(keys), made_s)
    for end, mine in zip(ends, told, strict=True):
        end.tell(SealedPeer("far", *relay.side.at, (mine,), pair=PAIR), 2)
    relay.tell(one=SealedPeer("one", *ends[0].at, ()))
    relay.epoch += 1
    peers = tuple(SealedPeer(n, *end.at, ()) for n, end in zip(("one", "other"), ends, strict=True))
    pairs = (RelayPair(PAIR, "one", "other", FREE),)
    relay.side.ask(TellPeers(1, Peers(relay.epoch, peers, pairs, FREE)))
    near, far = ends
    near.from_tap([outgoing(bytes(5_000))])
    answer = near.forwarder.answer(SendProbes(1, (Probe("far", 4, 1_300),)), [])
    assert answer.refusal is None
    for side in (relay.side, far, relay.side, near):
        side.turn()
    counts = far.told()[0]
    assert (counts["probes"], counts["roamed"]) == (1, 0)
    assert counts["in-spoofed"] == 4, "they were opened; their MAC is not the guest's there"
    answer = near.forwarder.answer(SendProbes(1), [])
    (came,) = answer.answers
    assert (came.address, came.port, came.pair) == (*relay.side.at, PAIR)
    assert (came.seen_address, came.seen_port) == relay.side.at
    assert near.told()[1][0][1:3] == relay.side.at
    for side in ends:
        side.close()
    relay.close()


def test_a_peer_behind_a_relay_is_not_moved_by_what_comes_from_it(trio: Trio) -> None:
    side = trio.side
    place = trio.other.getsockname()
    keys = (session(4),)
    trio.tell(one=SealedPeer("far", *place, keys, pair=5))
    side.from_socket([sealed(4, 0, incoming(0, b"x"))], trio.one)
    side.from_socket([paired(sealed(4, 1, incoming(1, b"x")), RELAYED, 5)], trio.stranger)
    assert trio.counted(Count.RECEIVED) == 2
    assert side.told()[1][0][1:3] == place
    trio.tell(one=SealedPeer("far", *place, keys))
    side.from_socket([paired(sealed(4, 2, incoming(2, b"x")), RELAYED, 5)], trio.stranger)
    assert side.told()[1][0][1:3] == place, "nor one that is not, by what came through one"


def test_tables_of_pairs_that_make_no_sense_are_refused() -> None:
    for pair, words in (
        (RelayPair(0, "a", "b", 1.0), "is none"),
        (RelayPair(5, "a", "a", 1.0), "is none"),
        (RelayPair(PAIR_MAX + 1, "a", "b", 1.0), "is not in"),
        (RelayPair(5, "a", "b", -1.0), "bytes a second"),
        (RelayPair(5, "a", "b", float("nan")), "bytes a second"),
    ):
        with pytest.raises(ValueError, match=words):
            Peers(1, (), (pair,)).check()
    many = tuple(RelayPair(number, "a", "b", 1.0) for number in range(1, PAIRS_MAX + 2))
    with pytest.raises(ValueError, match="pairs are more than"):
        Peers(1, (), many).check()
    with pytest.raises(ValueError, match="there 2 times"):
        Peers(1, (), many[:1] * 2).check()
    with pytest.raises(ValueError, match="bytes a second"):
        Peers(1, (), (), float("inf")).check()


def test_a_meter_is_never_above_its_burst() -> None:
    meter = Meter()
    assert not meter.has(1, 5.0)
    meter.lend(1_000.0, 5.0)
    most = BURST_BYTES + 50
    assert meter.has(most, 500.0)
    assert not meter.has(most + 1, 900.0)
    meter.take(most)
    assert not meter.has(501, 900.5)
    assert meter.has(500, 900.5)
    assert not meter.has(501, 800.0), "a clock that goes back gives nothing"


def test_a_pair_that_stays_keeps_its_meter() -> None:
    relays, peers = Relays(), {name: LivePeer(name) for name in ("a", "b")}
    table = Peers(1, (), (RelayPair(5, "a", "b", 1.0),), 1.0)
    relays.replace(table, peers, 1.0)
    before = relays.pairs[5]
    relays.replace(table, peers, 2.0)
    assert relays.pairs[5] is before
    relays.replace(Peers(2, (), (RelayPair(5, "b", "a", 1.0),)), peers, 3.0)
    assert relays.pairs[5] is not before
