"""Peers that are two processes with one key: told from restarts, and not believed about others."""

from itertools import pairwise
from random import Random

import msgspec

from protocol.membership.doubles import Double, Doubles
from protocol.membership.liveness import Health
from protocol.membership.membership import Membership
from protocol.membership.messages import Contact, Suspicion
from protocol.membership.outcomes import Accuse
from protocol.membership.presence import Known
from protocol.terms.ids import PeerId
from protocol.terms.limits import DOUBLE_LASTS_S, DOUBLE_NAG_S, DOUBLES

ME, YOU, THIRD = (PeerId(letter * 64) for letter in "abc")
NOW = 1000.0


def life(incarnation: int, process: str, at: str = "", peer: PeerId = YOU) -> Known:
    address = at or f"10.0.0.{len(process)}:7946"
    return Known(peer, "h2", "s1", address, incarnation, False, 1e9, process=process)


class Seen:
    """Presences of one peer, one after another."""

    def __init__(self) -> None:
        self.doubles = Doubles()
        self._last: Known | None = None

    def __call__(self, *lives: Known, now: float = NOW) -> list[Double]:
        told = []
        for known in lives:
            told.append(self.doubles.present(self._last, known, now))
            if self._last is None or known.incarnation > self._last.incarnation:
                self._last = known
        self.doubles.check()
        return [double for double in told if double is not None]


def test_a_process_that_comes_back_after_another_is_one_of_two() -> None:
    seen = Seen()
    assert seen(life(1, "x"), life(2, "yy")) == []
    assert seen(life(3, "x")) == [Double(YOU, "10.0.0.1:7946", "10.0.0.2:7946")]
    assert seen.doubles.is_double(YOU, NOW)
    assert seen(life(4, "yy"), life(5, "x")) == [], "it is told once"
    assert seen.doubles.all(NOW) == [Double(YOU, "10.0.0.1:7946", "10.0.0.2:7946")]


def test_restarts_make_no_double_however_many() -> None:
    seen = Seen()
    assert seen(*(life(i, f"process {i}") for i in range(50))) == []
    assert seen(*(life(50 + i, "the last one") for i in range(50))) == [], "it refutes"
    assert not seen.doubles.is_double(YOU, NOW)


def test_an_old_presence_that_is_shown_again_makes_none() -> None:
    seen = Seen()
    assert seen(life(1, "x"), life(2, "yy"), life(1, "x"), life(2, "yy"), life(1, "x")) == []


def test_who_names_no_process_is_none() -> None:
    seen = Seen()
    assert seen(*(life(i, "" if i % 2 else "x") for i in range(20))) == []


def test_that_it_was_two_is_over_after_a_while_and_told_again_now_and_then() -> None:
    seen = Seen()
    seen(life(1, "x"), life(2, "yy"), life(3, "x"))
    assert not seen.doubles.is_double(YOU, NOW + DOUBLE_LASTS_S)
    assert seen.doubles.all(NOW + DOUBLE_LASTS_S) == []
    assert len(seen(life(4, "yy"), now=NOW + DOUBLE_LASTS_S)) == 1
    told = 0
    for i in range(int(2 * DOUBLE_NAG_S / 20)):
        told += len(seen(life(5 + i, "x" if i % 2 else "yy"), now=NOW + 200.0 + i * 20))
    assert told == 2


def test_what_is_remembered_is_bounded() -> None:
    doubles = Doubles()
    for number in range(2 * DOUBLES):
        peer = PeerId(f"{number:064x}")
        lives = [life(i, f"p{i % 2}", peer=peer) for i in range(4)]
        for before, known in pairwise(lives):
            doubles.present(before, known, NOW)
        doubles.check()
    doubles.forget(peer)
    assert not doubles.is_double(peer, NOW)


# -- what it means for others


def membership() -> Membership:
    made = Membership(Contact(ME, "s1", "h1:7000"), Random(1), (), NOW)
    made.present(life(1, "x"), NOW)
    made.present(life(1, "z", peer=THIRD), NOW)
    return made


def test_an_innocent_peer_is_not_suspected_on_the_word_of_a_double() -> None:
    made = membership()
    made.suspected(YOU, Suspicion(THIRD, 1), NOW)
    assert made.liveness.health(THIRD) is Health.SUSPECT
    made.present(life(2, "yy"), NOW)
    outcomes = made.present(life(3, "x"), NOW)
    assert any(isinstance(outcome, Double) for outcome in outcomes)
    assert made.liveness.health(THIRD) is Health.ALIVE, "what it said before is void, too"
    made.suspected(YOU, Suspicion(THIRD, 1), NOW)
    assert made.liveness.health(THIRD) is Health.ALIVE
    later = NOW + DOUBLE_LASTS_S
    made.suspected(YOU, Suspicion(THIRD, 1), later)
    assert made.liveness.health(THIRD) is Health.SUSPECT, "it is one again, and believed"


def test_a_liar_can_make_only_itself_a_double() -> None:
    made = membership()
    for i in range(2, 30):
        made.present(life(i, "x" if i % 2 else "yy"), NOW)
    made.suspected(PeerId("d" * 64), Suspicion(THIRD, 1), NOW)
    assert made.liveness.health(THIRD) is Health.SUSPECT
    assert [double.peer for double in made.doubles.all(NOW)] == [YOU]


def test_a_twin_accuses_nobody_and_takes_back_what_it_said() -> None:
    made = membership()
    made.links.up(YOU, msgspec.Struct(), NOW)
    made.introduced(YOU, NOW)
    made.view.add(Contact(YOU, "s1", "x:1"), {YOU: "s1"})
    assert any(isinstance(o, Accuse) for o in made.disconnected(YOU, NOW))
    assert made.twinned(True) == [Accuse(Suspicion(YOU, -1))]
    made.links.up(YOU, msgspec.Struct(), NOW)
    made.view.add(Contact(YOU, "s1", "x:1"), {YOU: "s1"})
    assert not any(isinstance(o, Accuse) for o in made.disconnected(YOU, NOW))
