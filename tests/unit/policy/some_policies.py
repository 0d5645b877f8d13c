"""Policies and owners to try things with."""

from typing import Any

from protocol.policy.site_policy import Line, PortSpan, SitePolicy, VoTerms
from protocol.sim.keys import SimFederation, SimSigner, SimVerifier
from protocol.terms.ids import Digest, KeyId
from protocol.trust.ceilings import Ceilings
from protocol.trust.owner import Owner

NOW_S = 2000.0
OURS = SimFederation("ours", from_s=1000.0, until_s=3000.0)
SITE, OTHER = OURS.site("ams"), OURS.site("fra")
VERIFIER = SimVerifier()
STAR, CMS = SimSigner("star").key, SimSigner("cms").key
IMAGE, IMAGE_2 = Digest("a" * 64), Digest("b" * 64)

STAR_TERMS = VoTerms(
    "star",
    STAR,
    share=60,
    ceiling=Ceilings(cpus_milli=8000, memory_bytes=16 << 30, workspaces=4, devices=2, lease_s=3600),
    images=(IMAGE,),
    expose=(PortSpan(30000, 30999),),
    devices=("gpu",),
    lines=(
        Line("", 3, "[vo.star]"),
        Line("images", 6, "images = [...]"),
        Line("ceiling", 5, "ceiling = {}"),
    ),
)
FRA = Owner(OTHER.key, site="fra")
VO_STAR, VO_CMS = Owner(STAR, vo="star"), Owner(CMS, vo="cms")


def policy(number: int = 3, *vos: VoTerms, **changed: Any) -> SitePolicy:
    """A policy of site ams, which lets in VO star if nothing else is said."""
    fields: dict[str, Any] = {
        "site": "ams",
        "number": number,
        "made_at_s": NOW_S,
        "chain": OURS.site_chain("ams"),
        "vos": vos or (STAR_TERMS,),
    }
    return SitePolicy(**(fields | changed))


def key(letter: str) -> KeyId:
    """A key of one digit."""
    return KeyId(letter * 64)
