"""Questions for members elsewhere are answered here; the table as the loop looks things up."""

from netns.tunnel import arp
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
