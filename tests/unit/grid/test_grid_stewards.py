"""Whom a signer makes stewards."""

from random import Random

from protocol.grid.stewards import draw_stewards, stores_of
from protocol.terms.ids import PeerId, StoreId


def hosts(*sites: str) -> list[tuple[PeerId, str]]:
    return [(PeerId(f"h{number}"), site) for number, site in enumerate(sites)]


def drawn(
    candidates: list[tuple[PeerId, str]], own: str = "ams", seed: int = 1
) -> tuple[PeerId, ...]:
    return draw_stewards(candidates, own, Random(seed))


def test_the_own_site_first_and_then_others_each_at_another_site() -> None:
    there = hosts("bnl", "uc", "ams", "ams", "bnl", "uc")
    sites = dict(there)
    for seed in range(20):
        seats = drawn(there, seed=seed)
        assert sites[seats[0]] == "ams"
        assert sorted(sites[seat] for seat in seats) == ["ams", "bnl", "uc"]
    assert len({drawn(there, seed=seed) for seed in range(20)}) > 4, "nobody can know whom"


def test_fewer_than_three_hosts_are_one_steward_of_the_own_site() -> None:
    assert drawn(hosts("uc", "ams")) == (PeerId("h1"),)
    assert drawn(hosts("uc", "uc"))[0] in ("h0", "h1")
    assert drawn([]) == ()


def test_at_one_site_three_of_its_hosts() -> None:
    assert len(set(drawn(hosts(*["ams"] * 5)))) == 3
    assert len(set(drawn(hosts("ams", "uc", "uc", "uc")))) == 3


def test_of_three_or_more_the_store_is_named_that_each_has_now() -> None:
    stores = {PeerId("h0"): StoreId("0" * 16), PeerId("h2"): StoreId("2" * 16)}
    three = tuple(PeerId(f"h{number}") for number in range(3))
    assert stores_of(three, stores) == ("0" * 16, "", "2" * 16)
    assert stores_of(three[:1], stores) == ()
