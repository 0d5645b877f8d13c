"""A real peer, and members of two sites that say to it whatever they like, truly signed."""

from random import Random

from one_peer import FACTS, FED, NOW, identity

from protocol.broadcast.messages import Gossip
from protocol.membership.messages import Presence, greeting
from protocol.node.events import Arrived, Connected, Event, Started, Ticked
from protocol.node.messages import Message
from protocol.node.node import Node, Rows
from protocol.sim.keys import SimSigner
from protocol.terms.effects import Effect, Persist
from protocol.terms.ids import KeyId, PeerId
from protocol.trust.certificate import Certificate, Role
from protocol.trust.record import Record, SignedRecord
from protocol.trust.revocation import revoke
from protocol.wire.codec import encode

HONEST_SITE, OTHER_SITE = "s1", "s2"


def signer(name: str, site: str) -> SimSigner:
    """The key of a host."""
    return FED.host(site, name)


def peer_id(name: str, site: str) -> PeerId:
    """A host as a peer."""
    return PeerId(signer(name, site).key)


def signed(record: Record, name: str, site: str) -> SignedRecord:
    """A record as its owner signs it, whatever it says: an attacker keeps no rule of ours."""
    payload = encode(record)
    return SignedRecord(payload, signer(name, site).sign("record", payload))


def says(
    name: str,
    site: str,
    kind: str,
    body: bytes = b"",
    about: str = "",
    number: int = 1,
    ttl_s: float = 600.0,
    scope: str = "",
    incarnation: int = 1,
) -> SignedRecord:
    """One record of a host."""
    key = signer(name, site).key
    return signed(Record(key, kind, about, incarnation, number, body, ttl_s, scope), name, site)


def presence(
    name: str, site: str, incarnation: int = 1, address: str = "", number: int = 1
) -> SignedRecord:
    """The presence of a host."""
    body = encode(Presence(FED.host_chain(site, name), address or f"{name}:7000"))
    return says(name, site, "presence", body, "", number, 86_400.0, site, incarnation)


class Attacked:
    """Host h1 of site s1, with a connection to `mallory` of site s2, through which everything comes."""

    def __init__(self) -> None:
        self.rows: Rows = {}
        self.now = NOW
        self.mallory = peer_id("mallory", OTHER_SITE)
        self.node = self._begun()

    def _begun(self) -> Node:
        self.node = Node(identity("h1"), FACTS, (), (), self.rows, Random(1), self.now)
        self.heard(Started())
        self.heard(Connected(self.mallory))
        self.says(greeting(presence("mallory", OTHER_SITE)))
        return self.node

    def restart(self) -> None:
        """The daemon is started again, from what it wrote."""
        self.node = self._begun()

    def heard(self, event: Event) -> list[Effect]:
        """One event. What is to be kept is written."""
        effects = self.node.handle(event, self.now)
        for effect in effects:
            if isinstance(effect, Persist):
                for row in effect.rows:
                    table = self.rows.setdefault(row.table, {})
                    if row.value is None:
                        table.pop(row.key, None)
                    else:
                        table[row.key] = row.value
        return effects

    def says(self, message: Message) -> list[Effect]:
        """Mallory says that."""
        return self.heard(Arrived(self.mallory, message, ""))

    def tells(self, record: SignedRecord) -> list[Effect]:
        """Mallory hands out one record at once."""
        return self.says(Gossip((record,)))

    def spreads(self, *records: SignedRecord) -> None:
        """Mallory hands out records, as slowly as it is allowed to."""
        for at in range(0, len(records), 8):
            self.now += 0.02
            self.says(Gossip(records[at : at + 8]))

    @property
    def counts(self) -> dict[str, int]:
        """What was refused, by reason."""
        return self.node.quarantines.counts

    def kept(self, kind: str, name: str = "mallory", site: str = OTHER_SITE) -> int:
        """How many records of a kind are kept of a host."""
        owner = signer(name, site).key
        return sum(h.record.owner == owner for h in self.node.broadcast.directory.of_kind(kind))

    def kept_bytes(self) -> int:
        """The payloads of all records that are kept, with those of kinds that nobody knows."""
        kinds = ("presence", "suspicion", "advert", "grid", "news", "site", "revocation", "blob")
        directory = self.node.broadcast.directory
        return sum(len(h.signed.payload) for kind in kinds for h in directory.of_kind(kind))

    def heard_nothing(self) -> list[Effect]:
        """Time has passed. Answers what follows."""
        return self.heard(Ticked())

    def says_nothing(self) -> None:
        """Time has passed."""
        self.heard(Ticked())

    def revocation(self, number: int) -> SignedRecord:
        """A certificate that site s2 takes back, though it never gave it."""
        site = FED.site(OTHER_SITE)
        made = Certificate(
            subject=KeyId(f"{number:064x}"),
            role=Role.HOST,
            site=OTHER_SITE,
            name=f"h{number}",
            issuer=site.key,
            not_before_s=NOW - 10,
            not_after_s=NOW + 10**6,
            serial=f"{number:08x}",
        )
        return revoke(made, "", NOW + number, site, FED.site_chain(OTHER_SITE))
