"""Members that say of others, of their site and of themselves what is not so, truly signed.

What an honest peer believes stays true, now and in its next life, which is told all of it once more.
"""

import msgspec
from lying_member import HONEST_SITE, OTHER_SITE, Attacked, peer_id, presence, says

from protocol.capacity.advert import KIND as ADVERT
from protocol.capacity.advert import SPENT_MOST, Advert, HostFacts, Spent
from protocol.capacity.quantum import Quantum
from protocol.capacity.rates import Rates
from protocol.membership.liveness import Health
from protocol.membership.messages import Contact, Neighbour, Suspicion, greeting
from protocol.node.events import Arrived, Connected, Disconnected
from protocol.node.site_summaries import KIND as SITE
from protocol.node.site_summaries import Summary
from protocol.node.snapshot import PeerView
from protocol.peering.news import News
from protocol.sim.doors import take_stock
from protocol.terms.effects import Note, Persist
from protocol.terms.ids import KeyId
from protocol.terms.limits import WRONG_MOST
from protocol.trust.record import SignedRecord
from protocol.wire.codec import encode

HOSTS = [f"n{number}" for number in range(20)]
LIARS = ["mallory", "accomplice", "third"]
HUGE = (1 << 64) - 1


def suspicion(
    liar: str, of: str, incarnation: int, number: int = 1, site: str = HONEST_SITE
) -> SignedRecord:
    accused = peer_id(of, site)
    body = encode(Suspicion(accused, incarnation))
    return says(liar, OTHER_SITE, "suspicion", body, accused, number)


def known(attacked: Attacked) -> None:
    """The honest hosts and the liars are heard of."""
    attacked.spreads(*[presence(name, HONEST_SITE) for name in HOSTS])
    attacked.spreads(*[presence(name, OTHER_SITE) for name in LIARS])


def healths(attacked: Attacked) -> set[Health | None]:
    liveness = attacked.node.membership.liveness
    return {liveness.health(peer_id(name, HONEST_SITE)) for name in HOSTS}


def passes(attacked: Attacked, seconds: float) -> None:
    for _ in range(int(seconds * 4)):
        attacked.now += 0.25
        attacked.says_nothing()


# -- suspicions


def test_nobody_is_believed_dead_in_an_incarnation_that_it_never_announced() -> None:
    attacked = Attacked()
    for _ in range(2):
        known(attacked)
        for liar in LIARS:
            attacked.spreads(*[suspicion(liar, name, 1 << 40) for name in HOSTS])
        passes(attacked, 8.0)
        # It dials some itself, in vain, and so suspects them.
        assert Health.DEAD not in healths(attacked)
        attacked.node.check()
        attacked.restart()


def test_an_observer_that_is_wrong_again_and_again_is_believed_no_more() -> None:
    attacked = Attacked()
    known(attacked)
    attacked.spreads(*[suspicion("mallory", name, 1) for name in HOSTS])
    attacked.spreads(*[presence(name, HONEST_SITE, 2) for name in HOSTS[:WRONG_MOST]])
    attacked.spreads(*[suspicion("mallory", name, 2, 2) for name in HOSTS])
    passes(attacked, 8.0)
    assert Health.DEAD not in healths(attacked), "those that did not refute in time either"


def test_an_observer_that_takes_back_all_it_says_is_believed_no_more_either() -> None:
    """Whoever one peer suspects is a worse choice for the other, and nobody refutes what is taken back."""
    attacked = Attacked()
    known(attacked)
    for _ in range(2):
        for number in range(0, 2 * WRONG_MOST, 2):
            attacked.spreads(suspicion("mallory", "n0", 1, number + 1))
            assert healths(attacked) == {Health.ALIVE, Health.SUSPECT}
            attacked.spreads(suspicion("mallory", "n0", -1, number + 2))
        attacked.spreads(suspicion("mallory", "n0", 1, 99))
        assert healths(attacked) == {Health.ALIVE}
        attacked.restart()
        known(attacked)


def test_a_peer_is_made_to_refute_so_often_and_no_more() -> None:
    """Each refutation is a write on disk, and goes to everybody."""
    attacked = Attacked()
    known(attacked)
    written = 0
    for number in range(400):
        attacked.now += 0.01
        mine = attacked.node.broadcast.incarnation
        effects = attacked.tells(suspicion("mallory", "h1", mine, number + 1))
        written += sum(isinstance(effect, Persist) for effect in effects)
    assert written < 12
    before = attacked.node.broadcast.incarnation
    passes(attacked, 3.0)
    assert attacked.node.broadcast.incarnation > before, "and in the end it has refuted all"


def test_liars_that_take_a_true_suspicion_back_bring_nobody_to_life() -> None:
    """Who saw the death itself kept quiet, since two others had told of it."""
    attacked = Attacked()
    known(attacked)
    victim = peer_id("n0", HONEST_SITE)
    for event in (
        Connected(victim),
        Arrived(victim, greeting(presence("n0", HONEST_SITE)), ""),
        Arrived(victim, Neighbour(True), ""),
    ):
        attacked.heard(event)
    attacked.spreads(*[suspicion(liar, "n0", 1) for liar in LIARS])
    attacked.heard(Disconnected(victim, "gone"))
    attacked.spreads(*[suspicion(liar, "n0", -1, 2) for liar in LIARS])
    assert attacked.node.membership.liveness.health(victim) is Health.SUSPECT
    passes(attacked, 6.0)
    assert attacked.node.membership.liveness.health(victim) is Health.DEAD


# -- text


def test_one_member_fills_nobodys_log_with_its_lines() -> None:
    attacked = Attacked()
    for _ in range(2):
        told = 0
        for number in range(600):
            attacked.now += 0.02
            line = encode(News(f"line {number}"))
            effects = attacked.tells(says("mallory", OTHER_SITE, "news", line, "0", number + 1))
            told += sum(isinstance(e, Note) and e.kind == "news" for e in effects)
        assert 0 < told < 160
        attacked.restart()


# -- numbers and text


MEASURED = Rates()


def advert(free: Quantum, rates: Rates = MEASURED, why: str = "") -> Advert:
    facts = HostFacts(free, "x86_64", "sim", "none", why, "10.0.0.9", True)
    return Advert(facts, free, (("1cpu/1G", 4),), (), 1, rates=rates)


def spending(*spent: Spent) -> Advert:
    """One by which an owner has less than nothing, or that names too many."""
    return msgspec.structs.replace(advert(Quantum(1, 1, 1)), spent=spent)


def summary(alive: int, free: Quantum, site: str = OTHER_SITE) -> Summary:
    contact = Contact(peer_id("mallory", OTHER_SITE), site, "mallory:7000")
    return Summary(site, alive, free, free, (), 1, (contact,), 1_000_000.0, True)


def test_numbers_that_are_too_large_are_nobodys_room() -> None:
    attacked = Attacked()
    for _ in range(2):
        known(attacked)
        words = [
            advert(Quantum(HUGE, HUGE, HUGE)),
            advert(Quantum(1, 1, 1, (("gpu", HUGE),))),
            advert(Quantum(1, 1, 1), Rates(save_bytes_s=0.0)),
            spending(Spent(KeyId("5" * 64), -1, 0, 0, 0, 0)),
            spending(*[Spent(KeyId("5" * 64), 1, 0, 0, 1, 0)] * (SPENT_MOST + 1)),
        ]
        for turn, word in enumerate(words):
            attacked.spreads(says("mallory", OTHER_SITE, ADVERT, encode(word), "", 10 + turn))
            assert attacked.mallory not in attacked.node.directory.adverts
        lie = encode(summary(7, Quantum(HUGE, HUGE, HUGE)))
        attacked.spreads(says("mallory", OTHER_SITE, SITE, lie))
        assert OTHER_SITE not in attacked.node.site_summaries.sites
        take_stock(attacked.node, attacked.now)
        assert attacked.counts["record-body"] == 6
        attacked.restart()


def test_the_sum_of_the_largest_numbers_can_still_be_said() -> None:
    attacked = Attacked()
    known(attacked)
    most = Quantum(1 << 60, 1 << 60, 1 << 60)
    for name in HOSTS:
        attacked.spreads(says(name, HONEST_SITE, ADVERT, encode(advert(most)), "", 2))
    take_stock(attacked.node, attacked.now)
    told = attacked.node.site_summaries.sites[HONEST_SITE].summary
    assert told.free.memory_bytes <= 1 << 60


def test_text_that_moves_the_cursor_is_not_shown() -> None:
    attacked = Attacked()
    known(attacked)
    for number, text in enumerate(("\x1b[2J", "one\ntwo", "\u202eright to left", "x" * 5000)):
        word = encode(advert(Quantum(1, 1, 1), why=text))
        attacked.spreads(says("mallory", OTHER_SITE, ADVERT, word, "", 10 + number))
    assert attacked.mallory not in attacked.node.directory.adverts


# -- summaries


def test_a_million_hosts_that_one_member_tells_of_have_nobody_dropped() -> None:
    attacked = Attacked()
    for _ in range(2):
        known(attacked)
        before = len(attacked.node.broadcast.directory)
        lie = encode(summary(10**6, Quantum(1, 1, 1)))
        attacked.spreads(says("mallory", OTHER_SITE, SITE, lie))
        take_stock(attacked.node, attacked.now)
        assert not attacked.node.broadcast.narrowed
        assert len(attacked.node.broadcast.directory) >= before
        attacked.restart()


def test_nobody_speaks_for_another_site() -> None:
    attacked = Attacked()
    known(attacked)
    lie = encode(summary(3, Quantum(1, 1, 1), site=HONEST_SITE))
    attacked.spreads(says("mallory", OTHER_SITE, SITE, lie))
    assert HONEST_SITE not in attacked.node.site_summaries.sites
    assert PeerView(attacked.node).sites(attacked.now)
