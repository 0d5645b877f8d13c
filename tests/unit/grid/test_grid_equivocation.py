"""Which two statements prove a lie, pair by pair, and what is no proof at all."""

import msgspec
import pytest

from protocol.grid.decision import Ballot, acceptance, promise
from protocol.grid.equivocation import (
    Accusation,
    Equivocation,
    check_accusation,
    check_equivocation,
)
from protocol.grid.seal import Seats
from protocol.grid.statement import Statement, Word
from protocol.sim.keys import SimFederation, SimSigner, SimVerifier
from protocol.terms.ids import KeyId, PeerId, StoreId
from protocol.trust.signing import Untrusted

NOW = 1_000_000.0
FED = SimFederation("fed", from_s=NOW - 1000, until_s=NOW + 1_000_000)
LIAR = FED.host("s1", "h1")
ME = PeerId(LIAR.key)
OTHER = PeerId("f" * 64)
KEY, KEY_2 = "a" * 20, "b" * 20
STORE, STORE_2, NONE = StoreId("1" * 16), StoreId("2" * 16), StoreId("")
V1, V2 = b"one", b"two"
NOBODY = Seats()
HEIRS, OTHERS = Seats((ME, OTHER), (STORE, STORE_2)), Seats((OTHER, ME), (STORE, STORE_2))


def at(round_: int, by: PeerId = ME) -> Ballot:
    return Ballot(round_, by)


def accepted(
    round_: int,
    value: bytes = V1,
    store: StoreId = STORE,
    key: str = KEY,
    signer: SimSigner = LIAR,
    by: PeerId = ME,
    term: int = 0,
    heirs: Seats = NOBODY,
) -> Statement:
    payload = acceptance(key, at(round_, by), value, term, heirs, store)
    return Statement(Word.ACCEPTANCE, payload, signer.sign("acceptance", payload))


def promised(
    round_: int,
    old: int | None,
    value: bytes = V1,
    store: StoreId = STORE,
    key: str = KEY,
    term: int = 0,
) -> Statement:
    before = at(old) if old is not None else None
    payload = promise(key, at(round_), before, value, term, store)
    return Statement(Word.PROMISE, payload, LIAR.sign("promise", payload))


LIES = {
    "two values accepted under one ballot": (accepted(3, V1), accepted(3, V2)),
    "the same under round 0": (accepted(0, V1), accepted(0, V2)),
    "nothing accepted, after accepting": (accepted(0), promised(1, None)),
    "something older, after accepting newer": (accepted(2), promised(3, 1)),
    "another value than it accepted then": (accepted(2, V1), promised(3, 2, V2)),
    "the same, though the promise is older": (accepted(2, V1), promised(2, 2, V2)),
    "two promises, of which the later forgot": (promised(3, 2), promised(4, 1)),
    "two promises of one ballot": (promised(4, 2), promised(4, None)),
    "two promises that name other values": (promised(3, 2, V1), promised(4, 2, V2)),
    "nothing accepted, in a later set": (accepted(5, term=2), promised(6, None, term=2)),
    "two values in a later set": (accepted(5, V1, term=2), accepted(5, V2, term=2)),
    "nothing accepted, after it was closed": (accepted(3, heirs=HEIRS), promised(4, None)),
    "one value in favour of two sets": (accepted(3, heirs=HEIRS), accepted(3, heirs=OTHERS)),
    "one value that closes and does not": (accepted(3, heirs=HEIRS), accepted(3)),
    "one in favour of two stores": (
        accepted(3, heirs=HEIRS),
        accepted(3, heirs=Seats(HEIRS.members, (STORE_2, STORE_2))),
    ),
}
HONEST = {
    "the same twice": (accepted(3), accepted(3)),
    "two ballots": (accepted(3, V1), accepted(4, V2)),
    "a promise before, of nothing": (promised(3, None), accepted(3)),
    "a promise before, of something older": (promised(3, 1), accepted(5, V2)),
    "a promise after, that says so": (accepted(3), promised(4, 3)),
    "a promise after, that says something newer": (accepted(3), promised(6, 5, V2)),
    "two promises in order": (promised(3, None), promised(5, 3)),
    "one ballot promised before and after": (promised(3, None), promised(3, 3)),
    "two registers": (accepted(3, V1), accepted(3, V2, key=KEY_2)),
    "two stores: the disk was lost": (accepted(3), promised(4, None, store=STORE_2)),
    "no store is named": (accepted(3, V1, NONE), accepted(3, V2, NONE)),
    "promises between which it accepted": (promised(3, 1), promised(5, 4)),
    "two sets: it begins with nothing in the next": (accepted(3), promised(4, None, term=1)),
    "two sets: one ballot in both": (accepted(3, V1), accepted(3, V2, term=1)),
    "two sets: a former is answered late": (promised(9, None), accepted(5, term=1)),
    "two sets: older in the next than before": (accepted(8), promised(12, 10, term=1)),
    "what was proposed in favour of two sets": (
        accepted(3, V1, heirs=HEIRS),
        accepted(4, V2, heirs=OTHERS),
    ),
    "a promise that names what was closed": (accepted(3, heirs=HEIRS), promised(4, 3)),
    "ballots of two stewards": (accepted(3, V1), accepted(3, V2, by=OTHER)),
}


def proof(pair: tuple[Statement, Statement]) -> Equivocation:
    return Equivocation(ME, *pair)


@pytest.mark.parametrize("pair", LIES.values(), ids=LIES)
def test_a_lie_is_proven_in_either_order(pair: tuple[Statement, Statement]) -> None:
    for both in (pair, pair[::-1]):
        proven = check_equivocation(proof(both), SimVerifier())
        assert (proven.steward, proven.store, proven.register) == (ME, STORE, KEY)
        assert proven.why


@pytest.mark.parametrize("pair", HONEST.values(), ids=HONEST)
def test_what_an_honest_steward_says_proves_nothing(pair: tuple[Statement, Statement]) -> None:
    for both in (pair, pair[::-1]):
        with pytest.raises(Untrusted):
            check_equivocation(proof(both), SimVerifier())


TRUE = LIES["nothing accepted, after accepting"]
FORGED = {
    "another's signature": (TRUE[0], accepted(0, V2, signer=FED.host("s1", "h2"))),
    "a flipped bit": (TRUE[0], msgspec.structs.replace(TRUE[1], signature=b"\0" * 32)),
    "a promise passed off as an acceptance": (
        TRUE[0],
        msgspec.structs.replace(TRUE[1], word=Word.ACCEPTANCE),
    ),
    "an acceptance passed off as a promise": (
        msgspec.structs.replace(TRUE[0], word=Word.PROMISE),
        TRUE[1],
    ),
    "no message at all": (TRUE[0], msgspec.structs.replace(TRUE[1], payload=b"\xc1")),
    "a store that is none": (
        accepted(3, V1, StoreId("x" * 16)),
        accepted(3, V2, StoreId("x" * 16)),
    ),
}


@pytest.mark.parametrize("pair", FORGED.values(), ids=FORGED)
def test_a_proof_cannot_be_made_up(pair: tuple[Statement, Statement]) -> None:
    with pytest.raises(Untrusted):
        check_equivocation(proof(pair), SimVerifier())
    with pytest.raises(Untrusted):
        check_equivocation(Equivocation(OTHER, *TRUE), SimVerifier())


def test_an_accusation_is_of_a_host_of_the_federation() -> None:
    chain = FED.host_chain("s1", "h1")
    good = Accusation(proof(TRUE), chain)
    proven, who = check_accusation(good, FED.key, NOW, SimVerifier())
    assert (proven.steward, who.name, who.site) == (ME, "h1", "s1")
    strangers = SimFederation("others", from_s=NOW - 1000, until_s=NOW + 1_000_000)
    for other in (
        FED.host_chain("s1", "h2"),
        FED.site_chain("s1"),
        strangers.host_chain("s1", "h1"),
    ):
        with pytest.raises(Untrusted):
            check_accusation(Accusation(proof(TRUE), other), FED.key, NOW, SimVerifier())
    with pytest.raises(Untrusted):
        check_accusation(good, FED.key, NOW + 2_000_000, SimVerifier())
    with pytest.raises(Untrusted):
        check_accusation(good, KeyId("0" * 64), NOW, SimVerifier())
