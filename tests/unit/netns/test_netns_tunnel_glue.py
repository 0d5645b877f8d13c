"""Joining against a slow reference, and against cutting: a fault in it would be invisible to TCP."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tcp_frames import ACK, CWR, DF, ECE, FIN, PSH, SIX, SYN, Tcp, folded, same_but_id

from netns.tunnel import cut, glue, vnet
from netns.tunnel.frame import NEEDS_CSUM, Inner

LAST = PSH | FIN
OTHER_FIELDS = ({"window": 9}, {"ttl": 63}, {"urgent": 1}, {"fragment": 0x8000 | DF})


def sealed(frame: bytes) -> Inner:
    start = 54 if frame[12:14] == b"\x86\xdd" else 34
    return Inner(NEEDS_CSUM, 7, start, 16, frame)


def written(joined: glue.Joined) -> tuple[vnet.Vnet, bytes]:
    raw = b"".join(joined.pieces())
    return vnet.vnet(raw), raw[vnet.VNET_BYTES :]


def slowly(segments: list[Tcp]) -> list[list[Tcp]]:
    """Each segment joins the group of its flow that was touched last, if it follows it in every way."""
    groups: list[list[Tcp]] = []
    for segment in segments:
        own = [
            g
            for g in groups
            if (g[0].source, g[0].target, g[0].ports)
            == (segment.source, segment.target, segment.ports)
        ]
        if own and follows(own[-1], segment):
            own[-1].append(segment)
        else:
            groups.append([segment])
    return groups


def follows(group: list[Tcp], segment: Tcp) -> bool:
    first, last = group[0], group[-1]
    like_first = replace(
        segment,
        data=first.data,
        sequence=first.sequence,
        flags=first.flags & ~LAST,
        ip_id=first.ip_id,
    )
    total = (
        first.start
        + 6
        + len(first.options)
        + sum(len(one.data) for one in group)
        + len(segment.data)
    )
    return (
        0 < len(segment.data) <= len(first.data)
        and len(last.data) == len(first.data)
        and not last.flags & LAST
        and like_first == replace(first, flags=first.flags & ~LAST)
        and segment.flags & ~LAST == first.flags & ~LAST
        and segment.flags & ACK
        and not segment.flags & ~(ACK | ECE | LAST)
        and segment.sequence == (last.sequence + len(last.data)) % 0x1_0000_0000
        and total <= 0xFFFF
    )


@st.composite
def batches(draw: st.DrawFn) -> list[Tcp]:
    """Segments of a few flows, mostly consecutive, some lost, repeated, swapped or changed."""
    streams = [
        Tcp(
            b"",
            sequence=draw(st.sampled_from([0, 0xFFFF_FFF0])),
            ports=(port, 443),
            fragment=draw(st.sampled_from([0, DF])),
            **addresses,
        )
        for port, addresses in draw(
            st.sampled_from([((1, {}), (2, {})), ((1, SIX), (2, SIX)), ((1, {}), (1, SIX))])
        )
    ]
    found: list[Tcp] = []
    for _ in range(draw(st.integers(1, 25))):
        at = draw(st.integers(0, 1))
        stream = streams[at]
        data = draw(
            st.sampled_from([b"a" * 10, b"b" * 10, b"c" * 10, b"d" * 7, b"e" * 11, b"", b"f"])
        )
        flags = draw(
            st.sampled_from([ACK] * 6 + [ACK | PSH, ACK | FIN, SYN, ACK | CWR, ACK | ECE, 0])
        )
        segment = replace(stream, data=data, flags=flags)
        streams[at] = replace(
            stream, sequence=(stream.sequence + len(data)) % 0x1_0000_0000, ip_id=stream.ip_id + 1
        )
        match draw(st.integers(0, 20)):
            case 0:
                continue
            case 1:
                found.append(segment)
            case 2:
                segment = replace(segment, ack=6)
            case 3:
                segment = replace(segment, options=bytes(4))
            case 4:
                segment = replace(segment, tos=3)
            case 5:
                fields = OTHER_FIELDS[: 3 if segment.over_six else 4]
                segment = replace(segment, **draw(st.sampled_from(fields)))
            case 6:
                found.reverse()
        found.append(segment)
    return found


@given(batches())
def test_a_batch_is_joined_as_the_reference_joins_it(segments: list[Tcp]) -> None:
    groups = slowly(segments)
    found = glue.joined([sealed(one.frame()) for one in segments])
    assert [one.parts for one in found] == [[part.frame() for part in group] for group in groups]
    for joined, group in zip(found, groups, strict=True):
        header, frame = written(joined)
        if len(group) == 1:
            assert frame == group[0].frame()
            assert header == (NEEDS_CSUM, 0, 0, 0, group[0].start, 16)
            continue
        whole = replace(
            group[0],
            data=b"".join(part.data for part in group),
            flags=group[0].flags | group[-1].flags & LAST,
        )
        assert frame == whole.frame(), "length, both checksums and flags made from nothing"
        kind = vnet.GSO_TCPV6 if whole.over_six else vnet.GSO_TCPV4
        assert (header.gso_type, header.gso_size) == (kind, len(group[0].data))
        assert header.csum_start == whole.start


@pytest.mark.parametrize(
    ("field", "addresses"),
    [
        (field, addresses)
        for addresses in ({}, SIX)
        for field in (
            *OTHER_FIELDS,
            {"ack": 6},
            {"tos": 3},
            {"options": bytes(4)},
            {"flags": ACK | ECE},
            {"ports": (2, 443)},
        )
        if addresses == {} or "fragment" not in field
    ],
    ids=str,
)
def test_a_segment_that_differs_in_one_field_begins_anew(
    field: dict[str, Any], addresses: dict[str, Any]
) -> None:
    first = Tcp(b"x" * 10, sequence=0, **addresses)
    second = replace(first, sequence=10)
    assert len(glue.joined([sealed(first.frame()), sealed(second.frame())])) == 1
    other = replace(second, **field)
    assert len(glue.joined([sealed(first.frame()), sealed(other.frame())])) == 2


@given(batches())
def test_cutting_what_was_joined_gives_the_segments_again(segments: list[Tcp]) -> None:
    for joined in glue.joined([sealed(one.frame()) for one in segments]):
        header, frame = written(joined)
        if header.gso_type:
            again = cut.segments(frame, header.gso_size, 1500)
            assert list(map(same_but_id, again)) == list(map(same_but_id, joined.parts))


@given(
    st.binary(min_size=1, max_size=5000),
    st.integers(1, 1378),
    st.sampled_from([ACK, ACK | PSH, ACK | FIN]),
    st.sampled_from([{}, SIX]),
)
@example(b"x" * 3000, 1000, ACK | PSH, SIX)
def test_what_was_cut_is_joined_to_what_it_was(
    data: bytes, step: int, flags: int, addresses: dict[str, Any]
) -> None:
    whole = Tcp(data, flags=flags, sequence=0xFFFF_FF00, **addresses).frame()
    (joined,) = glue.joined([sealed(one) for one in cut.segments(whole, step, 1418)])
    assert written(joined)[1] == whole


def test_a_packet_is_never_longer_than_ipv4_can_say() -> None:
    segments = [Tcp(b"x" * 1000, sequence=number * 1000) for number in range(80)]
    found = glue.joined([sealed(one.frame()) for one in segments])
    assert [len(one.parts) for one in found] == [65, 15]
    assert all(len(written(one)[1]) <= 0xFFFF + 14 for one in found)


def test_a_frame_whose_checksum_was_completed_stays_alone() -> None:
    frames = [
        Inner(0, 7, 0, 0, Tcp(b"x" * 10, sequence=number * 10).frame()) for number in range(3)
    ]
    found = glue.joined(frames)
    assert [written(one) for one in found] == [(vnet.vnet(vnet.PLAIN), one.frame) for one in frames]


def test_a_wrong_ip_checksum_is_not_made_right() -> None:
    good, bad = Tcp(b"x" * 10, sequence=0).frame(), bytearray(Tcp(b"x" * 10, sequence=10).frame())
    bad[24] ^= 0xFF
    assert len(glue.joined([sealed(good), sealed(bytes(bad))])) == 2
    worse = bytearray(good)
    worse[24] ^= 0xFF
    (joined,) = glue.joined([sealed(bytes(worse)), sealed(bytes(bad))])
    assert folded(written(joined)[1][14:34]) != 0xFFFF


def test_frames_that_are_not_tcp_go_as_they_came() -> None:
    frames = [sealed(bytes(60)), Inner(0, 7, 0, 0, b"short" * 4), sealed(Tcp(b"x").frame()[:50])]
    assert [written(one)[1] for one in glue.joined(frames)] == [one.frame for one in frames]


@given(
    st.lists(st.tuples(st.binary(max_size=80), st.integers(0, 80)), max_size=8),
    st.sampled_from([{}, SIX]),
)
def test_garbage_is_written_byte_for_byte(
    pieces: list[tuple[bytes, int]], addresses: dict[str, Any]
) -> None:
    template = Tcp(b"data", **addresses).frame()
    frames = [sealed(template[:keep] + garbage) for garbage, keep in pieces]
    for joined in glue.joined(frames):
        if len(joined.parts) == 1:
            assert written(joined)[1] == joined.parts[0]


def test_what_cannot_be_told_to_be_of_another_flow_is_not_overtaken() -> None:
    """With IP options the ports are elsewhere, and a later fragment has none."""
    first, second = (Tcp(b"x" * 10, sequence=number * 10).frame() for number in range(2))
    options = first[:14] + b"\x46" + first[15:34] + bytes(4) + first[34:]
    fragment = first[:20] + b"\x20\x00" + first[22:]
    for between in (options, fragment, first[:50]):
        found = glue.joined([sealed(first), sealed(between), sealed(second)])
        assert [written(one)[1] for one in found] == [first, between, second]
    datagram = first[:23] + b"\x11" + first[24:]
    assert len(glue.joined([sealed(first), sealed(datagram), sealed(second)])) == 2


def test_with_extension_headers_the_flow_is_not_known() -> None:
    first, second = (Tcp(b"x" * 10, sequence=number * 10, **SIX).frame() for number in range(2))
    for between in (first[:20] + b"\x2c" + first[21:], first[:70]):
        found = glue.joined([sealed(first), sealed(between), sealed(second)])
        assert [written(one)[1] for one in found] == [first, between, second]
    for other in (b"\x11", b"\x3a"):
        datagram = first[:20] + other + first[21:]
        assert len(glue.joined([sealed(first), sealed(datagram), sealed(second)])) == 2


@pytest.mark.parametrize("flags", [0, PSH, SYN, ACK | SYN, ACK | 0x04, ACK | 0x20, ACK | CWR])
def test_segments_with_flags_that_mean_more_than_data_stay_alone(flags: int) -> None:
    pair = [sealed(Tcp(b"x" * 10, sequence=at, flags=flags).frame()) for at in (0, 10)]
    assert len(glue.joined(pair)) == 2
