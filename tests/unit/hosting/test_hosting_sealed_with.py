"""With which hosts sealed traffic is exchanged: what the records of carried grids say, and nobody else."""

import msgspec
import pytest
from deciding import decided
from hosting_world import One
from negotiating import ADMIN, NOW, B, record_of, shop

from protocol.contract.messages import Decided
from protocol.grid.grant import read_grant
from protocol.grid.model import Encryption, GridSpec, NetworkSpec
from protocol.grid.record import GridState
from protocol.grid.tunnel import ToldEnd, TunnelEnd
from protocol.hosting.sealed_with import SealedWith, sharing
from protocol.wire.codec import encode

END, MOVED = TunnelEnd("192.0.2.98", 1450, 7700), TunnelEnd("192.0.2.99", 1450, 7701)


def spec(encryption: Encryption, count: int = 2) -> GridSpec:
    made = shop(count)
    networks = tuple(NetworkSpec(n.name, n.cidr, encryption) for n in made.networks)
    return msgspec.structs.replace(made, networks=networks)


def carrying(encryption: Encryption) -> tuple[One, SealedWith]:
    """A grid of two workspaces: web-1 here, web-2 at B."""
    one, order = One(), ADMIN.up(spec(encryption), NOW)
    assert one.holds(order).held == ("web-1",)
    record = record_of(order, {"web-1": one.me, "web-2": B})
    one.hears(Decided(decided(record).certificate))
    return one, SealedWith(one.me, one.host.leases)


def test_the_other_host_of_a_sealed_network_is_one_also_after_a_restart() -> None:
    one, sealed_with = carrying(Encryption.REQUIRED)
    assert list(sealed_with.hosts()) == [B]
    assert sealed_with.hosts()[B].end is None
    one.around.ends[B] = ToldEnd(B, END, 3)
    one.keep(one.host.tunnels.told([B]))
    assert sealed_with.hosts()[B].end == END
    one.around.ends.clear()
    one.start()
    assert SealedWith(one.me, one.host.leases).hosts()[B].end == END


def test_the_other_host_of_a_network_inside_wireguard_is_none() -> None:
    one, _ = carrying(Encryption.REQUIRED)
    (row,) = one.host.leases.rows()
    ordered, cards = one.host.leases.ordered(row), one.host.leases.cards(row)
    assert sharing(row.record, ordered, cards, one.me) == (B,)
    grants = tuple(
        msgspec.structs.replace(
            signed, payload=encode(msgspec.structs.replace(read_grant(signed), wireguard=True))
        )
        for signed in row.record.grants
    )
    inside = msgspec.structs.replace(row.record, grants=grants)
    assert sharing(inside, ordered, cards, one.me) == ()


def test_the_other_host_of_a_plain_network_is_none() -> None:
    _, sealed_with = carrying(Encryption.NONE)
    assert sealed_with.hosts() == {}


def test_a_host_without_leases_has_none() -> None:
    one = One()
    assert SealedWith(one.me, one.host.leases).hosts() == {}


@pytest.mark.parametrize("down", [False, True])
def test_only_members_of_one_network_exchange_anything(down: bool) -> None:
    one, _ = carrying(Encryption.REQUIRED)
    (row,) = one.host.leases.rows()
    leases = one.host.leases
    ordered, cards = leases.ordered(row), leases.cards(row)
    elsewhere = tuple(
        msgspec.structs.replace(card, network="other" if card.workspace == "web-2" else "lan")
        for card in cards
    )
    record = row.record
    if down:
        record = msgspec.structs.replace(record, state=GridState.DOWN)
    assert sharing(record, ordered, cards, one.me) == (() if down else (B,))
    assert sharing(record, ordered, elsewhere, one.me) == ()
    gone = msgspec.structs.replace(record, assignments=record.assignments[:1])
    assert sharing(gone, ordered, cards, one.me) == ()


def test_of_two_grids_the_newest_word_of_a_host_counts() -> None:
    one, sealed_with = carrying(Encryption.REQUIRED)
    (row,) = one.host.leases.rows()
    older = msgspec.structs.replace(row, ends=(ToldEnd(B, END, 1),))
    other = msgspec.structs.replace(
        row,
        record=msgspec.structs.replace(row.record, id="other"),
        ends=(ToldEnd(B, MOVED, 2),),
    )
    for rows in ([older, other], [other, older]):
        one.host.leases.rows = lambda rows=rows: rows  # type: ignore[method-assign]
        assert sealed_with.hosts()[B].end == MOVED


def test_nothing_is_looked_for_again_while_no_lease_changes() -> None:
    one, sealed_with = carrying(Encryption.REQUIRED)
    first = sealed_with.hosts()
    assert sealed_with.hosts() is first
    one.around.ends[B] = ToldEnd(B, END, 3)
    one.keep(one.host.tunnels.told([B]))
    assert sealed_with.hosts() is not first
