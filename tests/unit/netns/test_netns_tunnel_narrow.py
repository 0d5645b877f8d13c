"""Who begins a connection over a narrow way, or sends a packet that it does not take, is told what it takes."""

import struct
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tcp_frames import ACK, DF, SIX, SYN, Tcp, folded

from netns.tunnel import narrow

MTU = 1300
SAID = b"\x02\x04\x05\x8a"
LOWERED = b"\x02\x04" + (MTU - 40).to_bytes(2)


def summed(frame: bytes) -> bytes:
    """The frame with its TCP checksum complete."""
    start = 14 + (frame[14] & 15) * 4
    segment = frame[start : start + 16] + bytes(2) + frame[start + 18 :]
    pseudo = frame[26:34] + struct.pack(">HH", 6, len(segment))
    check = ~folded(pseudo + segment) & 0xFFFF
    return frame[: start + 16] + check.to_bytes(2) + frame[start + 18 :]


def opened(options: bytes, flags: int = SYN) -> bytes:
    return summed(Tcp(b"", flags=flags, options=options).frame())


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (SAID, LOWERED),
        (SAID + b"\x01\x03\x03\x07", LOWERED + b"\x01\x03\x03\x07"),
        (b"\x01\x01" + SAID + b"\x01\x01", b"\x01\x01" + LOWERED + b"\x01\x01"),
        (b"\x01" + SAID + b"\x01\x01\x01", b"\x01" + LOWERED + b"\x01\x01\x01"),
        (b"\x03\x03\x07" + SAID + b"\x00", b"\x03\x03\x07" + LOWERED + b"\x00"),
    ],
)
@pytest.mark.parametrize("flags", [SYN, SYN | ACK])
def test_a_syn_says_what_the_way_takes(before: bytes, after: bytes, flags: int) -> None:
    assert narrow.clamped(opened(before, flags), MTU, True) == opened(after, flags)


def test_a_checksum_that_is_to_be_completed_stays() -> None:
    frame = Tcp(b"", flags=SYN, options=SAID).frame()
    assert narrow.clamped(frame, MTU, False) == Tcp(b"", flags=SYN, options=LOWERED).frame()


@pytest.mark.parametrize(
    "options",
    [
        b"",
        b"\x02\x04\x00\x40",
        b"\x01\x01\x01\x01",
        b"\x00\x00\x00\x00" + SAID,
        b"\x03\x00\x00\x00" + SAID,
        b"\x02\x03\xff\x01",
        b"\x01\x01\x02\x04",
        b"\xfd\xff\xff\xff" + SAID,
    ],
)
def test_what_says_no_more_or_says_nothing_stays_as_it_is(options: bytes) -> None:
    assert narrow.clamped(opened(options), MTU, True) == opened(options)


def test_only_what_begins_a_connection_is_changed() -> None:
    assert narrow.clamped(opened(SAID, ACK), MTU, True) == opened(SAID, ACK)
    fragment = replace(Tcp(b"", flags=SYN, options=SAID), fragment=5).frame()
    assert narrow.clamped(fragment, MTU, True) == fragment


@given(st.binary(max_size=40), st.binary(max_size=80))
def test_anything_can_be_in_it(options: bytes, tail: bytes) -> None:
    frame = opened(options[: len(options) // 4 * 4])[:60] + tail
    assert len(narrow.clamped(frame, MTU, True)) == len(frame)


def test_the_answer_is_one_that_a_router_would_give() -> None:
    sent = Tcp(b"x" * 1378).frame()
    said = narrow.too_big(sent, MTU)
    assert (said[0:6], said[6:12]) == (sent[6:12], sent[0:6])
    assert (said[30:34], said[26:30]) == (sent[26:30], sent[30:34])
    assert folded(said[14:34]) == 0xFFFF
    assert folded(said[34:]) == 0xFFFF
    assert said[34:42] == b"\x03\x04" + said[36:38] + bytes(2) + MTU.to_bytes(2)
    assert said[42:] == sent[14 : 14 + 28], "the header, and whom it is about"
    assert len(said) == 14 + int.from_bytes(said[16:18])


def test_only_packets_of_ipv4_with_df_are_not_to_be_cut() -> None:
    sent = Tcp(b"x")
    assert narrow.is_whole(sent.frame())
    assert not narrow.is_whole(replace(sent, fragment=0).frame())
    assert not narrow.is_whole(sent.frame()[:33])
    assert not narrow.is_whole(sent.frame()[:12] + b"\x88\xcc" + sent.frame()[14:])
    assert DF == 0x4000


def test_no_packet_of_ipv6_is_cut_on_its_way() -> None:
    sent = Tcp(b"x", **SIX).frame()
    assert narrow.is_whole(sent)
    assert not narrow.is_whole(sent[:53])


def test_over_ipv6_the_answer_is_packet_too_big() -> None:
    sent = Tcp(b"x" * 1358, **SIX).frame()
    said = narrow.too_big(sent, MTU)
    assert (said[0:6], said[6:14]) == (sent[6:12], sent[0:6] + b"\x86\xdd")
    assert (said[38:54], said[22:38]) == (sent[22:38], sent[38:54])
    assert folded(said[22:54] + struct.pack(">II", len(said) - 54, 58) + said[54:]) == 0xFFFF
    assert said[54:56] + said[58:62] == b"\x02\x00" + MTU.to_bytes(4)
    assert said[62:] == sent[14 : 14 + 48], "the header, and whom it is about"
    assert len(said) == 54 + int.from_bytes(said[18:20])


@pytest.mark.parametrize(
    ("made", "mtu", "takes", "goes"),
    [
        (Tcp(b"x"), 1418, 1300, 1300),
        (Tcp(b"x"), 1418, 1200, 1200),
        (replace(Tcp(b"x"), fragment=0), 1418, 1300, 1418),
        (Tcp(b"x", **SIX), 1418, 1300, 1300),
        (Tcp(b"x", **SIX), 1418, 1200, 1280),
        (Tcp(b"x", **SIX), 1200, 1100, 1200),
    ],
)
def test_how_long_a_packet_may_be(made: Tcp, mtu: int, takes: int, goes: int) -> None:
    assert narrow.most(made.frame(), mtu, takes) == goes


def test_a_syn_over_ipv6_leaves_room_for_its_longer_header() -> None:
    frame = Tcp(b"", flags=SYN, options=SAID, **SIX).frame()
    lowered = b"\x02\x04" + (MTU - 60).to_bytes(2)
    assert narrow.clamped(frame, MTU, False) == Tcp(b"", flags=SYN, options=lowered, **SIX).frame()
