"""How often one host is dialled, and all hosts of one network."""

from ipaddress import ip_address

from protocol.terms.dial_share import DialShare
from protocol.terms.limits import DIALS_BURST, NETWORK_DIALS_BURST


def test_a_host_has_its_share_and_no_other_notices() -> None:
    share = DialShare()
    assert [share.take("h2", 0.0) for _ in range(100)].count(True) == DIALS_BURST
    assert share.take("h3", 0.0)
    assert share.take("h2", 1.5), "and later it is dialled again"


def test_a_network_of_ipv6_has_one_too() -> None:
    share = DialShare()
    many = [share.take(ip_address(f"2001:db8::{n:x}"), 0.0) for n in range(2000)]
    assert many.count(True) == NETWORK_DIALS_BURST
    assert share.take(ip_address("2001:db8:0:1::1"), 0.0)
    ipv4 = [share.take(ip_address(f"192.0.{n // 250}.{n % 250}"), 0.0) for n in range(2000)]
    assert all(ipv4), "of IPv4 nobody has a network of his own"
