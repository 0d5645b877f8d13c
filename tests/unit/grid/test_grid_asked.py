"""Who was asked can show it; nobody else can, about no other attempt."""

from protocol.grid.asked import sign_asked, was_asked
from protocol.sim.keys import SimFederation, SimVerifier
from protocol.terms.ids import GridId, PeerId

FEDERATION = SimFederation("fed", from_s=0.0, until_s=9e9)
BY, HOST, OTHER = (FEDERATION.host("s1", name) for name in ("by", "host", "other"))
FIRST, NEXT = GridId("a" * 20 + ".0"), GridId("a" * 20 + ".1")


def shown(signature: bytes, attempt: GridId = FIRST, host: str = HOST.key) -> bool:
    return was_asked(SimVerifier(), PeerId(BY.key), attempt, PeerId(host), signature)


def test_it_is_about_one_attempt_and_one_host_and_signed_by_who_asked() -> None:
    mine = sign_asked(BY, FIRST, PeerId(HOST.key))
    assert shown(mine)
    assert not shown(mine, NEXT)
    assert not shown(mine, host=OTHER.key)
    assert not shown(sign_asked(OTHER, FIRST, PeerId(HOST.key)))
    assert not shown(b"")
    assert not shown(b"x" * 64)
