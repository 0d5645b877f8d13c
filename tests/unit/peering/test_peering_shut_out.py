"""Who said what could not be handled is shut out in the next life, too, for longer each time."""

from protocol.peering.quarantine import Quarantines
from protocol.peering.shut_out import TABLE, ShutOut, shut_outs, shutting_out
from protocol.terms.effects import Quarantine, Row
from protocol.terms.ids import PeerId
from protocol.terms.limits import (
    QUARANTINE_FORGIVEN_S,
    SHUT_OUT_MOST_S,
    SHUT_OUT_PEERS,
    SHUT_OUT_S,
)
from protocol.wire.codec import decode, encode

A, B = PeerId("a" * 64), PeerId("b" * 64)
NOW = 1_000_000.0


def written(rows: dict[str, bytes], more: tuple[Row, ...]) -> dict[str, bytes]:
    rows = dict(rows)
    for row in more:
        assert row.table == TABLE
        if row.value is None:
            del rows[row.key]
        else:
            rows[row.key] = row.value
    return rows


def test_twice_as_long_each_time_and_short_again_when_forgiven() -> None:
    rows: dict[str, bytes] = {}
    now, lasted = NOW, []
    for _ in range(8):
        rows = written(rows, shutting_out(rows, A, "why", now))
        until_s = decode(rows[A], ShutOut).until_s
        lasted.append(until_s - now)
        now = until_s + 1
    assert lasted[:3] == [SHUT_OUT_S, 2 * SHUT_OUT_S, 4 * SHUT_OUT_S]
    assert max(lasted) == lasted[-1] == SHUT_OUT_MOST_S
    now += QUARANTINE_FORGIVEN_S
    rows = written(rows, shutting_out(rows, A, "why", now))
    assert decode(rows[A], ShutOut) == ShutOut(now + SHUT_OUT_S, 1, "why")


def test_the_next_life_refuses_it_until_its_time_is_over() -> None:
    rows = written({}, shutting_out({}, A, "x" * 5000, NOW))
    assert len(rows[A]) < 400
    quarantines = Quarantines({TABLE: rows}, NOW + 1)
    quarantines.check()
    assert quarantines.quarantined == (A,)
    assert quarantines.standing() == [Quarantine((A,))]
    assert quarantines.left_s(A, NOW + 1) == SHUT_OUT_S - 1
    assert quarantines.left_s(B, NOW + 1) == 0
    assert quarantines.faults(A) == 1
    assert quarantines.tick(NOW + SHUT_OUT_S)[0] == Quarantine(())
    over = Quarantines({TABLE: rows}, NOW + SHUT_OUT_S)
    assert (over.quarantined, over.standing()) == ((), [])


def test_rows_are_bounded_and_what_makes_no_sense_shuts_nobody_out() -> None:
    far = encode(ShutOut(NOW + 1e12, 1, ""))
    rows = {"x": b"?", "y": far}
    assert shut_outs(rows, NOW) == {}
    for number in range(SHUT_OUT_PEERS + 20):
        rows = written(rows, shutting_out(rows, PeerId(f"{number:064x}"), "", NOW + number))
    assert len(rows) == SHUT_OUT_PEERS
    assert PeerId(f"{number:064x}") in rows
    assert "x" not in rows
