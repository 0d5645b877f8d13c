"""Stewards that were proven to lie (grid/equivocation.py): on disk, and out.

Everybody who checks a proof draws the same conclusion by itself, so nobody's word counts for it. A disk that
was restored from a backup may lie without anybody's doing, and its host cannot be told from a liar's. So one
proof is against one store: its host is believed again with another, and has lost by that every seat and promise
that the old one had. Two proofs, against two stores of one key, keep that key out until its certificate ends.
"""

from collections.abc import Mapping

import msgspec

from protocol.grid.equivocation import (
    Accusation,
    Equivocation,
    Proven,
    check_accusation,
)
from protocol.grid.statement import read_statement
from protocol.peering.welcome import printable
from protocol.terms.effects import Effect, Note, Persist, Row, Untidied
from protocol.terms.ids import PeerId, StoreId
from protocol.terms.limits import EQUIVOCATORS_PER_SITE
from protocol.trust.certificate import Principal
from protocol.trust.identity import Identity
from protocol.trust.record import Record, SignedRecord, check_record, read_record
from protocol.trust.signing import Reason, Untrusted, read_signed
from protocol.wire.codec import Malformed, decode, encode

KIND = TABLE = "equivocation"
_DIGITS = 16


class Out(msgspec.Struct, frozen=True):
    """One store of one peer that was proven to lie. Only `Equivocators.read` makes one."""

    proven: Proven
    name: str
    site: str
    until_s: float
    """When the certificate ends that the proof names, Unix seconds."""


def name_of(proof: Equivocation) -> str:
    """What the record of a proof is called: 16 digits of the steward's key, a dot, the store."""
    return f"{proof.steward[:_DIGITS]}.{read_statement(proof.one).store}"


class Equivocators:
    """All that are known."""

    def __init__(self, identity: Identity, rows: Mapping[str, bytes], now: float) -> None:
        """`rows` are those of TABLE. What is no proof any more is not taken up again."""
        self._federation, self._verifier = identity.federation, identity.verifier
        self._out: dict[str, tuple[Out, SignedRecord]] = {}
        """By the name of the record, with the one that proved it; the one found last at the end."""
        for key in sorted(rows):
            try:
                signed = decode(rows[key], SignedRecord)
                self._out[key] = (self.read(check_record(signed, self._verifier), now), signed)
            except (Malformed, Untrusted):
                continue

    def all(self) -> list[Out]:
        """Every store that is out, the one found last at the end."""
        return [out for out, _ in self._out.values()]

    def read(self, record: Record, now: float) -> Out:
        """Whom a record, its signature checked, proves to have lied. Raises Untrusted if it proves nothing."""
        accusation = read_signed(record.body, Accusation, "a proof of a lie")
        proven, who = check_accusation(accusation, self._federation, now, self._verifier)
        if record.kind != KIND or record.name != name_of(accusation.proof):
            raise Untrusted(Reason.MALFORMED, "a proof of a lie: its record's name is another")
        return _out(proven, who)

    def add(self, out: Out, signed: SignedRecord) -> list[Effect]:
        """That store is out from now on. No effects if that is known."""
        name = read_record(signed).name
        if name in self._out:
            return []
        self._out[name] = (out, signed)
        rows = [Row(TABLE, name, encode(signed))]
        same = [key for key, (other, _) in self._out.items() if other.site == out.site]
        for key in same[: max(0, len(same) - EQUIVOCATORS_PER_SITE)]:
            del self._out[key]
            rows.append(Row(TABLE, key, None))
        told = f"{self._words(out)}; {self.why(out.proven.steward, out.proven.store)}"
        return [Persist(tuple(rows), Untidied()), Note("peer.equivocated", out.name, told)]

    def tick(self, now: float) -> list[Effect]:
        """Forgets proofs whose certificates have ended: who lied then may have another one since."""
        ended = [key for key, (out, _) in self._out.items() if out.until_s <= now]
        for key in ended:
            del self._out[key]
        rows = tuple(Row(TABLE, key, None) for key in ended)
        return [Persist(rows, Untidied())] if rows else []

    def why(self, peer: PeerId, store: StoreId) -> str:
        """Why a peer with that store is not believed; empty if it may be."""
        stores = [out.proven.store for out, _ in self._out.values() if out.proven.steward == peer]
        if len(stores) > 1:
            return f"{len(stores)} of its stores signed what no honest steward signs"
        if stores and store in ("", stores[0]):
            return "its store signed what no honest steward signs; it is let in with another one"
        return ""

    def proof(self, peer: PeerId) -> SignedRecord | None:
        """The last record that proves that a peer lied; None if none does."""
        of = [signed for out, signed in self._out.values() if out.proven.steward == peer]
        return of[-1] if of else None

    def said_of(self, peer: PeerId) -> str:
        """What was proven of a peer, for people; empty if nothing was."""
        of = [out for out, _ in self._out.values() if out.proven.steward == peer]
        return self._words(of[-1]) if of else ""

    def check(self) -> None:
        """All memory is bounded."""
        sites = [out.site for out, _ in self._out.values()]
        assert all(sites.count(site) <= EQUIVOCATORS_PER_SITE for site in dict.fromkeys(sites))

    def _words(self, out: Out) -> str:
        proven = out.proven
        of = printable(proven.register)
        return f"store {proven.store} is proven to lie of register {of}: {proven.why}"


def _out(proven: Proven, who: Principal) -> Out:
    return Out(proven, printable(who.name), printable(who.site), who.expires_s)
