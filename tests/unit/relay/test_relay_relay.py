"""The room as one machine: what is for this peer, what is for others, and the search for a better path."""

from random import Random

from relay_world import ME, NOW, R1, R2, YOU, End, Surroundings, boxes

from protocol.relay.messages import DialBack, DialledBack, Relayed, Unrelayed
from protocol.relay.outcomes import DirectFound, PathDown, PathUp
from protocol.relay.relay import Relay
from protocol.sim.keys import SimSealer
from protocol.terms.effects import Knock, Send
from protocol.terms.limits import KNOCK_FIRST_S, KNOCK_MOST_S, PATH_DEAD_S
from protocol.terms.reach import Reach


def relay() -> tuple[Relay, Surroundings]:
    """This peer, connected with R1 and R2. YOU is behind NAT and connected with them too."""
    around = Surroundings()
    around.connected = [R1, R2]
    for peer in (R1, R2):
        around.tell(peer, site="open")
    around.tell(YOU, Reach.NAT, R1, R2, site="theirs", at="192.168.0.1:1")
    sealer = SimSealer(ME)  # type: ignore[arg-type]  # a peer's key is a key
    return Relay(ME, "mine", "10.0.0.1:1", None, sealer, Random(1), around), around


def opened() -> tuple[Relay, Surroundings, End]:
    made, around = relay()
    other = End(YOU, (R1, R2))
    todo, told = made.paths.seek(YOU, NOW), []
    while sent := boxes(todo):
        to, message = sent[0]
        here = message.destination == ME
        end = made.paths if here else other.paths
        todo, outcomes = end.arrived(to, message, NOW)
        told += outcomes if here else []
    assert told == [PathUp(YOU)]
    return made, around, other


def test_what_is_for_others_is_passed_on_and_what_is_for_me_is_opened() -> None:
    me, _ = relay()
    onward = Relayed(R2, R1, 1, 1000, b"x")
    assert me.handle(R1, onward, NOW) == ([Send(R2, Relayed(R2, R1, 0, 1000, b"x"))], [])
    assert me.handle(R1, Relayed(ME, YOU, 0, 1000, b"no box"), NOW) == ([], [])
    assert me.counts["messages"] == 1
    assert me.counts["not-sealed"] == 1
    me.check()


def test_a_relay_that_cannot_is_replaced() -> None:
    me, _ = relay()
    ((first, _),) = boxes(me.paths.seek(YOU, NOW))
    ((second, _),) = boxes(me.handle(first, Unrelayed(YOU), NOW)[0])
    assert {first, second} == {R1, R2}


def test_it_knocks_now_and_then_more_and_more_seldom_and_tells_what_it_finds() -> None:
    me, around, _ = opened()
    effects, _ = me.tick(NOW)
    assert not [e for e in effects if isinstance(e, Knock)]
    knocks, now = [], NOW
    while now < NOW + PATH_DEAD_S - 0.5:
        now += 0.25
        effects, _ = me.tick(now)
        knocks += [now for e in effects if e == Knock(YOU, "192.168.0.1:1")]
    assert knocks == [NOW + KNOCK_FIRST_S, NOW + KNOCK_FIRST_S * 3]
    assert me.knocked(YOU, False) == ([], [])
    assert me.knocked(YOU, True) == ([], []), "nobody asked for that one"
    around.dialling = [YOU]
    effects, _ = me.tick(now + KNOCK_MOST_S)
    assert not [e for e in effects if isinstance(e, Knock)], "it is being dialled"


def test_a_knock_that_is_answered_is_a_direct_path() -> None:
    me, _, _ = opened()
    me.tick(NOW)
    assert Knock(YOU, "192.168.0.1:1") in me.tick(NOW + KNOCK_FIRST_S)[0]
    assert me.knocked(YOU, True) == ([], [DirectFound(YOU)])
    me.met(YOU, False, NOW + 3)
    assert not me.paths.carries(YOU)


def test_a_lost_relay_costs_its_account_and_its_paths() -> None:
    me, around, _ = opened()
    used = me.paths.through(YOU)
    assert used is not None
    around.connected.remove(used)
    effects, outcomes = me.lost(used, NOW)
    assert outcomes == []
    assert {to for to, _ in boxes(effects)} == {R1, R2} - {used}
    around.connected.clear()
    around.known.clear()
    _, outcomes = me.lost(me.paths.through(YOU) or R1, NOW)
    assert [type(outcome) for outcome in outcomes] == [PathDown]


def test_who_could_not_be_dialled_is_told_but_not_one_that_says_so_itself() -> None:
    me, around, _ = opened()
    assert me.passed_over(YOU) == []
    around.tell(YOU, Reach.PUBLIC, site="theirs")
    assert me.passed_over(YOU) == [Send(YOU, DialledBack(False))]


def test_dial_backs_are_asked_for_done_and_heard() -> None:
    me, _ = relay()
    effects, _ = me.met(R1, False, NOW)
    assert effects == [Send(R1, DialBack())]
    assert me.handle(R1, DialBack(), NOW) == ([Knock(R1, "x:1")], [])
    assert me.knocked(R1, True)[0] == [Send(R1, DialledBack(True))]
    me.handle(R1, DialledBack(False), NOW)
    assert me.reachability.reach is Reach.NAT
    due = me.next_deadline()
    assert due is not None
    assert due.at_s > NOW


def test_who_made_the_path_himself_is_told_that_he_was_not_reached() -> None:
    """Perhaps nobody else ever dials it: a peer that can is at a site that it reaches, and gets through."""
    me, around, _ = opened()
    around.tell(YOU, Reach.PUBLIC, site="theirs")
    me.tick(NOW)
    assert [e for e in me.tick(NOW + KNOCK_FIRST_S)[0] if isinstance(e, Knock)]
    assert me.knocked(YOU, False) == ([Send(YOU, DialledBack(False))], [])
    around.dialling = [YOU]
    assert Send(YOU, DialledBack(False)) in me.tick(NOW + KNOCK_FIRST_S * 3)[0]
