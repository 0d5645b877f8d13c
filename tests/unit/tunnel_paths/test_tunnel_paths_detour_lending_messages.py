"""Two hosts that do not reach each other: who passes on for them, until when, and what is never passed on."""

import pytest
from hidden_hosts import RATE, A, B, Hidden, R, S, place

from protocol.terms.ids import PeerId
from protocol.terms.sealed import TunnelPlace
from protocol.tunnel_paths.lending import Lending
from protocol.tunnel_paths.limits import (
    ASKED_S,
    EVERY_S,
    HURRY_S,
    LOST,
    PAIRS_MOST,
    PAIRS_OF_ONE,
    PUNCH_AGAIN_S,
    PUNCH_S,
    RELAY_WITHIN_S,
    SPREAD,
    VIAS_BURST,
)
from protocol.tunnel_paths.messages import (
    PAIR_MOST,
    TunnelRelayAsk,
    TunnelRelayTold,
    TunnelSeen,
    TunnelVia,
)

NOTICED_S = (EVERY_S + (LOST + 1) * HURRY_S) * (1 + SPREAD)
SEEN_A, SEEN_B = TunnelPlace("198.51.100.1", 31_001), TunnelPlace("198.51.100.2", 31_002)


def relayed(world: Hidden, relay: PeerId = R) -> bool:
    ways = world.a.way(B), world.b.way(A)
    return (
        ways[0] == ways[1]
        and ways[0][0] == place(relay)
        and ways[0][1] > 0
        and world.a.paths.relay(B) == world.b.paths.relay(A) == relay
    )


def direct(world: Hidden) -> bool:
    return (world.a.way(B)[1], world.b.way(A)[1]) == (0, 0)


def test_two_hosts_behind_nat_have_a_relay_at_once() -> None:
    world = Hidden()
    world.run(0.1)
    assert relayed(world)
    world.run(300.0)
    assert relayed(world)
    path = world.a.paths.path(B)
    assert path is not None
    assert path.works
    assert world.a.paths.silent(world.now) == []


def test_two_of_whom_one_is_public_ask_a_relay_only_if_that_does_not_help() -> None:
    world = Hidden("a")
    world.shut.clear()
    world.run(60.0)
    assert direct(world)
    assert not [m for _, m in world.a.sent if isinstance(m, TunnelVia)]
    world = Hidden("a")
    world.run(20.0)
    assert relayed(world)


def test_no_relay_no_way_and_that_is_told() -> None:
    world = Hidden(rates="")
    world.run(60.0)
    assert direct(world)
    assert [peer for peer, _ in world.a.paths.silent(world.now)] == [B]


def test_a_relay_that_refuses_or_is_deaf_is_followed_by_another() -> None:
    world = Hidden()
    world.deaf.add(R)
    world.run(RELAY_WITHIN_S + 3 * HURRY_S)
    assert relayed(world, S)
    world = Hidden()
    world.rates[R] = 0.0
    world.run(3 * HURRY_S)
    assert relayed(world, S)


def test_a_relay_that_dies_is_followed_by_another() -> None:
    world = Hidden()
    world.run(30.0)
    world.deaf.add(R)
    world.run(NOTICED_S + RELAY_WITHIN_S)
    assert relayed(world, S)


def test_a_relay_that_begins_anew_is_asked_again_soon() -> None:
    world = Hidden()
    world.run(30.0)
    world.hosts[R].lending = Lending(R, lambda: RATE)
    world.lives[R] = 2
    world.run(EVERY_S * (1 + SPREAD))
    assert relayed(world)
    assert len(world.hosts[R].lending.pairs()) == 1


def test_the_direct_way_is_taken_when_it_works_and_left_when_it_dies() -> None:
    world = Hidden()
    world.run(30.0)
    world.shut.clear()
    world.run(EVERY_S * 2)
    assert direct(world)
    world.run(ASKED_S)
    assert world.hosts[R].lending.pairs() == (), "nobody asks any more"
    world.shut.add(frozenset((A, B)))
    world.run(NOTICED_S)
    assert relayed(world)


def test_two_that_are_seen_from_outside_try_that_at_once() -> None:
    world = Hidden()
    world.outside = {A: SEEN_A, B: SEEN_B}
    world.run(3.0)
    assert (world.a.way(B), world.b.way(A)) == ((SEEN_B, 0), (SEEN_A, 0))


def test_one_that_only_the_other_gets_through_to_is_told_where_from() -> None:
    """A's NAT gives each flow another port; B's lets anybody in. Only what comes shows B where A is."""
    world = Hidden()
    world.outside = {B: SEEN_B}
    world.run(3.0)
    assert world.a.way(B) == (SEEN_B, 0)
    told = [m for to, m in world.a.sent if to == B and isinstance(m, TunnelSeen)]
    assert (told[-1].address, told[-1].port) == (place(A).address, 7700), "as B saw it"


def test_what_is_tried_ends_and_is_not_tried_again_soon() -> None:
    world = Hidden()
    world.run(PUNCH_S + 2.0)
    before = len(world.a.probed)
    assert before > PUNCH_S / 0.1
    world.run(PUNCH_AGAIN_S / 2)
    assert len(world.a.probed) - before < 60
    assert relayed(world)


def test_a_partner_that_calls_and_calls_has_nobody_flooded() -> None:
    """Each call names another victim. Who is not one of those that share networks is not heard at all."""
    world = Hidden()
    world.run(30.0)
    world.a.probed.clear()
    for number in range(200):
        world.a.hears(B, TunnelSeen(f"203.0.113.{number}", 53))
        world.a.hears(R, TunnelSeen("203.0.113.201", 53))
        world.run(0.05)
    aimed = [p.place for _, p in world.a.probed if p.place and p.place.address.startswith("203.")]
    assert len(aimed) <= PUNCH_S / 0.1 + 10
    assert len(set(aimed)) == 1
    assert "203.0.113.201" not in {aim.address for aim in aimed}


def test_only_a_partner_chooses_and_only_among_relays() -> None:
    world = Hidden()
    world.run(1.0)
    world.b.hears(R, TunnelVia(S))
    world.b.hears(A, TunnelVia(PeerId("f" * 64)))
    assert world.b.paths.relay(A) == R
    world.a.hears(B, TunnelVia(S))
    assert world.a.paths.relay(B) == R, "A has the lesser key, so it chooses"
    for number in range(100):
        world.b.hears(A, TunnelVia((R, S)[number % 2]))
    asked = [m for _, m in world.b.sent if isinstance(m, TunnelRelayAsk)]
    assert len(asked) <= VIAS_BURST + 3


def test_only_the_relay_that_was_asked_says_the_number() -> None:
    world = Hidden()
    world.run(1.0)
    before = world.a.way(B)
    world.a.hears(S, TunnelRelayTold(B, 99))
    world.a.hears(B, TunnelRelayTold(B, 99))
    world.a.hears(R, TunnelRelayTold(S, 99))
    assert world.a.way(B) == before


class Relay:
    """What one host lends, asked by hand."""

    def __init__(self) -> None:
        self.rate = RATE
        self.lending = Lending(R, lambda: self.rate)

    def ask(self, peer: PeerId, partner: PeerId, now: float = 0.0) -> int:
        (effect,) = self.lending.asked(peer, TunnelRelayAsk(partner), now)
        self.lending.check()
        return effect.message.pair  # type: ignore[union-attr]  # a Send of TunnelRelayTold


def peer(number: int) -> PeerId:
    return PeerId(f"{number:064x}")


@pytest.fixture
def relay() -> Relay:
    return Relay()


def test_nothing_is_passed_on_before_both_have_asked(relay: Relay) -> None:
    number = relay.ask(A, B)
    assert number
    assert relay.lending.pairs() == ()
    assert relay.ask(A, B) == number
    assert relay.lending.pairs() == ()
    assert relay.ask(B, A) == number
    (pair,) = relay.lending.pairs()
    assert (pair.number, {pair.one, pair.other}, pair.bytes_per_s) == (number, {A, B}, RATE)


def test_who_does_not_ask_again_is_forgotten(relay: Relay) -> None:
    relay.ask(A, B)
    relay.ask(B, A, 50.0)
    relay.lending.tick(ASKED_S)
    assert relay.lending.pairs() == ()
    assert list(relay.lending.ends()) == [B]
    assert relay.lending.next_s() == 50.0 + ASKED_S
    relay.lending.tick(50.0 + ASKED_S)
    assert list(relay.lending.ends()) == []


def test_who_may_not_any_more_is_no_end(relay: Relay) -> None:
    relay.ask(A, B)
    relay.ask(B, A)
    relay.lending.among(lambda peer: peer != B)
    assert relay.lending.pairs() == ()


def test_what_makes_no_pair_is_refused(relay: Relay) -> None:
    assert relay.ask(A, A) == relay.ask(A, R) == 0
    relay.rate = 0.0
    assert relay.ask(A, B) == 0
    relay.rate = RATE
    relay.ask(A, B)
    relay.ask(B, A)
    relay.rate = 0.0
    relay.lending.tick(1.0)
    assert relay.lending.pairs() == (), "nothing is lent any more"


def test_one_host_is_an_end_of_so_many_pairs(relay: Relay) -> None:
    numbers = [relay.ask(A, peer(number)) for number in range(PAIRS_OF_ONE + 5)]
    assert [bool(n) for n in numbers] == [True] * PAIRS_OF_ONE + [False] * 5
    assert relay.ask(B, peer(1)), "others are not the worse for it"
    assert relay.ask(A, peer(0)), "nor those that it has"


def test_pairs_are_bounded_and_half_ones_make_room(relay: Relay) -> None:
    for number in range(PAIRS_MOST):
        assert relay.ask(peer(2 * number), peer(2 * number + 1))
    assert relay.ask(A, B), "the oldest of which only one end has asked goes"
    assert relay.ask(B, A)
    for number in range(PAIRS_MOST):
        relay.ask(peer(2 * number), peer(2 * number + 1))
        relay.ask(peer(2 * number + 1), peer(2 * number))
    assert len(relay.lending.pairs()) == PAIRS_MOST
    assert relay.ask(peer(9_000), peer(9_001)) == 0, "all of them are in use"
    assert sum(p.bytes_per_s for p in relay.lending.pairs()) <= 2.01 * RATE


def test_numbers_begin_again_and_leave_out_those_in_use(relay: Relay) -> None:
    first = relay.ask(A, B)
    vars(relay.lending)["_number"] = PAIR_MOST - 1
    assert relay.ask(peer(1), peer(2)) == PAIR_MOST
    assert relay.ask(peer(3), peer(4)) not in (0, first, PAIR_MOST)
