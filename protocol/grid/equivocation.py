"""Equivocations: two statements that one store of a steward signed, and that no honest steward can both sign.

What is proved, and why. An honest steward (register/acceptor.py) has of each register a term `t`, a promise `p`
and, of that term, a last acceptance `a` (at most `p`), if there is one. All are on its disk before they are
said, so a restart changes none, and what it signs names `t`:

    it goes over to a later term only, and then has accepted nothing in it; p stays, or rises
    it accepts at ballot c only if c >= p, and then p = a = c. So it is with what it proposes itself, with round
    0 (where p begins, so nothing is below it), and with what it learns from a certificate
    it promises b only if b >= p, and then p = b. What it signs names a, or nothing
    it accepts one value under one ballot: another under the same is refused. What a value closes, and in whose
    favour, is in the value

So in one term p and a only rise, and a is there for good once it is. For an acceptance (c, v) and a promise
(b, a) of one term:

    if the promise came first     c >= b
    if the acceptance came first  b >= c, and a >= c, since a only rises; and if a = c, its value is v

Every pair is one of these, unless the steward lied. A promise also says that it accepted at `a`, so two
promises contradict each other as a promise and an acceptance do. What remains is:

    two values under one ballot, be they accepted or said to have been; or one with two sets of heirs
    a promise of b that names nothing, or a < c, beside an acceptance at c, if c < b

A promise of b that names less than an acceptance at b or above proves nothing: it was signed before.

Two terms prove nothing together. Ballots go on over sets, so one may be of both; an heir has accepted nothing
in its term, whatever it accepted before; and whoever was replaced may sign for its former set until it hears of
it. Nor do two registers, or two stores: who lost its disk says "nothing" under a new store, also as its own
heir, and statements that name no store are in no proof.

A term is not gone through twice. Its seals are on disk with the first that is signed in it, and others that
lead elsewhere are refused. What was forgotten is not opened again: by its order alone only while that is young,
and nothing is forgotten before; by seals not if the store forgot what a later set keeps of any order as young
(`Unseated`). Who was restored from a backup and has not found out may sign such a pair; its word is worth as
little as a liar's, until it takes another store.
"""

import msgspec

from protocol.grid.statement import Said, Statement, read_statement
from protocol.terms.ids import KeyId, PeerId, StoreId
from protocol.trust.certificate import Chain, Principal, Role, check_chain
from protocol.trust.signing import Reason, Untrusted, Verifier, require_signature


class Equivocation(msgspec.Struct, frozen=True):
    """Two statements of one steward."""

    steward: PeerId
    one: Statement
    other: Statement


class Accusation(msgspec.Struct, frozen=True):
    """Body of a record of kind `equivocation`: who publishes it need not be believed."""

    proof: Equivocation
    chain: Chain
    """The steward's certificates: it is a member, and so it is worth anybody's memory."""


class Proven(msgspec.Struct, frozen=True):
    """A store of a steward that equivocated. Only `check_equivocation` makes one."""

    steward: PeerId
    store: StoreId
    register: str
    why: str
    """For people."""


def contradiction(one: Said, other: Said) -> str:
    """Why no honest steward says both, for people; empty if one may."""
    if (one.register, one.term, one.store) != (other.register, other.term, other.store):
        return ""
    if one.accepted is not None and one.accepted == other.accepted:
        if one.digest != other.digest:
            return "two values under one ballot"
        named = (one.heirs, other.heirs)
        return "two sets of heirs of one value" if None not in named and len(set(named)) > 1 else ""
    for promise, said in ((one, other), (other, one)):
        at, named_ = said.accepted, promise.accepted
        if promise.promised is None or at is None or not at < promise.promised:
            continue
        if named_ is None or named_ < at:
            told = "nothing" if named_ is None else "something older"
            return f"a promise that it had accepted {told}, though it had accepted a value"
    return ""


def check_equivocation(proof: Equivocation, verifier: Verifier) -> Proven:
    """Whose store lied, and how. Raises Untrusted if the two statements prove nothing."""
    one, other = read_statement(proof.one), read_statement(proof.other)
    why = contradiction(one, other)
    if not why:
        raise Untrusted(Reason.MALFORMED, "two statements that do not contradict each other")
    for statement in (proof.one, proof.other):
        key, domain = KeyId(proof.steward), str(statement.word)
        require_signature(verifier, key, domain, statement.payload, statement.signature)
    return Proven(proof.steward, one.store, one.register, why)


def check_accusation(
    accusation: Accusation, federation: KeyId, now_s: float, verifier: Verifier
) -> tuple[Proven, Principal]:
    """The same, and who the steward is. Raises Untrusted also if it is no host of the federation."""
    proven = check_equivocation(accusation.proof, verifier)
    principal = check_chain(accusation.chain, federation, now_s, verifier)
    if principal.role is not Role.HOST or principal.key != KeyId(proven.steward):
        raise Untrusted(Reason.WRONG_ROLE, "the certificates are another's than the steward's")
    return proven, principal
