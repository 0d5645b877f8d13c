"""A member's ceiling counts at all sites together, as far as hosts can see."""

from across_sites import Federation

from protocol.hosting.overspent import GOES_AFTER_S
from protocol.trust.order import Action


def test_what_a_member_has_at_one_site_counts_at_another() -> None:
    fed = Federation()
    assert fed.up("first", 3, "s2")[0] == "done"
    fed.world.run(2.0)
    state, why = fed.up("second", 2, "s3")
    assert state == "failed"
    assert "the grant to ann has a ceiling for workspaces at all its sites together" in why
    assert "2 workspaces beside 3 workspaces" in why
    assert fed.running() == {"first": 3}
    assert fed.up("third", 1, "s3")[0] == "done"


def test_two_sites_that_are_asked_at_once_and_the_last_goes_after_its_owner_was_told() -> None:
    """Each says yes. When both know it, what was ordered last goes, and nothing else is touched."""
    fed = Federation()
    bob = fed.member("bob", 4)
    assert fed.up("kept", 1, "s1")[0] == "done"
    assert fed.up("bobs", 4, "s2", by=bob)[0] == "done"
    asked = [fed.asks("first", 3, "s2")]
    fed.world.run(0.001)
    asked.append(fed.asks("second", 3, "s3"))
    assert [fed.outcome(peer, request)[0] for peer, request, _ in asked] == ["done", "done"]
    fed.world.run(30.0)
    everything = {"kept": 1, "bobs": 4, "first": 3, "second": 3}
    assert fed.running() == everything, "its owner is told first"
    assert fed.told("second", "grid.overspent") == ["s3"]
    assert fed.told("first", "grid.overspent") == []
    fed.world.run(GOES_AFTER_S + 60.0)
    assert fed.running() == {"kept": 1, "bobs": 4, "first": 3}


def test_a_partition_heals_and_what_is_over_goes_or_stays_as_its_owner_chooses() -> None:
    """Site s3 is cut off. Its owner takes down what came first, and so what came last stays."""
    fed = Federation()
    third = [peer.id for peer in fed.at("s3")]
    rest = [peer.id for peer in fed.world.peers if peer.site != "s3"]
    fed.world.wires.cut(third, rest)
    asked, request, first = fed.asks("first", 3, "s2")
    assert fed.outcome(asked, request)[0] == "done"
    there = fed.member("ann", 4, stewards=lambda: tuple(third))
    other = fed.asks("second", 3, "s3", by=there)
    assert fed.outcome(*other[:2])[0] == "done"
    fed.world.run(60.0)
    assert fed.running() == {"first": 3, "second": 3}
    assert fed.told("second", "grid.overspent") == [], "nobody there can see it"
    fed.world.wires.heal()
    fed.world.run(90.0)
    assert fed.told("second", "grid.overspent") == ["s3"]
    down = fed.ann.order(Action.DOWN, "first", fed.world.now_s)
    assert fed.outcome(asked, fed.world.give(asked, down))[0] == "done"
    fed.world.run(GOES_AFTER_S + 60.0)
    assert fed.running() == {"second": 3}
    assert fed.told("second", "grid.within") == ["s3"]
    assert first != other[2]
