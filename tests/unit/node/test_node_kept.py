"""What is on disk, read without a node."""

from hosting_world import GRID, One
from one_peer import NOW, node

from protocol.hosting.holds import TABLE as HELD
from protocol.hosting.keepsake import keepsake_of
from protocol.node.events import Started
from protocol.node.kept import Asked, asked_of, begun_anew, carried_in, is_whole, raised
from protocol.peering.announcer import next_incarnation
from protocol.terms.effects import Persist


def test_rows_of_promises_leases_and_registers_are_looked_into() -> None:
    one = One()
    one.holds()
    (held,) = one.rows[HELD].values()
    assert is_whole(HELD, held)
    one.rows = {}
    one.start()
    record = one.leases()
    (lease,) = one.rows["grid"].values()
    assert is_whole("grid", lease)
    assert not is_whole("grid", held)
    assert not is_whole("steward", b"\xc1")
    assert is_whole("news", b"\xc1"), "what nobody is promised by may be anything"
    assert carried_in(one.rows) == {GRID: record.name}
    assert carried_in({}) == {}


def test_who_is_asked_about_a_machine() -> None:
    one = One()
    record = one.leases()
    (row,) = one.host.leases.rows()
    assert asked_of(keepsake_of(row)) == Asked("shop", record.stewards)
    assert asked_of(None) is None


def test_a_store_that_was_lost_begins_above_what_others_remember() -> None:
    assert next_incarnation(begun_anew(1_764_446_400.5, "0" * 16)) == 1_764_446_401
    rows = {"self": {"incarnation": (7).to_bytes(8, "big"), "other": b"x"}, "news": {"a": b"1"}}
    later = raised(rows, 1_764_446_400.0, "f" * 16)
    assert next_incarnation(later) == 1_764_446_401
    assert (later["self"]["other"], later["news"]) == (b"x", {"a": b"1"})
    assert later["self"]["store"] == b"f" * 16, "it lost something, so it is another store"
    assert next_incarnation(rows) == 8, "what was given is as it was"


def test_the_id_that_a_new_store_begins_with_is_on_disk_with_the_first_that_is_said() -> None:
    """Nobody wrote it before. If the next start made another one, the host would lose all seats."""
    rows, disk = begun_anew(NOW, "0" * 16), dict[str, dict[str, bytes]]()
    for _ in range(3):
        peer = node(rows=rows)
        assert peer.overlay.past.store.id == "0" * 16
        for effect in peer.handle(Started(), NOW):
            if isinstance(effect, Persist):
                for row in effect.rows:
                    disk.setdefault(row.table, {})[row.key] = row.value or b""
        rows = disk
