"""HOST:PORT, read in one way by everybody."""

import re
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.terms.address import Address, address_of, ip_of, is_one_host, read_address

LABEL = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
TOP = st.from_regex(r"[a-z]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
NAMES = st.builds(lambda labels, top: ".".join([*labels, top]), st.lists(LABEL, max_size=4), TOP)
IPS = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).filter(lambda ip: ip_of(str(ip)) == ip)
PORTS = st.integers(1, 65535)


@given(st.one_of(NAMES, IPS.map(str)), PORTS)
def test_what_is_written_is_read_again(host: str, port: int) -> None:
    address = Address(host, port)
    assert read_address(str(address)) == address
    assert str(read_address(str(address))) == str(address)


@given(st.ip_addresses(v=6).filter(lambda ip: ip_of(str(ip)) == ip), PORTS)
def test_all_ways_to_write_an_ipv6_address_are_one(ip: IPv6Address, port: int) -> None:
    for text in (ip.exploded, ip.compressed, ip.exploded.upper()):
        assert read_address(f"[{text}]:{port}") == (str(ip), port)


@given(st.text(max_size=40))
def test_of_any_text_there_is_one_meaning_or_none(text: str) -> None:
    address = address_of(text)
    if address is not None:
        assert address_of(str(address)) == address
        assert 1 <= address.port <= 65535
        assert address.ip is None or str(address.ip) == address.host


@given(st.text(alphabet="0123456789abcdefx.:[]%-", max_size=24))
def test_nothing_that_looks_like_an_address_is_taken_for_a_name(text: str) -> None:
    address = address_of(text)
    if address is not None and address.ip is None:
        assert address.host.rpartition(".")[2][0].isalpha()


@pytest.mark.parametrize(
    ("text", "would_work"),
    [
        ("2001:db8::7:7700", "an IPv6 address goes in brackets: [2001:db8::7]:7700"),
        ("[::ffff:192.0.2.7]:1", "write the IPv4 address: 192.0.2.7"),
        ("[fe80::1%eth0]:1", "fe80::1%eth0 is of one link only"),
        ("[fe80::1]:1", "fe80::1 is of one link only"),
        ("[2001::db8::7]:1", "is no IPv6 address"),
        ("h2:70000", "ports are 1 to 65535"),
        *[
            (text, "write HOST:PORT, for example")
            for text in (
                "127.1:7", "0x7f000001:7", "1.2.3.0x4:7", "256.1.1.1:7", "[192.0.2.7]:1", "[h2]:1", "[]:1",
                ":1", "h2", "h2:", "h2:0", "h2:01", "h2:-1", "h2:\u0663", "h2.:1", "a..b:1", "-a:1", "a-:1",
                "a_b:1", "h 2:1", "\u00fc.org:1", "", f"{'a' * 64}:1", f"{'a.' * 127}a:1",
            )
        ],
    ],
)  # fmt: skip
def test_what_is_no_address_is_answered_with_what_is(text: str, would_work: str) -> None:
    with pytest.raises(ValueError, match=re.escape(would_work)):
        read_address(text)
    assert address_of(text) is None


@pytest.mark.parametrize(
    "ip",
    ["192.0.2.7", "10.0.0.1", "127.0.0.1", "::1", "2001:db8::7", "fd00::1", "64:ff9b::c000:207"],
)
def test_one_host(ip: str) -> None:
    assert is_one_host(ip_address(ip))


@pytest.mark.parametrize(
    "ip",
    [
        "0.0.0.0", "224.0.0.1", "255.255.255.255", "240.0.0.1", "169.254.169.254", "::", "ff02::1", "fe80::1",
        "::7f00:1", "64:ff9b::7f00:1", "64:ff9b::e000:1", "64:ff9b::a9fe:a9fe",
    ],
)  # fmt: skip
def test_many_hosts_or_none(ip: str) -> None:
    assert not is_one_host(ip_address(ip))


def test_an_address_of_one_link_or_of_two_families_is_none() -> None:
    for text in (
        "fe80::1",
        "fe80::1%eth0",
        "2001:db8::1%eth0",
        "::ffff:1.2.3.4",
        "h2",
        "1.2.3",
        "",
    ):
        assert ip_of(text) is None
    assert ip_of("192.0.2.7") == IPv4Address("192.0.2.7")
