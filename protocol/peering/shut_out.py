"""Peers that are shut out across a restart, because handling what they said failed.

An event that fails leaves this peer's state half changed, so the daemon begins anew from its disk, without that
event (overlayd/loop/mishandled.py). The row here is all that it knows of it then. The fault may have been ours:
an honest peer that runs into it is shut out for as long as a hostile one, and no longer.
"""

import msgspec

from protocol.terms.effects import Row
from protocol.terms.ids import PeerId
from protocol.terms.limits import (
    QUARANTINE_FORGIVEN_S,
    SHUT_OUT_MOST_S,
    SHUT_OUT_PEERS,
    SHUT_OUT_S,
)
from protocol.wire.codec import Malformed, decode, encode

TABLE = "quarantine"


class ShutOut(msgspec.Struct, frozen=True):
    """One peer, by whose key the row is kept."""

    until_s: float
    """Unix seconds."""
    times: int
    """How often in a row it was shut out."""
    why: str


def shut_outs(rows: dict[str, bytes], now: float) -> dict[PeerId, ShutOut]:
    """Who was shut out lately, the one that is free first first. A row that makes no sense shuts nobody out."""
    found: dict[PeerId, ShutOut] = {}
    for key, value in rows.items():
        try:
            row = decode(value, ShutOut)
        except Malformed:
            continue
        if now - QUARANTINE_FORGIVEN_S < row.until_s <= now + SHUT_OUT_MOST_S:
            found[PeerId(key)] = row
    return dict(sorted(found.items(), key=lambda item: (item[1].until_s, item[0])))


def shutting_out(rows: dict[str, bytes], peer: PeerId, why: str, now: float) -> tuple[Row, ...]:
    """The rows that shut a peer out, for twice as long as the last time, and that forget who is forgiven."""
    before = shut_outs(rows, now)
    times = before[peer].times + 1 if peer in before else 1
    lasts_s = min(SHUT_OUT_S * 2.0 ** min(times - 1, 30), SHUT_OUT_MOST_S)
    others = [other for other in before if other != peer][-(SHUT_OUT_PEERS - 1) :]
    gone = [key for key in rows if key not in others and key != peer]
    row = ShutOut(now + lasts_s, times, why[:200])
    return (*(Row(TABLE, key, None) for key in gone), Row(TABLE, peer, encode(row)))
