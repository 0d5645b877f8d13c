"""What scripts/bench dataplane says of its figures, and of what is not installed."""

import io

from benches.dataplane import (
    HAND,
    ONE,
    PLAIN,
    REACHES,
    ROUND_TRIP,
    SEALED,
    WIREGUARD,
    alone_of,
    median,
    ratios_of,
    table_of,
)
from benches.dataplane_alone import CHANGED, IDLE, MEMBERS, places
from benches.dataplane_carriers import CARRIERS, Carrier, vxlan
from benches.dataplane_flows import Flow
from rich.console import Console
from rich.table import Table


def shown(table: Table) -> str:
    out = io.StringIO()
    Console(file=out, width=200).print(table)
    return out.getvalue()


def test_a_row_says_how_to_get_what_is_not_installed() -> None:
    row = Carrier(
        vxlan, (("no-such-a", "one"), ("no-such-b", "one"), ("no-such-c", "two"), ("sh", "dash"))
    )
    assert row.missing() == "apt-get install one two"
    assert CARRIERS[HAND].missing() == ""


def test_a_ratio_is_told_where_both_were_measured() -> None:
    rows = {PLAIN: {ONE: 3.8}, HAND: {ONE: 4.0}}
    (reached,) = [reach for reach in REACHES if reach.reached(rows) is not None]
    assert reached.reached(rows) == 0.95
    assert "short" not in shown(ratios_of(rows))
    assert "short" in shown(ratios_of({PLAIN: {ONE: 3.7}, HAND: {ONE: 4.0}}))


def test_a_round_trip_is_good_where_it_is_small() -> None:
    slow, quick = {ROUND_TRIP: 300.0}, {ROUND_TRIP: 200.0}
    assert "short" not in shown(ratios_of({SEALED: quick, WIREGUARD: slow}))
    assert "short" in shown(ratios_of({SEALED: slow, WIREGUARD: quick}))


def test_bounds_of_a_forwarder_by_itself_are_told() -> None:
    assert "short" not in shown(alone_of({CHANGED: 50.0, IDLE: 0.1}))
    assert shown(alone_of({CHANGED: 51.0, IDLE: 0.1})).count("short") == 1


def test_every_member_is_somewhere_else_in_each_table() -> None:
    before, after = places(1), places(2)
    before.check()
    after.check()
    pairs = zip(before.networks[0].members, after.networks[0].members, strict=True)
    assert sum(b.mac == a.mac and b.peer != a.peer for b, a in pairs) == MEMBERS


def test_the_table_has_medians() -> None:
    rows = {HAND: median([{ONE: 1.0}, {ONE: 4.25}, {ONE: 40.0}])}
    assert "4.25" in shown(table_of(rows))
    assert "9,000 bytes" in shown(table_of(rows, 9_000))


def test_a_flow_is_told_by_second_and_by_byte() -> None:
    flow = Flow(got_bytes=500_000_000, took_s=2.0, cpu_s=3.0)
    assert (flow.gbps, flow.cpu_s_per_gb) == (2.0, 6.0)
