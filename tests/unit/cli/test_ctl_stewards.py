"""Whom overlayctl draws: from the hosts that the daemon hears, and nobody else."""

from types import SimpleNamespace

from overlayd.cli.stewards import drawn, stewards


def test_three_of_those_that_are_heard_of_the_signers_site_first() -> None:
    rows = [
        SimpleNamespace(
            peer=f"{site}-{health}-{number}",
            site=site,
            health=health,
            store=f"of {site}-{health}-{number}",
            leaving=False,
            age_s=1.0,
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
    rows = [
        SimpleNamespace(
            peer="me", site="ams", health="self", store="mine", leaving=False, age_s=0.0
        )
    ]
    client = SimpleNamespace(get=lambda path, kind: rows)
    assert stewards(client, "uc") == (("me",), ())  # type: ignore[arg-type]


def test_nobody_that_leaves_is_drawn_while_there_are_three_others() -> None:
    rows = [
        SimpleNamespace(
            peer=name, site="ams", health="alive", store="", leaving=name in "ab", age_s=1.0
        )
        for name in "abcde"
    ]
    client = SimpleNamespace(get=lambda path, kind: rows)
    for _ in range(20):
        assert sorted(stewards(client, "ams")[0]) == ["c", "d", "e"]  # type: ignore[arg-type]
    del rows[-1]
    assert len(stewards(client, "ams")[0]) == 3  # type: ignore[arg-type]


def member(name: str, site: str, age_s: float, health: str = "alive") -> SimpleNamespace:
    return SimpleNamespace(
        peer=name, site=site, health=health, store="", leaving=False, age_s=age_s
    )


def test_a_member_that_never_told_what_it_offers_is_not_drawn() -> None:
    rows = [member("a", "ams", 0.0, "self"), member("b", "uc", 3.0), member("c", "bnl", 3.0)]
    rows += [member(f"silent-{n}", site, -1.0) for n in range(9) for site in ("ams", "uc", "cern")]
    for _ in range(20):
        assert sorted(drawn(rows, "ams")[0]) == ["a", "b", "c"]  # type: ignore[arg-type]


def test_where_only_the_own_site_tells_others_are_drawn_all_the_same() -> None:
    rows = [member("a", "ams", 0.0, "self"), member("b", "ams", 3.0), member("silent", "ams", -1.0)]
    rows += [member("far", "uc", -1.0), member("farther", "bnl", -1.0)]
    for _ in range(20):
        seats = drawn(rows, "ams")[0]  # type: ignore[arg-type]
        assert sorted(seats)[1:] == ["far", "farther"]
        assert "silent" not in seats
