"""Which addresses are dialled: of one host, not of this machine, and so often and no more."""

import pytest

from protocol.membership.dialling import Dialling
from protocol.terms.ids import PeerId
from protocol.terms.limits import DIALS_BURST, NEWCOMERS_BURST

PUBLIC, LOOP = "192.0.2.1:7946", "127.0.0.1:7946"


@pytest.mark.parametrize(
    ("address", "dialled"),
    [
        ("198.51.100.7:7946", True),
        ("10.0.0.7:1", True),
        ("10.0.0.7:65535", True),
        ("h2:7000", True),
        ("10.0.0.7:0", False),
        ("10.0.0.7:65536", False),
        ("10.0.0.7:-1", False),
        ("10.0.0.7:٣", False),
        ("10.0.0.7", False),
        (":7946", False),
        ("224.0.0.1:7946", False),
        ("255.255.255.255:7946", False),
        ("0.0.0.0:7946", False),
        ("169.254.169.254:80", False),
        ("240.0.0.1:7946", False),
        ("127.0.0.1:22", False),
        ("127.8.8.8:22", False),
        ("[2001:db8::7]:7946", True),
        ("uc-1.example.org:7946", True),
        ("[::1]:22", False),
        ("[::]:7946", False),
        ("[ff02::1]:7946", False),
        ("[fe80::1]:7946", False),
        ("[fe80::1%eth0]:7946", False),
        ("[::ffff:127.0.0.1]:22", False),
        ("[::ffff:10.0.0.7]:22", False),
        ("[::7f00:1]:22", False),
        ("[64:ff9b::7f00:1]:22", False),
        ("2001:db8::7:7946", False),
        ("127.1:22", False),
        ("0x7f000001:22", False),
    ],
)
def test_only_one_hosts_address_is_dialled(address: str, dialled: bool) -> None:
    assert Dialling(lambda: PUBLIC).allows(address, 0.0) is dialled


def test_this_machine_is_dialled_by_a_peer_that_is_found_there() -> None:
    assert Dialling(lambda: LOOP).allows("127.0.0.1:8000", 0.0)


def test_this_machine_is_dialled_by_ipv6_likewise() -> None:
    assert Dialling(lambda: "[::1]:7946").allows("[::1]:8000", 0.0)
    assert Dialling(lambda: "[::1]:7946").means_one_host("127.0.0.1:8000")


def test_one_host_by_ipv6_has_one_share_however_it_is_written() -> None:
    dialling = Dialling(lambda: PUBLIC)
    ways = ("[2001:db8::7]", "[2001:DB8:0:0::7]", "[2001:0db8::0007]")
    dialled = [dialling.allows(f"{ways[port % 3]}:{port}", 0.0) for port in range(1, 1001)]
    assert dialled.count(True) == DIALS_BURST


def test_what_the_configuration_names_is_dialled() -> None:
    told = Dialling(lambda: PUBLIC, ["127.0.0.1:8000"])
    assert told.allows("127.0.0.1:8000", 0.0)
    assert not told.allows("127.0.0.1:8001", 0.0)


def test_a_host_is_dialled_so_often_at_whatever_port() -> None:
    dialling = Dialling(lambda: PUBLIC)
    dialled = [dialling.allows(f"10.0.0.7:{port}", 0.0) for port in range(1, 1001)]
    assert dialled.count(True) == DIALS_BURST
    assert dialling.refused == 1000 - DIALS_BURST
    assert dialling.allows("10.0.0.8:1", 0.0), "another host does not notice"
    assert dialling.allows("10.0.0.7:1", 1.5), "and later it is again"
    assert not dialling.allows("10.0.0.7:1", 1.5)


def test_one_peers_word_has_so_many_newcomers_dialled() -> None:
    dialling = Dialling(lambda: PUBLIC)
    heard = [dialling.hears_of(PeerId("liar"), 0.0) for _ in range(200)]
    assert heard.count(True) == NEWCOMERS_BURST
    assert dialling.hears_of(PeerId("honest"), 0.0)
