"""Questions for members elsewhere are answered here; the table as the loop looks things up."""

import struct

import msgspec
import pytest
from tcp_frames import folded

from netns.tunnel import arp, nd
from netns.tunnel.routes import mac_bytes, routes
from netns.tunnel.tables import Member, Networks, SealedNetwork

HERE, THERE = mac_bytes("02:00:00:00:00:02"), mac_bytes("02:00:00:00:00:03")
KIND = b"\x00\x01\x08\x00\x06\x04"
REMOTE = {bytes([10, 0, 0, 3]): THERE}


def question(sender: bytes, sender_ip: bytes, target_ip: bytes, operation: int = 1) -> bytes:
    packet = KIND + operation.to_bytes(2) + sender + sender_ip + bytes(6) + target_ip
    return b"\xff" * 6 + HERE + arp.ETHERTYPE + packet


def test_a_question_for_a_member_elsewhere_is_answered_to_who_asks() -> None:
    asked = question(HERE, bytes([10, 0, 0, 2]), bytes([10, 0, 0, 3]))
    assert arp.answer(asked, REMOTE) == (
        HERE
        + THERE
        + arp.ETHERTYPE
        + KIND
        + b"\x00\x02"
        + THERE
        + bytes([10, 0, 0, 3])
        + HERE
        + bytes([10, 0, 0, 2])
    )
    assert arp.answer(asked + bytes(18), REMOTE) is not None, "padded to Ethernet's least"


def test_a_probe_is_answered_too_so_that_no_address_is_taken_twice() -> None:
    assert arp.answer(question(HERE, bytes(4), bytes([10, 0, 0, 3])), REMOTE) is not None


def test_other_questions_are_not_answered() -> None:
    me = bytes([10, 0, 0, 2])
    assert arp.answer(question(HERE, me, bytes([10, 0, 0, 9])), REMOTE) is None
    assert arp.answer(question(HERE, me, bytes([10, 0, 0, 3]), operation=2), REMOTE) is None
    assert arp.answer(question(THERE, me, bytes([10, 0, 0, 3])), REMOTE) is None, (
        "asks for another MAC"
    )
    assert arp.answer(question(HERE, bytes([10, 0, 0, 3]), bytes([10, 0, 0, 3])), REMOTE) is None
    assert arp.answer(question(HERE, me, bytes([10, 0, 0, 3]))[:-1], REMOTE) is None
    assert arp.answer(b"", REMOTE) is None


def test_a_network_is_found_by_vni_and_its_members_by_mac_and_address() -> None:
    network = SealedNetwork(
        7,
        "t",
        1418,
        ("02:00:00:00:00:02",),
        "02:00:00:00:00:01",
        (Member("02:00:00:00:00:03", "10.0.0.3", "b"),),
    )
    found = routes(Networks(1, (network,)))[7]
    assert found.local == {HERE}
    assert found.remote[THERE] == ("b", bytes([10, 0, 0, 3]))
    assert found.macs == REMOTE
    assert found.prefix6 == b""
    six = routes(Networks(1, (msgspec.structs.replace(network, cidr6="fd00:1:2:3::/64"),)))[7]
    assert six.prefix6 == PREFIX


PREFIX = bytes.fromhex("fd0000010002000300000000")
ASKS, ASKED = PREFIX + bytes([10, 0, 0, 2]), PREFIX + bytes([10, 0, 0, 3])


def solicited(source: bytes, target: bytes, kind: int = 135) -> bytes:
    group = bytes.fromhex("ff0200000000000000000001ff") + target[-3:]
    body = struct.pack(">BBHI", kind, 0, 0, 0) + target + b"\x01\x01" + HERE
    head = struct.pack(">IHBB", 0x6000_0000, len(body), 58, 255) + source + group
    return b"\x33\x33\xff" + target[-3:] + HERE + b"\x86\xdd" + head + body


def test_a_solicitation_for_a_member_elsewhere_is_answered_to_who_asks() -> None:
    asked = solicited(ASKS, ASKED)
    assert nd.is_question(asked)
    reply = nd.answer(asked, PREFIX, REMOTE)
    assert reply is not None
    assert reply[:14] == HERE + THERE + b"\x86\xdd"
    assert reply[14:22] == bytes.fromhex("6000000000203aff")
    assert (reply[22:38], reply[38:54]) == (ASKED, ASKS)
    assert reply[54:56] == b"\x88\x00"
    assert reply[58:] == b"\x60\x00\x00\x00" + ASKED + b"\x02\x01" + THERE
    assert folded(reply[22:54] + struct.pack(">II", 32, 58) + reply[54:]) == 0xFFFF


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (ASKS, PREFIX + bytes([10, 0, 0, 9])),
        (ASKS, b"\xfd\x01" + ASKED[2:]),
        (bytes(16), ASKED),
        (ASKED, ASKED),
    ],
    ids=["nobody", "another prefix", "asks whether its own is taken", "asks for itself"],
)
def test_other_solicitations_are_not_answered(source: bytes, target: bytes) -> None:
    assert nd.answer(solicited(source, target), PREFIX, REMOTE) is None


def test_without_ipv6_none_is_answered() -> None:
    asked = solicited(ASKS, ASKED)
    assert nd.answer(asked, b"", REMOTE) is None
    assert nd.answer(solicited(ASKS, bytes(12) + ASKED[12:]), b"", REMOTE) is None


def test_only_a_whole_solicitation_is_a_question() -> None:
    asked = solicited(ASKS, ASKED)
    assert not nd.is_question(asked[:77])
    assert not nd.is_question(solicited(ASKS, ASKED, kind=136))
    assert not nd.is_question(asked[:20] + b"\x11" + asked[21:])
    assert not nd.is_question(asked[:12] + b"\x08\x00" + asked[14:])
    assert not nd.is_question(b"")
