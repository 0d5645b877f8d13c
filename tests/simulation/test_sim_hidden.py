"""Hosts behind NAT hear each other by a relay, whatever becomes of it, and without one when that works."""

import pytest
from hidden_pair import HiddenHosts

from protocol.node.events import RecordGiven
from protocol.trust.certificate import read_certificate
from protocol.trust.revocation import revoke
from protocol.tunnel_paths.limits import ASKED_S

SOON_S = 60.0


@pytest.fixture
def scene() -> HiddenHosts:
    made = HiddenHosts(4)
    assert made.world.run_until(lambda: made.relay() is not None and made.hear(), SOON_S)
    return made


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_two_hosts_behind_nat_hear_each_other_by_a_relay(seed: int) -> None:
    scene = HiddenHosts(seed)
    assert scene.world.run_until(lambda: scene.relay() is not None, SOON_S, 0.1)
    assert scene.world.run_until(scene.hear, 5.0, 0.1)
    scene.world.run(300.0)
    assert scene.relay() is not None
    assert scene.hear()


def test_a_relay_that_dies_is_followed_by_another(scene: HiddenHosts) -> None:
    first = scene.relay()
    assert first is not None
    first.crash(silently=True)
    assert scene.world.run_until(lambda: scene.relay() not in (first, None), SOON_S)
    assert scene.world.run_until(scene.hear, 10.0)


def test_a_relay_whose_daemon_or_forwarder_begins_anew_goes_on(scene: HiddenHosts) -> None:
    relay = scene.relay()
    assert relay is not None
    relay.crash()
    scene.world.run(1.0)
    relay.start()
    assert scene.world.run_until(lambda: scene.relay() is not None and scene.hear(), SOON_S)
    relay = scene.relay()
    assert relay is not None
    relay.forwards(anew=True)
    assert scene.world.run_until(lambda: scene.relay() is not None and scene.hear(), SOON_S)


def test_the_direct_way_is_taken_when_there_is_one(scene: HiddenHosts) -> None:
    scene.world.wires.show([scene.one.id, scene.other.id])
    assert scene.world.run_until(lambda: scene.relay() is None and scene.hear(), SOON_S)
    scene.world.run(ASKED_S + 5.0)
    assert not any(relay.sealed and relay.sealed.pairs for relay in scene.relays)
    assert not any(relay.sealed and relay.sealed.lends for relay in scene.relays)


def test_a_revoked_end_has_no_relay_from_then_on(scene: HiddenHosts) -> None:
    relay, world = scene.relay(), scene.world
    assert relay is not None
    says = read_certificate(scene.other.identity.chain[0])
    site, chain = (
        world.federation.site(scene.other.site),
        world.federation.site_chain(scene.other.site),
    )
    relay.feed(RecordGiven(revoke(says, "lost", world.now_s, site, chain)))
    assert relay.sealed is not None
    assert relay.sealed.pairs == ()
    assert scene.other.id not in {row.peer for row in relay.sealed.peers}
    world.run(ASKED_S)
    assert not any(r.sealed and r.sealed.pairs for r in scene.relays)
