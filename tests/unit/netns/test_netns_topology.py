"""The topology file: what is accepted, and that every error is said at once with its key."""

from pathlib import Path

import pytest

from netns.lab import topology
from netns.lab.topology import TopologyError

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
