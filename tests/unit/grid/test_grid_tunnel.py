"""Where hosts take a grid's traffic, and how large a packet its networks take."""

import msgspec
import pytest
from negotiating import ADMIN, NOW, A, B, C, record_of, shop

from protocol.grid.addresses import plan
from protocol.grid.model import Encryption
from protocol.grid.record import GridRecord
from protocol.grid.tunnel import (
    ToldEnd,
    TunnelEnd,
    mtus,
    narrowest,
    newest,
    reaches,
    untold,
    usable,
)
from protocol.terms.ids import PeerId
from protocol.terms.limits import MTU_USUAL
from protocol.wire.codec import Malformed, decode, encode

SPEC = shop(2)
CARDS, LAN = plan(SPEC), SPEC.networks
RECORD = record_of(ADMIN.up(SPEC, NOW), {"web-1": A, "web-2": B})


@pytest.mark.parametrize(
    ("underlay", "mtu", "meant"),
    [
        ("192.0.2.7", 1450, True),
        ("127.0.0.1", 1450, True),
        ("2001:db8::7", 1430, True),
        ("::1", 1430, True),
        ("192.0.2.7", 575, False),
        ("::", 1430, False),
        ("ff02::1", 1430, False),
        ("fe80::1", 1430, False),
        ("fe80::1%eth0", 1430, False),
        ("169.254.7.7", 1450, False),
        ("::ffff:192.0.2.7", 1450, False),
        ("2001:DB8::7", 1430, False),
        ("[2001:db8::7]", 1430, False),
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


@pytest.mark.parametrize(
    ("here", "there", "may"),
    [
        ("192.0.2.1", "192.0.2.7", True),
        ("2001:db8::1", "2001:db8::7", True),
        ("192.0.2.1", "2001:db8::7", False),
        ("2001:db8::1", "192.0.2.7", False),
        ("192.0.2.1", "192.0.2.1", False),
        ("2001:db8::1", "2001:db8::1", False),
        ("192.0.2.1", "127.0.0.1", False),
        ("2001:db8::1", "::1", False),
        ("", "192.0.2.7", False),
    ],
)
def test_hosts_send_to_others_by_one_family_and_never_to_themselves(
    here: str, there: str, may: bool
) -> None:
    assert reaches(here, there) is may


def test_of_what_a_host_told_the_newest_counts() -> None:
    first, moved = TunnelEnd("192.0.2.9", 1400), TunnelEnd("192.0.2.10", 1400)

    def ends(kept: tuple[ToldEnd, ...], told: ToldEnd | None) -> tuple[ToldEnd, ...]:
        return newest(RECORD, kept, {B: told, C: ToldEnd(C, first)}.get, A)

    before = (ToldEnd(B, first, 5),)
    assert ends((), None) == ()
    assert ends((), before[0]) == before
    assert ends(before, None) == before
    assert ends(before, ToldEnd(B, moved, 6)) == (ToldEnd(B, moved, 6),)
    assert ends(before, ToldEnd(B, moved, 5)) == (ToldEnd(B, moved, 5),)
    assert ends(before, ToldEnd(B, moved, 4)) == before, "an older presence, repeated"
    assert ends((*before, ToldEnd(C, first)), None) == before, "it carries nothing"
    assert newest(RECORD, (), {A: ToldEnd(A, first)}.get, A) == (), "its own is not kept"
    assert newest(RECORD, before, untold, A) == before


def test_the_least_of_a_network_s_hosts_counts() -> None:
    sizes = {A: 1450, B: 1350}
    assert mtus(RECORD, LAN, CARDS, sizes) == (("lan", 1350),)
    assert mtus(RECORD, LAN, CARDS, sizes | {B: 1500}) == (("lan", 1450),)
    assert mtus(RECORD, LAN, CARDS, {}) == (("lan", MTU_USUAL),), "nobody has told"
    alone = msgspec.structs.replace(RECORD, assignments=RECORD.assignments[:1])
    assert mtus(alone, LAN, CARDS, sizes) == (("lan", 1450),), "a host that carries nothing of it"
    assert mtus(msgspec.structs.replace(RECORD, assignments=()), LAN, CARDS, sizes) == ()


def test_the_narrowest_path_counts_for_those_whom_it_leads_to() -> None:
    (lan,) = LAN
    sealed = (msgspec.structs.replace(lan, encryption=Encryption.REQUIRED),)
    sizes = (("lan", 1418),)
    assert narrowest(RECORD, sealed, CARDS, sizes, {B: 1318}) == (("lan", 1318),)
    assert narrowest(RECORD, sealed, CARDS, sizes, {B: 1500}) == sizes
    assert narrowest(RECORD, sealed, CARDS, sizes, {C: 1200}) == sizes, "it carries nothing of it"
    assert narrowest(RECORD, LAN, CARDS, sizes, {B: 1318}) == sizes, "a plain one is not probed"


def test_a_record_of_an_older_build_is_read_without_the_addresses_it_had() -> None:
    raw = msgspec.to_builtins(RECORD, builtin_types=(bytes,))
    for host in raw["hosts"]:
        host |= {"underlay": "192.0.2.66", "mtu": 1400}
    del raw["grants"]
    old = decode(encode(raw), GridRecord)
    assert old == msgspec.structs.replace(RECORD, grants=())


def test_what_an_older_build_kept_of_another_host_is_read() -> None:
    kept = msgspec.convert([B, ["192.0.2.9", 1400]], ToldEnd)
    assert kept == ToldEnd(PeerId(B), TunnelEnd("192.0.2.9", 1400), 0)


@pytest.mark.parametrize("raw", [["1" * 262, 1450], ["192.0.2.9", -1], ["192.0.2.9", 1 << 32]])
def test_an_end_is_bounded(raw: list[object]) -> None:
    with pytest.raises(Malformed):
        decode(encode(raw), TunnelEnd)  # type: ignore[arg-type]
