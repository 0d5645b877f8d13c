"""Which address this host has towards others, what its link carries, and what is said if that is not clear."""

from collections.abc import Callable

import pytest

from netns.kernel.addresses import LinkAddress
from overlayd.adapters import underlay
from overlayd.adapters.underlay import (
    Source,
    Underlay,
    UnderlayWatch,
    dialled_at,
    found,
    source_of,
)
from overlayd.config.daemonfile import DaemonConfig, HostTable, IdentityTable, OverlayTable
from overlayd.config.values import Contact, Endpoint, FilePath, Name

PEER = Contact(f"{'a' * 64}@192.0.2.9:7700")
NOTHING = FilePath("/nowhere")
LO = LinkAddress("lo", "127.0.0.1", 65536, loopback=True)
ETH = LinkAddress("eth0", "192.0.2.7", 1500)
ETH6 = LinkAddress("eth0", "2001:db8::7", 1500, prefix_bits=64)
SLOW = LinkAddress("eth1", "198.51.100.7", 1400)
BRIDGE = LinkAddress("ovb-00abcd", "10.42.0.1", 1450)


def ways(**known: str) -> Callable[[str], str]:
    return lambda towards: known.get(towards or "outside", "")


def test_a_written_address_is_meant_word_for_word() -> None:
    source = Source("192.0.2.7", 1450, advertised="198.51.100.7")
    assert found(source, (LO, ETH, SLOW), ways()) == Underlay("192.0.2.7", 1450, "eth0")


def test_a_written_address_that_is_gone_is_said_with_what_would_work() -> None:
    lost = found(Source("192.0.2.9", 1450), (LO, ETH, BRIDGE), ways())
    assert lost.address == "192.0.2.9"
    assert lost.fault == (
        "192.0.2.9 (network.underlay) is on no link of this host, which has 192.0.2.7 on eth0; "
        "write the address it has now, an interface or auto, which are followed"
    )


def test_an_interface_is_followed() -> None:
    source = Source("eth0", 1450)
    assert found(source, (LO, SLOW, ETH), ways()) == Underlay("192.0.2.7", 1450, "eth0")
    moved = LinkAddress("eth0", "192.0.2.50", 1500)
    assert found(source, (LO, SLOW, moved), ways()).address == "192.0.2.50"
    assert found(source, (LO, ETH, ETH6), ways()).address == "192.0.2.7"
    assert found(source, (LO, ETH6), ways()).address == "2001:db8::7", "when it has lost the other"
    assert "interface eth0" in found(source, (LO,), ways()).fault
    assert "which has none" in found(source, (LO,), ways()).fault


def test_auto_finds_what_others_reach() -> None:
    both = (LO, ETH, SLOW)
    advertised = Source("auto", 1450, "198.51.100.7", ("203.0.113.5",))
    assert found(advertised, both, ways()).address == "198.51.100.7"
    known = ways(outside="192.0.2.7", **{"203.0.113.5": "198.51.100.7"})
    towards = Source("auto", 1450, "203.0.113.9", ("203.0.113.5",))
    assert found(towards, both, known).address == "198.51.100.7", "towards a peer"
    assert found(Source("auto", 1450), both, known).address == "192.0.2.7", "the default route's"
    assert found(Source("auto", 1450), (LO, ETH, BRIDGE), ways()).address == "192.0.2.7"
    unclear = found(Source("auto", 1450), both, ways())
    assert "not clear which address" in unclear.fault
    assert "192.0.2.7 on eth0, 198.51.100.7 on eth1" in unclear.fault


def test_auto_finds_what_others_reach_by_ipv6() -> None:
    other = LinkAddress("eth0", "2001:db8::77", 1500, prefix_bits=64)
    alone = found(Source("auto", 1450), (LO, ETH6, other), ways())
    assert (alone.address, alone.mtu) == ("2001:db8::7", 1430)
    assert "VXLAN takes 70" in alone.lowered
    assert found(Source("auto", 1450), (LO, ETH, ETH6), ways()).address == "192.0.2.7", "IPv4 first"
    towards = Source("auto", 1450, peers=("2001:db8::9",))
    known = ways(outside="192.0.2.7", **{"2001:db8::9": "2001:db8::7"})
    assert found(towards, (LO, ETH, ETH6), known).address == "2001:db8::7", "but towards a peer"
    apart = LinkAddress("eth1", "2001:db8:1::7", 1500, prefix_bits=64)
    assert "not clear" in found(Source("auto", 1450), (LO, ETH6, apart), ways()).fault


def test_any_loopback_address_is_on_the_loopback() -> None:
    source = Source("auto", 1450, "127.77.0.1")
    assert found(source, (LO, ETH), ways()) == Underlay("127.77.0.1", 1450, "lo")


def test_the_mtu_is_what_the_link_carries_and_no_more_than_was_asked() -> None:
    slow = found(Source("eth1", 1450), (SLOW,), ways())
    assert (slow.mtu, slow.fault) == (1350, "")
    assert slow.lowered == (
        "1350 instead of 1450 (network.mtu): eth1 carries packets of 1400, VXLAN takes 50"
    )
    jumbo = LinkAddress("eth0", "192.0.2.7", 9000)
    assert found(Source("eth0", 1450), (jumbo,), ways()).mtu == 1450
    assert found(Source("eth0", 8950), (jumbo,), ways()) == Underlay("192.0.2.7", 8950, "eth0")
    tiny = found(Source("eth0", 1450), (LinkAddress("eth0", "192.0.2.7", 600),), ways())
    assert "550 are left, 576 are needed" in tiny.fault


def test_what_is_lost_keeps_its_address_until_there_is_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    there: list[LinkAddress] = [ETH]
    monkeypatch.setattr(underlay, "addresses", lambda: tuple(there))
    watch = UnderlayWatch(Source("eth0", 1450))
    assert watch.look() == Underlay("192.0.2.7", 1450, "eth0")
    there.clear()
    assert (watch.look().address, bool(watch.now.fault)) == ("192.0.2.7", True)
    there.append(LinkAddress("eth0", "192.0.2.8", 1500))
    assert watch.look() == Underlay("192.0.2.8", 1450, "eth0")


def test_a_kernel_that_does_not_say_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses() -> tuple[LinkAddress, ...]:
        raise OSError("no netlink here")

    monkeypatch.setattr(underlay, "addresses", refuses)
    watch = UnderlayWatch(Source("192.0.2.7", 1450))
    assert watch.look() == Underlay("192.0.2.7", 1450)


def configured(listen: str, advertise: str = "") -> DaemonConfig:
    overlay = OverlayTable(
        listen=Endpoint(listen), advertise=Endpoint(advertise or listen), join=(PEER,)
    )
    host = HostTable(name=Name("h1"), site=Name("ams"), state=FilePath("/nowhere"))
    keys = IdentityTable(key=NOTHING, certificate=NOTHING, federation=NOTHING)
    return DaemonConfig(host=host, overlay=overlay, identity=keys)


def test_others_dial_what_is_advertised_or_else_the_underlay() -> None:
    now, by_ipv6 = Underlay("192.0.2.7", 1450), Underlay("2001:db8::7", 1430)
    every = configured("0.0.0.0:7700")
    assert dialled_at(every, now) == "192.0.2.7:7700"
    assert dialled_at(every, Underlay("", 1450)) == ""
    assert dialled_at(configured("192.0.2.1:7700"), now) == "192.0.2.1:7700"
    assert dialled_at(configured("0.0.0.0:7700", "203.0.113.4:9"), now) == "203.0.113.4:9"
    assert dialled_at(configured("[::]:7700"), by_ipv6) == "[2001:db8::7]:7700"
    named = configured("[::]:7700", "uc-1.example.org:7700")
    assert dialled_at(named, by_ipv6) == "uc-1.example.org:7700"
    assert source_of(named).advertised == source_of(named).listens == ""
    nobody = configured("")
    assert dialled_at(nobody, now) == ""
    assert source_of(every) == Source("auto", 1450, "", ("192.0.2.9",), "", listens_ipv4=True)
    assert source_of(configured("192.0.2.1:7700")) == Source(
        "auto", 1450, "192.0.2.1", ("192.0.2.9",), "192.0.2.1"
    )


def test_who_listens_on_an_address_that_is_gone_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    there: list[LinkAddress] = [LO, ETH]
    monkeypatch.setattr(underlay, "addresses", lambda: tuple(there))
    watch = UnderlayWatch(Source("eth0", 1450, listens="192.0.2.7"))
    assert watch.look().unheard == ""
    there[1] = LinkAddress("eth0", "192.0.2.8", 1500)
    assert watch.look().unheard == (
        "nobody can dial this host: 192.0.2.7 (overlay.listen) is on none of its links; "
        "write [::]:PORT there: others are then told the address that it has"
    )


def test_who_listens_by_ipv4_and_is_found_by_ipv6_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(underlay, "addresses", lambda: (ETH6,))
    watch = UnderlayWatch(source_of(configured("0.0.0.0:7700")))
    monkeypatch.setattr(underlay, "source_towards", lambda *_: ETH6.address)
    assert watch.look().unheard == (
        "nobody can dial this host: 0.0.0.0 (overlay.listen) is IPv4 only, and its address is "
        "2001:db8::7; write [::]:PORT there: others are then told the address that it has"
    )
    for listen, advertise in (("[::]:7700", ""), ("0.0.0.0:7700", "uc-1.example.org:7700")):
        assert not UnderlayWatch(source_of(configured(listen, advertise))).look().unheard


async def test_where_nothing_is_heard_of_changes_it_still_looks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def deaf() -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(underlay, "addresses", lambda: (LO, ETH))
    monkeypatch.setattr(underlay, "listener", deaf)
    seen: list[Underlay] = []
    with pytest.raises(OSError, match="Too many open files"):  # after which it is begun again
        await UnderlayWatch(Source("eth0", 1450)).watch(seen.append)
    assert seen == [Underlay("192.0.2.7", 1450, "eth0")]
