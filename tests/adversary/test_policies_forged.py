"""What a member says of another site's policy: nothing but the site's newest word counts, after a restart too.

An organisation that gets a policy believed that lets it in has the whole site. So it is tried with every paper
that a member may have: another site's key, a host's, the site's own older word, that word altered or unsigned.
"""

import msgspec
import pytest
from lying_member import HONEST_SITE, OTHER_SITE, Attacked, signed, signer
from one_peer import FED, NOW

from protocol.policy.policy_record import KIND, sign_policy
from protocol.policy.site_policy import SitePolicy, VoTerms
from protocol.sim.keys import SimFederation, SimSigner
from protocol.terms.effects import HangUp
from protocol.terms.ids import KeyId
from protocol.trust.certificate import Chain
from protocol.trust.record import Record, SignedRecord, read_record
from protocol.wire.codec import encode

SITE, MALLORYS = FED.site(HONEST_SITE), FED.site(OTHER_SITE)
STAR, EVIL = SimSigner("star").key, SimSigner("evil").key
STRANGERS = SimFederation("strangers", from_s=0.0, until_s=NOW + 1e6)


def policy(
    number: int, vo: KeyId, site: str = HONEST_SITE, chain: Chain | None = None
) -> SitePolicy:
    papers = FED.site_chain(HONEST_SITE) if chain is None else chain
    return SitePolicy(site, number, NOW, papers, vos=(VoTerms("vo", vo),))


def record(said: SitePolicy, owner: SimSigner, name: str = "") -> SignedRecord:
    """Whatever it says, signed by somebody."""
    body = Record(owner.key, KIND, name, 0, said.number, encode(said), 86_400.0)
    payload = encode(body)
    return SignedRecord(payload, owner.sign("record", payload))


TRUE = sign_policy(policy(5, STAR), SITE)
OLDER = sign_policy(policy(4, EVIL), SITE)
UNDER_ITS_NAME = policy(9, EVIL, chain=FED.site_chain(OTHER_SITE))
FORGED = {
    "another site's, of the right name": record(UNDER_ITS_NAME, MALLORYS),
    "another site's, with the right papers": record(policy(9, EVIL), MALLORYS),
    "a host's of that site": record(policy(9, EVIL), signer("h2", HONEST_SITE)),
    "a member's": record(policy(9, EVIL), signer("mallory", OTHER_SITE)),
    "a stranger's": record(
        policy(9, EVIL, chain=STRANGERS.site_chain(HONEST_SITE)), STRANGERS.site(HONEST_SITE)
    ),
    "without papers": record(policy(9, EVIL, chain=()), SITE),
    "of another site, by the site": record(policy(9, EVIL, OTHER_SITE), SITE),
    "under a name": record(policy(9, EVIL), SITE, "x"),
    "unsigned": SignedRecord(record(policy(9, EVIL), SITE).payload, b""),
    "altered": msgspec.structs.replace(
        TRUE, payload=TRUE.payload.replace(STAR.encode(), EVIL.encode())
    ),
    "under the site's key, signed by a member": signed(
        read_record(record(policy(9, EVIL), SITE)), "mallory", OTHER_SITE
    ),
    "older": OLDER,
}


def stands(attacked: Attacked) -> None:
    """The site's word is as it was, and the key that was to be let in is not."""
    newest = attacked.node.overlay.policies.of(SITE.key)
    assert newest is not None
    assert newest.number == 5
    assert STAR in attacked.node.overlay.policies
    assert EVIL not in attacked.node.overlay.policies
    attacked.node.check()


@pytest.mark.parametrize("kind", list(FORGED))
def test_only_the_sites_newest_word_is_believed(kind: str) -> None:
    attacked = Attacked()
    attacked.spreads(TRUE)
    stands(attacked)
    attacked.spreads(FORGED[kind])
    stands(attacked)
    attacked.restart()
    attacked.spreads(FORGED[kind])
    stands(attacked)


def test_before_the_site_has_said_anything_nothing_forged_is_its_word() -> None:
    attacked = Attacked()
    for kind, forged in FORGED.items():
        if kind != "older":
            attacked.spreads(forged)
    assert attacked.node.overlay.policies.of(SITE.key) is None
    assert EVIL not in attacked.node.overlay.policies
    assert not attacked.rows.get("policy")


def test_whoever_goes_on_forging_is_hung_up_on() -> None:
    attacked = Attacked()
    forged = FORGED["altered"]
    effects = [
        e
        for n in range(80)
        for e in attacked.tells(
            msgspec.structs.replace(forged, payload=forged.payload + bytes([n]))
        )
    ]
    assert any(isinstance(effect, HangUp) for effect in effects)


def test_another_site_may_say_of_itself_what_it_likes() -> None:
    """It lets in whom it likes, on its own hosts alone."""
    attacked = Attacked()
    attacked.spreads(TRUE)
    own = policy(1, EVIL, OTHER_SITE, FED.site_chain(OTHER_SITE))
    attacked.spreads(sign_policy(own, MALLORYS))
    assert EVIL in attacked.node.overlay.policies
    mine = attacked.node.overlay.policies.of(SITE.key)
    assert mine is not None
    assert mine.terms(EVIL) is None
