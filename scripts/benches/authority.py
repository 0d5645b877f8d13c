"""What it costs a host to check by itself who asks: chains of grants, and their part of a hold.

    cold        a chain of that many grants that this host has not seen, by Ed25519
    again       the same chain with another order, as hosts meet it: what was right once is not checked again
    hold        one hold at a host whose site has a policy, from the message to the answer, written to disk. All
                of a row are by one chain, and each counts what those before it took
    authority   of that: order, chain and policy, in all; and its share

The row `site` is the peer: an order by a site's certificate, without any VO. Signatures are real; one process.
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from overlayd.adapters.credentials import (
    add_site,
    create_federation,
    enrol_host,
    load_host,
    load_site,
)
from overlayd.adapters.nacl_keys import NaclIdentity, NaclVerifier
from overlayd.adapters.sqlite_store import SqliteStore
from overlayd.ports.store import Put
from protocol.capacity.advert import HostFacts, ImageLabel
from protocol.capacity.quantum import Quantum
from protocol.contract.authority import Authority
from protocol.contract.messages import HoldAsk, HoldReply
from protocol.grid.asked import sign_asked
from protocol.grid.record import grid_id, vni_of
from protocol.hosting.admitting import Admitting
from protocol.hosting.host import Host
from protocol.hosting.surroundings import Alone
from protocol.policy.site_policy import SitePolicy, VoTerms
from protocol.sim.keys import SimSealer
from protocol.sim.people import IMAGE, Person, grid_spec
from protocol.terms.effects import Persist, Send
from protocol.terms.ids import Digest, KeyId, PeerId, digest_of
from protocol.trust.ceilings import Ceilings
from protocol.trust.grants import Grant, Grants, check_grants, sign_grant
from protocol.trust.identity import Identity
from protocol.trust.order import SignedOrder
from protocol.trust.remembering import Remembering
from protocol.trust.verbs import EVERY_VERB

DEEPEST = 4
_LONG_S = 1e6
_CEILINGS = Ceilings(cpus_milli=1 << 30, workspaces=1 << 20)


class Vo:
    """A VO with a chain of members, each of whom passes on what the one before has."""

    def __init__(self, now: float) -> None:
        self._now = now
        self.keys = [NaclIdentity.generate() for _ in range(DEEPEST + 1)]

    def chain(self, depth: int, serial: int = 0) -> Grants:
        """Grants from the VO to the member so far down."""
        made: Grants = ()
        for place in range(depth):
            grant = Grant(
                issuer=self.keys[place].key,
                audience=self.keys[place + 1].key,
                vo=self.keys[0].key,
                name="star",
                member=f"m{place}",
                verbs=EVERY_VERB,
                sites=("ams",),
                ceilings=_CEILINGS,
                not_before_s=self._now - 60,
                not_after_s=self._now + _LONG_S,
                parent=digest_of(made[-1].payload) if made else "",
                serial=f"{serial:016x}",
            )
            made = (*made, sign_grant(grant, self.keys[place]))
        return made


class Lending(Alone):
    """A site that lends to the VO."""

    def __init__(self, site: KeyId, vo: KeyId, now: float) -> None:
        self._site = site
        terms = VoTerms(name="star", key=vo, ceiling=_CEILINGS)
        self._policy = SitePolicy("ams", 1, now, (), vos=(terms,))

    def site_key(self) -> KeyId:
        """The site's key."""
        return self._site

    def policy(self) -> SitePolicy | None:
        """What it lends."""
        return self._policy


class Spent:
    """Time within some calls, those inside others not counted twice."""

    def __init__(self) -> None:
        self.s, self._depth = 0.0, 0

    def timed(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """The call, its time counted."""

        def within(*args: Any, **options: Any) -> Any:
            with self._inside():
                return call(*args, **options)

        return within

    @contextmanager
    def _inside(self) -> Any:
        self._depth += 1
        began_s = time.perf_counter()
        try:
            yield
        finally:
            self._depth -= 1
            if not self._depth:
                self.s += time.perf_counter() - began_s


def checks_per_s(vo: Vo, depth: int, number: int, now: float, *, again: bool) -> float:
    """How many chains are checked in a second: each new, or the same one."""
    chains = [vo.chain(depth, 0 if again else serial) for serial in range(number)]
    verifier = Remembering(NaclVerifier()) if again else NaclVerifier()
    check_grants(chains[0], now, verifier)
    began_s = time.perf_counter()
    for chain in chains:
        check_grants(chain, now, verifier)
    return number / (time.perf_counter() - began_s)


def hold_s(
    folder: Path, person: Person, host: Host, me: NaclIdentity, number: int
) -> list[tuple[float, float]]:
    """For each of so many holds: its whole time, and that of it which was spent on authority. Seconds."""
    folder.mkdir()
    spent, times = Spent(), list[tuple[float, float]]()
    wrapped: dict[tuple[type, str], Any] = {
        (Authority, name): getattr(Authority, name) for name in ("order", "to_hold")
    }
    for name in ("refusal", "spans"):
        wrapped[Admitting, name] = getattr(Admitting, name)
    for (of, name), call in wrapped.items():
        setattr(of, name, spent.timed(call))
    try:
        orders = [_up(person, f"g{n}", me.peer) for n in range(number)]
        times = asyncio.run(_holds(folder, orders, host, me, spent))
    finally:
        for (of, name), call in wrapped.items():
            setattr(of, name, call)
    return times


def _up(person: Person, name: str, via: PeerId) -> SignedOrder:
    spec = grid_spec(name, 1, cpus_milli=10, memory_bytes=32 << 20)
    return person.up(spec, time.time(), via=via)


async def _holds(
    folder: Path, orders: list[SignedOrder], host: Host, me: NaclIdentity, spent: Spent
) -> list[tuple[float, float]]:
    store = SqliteStore(folder)
    await store.open()
    times = []
    for order in orders:
        grid = grid_id(order)
        asked = sign_asked(me, grid, me.peer)
        ask = HoldAsk(grid, order, ("web-1",), (("lan", vni_of(grid, "lan")),), 8.0, asked=asked)
        before_s, began_s = spent.s, time.perf_counter()
        effects, _ = host.message(me.peer, ask, time.time())
        for effect in effects:
            if isinstance(effect, Persist):
                await store.write([Put(row.table, row.key, row.value) for row in effect.rows])
        times.append((time.perf_counter() - began_s, spent.s - before_s))
        (reply,) = [e.message for e in effects if isinstance(e, Send)]
        if not isinstance(reply, HoldReply) or reply.grant is None:
            raise RuntimeError(f"not held: {reply}")
    await store.close()
    return times


def main() -> None:
    """The program."""
    parser = argparse.ArgumentParser(prog="bench authority", description=__doc__.splitlines()[0])
    parser.add_argument("--checks", type=int, default=2000, help="chains of each length (2000)")
    parser.add_argument("--holds", type=int, default=200, help="holds of each length (200)")
    options = parser.parse_args()
    now, table = (
        time.time(),
        Table("grants", "cold /s", "again /s", "hold ms", "authority ms", "share"),
    )
    vo = Vo(now)
    for depth in range(DEEPEST + 1):
        with tempfile.TemporaryDirectory() as folder:
            held = _measured(Path(folder), vo, depth, options.holds, now)
        whole_s, part_s = (median(column) for column in zip(*held, strict=True))
        rates = ["-", "-"]
        if depth:
            rates = [
                f"{checks_per_s(vo, depth, options.checks, now, again=again):,.0f}"
                for again in (False, True)
            ]
        share = f"{100 * part_s / whole_s:.0f} %"
        table.add_row(
            str(depth or "site"), *rates, f"{1e3 * whole_s:.2f}", f"{1e3 * part_s:.2f}", share
        )
    Console().print(table)


def _measured(
    folder: Path, vo: Vo, depth: int, number: int, now: float
) -> list[tuple[float, float]]:
    create_federation(folder / "fed")
    site = load_site(add_site(folder / "fed", "ams"))
    enrolled = load_host(enrol_host(folder / "fed" / "sites" / "ams", "h1"))
    me = enrolled.identity
    identity = Identity(
        me, NaclVerifier(), SimSealer(me.key), enrolled.chain, enrolled.federation, "h1", "ams", "h1:1"
    )  # fmt: skip
    facts = HostFacts(
        Quantum(1 << 30, 1 << 50, 1 << 50, (), 1 << 50), "x86_64", "kvm", "none", "", "h1", True
    )
    image = ImageLabel(IMAGE.name, Digest(IMAGE.digest), 1 << 20)
    authority = Authority(enrolled.federation, NaclVerifier(), admitted=(vo.keys[0].key,))
    around = Lending(site.identity.key, vo.keys[0].key, now)
    dice = Random(depth)  # noqa: S311  nonces of orders that nobody else sees
    host = Host(identity, facts, (image,), authority, dice, {}, now, around)
    if depth:
        person = Person(vo.keys[depth], (), vo.chain(depth), dice, lambda: (me.peer,))
    else:
        person = Person(site.identity, site.chain, (), dice, lambda: (me.peer,))
    return hold_s(folder / "store", person, host, me, number)


if __name__ == "__main__":
    main()
