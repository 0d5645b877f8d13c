"""Whether others can dial this peer: what it makes of what they say."""

import pytest
from relay_world import NOW, R1, R2, R3, Surroundings, peer_id

from protocol.relay.messages import DialBack, DialledBack
from protocol.relay.outcomes import ReachChanged
from protocol.relay.reachability import Reachability
from protocol.terms.effects import Knock, Send
from protocol.terms.limits import (
    ASK_AGAIN_NAT_S,
    ASK_AGAIN_S,
    DIAL_BACK_EVERY_S,
    DIAL_BACKS,
    VERDICT_S,
    VERDICTS,
    VERDICTS_WANTED,
)
from protocol.terms.reach import Reach

HOME = peer_id("home")


def reaching(said: Reach | None = None, address: str = "10.0.0.1:1") -> Reachability:
    """A peer among R1, R2 and R3 at other sites and HOME at its own."""
    around = Surroundings()
    around.tell(HOME, site="here")
    for peer in (R1, R2, R3):
        around.tell(peer, site="away", at=f"{peer[:4]}:1")
    around.connected = [HOME, R1, R2, R3]
    made = Reachability("here", address, said, around)
    made.around = around  # type: ignore[attr-defined]
    return made


def test_others_are_asked_and_public_it_stays_if_they_get_through() -> None:
    me = reaching()
    assert me.met(R1, False, NOW) == ([Send(R1, DialBack())], [])
    assert me.met(R1, False, NOW) == ([], []), "asked already"
    assert me.told(R1, True, NOW + 1) == []
    assert me.reach is Reach.PUBLIC


def test_when_nobody_gets_through_it_is_nat() -> None:
    me = reaching()
    me.met(R1, False, NOW)
    me.met(R2, False, NOW)
    assert me.told(R1, False, NOW + 3) == [], "another has yet to answer"
    assert me.told(R2, False, NOW + 3) == [ReachChanged(Reach.NAT)]


def test_who_will_not_answer_is_not_waited_for() -> None:
    me = reaching()
    me.met(R1, False, NOW)
    me.met(R2, False, NOW)
    me.told(R1, False, NOW + 3)
    assert me.lost(R3, NOW + 4) == []
    assert me.lost(R2, NOW + 4) == [ReachChanged(Reach.NAT)]


def test_when_some_get_through_and_some_do_not_it_is_relayed() -> None:
    me = reaching()
    assert me.met(R1, True, NOW) == ([], []), "it dialled this peer: no need to ask"
    assert me.told(R2, False, NOW) == [ReachChanged(Reach.RELAYED)]
    assert me.told(R2, True, NOW) == [ReachChanged(Reach.PUBLIC)]


def test_neighbours_at_home_prove_nothing() -> None:
    me = reaching()
    assert me.met(HOME, False, NOW) == ([], [])
    assert me.met(HOME, True, NOW) == ([], [])
    assert me.told(HOME, False, NOW) == []
    assert me.told(peer_id("unknown"), False, NOW) == []
    assert me.reach is Reach.PUBLIC
    assert me.next_deadline() is None


@pytest.mark.parametrize(
    ("said", "address"), [(Reach.NAT, "10.0.0.1:1"), (None, ""), (Reach.PUBLIC, "")]
)
def test_a_peer_that_is_told_to_be_nat_asks_nobody(said: Reach | None, address: str) -> None:
    me = reaching(said, address)
    assert me.reach is Reach.NAT
    assert me.met(R1, False, NOW) == ([], [])
    assert me.met(R1, True, NOW) == ([], [])
    assert me.told(R1, True, NOW) == []
    assert me.reach is Reach.NAT


def test_a_peer_that_is_told_to_be_public_asks_nobody_but_hears_who_does_not_get_through() -> None:
    me = reaching(Reach.PUBLIC)
    assert me.met(R1, False, NOW) == ([], [])
    assert me.told(R1, False, NOW) == [ReachChanged(Reach.RELAYED)]
    assert me.told(R1, True, NOW) == [ReachChanged(Reach.PUBLIC)]


def test_it_asks_again_sooner_while_it_is_not_public_and_takes_up_what_changed() -> None:
    me = reaching()
    me.met(R1, False, NOW)
    me.told(R1, False, NOW)
    due = me.next_deadline()
    assert due is not None
    assert due.at_s == NOW + ASK_AGAIN_NAT_S
    effects, outcomes = me.tick(due.at_s)
    assert effects == [Send(peer, DialBack()) for peer in (R1, R2, R3)]
    assert outcomes == []
    for peer in (R1, R2, R3):
        outcomes += me.told(peer, True, due.at_s + 1)
    assert outcomes == [ReachChanged(Reach.PUBLIC)]
    later = me.next_deadline()
    assert later is not None
    assert later.at_s == due.at_s + 1 + ASK_AGAIN_S


def test_old_words_and_those_of_the_dead_are_forgotten() -> None:
    me = reaching()
    me.met(R1, True, NOW)
    me.told(R2, False, NOW)
    assert me.reach is Reach.RELAYED
    me.around.known.pop(R2)  # type: ignore[attr-defined]
    due = me.next_deadline()
    assert due is not None
    assert me.tick(due.at_s)[1] == [ReachChanged(Reach.PUBLIC)]
    me.told(R3, False, due.at_s)
    me.told(R1, True, due.at_s + VERDICT_S - 1)
    assert me.tick(due.at_s + VERDICT_S)[1] == [ReachChanged(Reach.PUBLIC)]


def test_what_others_say_is_bounded() -> None:
    me = reaching()
    for number in range(VERDICTS + 9):
        peer = peer_id(f"p{number}")
        me.around.tell(peer, site="away")  # type: ignore[attr-defined]
        effects, _ = me.met(peer, False, NOW)
        assert bool(effects) == (number < VERDICTS_WANTED)
        me.told(peer, False, NOW)
        me.check()


def test_it_dials_back_for_others_seldom_and_only_where_they_say_they_are() -> None:
    me = reaching()
    assert me.asked(R1, NOW) == [Knock(R1, f"{R1[:4]}:1")]
    assert me.asked(R1, NOW + 1) == []
    assert me.knocked(R1, True) == [Send(R1, DialledBack(True))]
    assert me.knocked(R2, True) == [], "nobody asked"
    assert me.asked(R1, NOW + DIAL_BACK_EVERY_S) != []
    me.around.tell(R2, Reach.NAT, site="away", at="")  # type: ignore[attr-defined]
    assert me.asked(R2, NOW) == [Send(R2, DialledBack(False))]
    assert me.asked(peer_id("unknown"), NOW) == []


def test_dialling_back_is_bounded() -> None:
    me = reaching()
    done = 0
    for number in range(DIAL_BACKS + 5):
        peer = peer_id(f"p{number}")
        me.around.tell(peer, site="away")  # type: ignore[attr-defined]
        done += bool(me.asked(peer, NOW))
        me.check()
    assert done == DIAL_BACKS


def test_at_another_address_others_are_asked_anew() -> None:
    me = reaching()
    me.told(R1, False, NOW)
    assert me.reach is Reach.NAT
    me.readdressed("10.0.0.1:1", NOW + 1)
    assert me.reach is Reach.NAT, "it is where it was"
    me.readdressed("10.0.0.2:1", NOW + 1)
    assert me.reach is Reach.PUBLIC
    effects, outcomes = me.tick(NOW + 1)
    assert effects == [Send(peer, DialBack()) for peer in (R1, R2, R3)]
    assert outcomes == []
    me.readdressed("", NOW + 2)
    assert me.reach is Reach.NAT, "nobody dials what has no address"
    me.readdressed("10.0.0.3:1", NOW + 3)
    assert me.reach is Reach.PUBLIC
