"""Cutting against a slow reference that makes each segment from nothing."""

import struct

from hypothesis import example, given
from hypothesis import strategies as st
from tcp_frames import ACK, CWR, DF, ECE, FIN, PSH, SIX, SYN, Tcp, folded

from netns.tunnel import checksum, cut

WORD = st.integers(0, 0xFFFF)


def superframes() -> st.SearchStrategy[Tcp]:
    return st.one_of(_superframes(), _superframes(**SIX))


def _superframes(**addresses: bytes) -> st.SearchStrategy[Tcp]:
    return st.builds(
        Tcp,
        **{name: st.just(value) for name, value in addresses.items()},
        data=st.binary(min_size=1, max_size=300),
        sequence=st.one_of(st.integers(0, 0xFFFF_FFFF), st.integers(0xFFFF_FF00, 0xFFFF_FFFF)),
        flags=st.sampled_from([ACK, ACK | PSH, ACK | FIN | PSH, ACK | CWR, ACK | CWR | PSH | ECE]),
        options=st.sampled_from([b"", b"\x01\x01\x08\x0a" + bytes(8), bytes(40)]),
        ip_id=st.one_of(WORD, st.just(0xFFFF)),
        fragment=st.sampled_from([DF, 0]),
        window=WORD,
    )


@given(superframes(), st.integers(1, 120))
@example(Tcp(b"x" * 100, 0xFFFF_FFFF, ACK | CWR | FIN, fragment=0, ip_id=0xFFFF), 33)
def test_a_superframe_is_cut_as_the_reference_cuts_it(whole: Tcp, step: int) -> None:
    found = cut.segments(whole.frame(), step, 1500)
    assert found == [segment.frame() for segment in whole.cut(step)]


@given(superframes(), st.integers(1, 400), st.integers(121, 200))
def test_no_segment_is_longer_than_the_mtu_and_none_of_the_data_is_lost(
    whole: Tcp, step: int, mtu: int
) -> None:
    found = cut.segments(whole.frame(), step, mtu)
    head = whole.start + 20 + len(whole.options)
    assert all(len(frame) <= mtu + 14 for frame in found)
    assert b"".join(frame[head:] for frame in found) == whole.data
    if not whole.over_six:
        assert all(folded(frame[14:34]) == 0xFFFF for frame in found), "IP checksums are right"


@given(st.binary(max_size=120), st.integers(0, 100), st.integers(0, 200))
def test_garbage_is_cut_into_nothing_that_is_too_long(garbage: bytes, step: int, mtu: int) -> None:
    four, six = Tcp(b"abc").frame(), Tcp(b"abc", **SIX).frame()
    for head in (b"", four[:34], four[:47], six[:20], six[:54], six[:67]):
        assert all(len(frame) <= mtu + 14 for frame in cut.segments(head + garbage, step, mtu))


def test_what_is_not_tcp_over_ipv6_is_not_cut() -> None:
    good = Tcp(b"x" * 30, **SIX).frame()
    assert len(cut.segments(good, 10, 1500)) == 3
    for at, value in (
        (12, 0x08),
        (14, 0x45),
        (20, 44),  # fragments and other extensions
        (19, 0),
        (66, 0x40),
        (66, 0xF0),
    ):
        bad = bytearray(good)
        bad[at] = value
        assert cut.segments(bytes(bad), 10, 1500) == [], (at, value)
    assert cut.segments(good, 10, 60) == [], "no room for data"


def test_what_is_not_tcp_over_ipv4_is_not_cut() -> None:
    good = Tcp(b"x" * 30).frame()
    assert cut.segments(good, 10, 1500)
    for at, value in (
        (12, 0x86),
        (14, 0x65),
        (14, 0x44),
        (23, 17),
        (20, 0x20),
        (46, 0x40),
        (46, 0xF0),  # 60 bytes of header do not fit
        (17, 0),
    ):
        bad = bytearray(good)
        bad[at] = value
        assert cut.segments(bytes(bad), 10, 1500) == [], (at, value)
    assert cut.segments(good, 0, 1500) == []
    assert cut.segments(good, 10, 40) == [], "no room for data"
    assert cut.segments(Tcp(b"", flags=SYN).frame(), 10, 1500) == []


def test_a_header_that_was_wrong_stays_wrong() -> None:
    bad = bytearray(Tcp(b"x" * 50).frame())
    bad[24] ^= 1
    assert all(folded(frame[14:34]) != 0xFFFF for frame in cut.segments(bytes(bad), 10, 1500))


@given(st.lists(WORD, min_size=9, max_size=9), st.integers(0, 8), WORD)
def test_a_checksum_is_changed_by_what_changed_under_it(
    words: list[int], at: int, after: int
) -> None:
    words[0] |= 0x4500  # as in every IPv4 header; a sum of nothing at all has two forms
    before = words[at]
    check = ~folded(struct.pack(">9H", *words)) & 0xFFFF
    words[at] = after | (0x4500 if at == 0 else 0)
    assert (
        checksum.changed(check, before, words[at]) == ~folded(struct.pack(">9H", *words)) & 0xFFFF
    )


@given(
    st.sampled_from([8, 32]).flatmap(lambda n: st.binary(min_size=n, max_size=n)),
    st.integers(20, 0xFFFF),
)
def test_the_sum_of_the_pseudo_header(addresses: bytes, length: int) -> None:
    assert checksum.pseudo(addresses, length) == folded(addresses + struct.pack(">HH", 6, length))


def test_a_sum_that_runs_over_twice_is_folded_twice() -> None:
    assert checksum.changed(0, 0, 1) == 0xFFFE
    for count in (8, 32):
        addresses = b"\xff" * count
        assert checksum.pseudo(addresses, 0xFFFF) == folded(addresses + b"\x00\x06\xff\xff")


@given(st.binary(max_size=300))
def test_the_sum_of_many_bytes(data: bytes) -> None:
    even = data[: len(data) // 2 * 2]
    assert checksum.summed(even) == folded(even)
