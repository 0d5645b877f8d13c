"""A wish to be spread that a network keeps at one site is told."""

from asking import cluster, grid, host, probed
from msgspec.structs import replace

from protocol.grid.model import Encryption, GridSpec, NetworkSpec, Spread
from protocol.placement.fit import Offer, rules_of
from protocol.placement.narrowed import narrowed

A1, A2 = host("a1", "ams", encrypts=False), host("a2", "ams", encrypts=False)
B1 = host("b1", "bnl", encrypts=False)
AT_ONE_SITE = {"web-1": A1, "web-2": A2}


def spec(spread: Spread = Spread.SITE, encryption: Encryption = Encryption.REQUIRED) -> GridSpec:
    asked = grid(cluster(count=2, networks=("lan",)), spread=spread)
    return replace(asked, networks=(NetworkSpec("lan", "10.42.0.0/24", encryption),))


def told(asked: GridSpec, where: dict[str, Offer], offers: tuple[Offer, ...] = (A1, A2, B1)) -> str:
    return narrowed(asked, rules_of(asked, offers), where, offers)


def test_a_spread_over_sites_that_a_private_network_keeps_at_one() -> None:
    assert told(spec(), AT_ONE_SITE) == (
        "spread: site is narrowed to site ams: network lan is sealed between hosts, and not every"
        " host elsewhere can"
    )


def test_a_spread_over_hosts_too_if_two_share_one() -> None:
    assert told(spec(Spread.HOST), AT_ONE_SITE) == ""
    both = {"web-1": A1, "web-2": A1}
    line = told(spec(Spread.HOST), both, (A1, A2))
    assert line.startswith("spread: host is narrowed to host a1: network lan is sealed")
    assert told(spec(Spread.HOST), both, (A1,)) == "", "there is no other host"


def test_a_network_whose_tunnels_do_not_leave_a_site() -> None:
    hidden = replace(B1, hidden=True)
    line = told(spec(encryption=Encryption.NONE), AT_ONE_SITE, (A1, A2, hidden))
    assert line == (
        "spread: site is narrowed to site ams: no tunnel leaves the site of a host that not every"
        " host can reach"
    )


def test_a_network_whose_tunnels_do_not_lead_from_ipv4_to_ipv6() -> None:
    a1, a2 = (probed(host, underlay="192.0.2.1") for host in (A1, A2))
    b1 = probed(B1, underlay="2001:db8::1")
    where = {"web-1": a1, "web-2": a2}
    line = told(spec(encryption=Encryption.NONE), where, (a1, a2, b1))
    assert line == (
        "spread: site is narrowed to site ams: no tunnel leads from hosts with IPv4 to hosts with IPv6"
    )


def test_what_is_as_wide_as_it_can_be_is_not_told() -> None:
    assert told(spec(encryption=Encryption.NONE), AT_ONE_SITE) == ""
    assert told(spec(Spread.NONE), AT_ONE_SITE) == ""
    assert told(spec(), {"web-1": A1}) == ""
    assert told(spec(), AT_ONE_SITE, (A1, A2)) == "", "there is no other site"
    only_here = replace(spec(), placement=replace(spec().placement, sites=("ams",)))
    assert told(only_here, AT_ONE_SITE) == "", "no other site is wanted"
