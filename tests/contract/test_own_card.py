"""A card of the host itself on a sealed network, made in a namespace that stands for the host."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from netns import program
from netns.failures import NetnsError
from netns.kernel import namespaces
from netns.tunnel import own_card, process
from netns.tunnel.tables import OwnCard, SealedNetwork

HOST = f"own-card-{os.getpid()}"
LINK = "ova-00c0de"
NETWORK = SealedNetwork(
    0xC0DE, LINK, 1418, ("02:00:00:00:00:09",), "02:00:00:00:00:01", (),
    card=OwnCard("02:00:00:00:00:09", "10.42.0.200", 24),
)  # fmt: skip


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    namespaces.add(HOST)
    try:
        yield tmp_path
    finally:
        namespaces.delete(HOST)


def made(directory: Path, network: SealedNetwork = NETWORK) -> int:
    return namespaces.inside(HOST, lambda: own_card.opened(directory, network))


def said(*words: str) -> str:
    return program.run(["ip", "netns", "exec", HOST, *words])


def left(directory: Path) -> list[str]:
    """What there is of cards."""
    lines = (said("ip", "-o", "link") + said("nft", "list", "tables")).splitlines()
    noted = [process.CARDS] if (directory / process.CARDS).exists() else []
    return [line for line in lines if "ova" in line] + noted


def test_it_is_up_with_its_address_as_long_as_somebody_has_it_open(directory: Path) -> None:
    handle = made(directory)
    try:
        shown = said("ip", "address", "show", LINK)
        for text in ("10.42.0.200/24", "02:00:00:00:00:09", "mtu 1418", ",UP"):
            assert text in shown
        assert "inet6" not in shown
        assert f"dev {LINK}" in said("ip", "route", "get", "10.42.0.7")
        with pytest.raises(NetnsError, match="cannot make the card"):
            made(directory)
    finally:
        os.close(handle)
    assert LINK not in said("ip", "-o", "link")


def test_rules_go_when_they_are_forgotten_and_no_others(directory: Path) -> None:
    handle, second = made(directory), replace(NETWORK, tap="ova-00c0df", vni=0xC0DF)
    other = made(directory, replace(second, card=OwnCard("02:00:00:00:00:08", "10.43.0.9", 24)))
    os.close(handle)
    namespaces.inside(HOST, lambda: own_card.forget(directory, [second.tap]))
    tables = said("nft", "list", "tables")
    assert "ovl_ova_00c0df" in tables
    assert "ovl_ova_00c0de" not in tables
    os.close(other)
    for _ in range(2):
        namespaces.inside(HOST, lambda: own_card.forget(directory, ()))
    assert left(directory) == []


def test_a_range_that_leads_elsewhere_already_is_refused_and_leaves_nothing(
    directory: Path,
) -> None:
    said("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth1")
    said("ip", "link", "set", "eth1", "up")
    said("ip", "link", "set", "eth0", "up")
    said("ip", "address", "add", "10.42.0.77/16", "dev", "eth0")
    with pytest.raises(NetnsError, match=r"10\.42\.0\.0/24 overlaps 10\.42\.0\.0/16, which eth0"):
        made(directory)
    assert left(directory) == []


def test_what_cannot_be_made_leaves_nothing(directory: Path) -> None:
    with pytest.raises(NetnsError, match="cannot make the card"):
        made(directory, replace(NETWORK, mtu=1 << 20))
    assert left(directory) == []
