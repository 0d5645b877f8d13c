"""Memory of a peer under attack: what members can make it keep, beside the budgets that bound it.

    idle             a peer that has met one member of another site
    one host         which says 6,000 small notices, 200 of 60 kB, 3,000 of 2.4 kB, news, suspicions and records
                     of unknown kinds, round after round
    a site           the same by each of its hosts, which also have frames passed on without end
    after a restart  the same peer, begun anew from what it wrote before each round

Each row is a process of its own. The peer is the whole node (protocol/node), without sockets and store; keys
are simulated, and records as large as real ones. memory: resident, above the idle peer's; kept: payloads of
records; queued: what waits to be passed on; budget: the most that all kinds of records (terms/kinds.py), and
what is queued, may take of that host, or that site. If memory grows with rounds, something has no bound.
"""

import argparse
import gc
import multiprocessing
import os
from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path
from random import Random

import msgspec
from rich.console import Console
from rich.table import Table

from protocol.broadcast.messages import Gossip
from protocol.capacity.advert import HostFacts
from protocol.capacity.quantum import Quantum
from protocol.membership.messages import Presence, greeting
from protocol.node.events import Arrived, Connected, Event, Started
from protocol.node.node import Node, Rows
from protocol.relay.messages import Relayed
from protocol.sim.keys import SimFederation, SimSealer, SimSigner
from protocol.terms.effects import Persist
from protocol.terms.ids import KeyId, PeerId
from protocol.terms.kinds import KINDS
from protocol.terms.site_limits import RELAYED_QUEUE_BYTES_OF_SITE
from protocol.trust.identity import Identity
from protocol.trust.record import Record, SignedRecord
from protocol.trust.signing import covered
from protocol.wire.codec import encode

NOW_S = 1_000_000.0
FED = SimFederation("attacked", from_s=NOW_S - 1000, until_s=NOW_S + 1e7)
FACTS = HostFacts(Quantum(4000, 4 << 30, 0), "x86_64", "sim", "none", "", "10.0.0.1", True)
SITE = "liars"
_FRAME_BYTES = 100 << 10


class Row(msgspec.Struct, frozen=True):
    """What was measured of one peer."""

    resident_bytes: int
    kept_bytes: int = 0
    queued_bytes: int = 0


class Forgetful:
    """A verifier of simulated keys that remembers nothing: what is measured is the peer's memory."""

    def verify(self, key: KeyId, domain: str, payload: bytes, signature: bytes) -> bool:
        """Whether that key signed it."""
        said = covered(domain, payload)
        return signature == blake2b(said, key=bytes.fromhex(key), digest_size=32).digest()


class Peer:
    """A peer, its store, and its time."""

    def __init__(self) -> None:
        self.rows: Rows = {}
        self.now_s = NOW_S
        self.begin()

    def begin(self) -> None:
        """A life begins, from what is written."""
        signer = FED.host("honest", "h1")
        identity = Identity(
            signer, Forgetful(), SimSealer(signer.key), FED.host_chain("honest", "h1"),
            FED.key, "h1", "honest", "h1:7000",
        )  # fmt: skip
        self.node = Node(identity, FACTS, (), (), self.rows, Random(1), self.now_s)  # noqa: S311
        self.handle(Started())
        self.meet("honest", "h2")

    def handle(self, event: Event) -> None:
        """One event. What is to be kept is written."""
        for effect in self.node.handle(event, self.now_s):
            for row in effect.rows if isinstance(effect, Persist) else ():
                table = self.rows.setdefault(row.table, {})
                if row.value is None:
                    table.pop(row.key, None)
                else:
                    table[row.key] = row.value

    def meet(self, site: str, name: str) -> PeerId:
        """A host introduces itself."""
        signer = FED.host(site, name)
        body = encode(Presence(FED.host_chain(site, name), f"{name}:7000"))
        signed = said(signer, "presence", "", int(self.now_s), body, 86_400.0, site)
        self.handle(Connected(PeerId(signer.key)))
        self.handle(Arrived(PeerId(signer.key), greeting(signed), ""))
        return PeerId(signer.key)

    def spread(self, by: PeerId, records: Iterable[SignedRecord]) -> None:
        """A host hands out records, as fast as it is listened to."""
        for signed in records:
            self.now_s += 0.0025
            self.handle(Arrived(by, Gossip((signed,)), ""))

    def measured(self) -> Row:
        """What it has now."""
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        directory = self.node.broadcast.directory
        kept = sum(len(held.signed.payload) for kind in KINDS for held in directory.of_kind(kind))
        forwarding = self.node.relaying.relay.forwarding
        return Row(pages * os.sysconf("SC_PAGE_SIZE"), kept, forwarding.queued_bytes)


def said(
    signer: SimSigner,
    kind: str,
    name: str,
    number: int,
    body: bytes,
    ttl_s: float = 600.0,
    scope: str = "",
) -> SignedRecord:
    """One record, signed, whatever it says."""
    payload = encode(Record(signer.key, kind, name, 1, number, body, ttl_s, scope))
    return SignedRecord(payload, signer.sign("record", payload))


def hostile(signer: SimSigner, turn: int) -> Iterable[SignedRecord]:
    """What one host says in one round: more of everything than anybody keeps."""
    kinds = (
        ("grid", 6000, 0),
        ("grid", 200, 60_000),
        ("grid", 3000, 2400),
        ("news", 300, 4000),
        ("suspicion", 600, 500),
        ("blob", 100, 1000),
    )
    latest = turn * 100_000
    for kind, count, size in kinds:
        for _ in range(count):
            latest += 1
            yield said(signer, kind, str(latest), latest, bytes(size))


def attacked(hosts: int, rounds: int, restart: bool) -> Row:
    """A peer that so many hosts of one site attack."""
    peer = Peer()
    for turn in range(rounds):
        if restart and turn:
            peer.begin()
        far = peer.meet("far", "f1")
        for number in range(hosts):
            liar = peer.meet(SITE, f"h{number}")
            peer.spread(liar, hostile(FED.host(SITE, f"h{number}"), turn))
        for number in range(hosts) if hosts > 1 else ():
            liar = PeerId(FED.host(SITE, f"h{number}").key)
            for _ in range(40):
                box = bytes(_FRAME_BYTES)
                peer.handle(Arrived(liar, Relayed(far, liar, 1, 5000, box), ""))
    return peer.measured()


def alone(hosts: int, rounds: int, restart: bool) -> Row:
    """The same in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(attacked, (hosts, rounds, restart))


def main() -> None:
    """Runs everything that is asked for, and prints the table."""
    options = _options()
    kinds = [limit for kind, limit in KINDS.items() if kind != "revocation"]
    of_host = sum(limit.owner_bytes for limit in kinds)
    of_site = sum(limit.site_bytes for limit in kinds) + RELAYED_QUEUE_BYTES_OF_SITE
    table = Table(title=f"a peer under attack, {options.rounds} rounds")
    for column in ("who", "memory MB", "kept MB", "queued MB", "budget MB"):
        table.add_column(column, justify="left" if column == "who" else "right")
    idle = alone(0, 1, False)
    table.add_row(f"idle (resident {idle.resident_bytes / 1e6:.0f} MB)", "0", "0", "0", "")
    cases = [("one host", 1, False, of_host), ("one host, after a restart", 1, True, of_host)]
    cases += [
        (f"a site of {options.hosts} hosts", options.hosts, False, of_site),
        ("the same, after a restart", options.hosts, True, of_site),
    ]
    for name, hosts, restart, budget in cases:
        row = alone(hosts, options.rounds, restart)
        table.add_row(
            name,
            f"{(row.resident_bytes - idle.resident_bytes) / 1e6:.0f}",
            f"{row.kept_bytes / 1e6:.1f}",
            f"{row.queued_bytes / 1e6:.1f}",
            f"{budget / 1e6:.1f}",
        )
    Console(width=112).print(table)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/bench attacked", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--hosts", type=int, default=31, help="hosts of the site")
    parser.add_argument("--rounds", type=int, default=2, help="how often each says everything")
    return parser.parse_args()


if __name__ == "__main__":
    main()
