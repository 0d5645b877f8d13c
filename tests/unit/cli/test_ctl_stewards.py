"""Whom overlayctl draws: from the hosts that the daemon hears, and nobody else."""

from types import SimpleNamespace

from overlayd.cli.stewards import stewards


def test_three_of_those_that_are_heard_of_the_signers_site_first() -> None:
    rows = [
        SimpleNamespace(
            peer=f"{site}-{health}-{number}",
            site=site,
            health=health,
            store=f"of {site}-{health}-{number}",
            leaving=False,
        )
        for site in ("ams", "bnl", "uc")
        for health in ("alive", "dead", "left", "suspect")
        for number in range(2)
    ]
    client = SimpleNamespace(get=lambda path, kind: rows if path == "/peers" else None)
    for _ in range(20):
        seats, stores = stewards(client, "bnl")  # type: ignore[arg-type]
        assert seats[0].startswith("bnl-alive-")
        assert sorted(seat.split("-")[0] for seat in seats) == ["ams", "bnl", "uc"]
        assert all("-alive-" in seat for seat in seats)
        assert stores == tuple(f"of {seat}" for seat in seats), "each with its store"


def test_a_host_alone_keeps_its_own() -> None:
    rows = [SimpleNamespace(peer="me", site="ams", health="self", store="mine", leaving=False)]
    client = SimpleNamespace(get=lambda path, kind: rows)
    assert stewards(client, "uc") == (("me",), ())  # type: ignore[arg-type]


def test_nobody_that_leaves_is_drawn_while_there_are_three_others() -> None:
    rows = [
        SimpleNamespace(peer=name, site="ams", health="alive", store="", leaving=name in "ab")
        for name in "abcde"
    ]
    client = SimpleNamespace(get=lambda path, kind: rows)
    for _ in range(20):
        assert sorted(stewards(client, "ams")[0]) == ["c", "d", "e"]  # type: ignore[arg-type]
    del rows[-1]
    assert len(stewards(client, "ams")[0]) == 3  # type: ignore[arg-type]
