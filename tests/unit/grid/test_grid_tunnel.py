"""Where hosts take a grid's traffic, and how large a packet its networks take."""

import msgspec
import pytest
from negotiating import ADMIN, NOW, A, B, record_of, shop

from protocol.grid.addresses import plan
from protocol.grid.record import GridRecord, HostRef
from protocol.grid.tunnel import TunnelEnd, end_of, ends_of, mtus, usable
from protocol.terms.limits import MTU_USUAL
from protocol.wire.codec import decode, encode

SPEC = shop(2)
CARDS = plan(SPEC)
PLAIN = record_of(ADMIN.up(SPEC, NOW), {"web-1": A, "web-2": B})
RECORD = msgspec.structs.replace(
    PLAIN,
    hosts=(HostRef(A, "a", "s1", "192.0.2.1", 1450), HostRef(B, "b", "s1", "192.0.2.2", 1350)),
)


@pytest.mark.parametrize(
    ("underlay", "mtu", "meant"),
    [
        ("192.0.2.7", 1450, True),
        ("127.0.0.1", 1450, True),
        ("192.0.2.7", 575, False),
        ("192.0.2.7", 9001, False),
        ("", 1450, False),
        ("h1.ams", 1450, False),
        ("0.0.0.0", 1450, False),
        ("224.0.0.1", 1450, False),
        ("255.255.255.255", 1450, False),
        ("192.0.2.7 via 192.0.2.1", 1450, False),
    ],
)
def test_an_end_is_an_address_and_a_size_that_can_be_meant(
    underlay: str, mtu: int, meant: bool
) -> None:
    assert usable(TunnelEnd(underlay, mtu)) is meant


def test_what_a_host_tells_goes_before_what_the_record_knew() -> None:
    told = TunnelEnd("192.0.2.9", 1400)
    assert ends_of(RECORD, {B: told}) == ((A, TunnelEnd("192.0.2.1", 1450)), (B, told))
    assert end_of(RECORD, ((B, told),), B) == told
    assert end_of(RECORD, ((B, told),), A) == TunnelEnd("192.0.2.1", 1450)
    assert end_of(RECORD, (), "nobody") is None  # type: ignore[arg-type]


def test_the_least_of_a_network_s_hosts_counts() -> None:
    sizes = {peer: end.mtu for peer, end in ends_of(RECORD, {})}
    assert mtus(RECORD, CARDS, sizes) == (("lan", 1350),)
    assert mtus(RECORD, CARDS, sizes | {B: 1500}) == (("lan", 1450),)
    alone = msgspec.structs.replace(RECORD, assignments=RECORD.assignments[:1])
    assert mtus(alone, CARDS, sizes) == (("lan", 1450),), "a host that carries nothing of it"
    assert mtus(msgspec.structs.replace(RECORD, assignments=()), CARDS, sizes) == ()


def test_a_record_from_before_has_the_usual_mtu() -> None:
    raw = msgspec.to_builtins(PLAIN, builtin_types=(bytes,))
    for host in raw["hosts"]:
        host.pop("mtu", None)
    old = decode(encode(raw), GridRecord)
    assert old == PLAIN
    assert {end.mtu for _, end in ends_of(old, {})} == {MTU_USUAL}
    assert mtus(old, CARDS, {}) == (("lan", MTU_USUAL),)
