"""Which addresses a way out has, and a tunnel lets in. Their rules are golden texts (test_netns_texts.py)."""

from msgspec.structs import replace

from netns.model import Neighbour, NetworkPlan
from netns.plan import tunnel_text, way_text

PLAN = NetworkPlan("n-lan", "t", 7, "10.42.0.0/24", "10.42.0.1", 1400, "192.0.2.1", "star", 1, ())


def test_each_way_out_has_two_addresses_of_its_own() -> None:
    both = [way_text.ends(slot) for slot in (0, 1, way_text.SLOTS - 1)]
    assert both[0] == ("169.254.192.0", "169.254.192.1")
    assert both[1] == ("169.254.192.2", "169.254.192.3")
    assert both[2] == ("169.254.255.254", "169.254.255.255")


def test_a_host_that_carries_several_members_is_let_in_once() -> None:
    afar = tuple(
        Neighbour(f"02:00:00:00:00:0{n}", f"10.42.0.{n}", f"w-{n}", via)
        for n, via in ((3, "192.0.2.3"), (4, "192.0.2.2"), (5, "192.0.2.3"))
    )
    text = tunnel_text.ruleset(replace(PLAN, neighbours=afar))
    assert "elements = { 192.0.2.2, 192.0.2.3 }" in text
    assert "@th,96,24 7 ip saddr != @carriers drop" in text


def test_hosts_of_ipv6_are_let_in_by_ipv6() -> None:
    far = Neighbour("02:00:00:00:00:03", "10.42.0.3", "w-3", "2001:db8::3")
    text = tunnel_text.ruleset(replace(PLAN, underlay="2001:db8::1", neighbours=(far,)))
    assert "type ipv6_addr" in text
    assert "elements = { 2001:db8::3 }" in text
    assert "@th,96,24 7 ip6 saddr != @carriers drop" in text


def test_nothing_of_a_sealed_network_comes_or_goes_in_the_clear() -> None:
    text = tunnel_text.ruleset(replace(PLAN, sealed=True))
    assert text.count("udp dport 4789 @th,96,24 7 drop") == 2
    assert "hook input" in text
    assert "hook output" in text
    assert "carriers" not in text
