"""Names that fit the kernel, and plans that make no sense."""

import re
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from netns import model
from netns.model import Exposed, Neighbour, NetworkPlan, Port, address6, mac_of, tap_name, vni_of

NETWORK = "g-lan"
HEAD = Port(tap_name(NETWORK, "head"), mac_of(NETWORK, "10.1.0.2"), "10.1.0.2", "head")
FAR = Neighbour(mac_of(NETWORK, "10.1.0.3"), "10.1.0.3", "far", "192.0.2.2")
PLAN = NetworkPlan(
    NETWORK, "uc1", 77, "10.1.0.0/24", "10.1.0.1", 1450, "192.0.2.1", "star", 1, (HEAD,), (FAR,)
)


DOOR = Exposed(HEAD.address, 443, "tcp", 31443)


def at_host(*ways: Exposed) -> dict[str, object]:
    return {"exposed": ways, "exposed_at": "198.51.100.7"}


def test_a_sensible_plan_is_accepted() -> None:
    PLAN.check()
    replace(
        PLAN, **at_host(DOOR, replace(DOOR, protocol="udp"), replace(DOOR, outside=31444))
    ).check()
    replace(PLAN, sealed=True, neighbours=(replace(FAR, via="", peer="ab" * 16),)).check()


def test_what_a_sealed_network_leaves_of_a_packet() -> None:
    sealed = replace(PLAN, sealed=True)
    assert (1500 - PLAN.overhead_bytes, 1500 - sealed.overhead_bytes) == (1450, 1418)
    assert (PLAN.tunnel, sealed.tunnel) == ("ovx-00004d", "ovs-00004d")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"network": "../x"}, "its id needs"),
        ({"network": ".."}, "its id needs"),
        ({"owner_tag": "toolong"}, "owner_tag 'toolong'"),
        ({"vni": 0}, "vni 0 is not in"),
        ({"vni": 1 << 24}, "vni 16777216 is not in"),
        ({"cidr": "10.1.0.9/24"}, "cidr '10.1.0.9/24' is not"),
        ({"cidr": "10.1.0.0/31"}, "has no room"),
        ({"gateway": "10.2.0.1"}, "gateway: 10.2.0.1 is not a host address"),
        ({"gateway": "10.1.0.255"}, "gateway: 10.1.0.255 is not a host address"),
        ({"gateway": "x"}, "gateway: 'x' is not"),
        ({"gateway": "10.1.0.2"}, "address 10.1.0.2 is there 2 times"),
        ({"mtu": 100}, "mtu 100"),
        ({"told_mtu": 100}, "told_mtu 100"),
        ({"told_mtu": 9000}, "told_mtu 9000"),
        ({"underlay": "::1"}, "far: via 192.0.2.2 is of another family than ::1"),
        ({"underlay": "2001:DB8::1"}, "underlay '2001:DB8::1' is not an address"),
        ({"domain": "No_Dns"}, "domain 'No_Dns'"),
        ({"domain": "star\nport=1"}, "domain"),
        ({"epoch": -1}, "epoch -1"),
        ({"ports": (replace(HEAD, tap="eth0"),)}, "tap 'eth0' must begin with ovt-"),
        ({"ports": (replace(HEAD, tap="ovt-123456789012"),)}, "at most 15 characters"),
        ({"ports": (replace(HEAD, mac="03:00:00:00:00:01"),)}, "not a unicast MAC"),
        ({"ports": (replace(HEAD, name="UPPER"),)}, "'UPPER' is not a DNS label"),
        ({"ports": (replace(HEAD, mac=PLAN.gateway_mac),)}, "mac .* is there 2 times"),
        ({"ports": (HEAD, HEAD)}, "tap .* is there 2 times"),
        ({"neighbours": (replace(FAR, address="10.9.0.1"),)}, "far: 10.9.0.1 is not a host"),
        ({"neighbours": (replace(FAR, via="192.0.2.1"),)}, "is this host itself"),
        ({"neighbours": (replace(FAR, via="far"),)}, "via 'far'"),
        ({"neighbours": (replace(FAR, name="head"),)}, "name head is there 2 times"),
        ({"sealed": True}, "far: it is not said which peer has it"),
        ({"exposed": (DOOR,)}, "it is not said at which address of this host port 31443 is"),
        (
            at_host(replace(DOOR, address=FAR.address)),
            "10.1.0.3, to which port 31443 leads, is no port's here",
        ),
        (at_host(replace(DOOR, protocol="sctp")), "port 31443: 'sctp' is neither tcp nor udp"),
        (at_host(replace(DOOR, port=0)), "port 31443 leads to port 0"),
        (at_host(replace(DOOR, outside=70_000)), "port 70000 leads to port 443"),
        (at_host(DOOR, replace(DOOR, port=80)), "exposed port 31443/tcp is there 2 times"),
    ],
)
def test_a_senseless_plan_is_refused(change: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        replace(PLAN, **change).check()


def test_a_member_of_a_network_with_ipv6_has_its_ipv4_address_behind_the_prefix() -> None:
    six = replace(PLAN, cidr6="fd42:1::/64")
    six.check()
    assert six.six("10.1.0.2") == "fd42:1::a01:2"
    assert address6("fd42:1:2:3::/64", "10.42.1.10") == "fd42:1:2:3::a2a:10a"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"cidr6": "fd42::/48"}, "not an IPv6 network of 64 bits"),
        ({"cidr6": "fd42::1/64"}, "not an IPv6 network of 64 bits"),
        ({"cidr6": "10.0.0.0/24"}, "not an IPv6 network of 64 bits"),
        ({"cidr6": "fd42::/64", "mtu": 1279}, "mtu 1279 is below 1280"),
        ({"cidr6": "fd42::/64", "cidr": "10.0.0.0/7"}, "is wider than /8"),
        ({"others6": (("web", "10.0.0.1"),)}, "web: '10.0.0.1' is not an IPv6 address"),
    ],
)
def test_a_senseless_plan_of_ipv6_is_refused(change: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        replace(PLAN, **change).check()


def test_everything_wrong_is_said_at_once() -> None:
    with pytest.raises(ValueError, match=r"vni 0.*mtu 1 .*'X' is not a DNS label"):
        replace(PLAN, vni=0, mtu=1, ports=(replace(HEAD, name="X"),)).check()


@given(st.integers(1, model.VNI_MAX), st.text(max_size=40), st.text(max_size=40))
def test_names_fit_the_kernel(vni: int, network: str, workspace: str) -> None:
    links = [model.bridge_name(vni), model.vxlan_name(vni), model.veth_name(vni)]
    for name in [*links, tap_name(network, workspace)]:
        assert len(name) <= 15
        assert re.fullmatch(r"[a-z0-9-]+", name)
    assert len(set(links)) == 3


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.text(max_size=20))
def test_macs_are_local_unicast_and_differ_within_a_network(a: int, b: int, network: str) -> None:
    first, second = (mac_of(network, str(IPv4Address(value))) for value in (a, b))
    assert first.startswith("02:")
    assert (first == second) == (a == b)


@given(st.text(max_size=20), st.integers(0, 5))
def test_a_vni_is_in_range_and_another_attempt_gives_another(network: str, attempt: int) -> None:
    assert 1 <= vni_of(network, attempt) <= model.VNI_MAX
    assert vni_of(network, attempt) == vni_of(network, attempt)
    assert vni_of("fixed", 0) != vni_of("fixed", 1)


def test_a_tap_name_does_not_run_its_parts_together() -> None:
    assert tap_name("ab", "c") != tap_name("a", "bc")
