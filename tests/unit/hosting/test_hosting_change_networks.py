"""A host whose grid gets a network, or loses one: what it holds for it, takes up, and uses no more."""

import msgspec
from changing_host import Changing, to_apply
from hosting_world import GRID
from negotiating import C, HostKey, shop

from protocol.grid.grant import HoldGrant, read_grant, sign_grant
from protocol.grid.model import Encryption, GridSpec, NetworkSpec
from protocol.grid.record import grid_id, vni_of
from protocol.hosting.in_use import taken_by
from protocol.terms.refusal import Constraint

BACK = NetworkSpec("back", "10.77.0.0/24", Encryption.NONE)


def wired(count: int = 1, *, on: bool = True) -> GridSpec:
    """The grid with another network, that its cluster is on or not."""
    plain = shop(count)
    cluster, networks = plain.clusters[0], (*plain.networks, BACK)
    names = (*cluster.networks, "back") if on else cluster.networks
    cluster = msgspec.structs.replace(cluster, networks=names)
    return msgspec.structs.replace(plain, clusters=(cluster,), networks=networks)


def test_its_id_is_held_and_granted_and_taken_once_it_is_decided() -> None:
    one = Changing()
    record = one.up()
    change = to_apply(wired())
    reply = one.hold(record, change, "web-1")
    assert reply.held == ("web-1",)
    assert reply.grant is not None
    vni = vni_of(reply.grid, "back")
    assert read_grant(reply.grant).vnis == (record.vnis[0][1], vni)
    assert used(one)[vni] == reply.grid
    one.decides(one.applied(record, change, {}, (reply.grant,)))
    assert dict(one.row().record.vnis)["back"] == vni
    assert used(one)[vni] == GRID
    assert one.wanted("web-1").boot == 2, "it gets another card"


def used(one: Changing) -> dict[int, str]:
    host = one.host
    taken = taken_by(host.holds, host.leases, host.foundlings, host.leases._authority)
    return dict(taken.vnis)


def test_a_carrier_holds_for_no_id_that_does_not_follow_from_the_attempt() -> None:
    one = Changing()
    record = one.up()
    ask = one.ask(record, to_apply(wired()), ("web-1",))
    for vnis in (
        (*record.vnis, ("back", 4711)),
        (("lan", 4711), ask.vnis[1]),
        tuple(reversed(ask.vnis)),
        record.vnis,
    ):
        reply = one.said(one.hears(msgspec.structs.replace(ask, vnis=vnis)))
        assert [no.constraint for _, no in reply.refused] == [Constraint.NETWORK_ID], vnis
    assert one.rows["hold"] == {}


def test_what_is_gone_is_used_no_more() -> None:
    one = Changing()
    record = one.changes(one.up(), wired(), "web-1")
    assert len(record.vnis) == 2
    record = one.changes(record, shop(1), "web-1")
    assert record.vnis == one.row().record.vnis
    assert list(used(one)) == [record.vnis[0][1]]
    one.start()
    assert list(used(one)) == [record.vnis[0][1]]


def test_who_was_not_asked_when_it_came_takes_up_what_follows() -> None:
    one = Changing()
    record = one.up()
    first = to_apply(wired(on=False))
    second = one.applied(record, first)
    third = to_apply(wired(2, on=False), 2)
    vnis = tuple(vni for _, vni in second.vnis)
    grant = HoldGrant(record.id, ("web-2",), vnis, change=grid_id(third, 0, "b" * 64))
    after = one.applied(second, third, {"web-2": C}, (sign_grant(grant, HostKey(C)),))
    one.decides(after)
    assert one.row().record == after


def test_who_held_for_a_change_takes_up_a_later_one_that_brought_a_network() -> None:
    one = Changing()
    record = one.up()
    change = to_apply(shop(2))
    reply = one.hold(record, change, "web-1", "web-2")
    assert reply.grant is not None
    second = one.applied(record, change, {"web-2": one.me}, (reply.grant,))
    third = one.applied(second, to_apply(wired(2, on=False), 2))
    assert len(third.vnis) == 2
    one.decides(third)
    assert one.row().record == third
    assert one.rows["hold"] == {}
