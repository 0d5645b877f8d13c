"""Frames out of one forwarder's tables and into another's: what is good arrives, what is not is counted."""

import struct
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tcp_frames import ACK, SIX, SYN, Tcp, same_but_id

from netns.tunnel import arp, frame, vnet
from netns.tunnel.batches import Datagram
from netns.tunnel.counters import Count, counters
from netns.tunnel.inward import Inward
from netns.tunnel.narrow import too_big
from netns.tunnel.outward import Outward
from netns.tunnel.relays import Relays
from netns.tunnel.routes import Route, routes
from netns.tunnel.sessions import Sessions
from netns.tunnel.tables import (
    COUNTER_END,
    SESSION_RECEIVES_S,
    SESSION_SENDS_S,
    Cipher,
    Member,
    Networks,
    Peers,
    SealedNetwork,
    SealedPeer,
    Session,
)

VNI, MTU, NOW_S = 7, 1418, 1_000.0
GATEWAY = "02:00:00:00:00:01"
MACS = {"a": "02:00:00:00:00:02", "b": "02:00:00:00:00:03", "c": "02:00:00:00:00:04"}
ADDRESSES = {"a": "10.0.0.2", "b": "10.0.0.3", "c": "10.0.0.4"}
CIDR6 = "fd00::/64"
UNDERLAY = {"a": "192.0.2.1", "b": "192.0.2.2", "c": "192.0.2.3"}
KEYS = {
    "ab": b"1" * 32,
    "ba": b"2" * 32,
    "ac": b"3" * 32,
    "ca": b"4" * 32,
    "bc": b"5" * 32,
    "cb": b"6" * 32,
}
INDEXES = {"ab": 11, "ac": 12, "ba": 21, "bc": 22, "ca": 31, "cb": 32}


def raw_source(address: str, port: int = 7790) -> bytes:
    return struct.pack("=H", 2) + port.to_bytes(2) + bytes(map(int, address.split("."))) + bytes(8)


class End:
    """Tables of one host, and both ways through them."""

    def __init__(self, name: str, cipher: Cipher = Cipher.AES_256_GCM) -> None:
        self.name = name
        self.count = counters()
        self.sessions = Sessions()
        self.routes: dict[int, Route] = {}
        self.outward = Outward(self.sessions, self.count)
        self.inward = Inward(self.sessions, Relays(), self.count)
        others = [other for other in "abc" if other != name]
        members = tuple(Member(MACS[other], ADDRESSES[other], other) for other in others)
        network = SealedNetwork(VNI, "tap", MTU, (MACS[name],), GATEWAY, members, CIDR6)
        self.networks = Networks(1, (network,))
        self.peers = Peers(1, tuple(self.peer(other, cipher) for other in others))
        self.tell()

    def peer(self, other: str, cipher: Cipher) -> SealedPeer:
        out, back = self.name + other, other + self.name
        session = Session(INDEXES[out], INDEXES[back], KEYS[out], KEYS[back], NOW_S, cipher)
        return SealedPeer(other, UNDERLAY[other], 7790, (session,))

    def tell(self) -> None:
        self.networks.check()
        self.peers.check()
        self.routes = routes(self.networks)
        self.sessions.replace(self.peers, NOW_S)

    def sends(self, inside: bytes, before: bytes = vnet.PLAIN, now_s: float = NOW_S) -> list[bytes]:
        self.outward.take(self.routes[VNI], before + inside, now_s)
        going = [one for datagrams in self.outward.datagrams.values() for one in datagrams]
        self.outward.datagrams.clear()
        return going

    def gets(
        self, *datagrams: bytes, source: str = UNDERLAY["a"], now_s: float = NOW_S
    ) -> list[bytes]:
        """Frames for the tap, with virtio's header."""
        batch = [Datagram(one, raw_source(source), False) for one in datagrams]
        found = self.inward.take(batch, self.routes, now_s)
        return [b"".join(one.pieces()) for frames in found.values() for one in frames]

    def counted(self) -> dict[str, int]:
        return {reason.value: count for reason, count in self.count.items() if count}


@pytest.fixture
def ends() -> tuple[End, End]:
    return End("a"), End("b")


def udp(source: str = "a", target: str = "b", size: int = 100) -> bytes:
    """A frame between guests. Only what is judged is in it."""
    macs = bytes.fromhex((MACS[target] + MACS[source]).replace(":", ""))
    addresses = b"".join(bytes(map(int, ADDRESSES[one].split("."))) for one in (source, target))
    return macs + b"\x08\x00" + b"\x45" + bytes(8) + b"\x11" + bytes(2) + addresses + b"u" * size


def to_a_group(group: bytes = b"\x01\x00\x5e\x01\x02\x03", size: int = 100) -> bytes:
    return group + udp(size=size)[6:]


@pytest.mark.parametrize("group", [b"\x01\x00\x5e\x01\x02\x03", b"\xff" * 6])
def test_what_goes_to_a_group_goes_to_each_host_of_a_member(group: bytes) -> None:
    ends = {name: End(name) for name in "abc"}
    for end in ends.values():
        end.networks = Networks(
            1, tuple(msgspec.structs.replace(one, multicast=True) for one in end.networks.networks)
        )
        end.tell()
    a, frame_ = ends["a"], to_a_group(group)
    assert a.sends(frame_) == []
    assert [peer for peer, _ in a.outward.copies] == ["b", "c"]
    for peer, plain in a.outward.copies:
        session = a.sessions.peers[peer].sending(NOW_S)
        assert session is not None
        datagram = session.seal(plain)
        assert datagram is not None
        assert ends[peer].gets(datagram) == [vnet.PLAIN + frame_]
    assert a.counted() == {}


def test_what_goes_to_a_group_is_judged_as_any_other_frame() -> None:
    a, b = End("a"), End("b")
    frame_ = to_a_group()
    assert a.sends(frame_) == []
    assert (a.outward.copies, a.counted()) == ([], {"out-broadcast": 1})
    a.networks = Networks(
        1, tuple(msgspec.structs.replace(one, multicast=True) for one in a.networks.networks)
    )
    a.tell()
    for wrong in (frame_[:13], to_a_group(size=MTU), frame_[:6] + b"\x02" * 6 + frame_[12:]):
        assert a.sends(wrong) == []
    assert a.outward.copies == []
    assert a.counted() == {
        "out-broadcast": 1, "out-malformed": 1, "out-too-big": 1, "out-not-ours": 1,
    }  # fmt: skip
    a.sends(frame_)
    (_, plain), _ = a.outward.copies
    session = a.sessions.peers["b"].sending(NOW_S)
    assert session is not None
    datagram = session.seal(plain)
    assert datagram is not None
    assert b.gets(datagram) == [], "its table says nothing of groups"
    assert b.counted() == {"in-not-here": 1}


def asked_of(last: bytes) -> bytes:
    """A question of neighbour discovery, from the first guest."""
    macs = b"\x33\x33\xff\x00\x00\x09" + bytes.fromhex(MACS["a"].replace(":", ""))
    six = b"\x60" + bytes(5) + b"\x3a\xff" + SIX["source"] + bytes(16)
    return macs + b"\x86\xdd" + six + b"\x87" + bytes(7) + SIX["source"][:12] + last


def six(source: bytes = SIX["source"]) -> bytes:
    """A frame over IPv6 from the first guest to the second. Only what is judged is in it."""
    return (
        udp()[:12]
        + b"\x86\xdd"
        + b"\x60"
        + bytes(5)
        + b"\x11\x40"
        + source
        + SIX["target"]
        + b"u" * 9
    )


def forged_by(end: End, peer: str, inside: bytes, vni: int = VNI) -> bytes:
    """What a peer with keys can seal if it does not judge its own frames."""
    live = end.sessions.peers[peer].sessions[0]
    head = frame.header(live.peer_index, live.counter)
    live.counter += 1
    return head + live.sends.encrypt(head[4:], frame.inner_header(0, vni, 0, 0) + inside, head)


@pytest.mark.parametrize("cipher", list(Cipher))
def test_a_frame_crosses_sealed(cipher: Cipher) -> None:
    a, b = End("a", cipher), End("b", cipher)
    (datagram,) = a.sends(udp())
    assert udp()[14:] not in datagram
    assert b"uuuu" not in datagram
    assert len(datagram) == len(udp()) + frame.SEALED_BYTES
    assert b.gets(datagram) == [vnet.PLAIN + udp()]
    assert b.counted() == {"received": 1}


def test_a_stream_is_cut_sealed_opened_and_joined(ends: tuple[End, End]) -> None:
    a, b = ends
    whole = Tcp(bytes(range(256)) * 200).frame()
    datagrams = a.sends(whole, vnet.written(1, vnet.GSO_TCPV4, 54, 1378, 34, 16))
    assert len(datagrams) == 38
    assert max(map(len, datagrams)) == MTU + 14 + frame.SEALED_BYTES
    (written,) = b.gets(*datagrams)
    assert same_but_id(written[vnet.VNET_BYTES :]) == same_but_id(whole)


def test_a_stream_over_ipv6_crosses_as_it_was(ends: tuple[End, End]) -> None:
    a, b = ends
    whole = Tcp(bytes(range(256)) * 200, **SIX).frame()
    datagrams = a.sends(whole, vnet.written(1, vnet.GSO_TCPV6, 74, 1358, 54, 16))
    assert max(map(len, datagrams)) == MTU + 14 + frame.SEALED_BYTES
    (written,) = b.gets(*datagrams)
    assert written[vnet.VNET_BYTES :] == whole
    assert vnet.vnet(written).gso_type == vnet.GSO_TCPV6
    assert b.gets(*a.sends(six())) == [vnet.PLAIN + six()]


def test_a_network_without_ipv6_lets_none_in(ends: tuple[End, End]) -> None:
    a, b = ends
    b.networks = Networks(2, (msgspec.structs.replace(b.networks.networks[0], cidr6=""),))
    b.tell()
    assert b.gets(*a.sends(six())) == []
    assert b.counted() == {"in-not-ip": 1}


def test_a_lost_datagram_costs_one_segment(ends: tuple[End, End]) -> None:
    a, b = ends
    data = bytes(range(256)) * 40
    datagrams = a.sends(Tcp(data).frame(), vnet.written(1, vnet.GSO_TCPV4, 54, 1000, 34, 16))
    del datagrams[3]
    first, second = b.gets(*datagrams)
    assert first[64:] == data[:3000]
    assert second[64:] == data[4000:]


def test_each_reason_not_to_send_is_counted(ends: tuple[End, End]) -> None:
    a, _ = ends
    gso = vnet.written(1, vnet.GSO_TCPV4, 54, 1378, 34, 16)
    question = b"\xff" * 6 + udp()[6:12] + arp.ETHERTYPE + bytes(28)
    for inside, before, reason in [
        (b"short", vnet.PLAIN, "out-malformed"),
        (udp(), gso, "out-malformed"),
        (udp(), vnet.written(1, 4, 54, 1378, 34, 16), "out-malformed"),
        (Tcp(b"x" * 30, **SIX).frame(), gso, "out-malformed"),
        (asked_of(bytes([10, 0, 0, 9])), vnet.PLAIN, "out-broadcast"),
        (udp(), vnet.written(1, 0, 0, 0, 134, 16), "out-malformed"),
        (udp("b"), vnet.PLAIN, "out-not-ours"),
        (b"\xff" * 6 + udp()[6:], vnet.PLAIN, "out-broadcast"),
        (question, vnet.PLAIN, "out-broadcast"),
        (bytes.fromhex(GATEWAY.replace(":", "")) + udp()[6:], vnet.PLAIN, "out-unknown"),
        (udp(size=MTU), vnet.PLAIN, "out-too-big"),
    ]:
        before_s = dict(a.counted())
        assert a.sends(inside, before) == []
        assert a.counted() == {**before_s, reason: before_s.get(reason, 0) + 1}


def narrow(end: End, peer: str, mtu: int) -> None:
    """The way from that end to a peer takes no more."""
    told = tuple(
        msgspec.structs.replace(one, mtu=mtu) if one.peer == peer else one
        for one in end.peers.peers
    )
    end.peers = msgspec.structs.replace(end.peers, epoch=end.peers.epoch + 1, peers=told)
    end.tell()


def test_a_stream_is_cut_by_what_the_way_to_that_peer_takes(ends: tuple[End, End]) -> None:
    a, b = ends
    narrow(a, "b", 1300)
    whole = Tcp(bytes(range(256)) * 200).frame()
    datagrams = a.sends(whole, vnet.written(1, vnet.GSO_TCPV4, 54, 1378, 34, 16))
    assert max(map(len, datagrams)) == 1300 + 14 + frame.SEALED_BYTES
    (written,) = b.gets(*datagrams)
    assert same_but_id(written[vnet.VNET_BYTES :]) == same_but_id(whole)
    to_c = replace(Tcp(b"x" * 3000), target=bytes([10, 0, 0, 4])).frame()
    to_c = bytes.fromhex(MACS["c"].replace(":", "")) + to_c[6:]
    datagrams = a.sends(to_c, vnet.written(1, vnet.GSO_TCPV4, 54, 1378, 34, 16))
    assert max(map(len, datagrams)) == MTU + 14 + frame.SEALED_BYTES, "the way to c is wide"


def test_who_sends_what_a_way_does_not_take_is_told_so(ends: tuple[End, End]) -> None:
    a, b = ends
    narrow(a, "b", 1300)
    fits, large = (Tcp(b"x" * size).frame() for size in (1260, 1261))
    assert a.outward.take(a.routes[VNI], vnet.PLAIN + fits, NOW_S) is None
    told = a.outward.take(a.routes[VNI], vnet.PLAIN + large, NOW_S)
    assert told == vnet.PLAIN + too_big(large, 1300)
    assert a.counted() == {"out-too-big": 1, "too-big-answered": 1}
    may_be_cut = replace(Tcp(b"x" * 1261), fragment=0).frame()
    a.outward.datagrams.clear()
    assert b.gets(*a.sends(may_be_cut)) == [vnet.PLAIN + may_be_cut], "in fragments underneath"


def test_a_connection_is_begun_by_what_the_way_takes(ends: tuple[End, End]) -> None:
    a, b = ends
    narrow(a, "b", 1300)
    syn = Tcp(b"", flags=SYN, options=b"\x02\x04\x05\x62").frame()
    lowered = Tcp(b"", flags=SYN, options=b"\x02\x04\x04\xec").frame()
    before = vnet.written(1, 0, 0, 0, 34, 16)
    assert b.gets(*a.sends(syn, before)) == [before + lowered]


def test_nothing_goes_out_without_a_session_or_a_place(ends: tuple[End, End]) -> None:
    a, _ = ends
    assert a.sends(udp(), now_s=NOW_S + SESSION_SENDS_S) == []
    a.peers = msgspec.structs.replace(
        a.peers, peers=(SealedPeer("b", "", 0, a.peers.peers[0].sessions),)
    )
    a.tell()
    assert a.sends(udp()) == []
    assert a.sends(udp(target="c")) == []
    assert a.counted() == {"out-no-session": 2, "out-no-endpoint": 1}


def test_the_last_counters_of_a_session_are_used_and_then_none(ends: tuple[End, End]) -> None:
    a, b = ends
    a.sessions.peers["b"].sessions[0].counter = COUNTER_END - 2
    last = [*a.sends(udp()), *a.sends(udp())]
    assert [frame.addressed(one) for one in last] == [(21, COUNTER_END - 2), (21, COUNTER_END - 1)]
    assert a.sends(udp()) == []
    assert len(b.gets(*last)) == 2
    assert a.counted() == {"out-no-session": 1}


def test_no_frame_is_cut_into_crumbs(ends: tuple[End, End]) -> None:
    a, _ = ends
    whole = Tcp(bytes(4000)).frame()
    assert a.sends(whole, vnet.written(1, vnet.GSO_TCPV4, 54, 7, 34, 16)) == []
    assert a.counted() == {"out-malformed": 1}
    assert len(a.sends(whole, vnet.written(1, vnet.GSO_TCPV4, 54, 8, 34, 16))) == 500


def test_a_superframe_that_needs_more_counters_than_are_left_is_not_sent(
    ends: tuple[End, End],
) -> None:
    a, _ = ends
    a.sessions.peers["b"].sessions[0].counter = COUNTER_END - 2
    assert (
        a.sends(Tcp(b"x" * 3000).frame(), vnet.written(1, vnet.GSO_TCPV4, 54, 1000, 34, 16)) == []
    )
    assert (
        len(a.sends(Tcp(b"x" * 2000).frame(), vnet.written(1, vnet.GSO_TCPV4, 54, 1000, 34, 16)))
        == 2
    )


def test_what_comes_again_is_dropped(ends: tuple[End, End]) -> None:
    a, b = ends
    (datagram,) = a.sends(udp())
    assert len(b.gets(datagram)) == 1
    assert b.gets(datagram, datagram) == []
    assert b.counted() == {"received": 1, "in-replayed": 2}


def test_frames_reordered_by_thousands_arrive_within_the_window_only(ends: tuple[End, End]) -> None:
    a, b = ends
    datagrams = [a.sends(udp())[0] for _ in range(3_000)]
    assert len(b.gets(*reversed(datagrams))) == 2_048
    assert b.counted() == {"received": 2_048, "in-replayed": 952}


def test_floods_of_strangers_are_counted_and_leave_nothing(ends: tuple[End, End]) -> None:
    a, b = ends
    (good,) = a.sends(udp())
    index_and_counter = good[4:16]
    floods: dict[str, list[bytes]] = {
        "in-not-sealed": [b"", b"x", good[:53], bytes(1400), b"\x02" + good[1:], b"\x01\x01" + good[2:]],
        "in-unknown-session": [frame.header(999, 0) + bytes(60), frame.header(0, 0) + bytes(1400)],
        "in-forged": [
            good[:-1], good + b"x", good[:-1] + bytes([good[-1] ^ 1]), good[:16] + bytes(1400),
            good[:4] + index_and_counter[:4] + (5).to_bytes(8) + good[16:],
        ],
        "in-old-session": [
            frame.header(21, COUNTER_END) + bytes(60), frame.header(21, (1 << 64) - 1) + bytes(60),
        ],
    }  # fmt: skip
    for flood in floods.values():
        assert b.gets(*flood * 50, source="203.0.113.66") == []
    assert b.counted() == {reason: 50 * len(flood) for reason, flood in floods.items()}
    live = b.sessions.peers["a"]
    assert (live.endpoint, live.heard_s) == (("192.0.2.1", 7790), 0.0)
    assert live.sessions[0].window.newest == -1
    assert b.gets(good) == [vnet.PLAIN + udp()], "and what is good still arrives"


def test_a_datagram_that_was_cut_off_is_dropped(ends: tuple[End, End]) -> None:
    a, b = ends
    (good,) = a.sends(udp())
    assert b.inward.take([Datagram(good, raw_source("192.0.2.1"), True)], b.routes, NOW_S) == {}
    assert b.counted() == {"in-truncated": 1}


def test_an_old_session_opens_nothing(ends: tuple[End, End]) -> None:
    a, b = ends
    (datagram,) = a.sends(udp())
    assert b.gets(datagram, now_s=NOW_S + SESSION_RECEIVES_S) == []
    assert b.counted() == {"in-old-session": 1}


def test_a_session_that_was_taken_away_opens_nothing(ends: tuple[End, End]) -> None:
    a, b = ends
    (datagram,) = a.sends(udp())
    b.sessions.replace(Peers(2), NOW_S)
    assert b.gets(datagram) == []
    assert b.counted() == {"in-unknown-session": 1}


def test_a_peer_speaks_for_its_own_members_only(ends: tuple[End, End]) -> None:
    a, b = ends
    own_mac_other_address = udp()[:26] + bytes([10, 0, 0, 4]) + udp()[30:]
    poison = udp()[:12] + arp.ETHERTYPE + udp()[14:]
    for inside, vni, reason in [
        (udp("c"), VNI, "in-spoofed"),
        (udp("b"), VNI, "in-spoofed"),
        (bytes.fromhex("020000000003020000000001") + udp()[12:], VNI, "in-spoofed"),
        (own_mac_other_address, VNI, "in-spoofed"),
        (udp(target="c"), VNI, "in-not-here"),
        (b"\xff" * 6 + udp()[6:], VNI, "in-not-here"),
        (bytes.fromhex(GATEWAY.replace(":", "")) + udp()[6:], VNI, "in-not-here"),
        (poison, VNI, "in-not-ip"),
        (six()[:53], VNI, "in-not-ip"),
        (six(SIX["target"]), VNI, "in-spoofed"),
        (six(b"\xfe\x80" + SIX["source"][2:]), VNI, "in-spoofed"),
        (six(b"\xfd\x01" + SIX["source"][2:]), VNI, "in-spoofed"),
        (udp()[:33], VNI, "in-not-ip"),
        (udp(), 8, "in-unknown-network"),
        (udp(size=MTU), VNI, "in-too-big"),
    ]:
        before = dict(b.counted())
        assert b.gets(forged_by(a, "b", inside, vni)) == []
        assert b.counted() == {**before, reason: before.get(reason, 0) + 1}


def test_a_peer_that_carries_nothing_of_a_network_is_not_heard_on_it(ends: tuple[End, End]) -> None:
    a, b = ends
    members = tuple(one for one in b.networks.networks[0].members if one.peer != "a")
    b.networks = Networks(2, (msgspec.structs.replace(b.networks.networks[0], members=members),))
    b.tell()
    assert b.gets(*a.sends(udp())) == []
    assert b.counted() == {"in-spoofed": 1}


def test_an_inside_that_makes_no_sense_is_dropped_though_a_peer_sealed_it(
    ends: tuple[End, End],
) -> None:
    a, b = ends
    live = a.sessions.peers["b"].sessions[0]
    head = frame.header(live.peer_index, 0)
    before = frame.inner_header(2, VNI, 0, 0)
    assert b.gets(head + live.sends.encrypt(head[4:], before + udp(), head)) == []
    assert b.counted() == {"in-malformed": 1}


def test_a_peer_is_where_its_newest_frame_came_from(ends: tuple[End, End]) -> None:
    a, b = ends
    early, late, last = (a.sends(udp())[0] for _ in range(3))
    b.gets(late, source="198.51.100.7")
    assert b.sessions.peers["a"].endpoint == ("198.51.100.7", 7790)
    b.gets(early, source="203.0.113.9")
    assert b.sessions.peers["a"].endpoint == ("198.51.100.7", 7790), (
        "one held back does not move it"
    )
    b.gets(last[:-1], source="203.0.113.9")
    assert b.sessions.peers["a"].endpoint == ("198.51.100.7", 7790), (
        "nor does one that does not open"
    )
    b.gets(last, source="203.0.113.9")
    assert b.sessions.peers["a"].endpoint == ("203.0.113.9", 7790)
    assert b.count[Count.ROAMED] == 2


@given(st.data())
def test_no_change_of_a_datagram_lets_it_through(data: st.DataObject) -> None:
    a, b = End("a"), End("b")
    (good,) = a.sends(udp())
    at = data.draw(st.integers(0, len(good) - 1))
    bit = data.draw(st.integers(0, 7))
    bad = bytearray(good)
    bad[at] ^= 1 << bit
    assert b.gets(bytes(bad)) == []


@given(st.binary(max_size=200), st.booleans())
def test_garbage_raises_nothing(garbage: bytes, addressed: bool) -> None:
    b = End("b")
    assert b.gets((frame.header(21, 0) if addressed else b"") + garbage) == []


@given(st.binary(max_size=120), st.integers(0, 60))
def test_garbage_that_a_peer_sealed_raises_nothing(garbage: bytes, keep: int) -> None:
    a, b = End("a"), End("b")
    inside = replace(Tcp(b"x" * 40), flags=ACK).frame()[:keep] + garbage
    live = a.sessions.peers["b"].sessions[0]
    head = frame.header(live.peer_index, 0)
    for written in b.gets(
        head + live.sends.encrypt(head[4:], frame.inner_header(0, VNI, 0, 0) + inside, head)
    ):
        assert written[vnet.VNET_BYTES :] == inside


@given(st.binary(min_size=10, max_size=200), st.integers(0, 60))
def test_garbage_from_a_tap_raises_nothing(garbage: bytes, keep: int) -> None:
    a = End("a")
    a.sends(Tcp(b"x" * 40).frame()[:keep] + garbage[10:], garbage[:10])


def test_what_was_recorded_before_a_restart_opens_nothing_after_it(ends: tuple[End, End]) -> None:
    """Whoever is begun anew has new keys, even should a session's index come again."""
    a, b = ends
    recorded = [a.sends(udp())[0] for _ in range(3)]
    assert len(b.gets(*recorded)) == 3
    again = End("b")
    fresh = Session(INDEXES["ba"], INDEXES["ab"], b"n" * 32, b"m" * 32, NOW_S)
    again.sessions.replace(Peers(2, (SealedPeer("a", UNDERLAY["a"], 7790, (fresh,)),)), NOW_S)
    assert again.gets(*recorded) == []
    again.sessions.replace(Peers(3), NOW_S)
    assert again.gets(*recorded) == []
    assert again.counted() == {"in-forged": 3, "in-unknown-session": 3}


def test_no_counter_is_used_twice_whatever_is_sent(ends: tuple[End, End]) -> None:
    a, _ = ends
    gso = vnet.written(1, vnet.GSO_TCPV4, 54, 1000, 34, 16)
    sent = [one for size in (1, 5000, 999, 1001) for one in a.sends(Tcp(b"x" * size).frame(), gso)]
    sent += a.sends(udp())
    assert [frame.addressed(one) for one in sent] == [(21, counter) for counter in range(10)]
