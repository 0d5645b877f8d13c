"""Which relays are tried, and in which order."""

from relay_world import ME, R1, R2, R3, YOU, Surroundings, peer_id

from protocol.relay.choice import WAYS_MOST, Way, dialable, ways
from protocol.relay.outcomes import Locator
from protocol.terms.reach import Reach


def chosen(
    around: Surroundings, me: object = ME, to: object = YOU, site: str = "mine"
) -> list[Way]:
    return ways(me, site, to, around)  # type: ignore[arg-type]


def test_nobody_can_be_named_for_a_peer_nothing_is_known_of() -> None:
    around = Surroundings()
    around.connected = [R1]
    assert chosen(around) == []


def test_who_both_are_connected_with_is_best_then_who_can_be_dialled_then_two_in_a_row() -> None:
    around = Surroundings()
    around.connected = [R1, R3]
    around.tell(YOU, Reach.NAT, R2, R3, ME, site="theirs")
    for relay in (R1, R2, R3):
        around.tell(relay, site="open")
    assert chosen(around) == [Way(R3, 1), Way(R2, 1), Way(R1, 2)]


def test_a_relay_behind_nat_itself_is_not_dialled() -> None:
    around = Surroundings()
    around.tell(YOU, Reach.NAT, R1, R2, R3, site="theirs")
    around.tell(R1, Reach.NAT, site="theirs")
    around.tell(R2, at="")
    around.tell(R3)
    assert chosen(around) == [Way(R3, 1)]
    around.known[R3] = Locator("s", "x:1", Reach.PUBLIC, (), suspect=True)
    assert chosen(around) == []
    del around.known[R3]
    assert chosen(around) == [], "R3 is not known to be alive"


def test_a_peer_some_can_dial_is_asked_for_of_those_who_may() -> None:
    """Peers of that peer's site are asked first, and those of our own site last."""
    around = Surroundings()
    around.connected = [R1, R2, R3]
    around.tell(YOU, Reach.RELAYED, site="theirs")
    around.tell(R1, site="mine")
    around.tell(R2, site="elsewhere")
    around.tell(R3, site="theirs")
    assert chosen(around) == [Way(R3, 1), Way(R2, 1), Way(R1, 1)]


def test_neighbours_behind_nat_are_asked_to_pass_it_on_twice() -> None:
    around = Surroundings()
    around.connected = [R1, R2]
    around.tell(YOU, site="theirs")
    around.tell(R1, Reach.NAT, site="elsewhere")
    around.tell(R2, site="elsewhere")
    assert chosen(around) == [Way(R2, 1), Way(R1, 2)]


def test_both_ends_pick_the_same_and_pairs_spread() -> None:
    around = Surroundings()
    relays = [peer_id(f"r{number}") for number in range(10)]
    around.connected = list(relays)
    for relay in relays:
        around.tell(relay, site="open")
    firsts = []
    for number in range(60):
        a, b = peer_id(f"a{number}"), peer_id(f"b{number}")
        for peer in (a, b):
            around.tell(peer, Reach.NAT, *relays[:8], site="theirs")
        there, back = chosen(around, a, b), chosen(around, b, a)
        assert there == back
        assert len(there) == WAYS_MOST
        firsts.append(there[0].relay)
    assert all(firsts.count(relay) < 20 for relay in relays[:8])


def test_what_is_worth_dialling() -> None:
    assert not dialable(None, "s")
    assert not dialable(Locator("s", "", Reach.NAT, ()), "s"), "it listens nowhere"
    assert dialable(Locator("s", "x:1", Reach.NAT, ()), "s"), "behind the same NAT"
    assert not dialable(Locator("t", "x:1", Reach.NAT, ()), "s")
    assert dialable(Locator("t", "x:1", Reach.RELAYED, ()), "s")
    assert dialable(Locator("t", "x:1", Reach.PUBLIC, ()), "s")
