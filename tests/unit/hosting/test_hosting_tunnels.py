"""Tunnels follow the hosts: what each tells of its address and of what its link carries."""

import msgspec
import pytest
from hosting_world import FACTS, ORDER, One
from negotiating import ADMIN, NOW, B, record_of, shop

from protocol.capacity.advert import UNPROBED, HostFacts
from protocol.contract.messages import Decided
from protocol.contract.notices import HeardNotice, Notice, Notices, notice_of
from protocol.contract.outcomes import NoticeDue
from protocol.grid.record import GridRecord
from protocol.grid.tunnel import TunnelEnd
from protocol.hosting.part import Part, part_of
from protocol.terms.effects import Effect, Note, Persist, Realise
from protocol.terms.ids import PeerId

PAIR = ADMIN.up(shop(2), NOW)
MOVED = TunnelEnd("192.0.2.99", 1450)


def pair(one: One) -> GridRecord:
    """A grid of two workspaces: web-1 here, web-2 at B."""
    assert one.holds(PAIR).held == ("web-1",)
    record = record_of(PAIR, {"web-1": one.me, "web-2": B})
    one.hears(Decided(record))
    return record


def told(record: GridRecord, end: TunnelEnd | None) -> Notice:
    return msgspec.structs.replace(notice_of(record, shop(2)), tunnel=end)


def hears(one: One, record: GridRecord, end: TunnelEnd | None, peer: PeerId = B) -> list[Effect]:
    return one.keep(one.host.noticed(peer, told(record, end), NOW + 1, {}))


def part(one: One, record: GridRecord) -> Part:
    found = part_of(one.host.leases, Notices(), record.id)
    assert found is not None
    return found


def kinds(effects: list[Effect]) -> list[str]:
    return [e.kind if isinstance(e, Note) else type(e).__name__ for e in effects]


def test_a_host_that_moved_is_followed_and_stays_so_after_a_restart() -> None:
    one = One()
    record = pair(one)
    effects = hears(one, record, MOVED)
    assert kinds(effects) == ["Persist", "tunnel.moved", "Realise"]
    assert dict(part(one, record).ends)[B] == MOVED
    assert hears(one, record, MOVED) == [], "told again"
    one.start()
    assert dict(part(one, record).ends)[B] == MOVED
    hears(one, record, None)
    assert dict(part(one, record).ends)[B] == MOVED, "it was started, and does not know yet"


def test_only_a_host_of_the_grid_says_where_that_host_is() -> None:
    one = One()
    record = pair(one)
    assert hears(one, record, MOVED, PeerId("e" * 64)) == []
    assert hears(one, record, MOVED, one.me) == []
    assert hears(one, record, TunnelEnd("not an address", 1450)) == []
    assert hears(one, record, TunnelEnd("192.0.2.99", 40)) == []
    other = record_of(ORDER, {"web-1": B})
    assert hears(one, other, MOVED) == [], "a grid that is not here"
    assert dict(part(one, record).ends)[B] == TunnelEnd("beta", 1450)


def test_a_smaller_mtu_of_one_host_is_that_of_the_network() -> None:
    one = One()
    record = pair(one)
    row = one.host.leases.row(record.id)
    assert row is not None
    assert one.host.tunnels.mtus(row) == (("lan", 1450),)
    effects = hears(one, record, TunnelEnd("192.0.2.99", 1350))
    (note,) = [e for e in effects if isinstance(e, Note) and e.kind == "network.mtu"]
    assert note.subject == "shop/lan"
    assert note.detail.startswith("1350 now, 1450 before, by what ")
    assert NoticeDue(record.id) in one.outcomes
    row = one.host.leases.row(record.id)
    assert row is not None
    assert one.host.tunnels.mtus(row) == (("lan", 1350),)


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


def test_what_was_told_before_this_host_carried_it_is_heeded_then() -> None:
    one = One()
    record = pair(one)
    about = {B: HeardNotice(told(record, MOVED), NOW)}
    mine = told(record, one.host.tunnel)
    effects = one.keep(one.host.noticed(one.me, mine, NOW + 1, about))
    assert kinds(effects) == ["Persist", "tunnel.moved", "Realise"]
    assert one.keep(one.host.noticed(one.me, mine, NOW + 2, about)) == [], "once"
    other = record_of(ORDER, {"web-1": B})
    mine = told(other, one.host.tunnel)
    assert one.keep(one.host.noticed(one.me, mine, NOW + 2, about)) == [], "a grid that is not here"


def test_what_was_told_is_kept_for_hosts_that_still_carry_it() -> None:
    one = One()
    record = pair(one)
    effects = hears(one, record, MOVED)
    (save,) = [e for e in effects if isinstance(e, Persist)]
    row = one.host.leases.row(record.id)
    assert row is not None
    assert row.ends == ((B, MOVED),)
    hears(one, record, TunnelEnd("192.0.2.98", 1450))
    row = one.host.leases.row(record.id)
    assert row is not None
    assert len(row.ends) == 1
    assert save.rows[0].key == record.id
