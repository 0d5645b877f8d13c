"""Membership as a whole: a peer that has lost all its connections finds back, whoever else it believes in."""

from random import Random

import pytest

from protocol.membership.liveness import Health
from protocol.membership.membership import Membership
from protocol.membership.messages import Contact, NeighbourReply
from protocol.membership.presence import Known
from protocol.terms.effects import Dial
from protocol.terms.ids import PeerId
from protocol.terms.limits import HELLO_WITHIN_S, LONELY_S, REDIAL_EVERY_S

ME, FIRST = PeerId("a" * 64), PeerId("b" * 64)
NOW = 1000.0


def known(peer: PeerId, name: str, site: str, address: str) -> Known:
    return Known(peer, name, site, address, 1, False, 1e9)


class Peer:
    """A peer that joined by FIRST, which told it of `others` that it never met."""

    def __init__(self, others: int, seed: int) -> None:
        join = Contact(FIRST, "ams", "10.0.0.1:7946")
        me = Contact(ME, "bnl", "10.0.0.2:7946")
        self.now = NOW
        self.it = Membership(me, Random(seed), (join,), NOW, (join,))
        self.it.present(known(FIRST, "h1", "ams", join.address), NOW)
        self.comes()
        self.it.handle(FIRST, NeighbourReply(True), NOW)
        for number in range(others):
            other = PeerId(f"{number:064x}")
            self.it.present(known(other, f"n{number}", "bnl", f"10.0.1.{number}:7946"), NOW)

    def comes(self) -> None:
        self.it.links.up(FIRST, Contact(ME, "", ""), self.now)
        self.it.introduced(FIRST, self.now)

    def dials(self, for_s: float) -> list[float]:
        """When it dials FIRST within that time. Nobody answers."""
        dialled = []
        end_s = self.now + for_s
        while (due := self.it.next_deadline()) is not None and due.at_s <= end_s:
            self.now = max(self.now, due.at_s)
            self.it.links.seeking(self.now)
            effects, _ = self.it.tick(self.now)
            self.it.check()
            dialled += [self.now for e in effects if isinstance(e, Dial) and e.peer == FIRST]
        self.now = end_s
        return dialled


@pytest.mark.parametrize("others", [0, 4, 40])
@pytest.mark.parametrize("seed", range(3))
def test_with_no_connection_left_it_dials_those_it_joined_by_however_many_it_believes_alive(
    others: int, seed: int
) -> None:
    peer = Peer(others, seed)
    peer.dials(20.0)
    peer.it.disconnected(FIRST, peer.now)
    peer.dials(LONELY_S)
    assert peer.it.liveness.health(FIRST) is Health.DEAD
    every_s = HELLO_WITHIN_S + REDIAL_EVERY_S
    for _ in range(8):
        assert peer.dials(every_s)


@pytest.mark.parametrize("others", [0, 4])
def test_connected_to_one_it_dials_nobody_that_it_joined_by(others: int) -> None:
    peer = Peer(others, 1)
    assert peer.dials(10.0) == []
