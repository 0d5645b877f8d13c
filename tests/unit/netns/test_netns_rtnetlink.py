"""Netlink's bytes, taken apart; whatever they are, it ends."""

import struct

from hypothesis import given
from hypothesis import strategies as st

from netns.kernel.rtnetlink import attributes, ipv4, mac, messages, number, text


def attribute(kind: int, value: bytes) -> bytes:
    raw = struct.pack("=HH", 4 + len(value), kind) + value
    return raw + bytes(-len(raw) % 4)


def message(kind: int, flags: int, payload: bytes) -> bytes:
    raw = struct.pack("=IHHII", 16 + len(payload), kind, flags, 1, 0) + payload
    return raw + bytes(-len(raw) % 4)


def test_attributes_are_told_by_type_and_padding_is_skipped() -> None:
    raw = b"head" + attribute(3, b"gw0\0") + attribute(4, struct.pack("=I", 1400))
    raw += attribute(0x8000 | 18, attribute(1, b"veth\0"))
    found = attributes(raw, 4)
    assert text(found[3]) == "gw0"
    assert number(found[4]) == 1400
    assert text(attributes(found[18])[1]) == "veth"


def test_messages_of_a_datagram() -> None:
    data = message(16, 2, b"abc") + message(3, 0, b"")
    assert list(messages(data)) == [(16, 2, b"abc"), (3, 0, b"")]


def test_values_as_people_write_them() -> None:
    assert mac(bytes.fromhex("020000000001")) == "02:00:00:00:00:01"
    assert ipv4(bytes([192, 0, 2, 1])) == "192.0.2.1"
    assert ipv4(bytes(16)) == ""
    assert (mac(None), ipv4(None), text(None), number(None)) == ("", "", "", None)
    assert number(b"\1") == 1


@given(st.binary(max_size=200))
def test_any_bytes_at_all_come_to_an_end(data: bytes) -> None:
    list(messages(data))
    attributes(data)
