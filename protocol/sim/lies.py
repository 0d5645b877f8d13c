"""What a liar signs truly, and what is false: suspicions, summaries, boasts, addresses, and too much of all.

Each lie is said under the liar's own key, with numbers of its own, so that its signature holds. What nobody
would keep (an unknown kind, a life of years) goes to one neighbour as it is. The rest is published as its node
would publish it, so it is spread and compared like any other record.
"""

from random import Random

import msgspec

from protocol.broadcast.messages import Gossip
from protocol.capacity.advert import KIND as ADVERT
from protocol.capacity.advert import Advert, HostFacts
from protocol.capacity.quantum import Quantum
from protocol.contract.notices import NOTICE, Notice, Placement
from protocol.grid.record import GridState
from protocol.grid.tunnel import TunnelEnd
from protocol.membership.messages import Contact, Presence, Suspicion
from protocol.membership.presence import KIND as PRESENCE
from protocol.node.node import Node
from protocol.node.site_summaries import KIND as SITE
from protocol.node.site_summaries import Summary
from protocol.peering.news import KIND as NEWS
from protocol.peering.suspicions import KIND as SUSPICION
from protocol.terms.ids import PeerId
from protocol.terms.limits import ADVERT_TTL_S, SUMMARY_TTL_S, SUSPICION_TTL_S
from protocol.trust.certificate import Chain
from protocol.trust.record import DOMAIN, Record, SignedRecord
from protocol.trust.signing import Signer
from protocol.wire.codec import Malformed, decode, encode

_HUGE = (1 << 64) - 1
"""The largest number that can be written down."""
_NOWHERE = (
    "0.0.0.0:1",
    "255.255.255.255:7000",
    "224.0.0.1:7000",
    "127.0.0.1:22",
    "x:0",
    "10.0.0.1:99999",
)


class Lies:
    """Says them with the key of one peer."""

    def __init__(self, signer: Signer, site: str, dice: Random) -> None:
        self._signer, self._site, self._dice = signer, site, dice
        self._number = 0

    def invent(self, node: Node, now: float) -> None:
        """Suspects everybody, in incarnations that nobody has announced."""
        for other in list(node.membership.known):
            newest = node.membership.liveness.incarnation(other)
            invented = newest + 1 + self._dice.choice((0, 7, 1 << 40))
            body = encode(Suspicion(other, invented, now - 100.0))
            node.broadcast.publish(SUSPICION, other, body, SUSPICION_TTL_S, now)

    def summarise(self, node: Node, now: float) -> None:
        """Says of its own site, and of another, that a million hosts live there, and have no end of room."""
        sites = [known.site for known in node.membership.known.values()]
        for site in (self._dice.choice(sites), self._site):
            endless = Quantum(_HUGE, _HUGE, _HUGE)
            nobody = tuple(Contact(peer, site, "127.0.0.1:1") for peer in node.membership.known)[:6]
            lie = Summary(
                site, 10**6, endless, endless, (("1cpu/1G", _HUGE),), _HUGE, nobody, now, True
            )
            node.broadcast.publish(SITE, "", encode(lie), SUMMARY_TTL_S, now)

    def boast(self, node: Node, now: float) -> None:
        """Advertises the largest numbers there are."""
        endless = Quantum(_HUGE, _HUGE, _HUGE, (("gpu", _HUGE),))
        facts = HostFacts(endless, "x86_64", "simulated", "none", "", "", True)
        lie = Advert(facts, endless, (("1cpu/1G", _HUGE),), (), _HUGE)
        node.broadcast.publish(ADVERT, "", encode(lie), ADVERT_TTL_S, now, self._site)

    def announce(self, node: Node, now: float) -> None:
        """Tells of others' grids an epoch far ahead, another state, itself as host and steward."""
        for held in node.broadcast.directory.of_kind(NOTICE)[:4]:
            try:
                true = decode(held.record.body, Notice)
            except Malformed:
                continue
            me = PeerId(self._signer.key)
            mine = Placement((me,), (("web", (0, 0)),))
            lie = msgspec.structs.replace(
                true,
                epoch=self._dice.choice((true.epoch, true.epoch + 1, 10**9)),
                state=self._dice.choice(list(GridState)),
                stewards=self._dice.choice((true.stewards, (me,) * 3)),
                placement=self._dice.choice((true.placement, mine)),
                halted=self._dice.random() < 0.5,
            )
            node.broadcast.publish(NOTICE, true.grid, encode(lie), 600.0, now)

    def move(self, node: Node, now: float, chain: Chain) -> None:
        """Says that it is where nobody can be, and takes the traffic of networks there."""
        end = TunnelEnd(self._dice.choice(_NOWHERE).rpartition(":")[0], 9)
        lie = Presence(chain, self._dice.choice(_NOWHERE), tunnel=end)
        node.broadcast.publish(PRESENCE, "", encode(lie), 600.0, now, self._site)

    def fill(self, node: Node, now: float) -> Gossip:
        """What is to fill everybody's directory: large notices, news under many names, kinds that nobody knows,
        lives of ten years, scopes that are no sites."""
        made: list[SignedRecord] = []
        for _ in range(8):
            self._number += 1
            name = f"x{self._number}"
            for kind, size, life_s, scope in (
                (NOTICE, 20_000, 600.0, ""),
                (NEWS, 4_000, 600.0, ""),
                ("blob", 4_000, 600.0, ""),
                (NOTICE, 0, 3e8, ""),
                (NEWS, 0, 600.0, f"a{self._number}"),
            ):
                made.append(self._signed(node, kind, name, bytes(size), life_s, scope))
        return Gossip(tuple(made))

    def _signed(
        self, node: Node, kind: str, name: str, body: bytes, life_s: float, scope: str
    ) -> SignedRecord:
        # In an incarnation to come, so that the node underneath takes it for nothing of its own past.
        incarnation = node.broadcast.incarnation + 1
        owner = self._signer.key
        record = Record(owner, kind, name, incarnation, self._number, body, life_s, scope)
        payload = encode(record)
        return SignedRecord(payload, self._signer.sign(DOMAIN, payload))
