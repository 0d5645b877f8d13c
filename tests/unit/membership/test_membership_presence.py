"""What a presence says, as far as it is believed."""

import msgspec
import pytest

from protocol.grid.tunnel import TunnelEnd
from protocol.membership.messages import Presence
from protocol.membership.presence import KIND, Known, check_presence, read_presence
from protocol.sim.keys import SimFederation, SimVerifier
from protocol.terms.ids import PeerId
from protocol.terms.reach import VIA_MOST
from protocol.trust.record import Record, sign_record
from protocol.trust.signing import Reason, Untrusted
from protocol.wire.codec import encode

NOW = 1_000_000.0
FED = SimFederation("fed", from_s=NOW - 1000, until_s=NOW + 1000)
HOST = FED.host("s1", "h1")
PRESENCE = Presence(FED.host_chain("s1", "h1"), "h1:7000", tunnel=TunnelEnd("192.0.2.1", 1450))


def record(presence: Presence = PRESENCE) -> Record:
    return Record(HOST.key, KIND, "", 3, 7, encode(presence), 60.0, "s1")


def known(presence: Presence = PRESENCE, now: float = NOW) -> Known:
    return read_presence(record(presence), FED.key, now, SimVerifier())


def test_who_where_and_in_which_incarnation() -> None:
    found = known()
    assert (found.peer, found.name, found.site, found.address) == (HOST.key, "h1", "s1", "h1:7000")
    assert (found.incarnation, found.left, found.expires_s) == (3, False, NOW + 1000)
    assert found.tunnel == TunnelEnd("192.0.2.1", 1450)
    assert found.contact.address == "h1:7000"


@pytest.mark.parametrize(
    "end",
    [
        None,
        TunnelEnd("", 1450),
        TunnelEnd("h1.ams", 1450),
        TunnelEnd("224.0.0.1", 1450),
        TunnelEnd("255.255.255.255", 1450),
        TunnelEnd("0.0.0.0", 1450),
        TunnelEnd("192.0.2.1", 40),
        TunnelEnd("192.0.2.1", 65535),
    ],
)
def test_an_end_that_it_cannot_mean_is_none(end: TunnelEnd | None) -> None:
    assert known(msgspec.structs.replace(PRESENCE, tunnel=end)).tunnel is None


@pytest.mark.parametrize(
    ("presence", "reason"),
    [
        (msgspec.structs.replace(PRESENCE, chain=()), Reason.BROKEN_CHAIN),
        (
            msgspec.structs.replace(PRESENCE, chain=FED.host_chain("s1", "h2")),
            Reason.WRONG_ROLE,
        ),
        (msgspec.structs.replace(PRESENCE, chain=FED.site_chain("s1")), Reason.WRONG_ROLE),
        (
            msgspec.structs.replace(PRESENCE, via=(PeerId("a" * 64),) * (VIA_MOST + 1)),
            Reason.MALFORMED,
        ),
        (
            msgspec.structs.replace(PRESENCE, tunnel=TunnelEnd("1" * 262, 1450)),
            Reason.MALFORMED,
        ),
    ],
)
def test_what_is_not_believed(presence: Presence, reason: Reason) -> None:
    with pytest.raises(Untrusted) as refused:
        known(presence)
    assert refused.value.reason is reason


def test_it_ends_with_its_certificate() -> None:
    with pytest.raises(Untrusted, match="expired"):
        known(now=NOW + 5000)


def test_one_that_comes_in_a_hello_is_checked_itself() -> None:
    signed = sign_record(record(), HOST)
    assert check_presence(signed, FED.key, NOW, SimVerifier())[1] == known()
    other = sign_record(msgspec.structs.replace(record(), kind="advert"), HOST)
    with pytest.raises(Untrusted, match="where a presence must be"):
        check_presence(other, FED.key, NOW, SimVerifier())
    forged = msgspec.structs.replace(signed, signature=b"x" * 32)
    with pytest.raises(Untrusted, match="bad-signature"):
        check_presence(forged, FED.key, NOW, SimVerifier())
