"""A host that its own site evicts: everybody shuts it out, whatever older papers it has, and nobody else can.

`overlayctl site revoke` signs that once, with the site's key; `overlayctl revoke` gives it to any peer. The
evicted host need not be there. Each test looks again after the peer was started anew from its disk.
"""

from collections.abc import Callable

import msgspec
import pytest
from lying_member import HONEST_SITE, OTHER_SITE, Attacked, peer_id, presence, says, signer
from one_peer import FED, NOW

from protocol.broadcast.messages import Gossip
from protocol.membership.messages import Presence, greeting
from protocol.node.events import Arrived, Connected, Disconnected, RecordGiven
from protocol.node.snapshot import PeerView
from protocol.sim.keys import SimSigner
from protocol.terms.effects import HangUp
from protocol.trust.certificate import (
    Certificate,
    Chain,
    read_certificate,
    sign_certificate,
)
from protocol.trust.record import SignedRecord, read_record, sign_record
from protocol.trust.revocation import Revocation, revoke
from protocol.wire.codec import decode, encode

MALLORY = "mallory"
SITE, ITS_CHAIN = FED.site(OTHER_SITE), FED.site_chain(OTHER_SITE)
EVICTED = read_certificate(FED.host_chain(OTHER_SITE, MALLORY)[0])


def eviction(of: Certificate = EVICTED) -> SignedRecord:
    """What its site signs."""
    return revoke(of, "stolen", NOW, SITE, ITS_CHAIN)


def chain_of(key: SimSigner, name: str, serial: str) -> Chain:
    """Another certificate that the same site signed for that key."""
    certificate = msgspec.structs.replace(EVICTED, subject=key.key, name=name, serial=serial)
    return (sign_certificate(certificate, SITE), *ITS_CHAIN)


def shown(key: SimSigner, name: str, chain: Chain, incarnation: int) -> SignedRecord:
    """A presence of that key with that chain."""
    record = read_record(presence(name, OTHER_SITE, incarnation))
    body = encode(Presence(chain, f"{name}:7000"))
    return sign_record(msgspec.structs.replace(record, owner=key.key, body=body), key)


def members(attacked: Attacked) -> list[str]:
    return [row.name for row in PeerView(attacked.node).peers(attacked.now)]


def in_each_life(attacked: Attacked, holds: Callable[[], None]) -> None:
    """Looks now, and after a restart."""
    holds()
    attacked.node.check()
    attacked.restart()
    holds()
    attacked.node.check()


def is_out(attacked: Attacked) -> None:
    assert members(attacked) == ["h1"]
    attacked.spreads(says(MALLORY, OTHER_SITE, "grid", b"", "a.0-b"))
    assert attacked.kept("grid") == attacked.kept("presence") == 0


def test_its_site_says_so_once_and_it_is_out_with_all_it_says() -> None:
    attacked = Attacked()
    assert members(attacked) == ["h1", MALLORY]
    effects = attacked.heard(RecordGiven(eviction()))
    assert [e.peer for e in effects if isinstance(e, HangUp)] == [attacked.mallory]
    in_each_life(attacked, lambda: is_out(attacked))
    assert attacked.counts["hello-revoked"] == 1, "it tried again in the next life"


def test_it_need_not_be_there_and_any_member_brings_the_news() -> None:
    attacked = Attacked()
    attacked.spreads(presence("h3", OTHER_SITE))
    gone = peer_id("h3", OTHER_SITE)
    attacked.heard(Disconnected(gone, "it went"))
    evicted = read_certificate(FED.host_chain(OTHER_SITE, "h3")[0])
    attacked.tells(eviction(evicted))

    def out() -> None:
        attacked.heard(Connected(gone))
        attacked.heard(Arrived(gone, greeting(presence("h3", OTHER_SITE, 9)), ""))
        attacked.heard(Arrived(attacked.mallory, Gossip((presence("h3", OTHER_SITE, 10),)), ""))
        assert "h3" not in members(attacked)
        assert attacked.kept("presence", "h3") == 0

    in_each_life(attacked, out)


def test_an_older_certificate_of_its_key_is_of_no_use_to_it() -> None:
    """Renewed each quarter, a host has two that are valid, and a thief has both."""
    attacked = Attacked()
    attacked.heard(RecordGiven(eviction()))
    key = signer(MALLORY, OTHER_SITE)
    older = chain_of(key, MALLORY, "ab" * 8)

    def out() -> None:
        attacked.says(greeting(shown(key, MALLORY, older, 7)))
        attacked.spreads(shown(key, MALLORY, older, 8))
        is_out(attacked)

    in_each_life(attacked, out)
    later = revoke(read_certificate(older[0]), "", NOW, SITE, ITS_CHAIN)
    attacked.heard(RecordGiven(later))
    in_each_life(attacked, out)


def test_a_site_that_was_renewed_is_out_with_its_older_certificate_too() -> None:
    attacked = Attacked()
    says_site = read_certificate(ITS_CHAIN[0])
    attacked.heard(RecordGiven(revoke(says_site, "key lost", NOW, FED.root, ())))
    again = msgspec.structs.replace(says_site, serial="cd" * 8)
    chain = (FED.host_chain(OTHER_SITE, MALLORY)[0], sign_certificate(again, FED.root))

    def out() -> None:
        attacked.says(greeting(shown(signer(MALLORY, OTHER_SITE), MALLORY, chain, 7)))
        is_out(attacked)

    in_each_life(attacked, out)


def test_who_was_enrolled_again_is_not_touched_by_the_old_word_said_again() -> None:
    attacked = Attacked()
    attacked.spreads(presence("h3", OTHER_SITE))
    evicted = read_certificate(FED.host_chain(OTHER_SITE, "h3")[0])
    attacked.tells(eviction(evicted))
    new = SimSigner("fed/s2/h3/new")
    chain = chain_of(new, "h3", "ef" * 8)

    def belongs() -> None:
        attacked.spreads(shown(new, "h3", chain, 1))
        attacked.tells(eviction(evicted))
        attacked.heard(RecordGiven(eviction(evicted)))
        assert "h3" in members(attacked)

    in_each_life(attacked, belongs)


def changed(by: SimSigner, chain: Chain, **body: object) -> SignedRecord:
    """The eviction as somebody else signs it, with changes."""
    record = read_record(eviction())
    says = msgspec.structs.replace(decode(record.body, Revocation), chain=chain, **body)
    name = f"{says.issuer[:16]}.{says.serial}"
    return sign_record(
        msgspec.structs.replace(record, owner=by.key, name=name, body=encode(says)), by
    )


HONEST, THEIR_CHAIN = FED.site(HONEST_SITE), FED.site_chain(HONEST_SITE)
HOST, HOST_CHAIN = signer(MALLORY, OTHER_SITE), FED.host_chain(OTHER_SITE, MALLORY)
VICTIM = read_certificate(FED.host_chain(HONEST_SITE, "h2")[0])
TARGET = {
    "issuer": VICTIM.issuer,
    "serial": VICTIM.serial,
    "subject": VICTIM.subject,
    "what": "host s1/h2",
}
BY_OTHERS = {
    "another site's key": changed(SITE, ITS_CHAIN, **TARGET),
    "another site's key, of its own serial and this host's key": changed(
        SITE, ITS_CHAIN, subject=VICTIM.subject, serial=VICTIM.serial
    ),
    "another site's key, of a serial that is this host's key": changed(
        SITE, ITS_CHAIN, subject="", serial=VICTIM.subject
    ),
    "another site's key with the right chain": changed(SITE, THEIR_CHAIN, **TARGET),
    "a host's key": changed(HOST, HOST_CHAIN, **TARGET),
    "a host's key with its site's chain": changed(HOST, ITS_CHAIN, **TARGET),
    "a host of the same site": changed(
        signer("h3", HONEST_SITE), FED.host_chain(HONEST_SITE, "h3"), **TARGET
    ),
    "nobody's": msgspec.structs.replace(
        changed(HONEST, THEIR_CHAIN, **TARGET), signature=b"x" * 64
    ),
}


@pytest.mark.parametrize("by", list(BY_OTHERS))
def test_nobody_else_evicts_a_host(by: str) -> None:
    attacked = Attacked()
    attacked.spreads(presence("h2", HONEST_SITE))

    def stays() -> None:
        attacked.tells(BY_OTHERS[by])
        attacked.heard(RecordGiven(BY_OTHERS[by]))
        attacked.spreads(presence("h2", HONEST_SITE, 2))
        assert "h2" in members(attacked)

    in_each_life(attacked, stays)


def test_no_bit_of_it_can_be_changed_and_garbage_is_no_eviction() -> None:
    attacked = Attacked()
    whole = eviction()
    number = int.from_bytes(whole.payload, "big")
    hostile = [
        msgspec.structs.replace(
            whole, payload=(number ^ 1 << bit).to_bytes(len(whole.payload), "big")
        )
        for bit in range(0, 8 * len(whole.payload), 53)
    ]
    record = read_record(whole)
    hostile += [
        sign_record(msgspec.structs.replace(record, body=body), SITE)
        for body in (b"", b"\xc0", bytes(4000), record.body[:-9], record.body + b"\x00")
    ]

    def stays() -> None:
        for signed in hostile:
            attacked.tells(signed)
            attacked.heard(RecordGiven(signed))
        assert len(attacked.node.certificates.revocations) == 0
        assert members(attacked)[0] == "h1"
        attacked.now += 7 * 3600.0  # whoever forges is shut out for a while

    in_each_life(attacked, stays)
