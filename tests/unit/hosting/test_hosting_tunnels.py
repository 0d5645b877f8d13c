"""Tunnels follow the hosts: what each tells of its address and of what its link carries."""

import msgspec
import pytest
from deciding import decided
from hosting_world import FACTS, One
from negotiating import ADMIN, NOW, B, record_of, shop

from protocol.capacity.advert import UNPROBED, HostFacts
from protocol.contract.messages import Decided
from protocol.contract.outcomes import NoticeDue
from protocol.contract.told import Notices
from protocol.grid.model import Encryption
from protocol.grid.record import GridRecord
from protocol.grid.tunnel import ToldEnd, TunnelEnd
from protocol.hosting.part import Part, part_of
from protocol.terms.effects import Effect, Note, Persist, Realise
from protocol.terms.ids import PeerId
from protocol.trust.order import SignedOrder

PAIR = ADMIN.up(shop(2), NOW)
_LAN = msgspec.structs.replace(shop(2).networks[0], encryption=Encryption.REQUIRED)
SEALED = ADMIN.up(msgspec.structs.replace(shop(2), networks=(_LAN,)), NOW)
FIRST, MOVED = TunnelEnd("192.0.2.98", 1450), TunnelEnd("192.0.2.99", 1450)


def pair(one: One, order: SignedOrder = PAIR) -> GridRecord:
    """A grid of two workspaces: web-1 here, web-2 at B."""
    assert one.holds(order).held == ("web-1",)
    record = record_of(order, {"web-1": one.me, "web-2": B})
    one.hears(Decided(decided(record).certificate))
    return record


def told(one: One, end: TunnelEnd, peer: PeerId = B, incarnation: int = 1) -> list[Effect]:
    """A presence of that host is believed which says so."""
    one.around.ends[peer] = ToldEnd(peer, end, incarnation)
    return one.keep(one.host.tunnels.told([peer]))


def part(one: One, record: GridRecord) -> Part:
    found = part_of(one.host.leases, Notices(), record.id)
    assert found is not None
    return found


def kinds(effects: list[Effect]) -> list[str]:
    return [e.kind if isinstance(e, Note) else type(e).__name__ for e in effects]


def test_a_host_that_moved_is_followed_and_stays_so_after_a_restart() -> None:
    one = One()
    record = pair(one)
    assert kinds(told(one, FIRST)) == ["Persist", "Realise"], "it told nothing before"
    assert kinds(told(one, MOVED)) == ["Persist", "tunnel.moved", "Realise"]
    assert dict(part(one, record).ends)[B] == MOVED
    assert told(one, MOVED) == [], "told again"
    one.around.ends.clear()
    one.start()
    assert dict(part(one, record).ends)[B] == MOVED, "before anybody is heard"


def test_a_host_that_moves_to_ipv6_is_out_of_reach_and_that_is_said() -> None:
    one = One()
    pair(one)
    told(one, FIRST)
    effects = told(one, TunnelEnd("2001:db8::99", 1430))
    assert kinds(effects)[:3] == ["Persist", "tunnel.moved", "tunnel.apart"]
    (note,) = [e for e in effects if isinstance(e, Note) and e.kind == "tunnel.apart"]
    assert "takes its traffic at 2001:db8::99, this host at 192.0.2." in note.detail
    assert "tunnel.apart" not in kinds(told(one, MOVED))


def test_an_older_presence_leads_no_traffic_back_even_after_a_restart() -> None:
    one = One()
    record = pair(one)
    told(one, FIRST, incarnation=4)
    told(one, MOVED, incarnation=5)
    for _ in range(2):
        assert told(one, FIRST, incarnation=4) == []
        assert dict(part(one, record).ends)[B] == MOVED
        one.start()
    assert kinds(told(one, MOVED, incarnation=6)) == ["Persist"], "it was started, where it was"


def test_only_hosts_of_a_grid_are_followed() -> None:
    one = One()
    record = pair(one)
    assert told(one, MOVED, PeerId("e" * 64)) == []
    assert told(one, MOVED, one.me) == [], "its own end is not what others say"
    assert part(one, record).ends == ()


def test_what_was_told_before_counts_from_the_start() -> None:
    one = One()
    one.around.ends[B] = ToldEnd(B, MOVED, 3)
    assert dict(part(one, pair(one)).ends) == {B: MOVED}


def test_a_smaller_mtu_of_one_host_is_that_of_the_network() -> None:
    one = One()
    record = pair(one)
    row = one.host.leases.row(record.id)
    assert row is not None
    assert one.host.tunnels.mtus(row) == (("lan", 1450),)
    effects = told(one, TunnelEnd("192.0.2.99", 1350))
    (note,) = [e for e in effects if isinstance(e, Note) and e.kind == "network.mtu"]
    assert note.subject == "shop/lan"
    assert note.detail.startswith("1350 now, 1450 before, by what ")
    assert NoticeDue(record.id) in one.outcomes
    row = one.host.leases.row(record.id)
    assert row is not None
    assert one.host.tunnels.mtus(row) == (("lan", 1350),)


def test_what_the_path_to_another_host_takes_is_what_guests_are_told() -> None:
    one = One()
    record = pair(one, SEALED)
    row = one.host.leases.row(record.id)
    assert row is not None
    assert one.keep(one.host.tunnels.measured({})) == []
    effects = one.keep(one.host.tunnels.measured({B: 1318}))
    assert kinds(effects) == ["network.mtu", "Realise"]
    assert NoticeDue(record.id) in one.outcomes
    assert one.host.tunnels.mtus(row) == (("lan", 1318),)
    assert one.keep(one.host.tunnels.measured({B: 1318})) == []
    elsewhere = PeerId("f" * 64)
    assert kinds(one.keep(one.host.tunnels.measured({B: 1318, elsewhere: 1200}))) == []
    assert kinds(one.keep(one.host.tunnels.measured({}))) == ["network.mtu", "Realise"]
    assert one.host.tunnels.mtus(row) == (("lan", 1418),)


def test_a_host_s_own_change_is_told_and_its_networks_follow() -> None:
    one = One()
    record = pair(one)
    moved = msgspec.structs.replace(FACTS, underlay="192.0.2.50", mtu=1350)
    effects = one.keep(one.host.probed(moved))
    assert kinds(effects) == ["underlay.changed", "network.mtu", "Realise"]
    assert Realise(record.id, record.id) in effects
    assert NoticeDue(record.id) in one.outcomes
    assert one.host.tunnel == TunnelEnd("192.0.2.50", 1350)
    assert kinds(one.keep(one.host.probed(moved))) == []


def test_after_a_restart_the_address_is_told_once_it_is_known() -> None:
    one = One()
    record = pair(one)
    one.facts = None
    one.start()
    assert one.host.tunnel is None
    effects = one.keep(one.host.probed(FACTS))
    assert kinds(effects) == ["Realise"]
    assert NoticeDue(record.id) in one.outcomes


@pytest.mark.parametrize("facts", [UNPROBED, msgspec.structs.replace(FACTS, underlay="h1")])
def test_a_host_without_an_address_tells_none(facts: HostFacts) -> None:
    assert One(facts).host.tunnel is None


def test_a_host_that_lost_its_address_says_so_and_tells_none() -> None:
    one = One()
    pair(one)
    why = "192.0.2.1 is on no link of this host"
    lost = msgspec.structs.replace(FACTS, underlay_fault=why)
    (note,) = one.keep(one.host.probed(lost))
    assert isinstance(note, Note)
    assert (note.kind, note.detail) == ("underlay.lost", why)
    assert one.host.tunnel is None
    assert one.keep(one.host.probed(lost)) == [], "once"
    assert kinds(one.keep(one.host.probed(FACTS))) == ["underlay.changed", "Realise"]


def test_what_was_told_is_kept_for_hosts_that_still_carry_it() -> None:
    one = One()
    record = pair(one)
    (save,) = [e for e in told(one, MOVED) if isinstance(e, Persist)]
    row = one.host.leases.row(record.id)
    assert row is not None
    assert row.ends == (ToldEnd(B, MOVED, 1),)
    told(one, TunnelEnd("192.0.2.98", 1450))
    row = one.host.leases.row(record.id)
    assert row is not None
    assert len(row.ends) == 1
    assert save.rows[0].key == record.id
