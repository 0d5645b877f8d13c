"""A site that certifies a host for each message that a daemon fails on: it costs a few restarts, not one a key.

The fault is played: a message that cannot be handled. What the daemon writes then, and begins with, is real.
"""

import pytest
from lying_member import HONEST_SITE, OTHER_SITE, Attacked, peer_id, presence, says
from one_peer import NOW, identity

from protocol.broadcast.messages import Gossip, Prune
from protocol.membership.messages import greeting
from protocol.node.events import Arrived, Connected, Event
from protocol.node.snapshot import PeerView
from protocol.node.verdict import judge, rows_against, site_of
from protocol.terms.ids import KeyId, PeerId
from protocol.terms.limits import SHUT_OUT_S
from protocol.terms.site_limits import MISHANDLED_OF_SITE
from protocol.trust.record import SignedRecord

ME = identity("h1")


def failed(event: Event, holding: SignedRecord | None = None) -> BaseException:
    def fails(item: SignedRecord | None) -> None:
        raise KeyError("a fault of ours")

    try:
        fails(holding)
    except KeyError as error:
        return error
    raise AssertionError


class Daemon(Attacked):
    """It begins anew whenever it fails, from what overlayd/loop/mishandled.py has on disk then."""

    restarts = 0

    def fails_on(self, event: Event, holding: SignedRecord | None = None) -> None:
        error = failed(event, holding)
        verdict = judge(event, error, None, ME.verifier)
        site = site_of(event, verdict, PeerView(self.node).site_of, ME, self.now)
        for row in rows_against(verdict, self.rows, "why", self.now, site):
            table = self.rows.setdefault(row.table, {})
            if row.value is None:
                table.pop(row.key, None)
            else:
                table[row.key] = row.value
        self.restarts += 1
        self.now += 1.0
        self.restart()

    def greets(self, name: str, site: str = OTHER_SITE) -> bool:
        """A host introduces itself. Whether it is believed."""
        peer = peer_id(name, site)
        self.heard(Connected(peer))
        self.heard(Arrived(peer, greeting(presence(name, site, int(self.now - NOW) + 1)), ""))
        return peer in self.node.membership.known and self.node.membership.links.introduced(peer)


@pytest.mark.parametrize("how", ["says", "greets", "signs"])
def test_so_many_of_its_hosts_and_then_all_of_the_site_is_shut_out(how: str) -> None:
    daemon = Daemon()
    for number in range(40):
        name = f"new-{number}"
        peer = peer_id(name, OTHER_SITE)
        match how:
            case "says" if daemon.greets(name):
                daemon.fails_on(Arrived(peer, Prune(), ""))
            case "greets":
                # Nobody has met it: what it shows proves whose host it is. Later that is refused first.
                hello = Arrived(peer, greeting(presence(name, OTHER_SITE)), "")
                if number < MISHANDLED_OF_SITE:
                    daemon.fails_on(hello)
                else:
                    assert not daemon.greets(name)
            case "signs" if daemon.greets(name):
                bad = says(name, OTHER_SITE, "news", b"x", "1")
                via = peer_id("h2", HONEST_SITE)
                daemon.fails_on(Arrived(via, Gossip((bad,)), ""), bad)
    assert daemon.restarts == MISHANDLED_OF_SITE
    assert PeerView(daemon.node).peers(daemon.now)[1:] == []
    daemon.restart()
    assert not daemon.greets("another")
    daemon.spreads(
        presence("another", OTHER_SITE), says("another", OTHER_SITE, "grid", b"", "a.0-b")
    )
    assert daemon.kept("grid", "another") == daemon.kept("presence", "another") == 0
    assert daemon.counts["hello-shut-out"] >= 1


def test_others_are_heard_and_who_passes_its_records_on_is_not_blamed() -> None:
    daemon = Daemon()
    for number in range(MISHANDLED_OF_SITE):
        assert daemon.greets(f"new-{number}")
        daemon.fails_on(Arrived(peer_id(f"new-{number}", OTHER_SITE), Prune(), ""))
    assert daemon.greets("h2", HONEST_SITE)
    honest = peer_id("h2", HONEST_SITE)
    for number in range(100):
        daemon.now += 0.1
        theirs = (
            presence(f"p{number}", OTHER_SITE),
            says(f"p{number}", OTHER_SITE, "news", b"", "1"),
        )
        daemon.heard(Arrived(honest, Gossip(theirs), ""))
    assert daemon.node.quarantines.left_s(honest, daemon.now) == 0
    assert daemon.node.quarantines.faults(honest) == 0
    daemon.now += SHUT_OUT_S
    daemon.heard_nothing()
    assert daemon.greets("later"), "it ends by time, in the same life"


def test_nobody_has_another_site_shut_out() -> None:
    """What a stranger shows as its own says nothing of the site it names, unless it proves it."""
    daemon = Daemon()
    mallory = peer_id("mallory", OTHER_SITE)
    for number in range(3 * MISHANDLED_OF_SITE):
        victim = presence(f"v{number}", "s3")
        daemon.fails_on(Arrived(mallory, greeting(victim), ""))
        forged = SignedRecord(victim.payload, b"x" * 64)
        daemon.fails_on(Arrived(PeerId(KeyId("f" * 64)), greeting(forged), ""))
    assert daemon.greets("v1", "s3")


def test_its_own_site_is_never_shut_out() -> None:
    daemon = Daemon()
    for number in range(3 * MISHANDLED_OF_SITE):
        assert daemon.greets(f"own-{number}", HONEST_SITE)
        daemon.fails_on(Arrived(peer_id(f"own-{number}", HONEST_SITE), Prune(), ""))
    assert daemon.greets("own-again", HONEST_SITE)


def test_one_host_alone_does_not_have_its_site_shut_out() -> None:
    daemon = Daemon()
    for _ in range(3 * MISHANDLED_OF_SITE):
        daemon.fails_on(Arrived(peer_id("new-1", OTHER_SITE), Prune(), ""))
        daemon.fails_on(Arrived(daemon.mallory, Prune(), ""))
    assert daemon.greets("another")
    assert not daemon.greets("new-1")
