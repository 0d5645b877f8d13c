"""Notices as they are said: small placements, and what an earlier version leaves out."""

from negotiating import ADMIN, NOW, C, record_of, shop
from telling import notice

from protocol.contract.notices import Notice, Placement, notice_of, placement
from protocol.grid.record import GridState
from protocol.terms.ids import PeerId
from protocol.wire.codec import convert, encode, to_plain

B = PeerId("b")


def test_what_a_record_says_of_a_grid_before_its_hosts_do() -> None:
    spec = shop(2, lease_s=3600)
    record = record_of(ADMIN.up(spec, NOW), {"web-1": C, "web-2": C}, epoch=3)
    told = notice_of(record, spec)
    assert (told.grid, told.name, told.epoch, told.state) == (record.id, "shop", 3, GridState.UP)
    assert (told.owner, told.owner_site) == (ADMIN.signer.key, "s1")
    assert (told.stewards, told.placed) == (record.stewards, (("web-1", C), ("web-2", C)))
    assert (told.addresses, told.mine) == ((), ()), "nobody has made anything yet"
    assert (told.made_s, told.lease_s) == (0.0, 3600)


def test_what_a_notice_leaves_out() -> None:
    """An earlier version tells of a lease without its times: it is over, and nothing of it is kept."""
    plain = to_plain(notice("g", 1))
    for key in ("starts_s", "ends_s", "kept_until_s", "hindered"):
        del plain[key]
    heard = convert(plain, Notice)
    assert (heard.starts_s, heard.ends_s, heard.kept_until_s, heard.hindered) == (0.0, 0.0, 0.0, ())


def test_a_placement_is_small_and_says_the_same_in_the_same_order() -> None:
    hosts = [PeerId(f"{number:02}" + 41 * "p") for number in range(32)]
    pairs = tuple((f"box-{number}", hosts[number % 32]) for number in range(1, 513))
    told = placement(pairs)
    assert told.pairs() == pairs
    assert len(encode(told)) < 2500, "512 workspaces on 32 hosts"


def test_a_placement_may_lack_workspaces_and_has_clusters_in_order() -> None:
    pairs = (("web-2", B), ("web-5", C), ("db-1", B), ("my-db-1", C))
    assert placement(pairs).pairs() == pairs
    assert placement(()).pairs() == ()


def test_a_place_that_is_no_hosts_places_nothing() -> None:
    hostile = Placement((B,), (("web", (7, 0, -3)),))
    assert hostile.pairs() == (("web-2", B),)
