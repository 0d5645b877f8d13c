"""The topology file: what is accepted, and that every error is said at once with its key."""

from pathlib import Path

import pytest

from netns.lab import topology
from netns.lab.topology import TopologyError
from netns.lab.wiring import host_links, reached_only

EXAMPLE = Path(__file__).parents[3] / "examples" / "three-sites.toml"

WRONG = """
nmae = "typo"
name = "Has Capitals"

[[site]]
name = "uc"
subnet = "10.99.1.0/24"
rate = "fast"

[[site.host]]
name = "uc-1"
address = "10.99.1.254"

[[site.host]]
name = "uc-1"
address = "10.99.2.1"
port = 1

[[site]]
name = "wan"
subnet = "10.99.0.0/16"
"""


def test_the_example_is_three_sites_of_two_hosts() -> None:
    plan = topology.read(EXAMPLE)
    assert [(site.name, len(site.hosts)) for site in plan.sites] == [
        ("uc", 2),
        ("fnal", 2),
        ("bnl", 2),
    ]
    assert plan.sites[2].rate_bits_per_s == 200_000_000
    assert plan.sites[0].router == "10.99.1.254"


def test_another_name_makes_another_lab() -> None:
    assert topology.read(EXAMPLE, "other").name == "other"


def test_every_error_is_said_at_once(tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(WRONG)
    with pytest.raises(TopologyError) as caught:
        topology.read(path)
    lines = str(caught.value).splitlines()
    keys = [line.removeprefix(f"{path}: ").split(": ")[0] for line in lines]
    assert sorted(keys) == sorted(
        [
            "nmae",
            "name",
            "site[0].rate",
            "site[0].host[0].address",
            "site[0].host[1].name",
            "site[0].host[1].address",
            "site[0].host[1].port",
            "site[1].name",
            "site[1].subnet",
            "site[1].host",
        ]
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("site = 3", "site: write it as"),
        ("name = 3", "name: 3 is not a text"),
        ("", "name: missing"),
        ("name = [", "wrong.toml: "),
    ],
)
def test_what_is_no_topology_at_all(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(text)
    with pytest.raises(TopologyError) as caught:
        topology.read(path)
    assert said in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(TopologyError, match=r"nowhere\.toml: No such file"):
        topology.read(tmp_path / "nowhere.toml")


def test_a_site_may_be_behind_nat_or_one_other() -> None:
    plan = topology.read(EXAMPLE.with_name("nat.toml"))
    home, far = (next(s for s in plan.sites if s.name == name) for name in ("home", "far"))
    assert (home.nat_address, home.nat_gateway) == ("10.98.1.1", "10.98.1.2")
    assert far.through == "open"
    drops = reached_only(plan)
    assert "ip saddr 10.97.9.0/24 ip daddr != 10.97.1.0/24 drop" in drops
    assert "ip daddr 10.97.9.0/24 ip saddr != 10.97.1.0/24 drop" in drops
    assert reached_only(topology.read(EXAMPLE)) == ""


IPV6 = {"subnet": "fd97:1::/64", "host": [{"name": "a-1", "address": "fd97:1::1"}]}


def test_a_site_may_be_of_ipv6() -> None:
    plan = topology.parse({"name": "lab", "site": [{"name": "a", **IPV6}]})
    (site,) = plan.sites
    assert site.router == "fd97:1::ffff:ffff:ffff:fffe"
    assert "address add fd97:1::1/64 dev eth0 nodad" in host_links(site, site.hosts[0])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"nat": "10.98.1.1"}, "site[0].nat: '10.98.1.1' is not an address with its network"),
        ({"nat": "nowhere"}, "site[0].nat: 'nowhere' is not an address with its network"),
        ({"nat": "10.97.1.1/24"}, "site[0].nat: 10.97.1.0/24 overlaps 10.97.1.0/24 of site[0]."),
        ({"nat": "10.98.1.2/30"}, "site[0].nat: 10.98.1.2 is not the router's to have"),
        ({"through": "b"}, ""),
        ({"through": "c"}, "site[0].through: 'c' is no other site; there are b"),
        ({"through": "a"}, "site[0].through: 'a' is no other site; there are b"),
        ({"through": "b", "nat": "10.98.1.1/30"}, "site[0].through: neither this site nor b may"),
        ({"through": "b", **IPV6}, "site[0].through: neither this site nor b may be IPv6"),
        ({"nat": "10.98.1.1/30", **IPV6}, "site[0].nat: fd97:1::/64 is IPv6, which needs none"),
        ({"subnet": "fd97:1::/64"}, "10.97.1.1 is not a host address of fd97:1::/64"),
    ],
)
def test_what_nat_and_through_may_be(changes: dict[str, str], said: str) -> None:
    a = {"name": "a", "subnet": "10.97.1.0/24", "host": [{"name": "a-1", "address": "10.97.1.1"}]}
    b = {"name": "b", "subnet": "10.97.2.0/24", "host": [{"name": "b-1", "address": "10.97.2.1"}]}
    raw = {"name": "lab", "site": [{**a, **changes}, b]}
    if not said:
        topology.parse(raw)
        return
    with pytest.raises(TopologyError) as caught:
        topology.parse(raw)
    assert said in str(caught.value)
