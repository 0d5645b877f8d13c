"""Sites that are shut out, because several of their hosts said what could not be handled.

A host that does so is shut out by its key (shut_out.py), and what it signs is not taken (node/poison.py). Its
site can certify another in a moment, so each new key would cost everybody here another restart. The site as a
whole is not believed for a while then: none of its presences is, and so nothing of its hosts. As that follows
from a restart, this peer knows nobody of it any more. Its own site is never shut out: whose host this is.
"""

import msgspec

from protocol.peering.addresses import Rows
from protocol.terms.effects import Row
from protocol.terms.limits import QUARANTINE_FORGIVEN_S, SHUT_OUT_MOST_S, SHUT_OUT_S
from protocol.terms.site_limits import MISHANDLED_OF_SITE, MISHANDLED_WITHIN_S, SITES_WATCHED
from protocol.wire.codec import Malformed, decode, encode

TABLE = "shut-site"


class SiteFaults(msgspec.Struct, frozen=True):
    """What one site's hosts did, by whose name the row is kept. Times are Unix seconds."""

    at_s: tuple[float, ...]
    """When this peer could not handle what one of them said: the last few, ascending."""
    until_s: float = 0.0
    """Until when the site is shut out; 0 if it never was."""
    times: int = 0
    """How often in a row it was."""


def faults_of(rows: dict[str, bytes], now: float) -> dict[str, SiteFaults]:
    """The sites that matter still, the one that failed last behind. What makes no sense counts for nothing."""
    found: dict[str, SiteFaults] = {}
    for site, value in rows.items():
        try:
            row = decode(value, SiteFaults)
        except Malformed:
            continue
        last_s = max((*row.at_s, row.until_s))
        if now - QUARANTINE_FORGIVEN_S < last_s <= now + SHUT_OUT_MOST_S:
            found[site] = row
    return dict(sorted(found.items(), key=lambda item: (max(item[1].at_s, default=0.0), item[0])))


def shut(store: Rows, now: float) -> dict[str, float]:
    """Until when each site that is shut out now is not believed. `store` has all rows, by table."""
    faults = faults_of(store.get(TABLE, {}), now)
    return {site: row.until_s for site, row in faults.items() if now < row.until_s}


def counting(rows: dict[str, bytes], site: str, now: float) -> tuple[Row, ...]:
    """The rows that count one more fault of a site's hosts, and that forget who is forgiven."""
    before = faults_of(rows, now)
    row = before.pop(site, SiteFaults(()))
    lately = [at_s for at_s in row.at_s if now - MISHANDLED_WITHIN_S < at_s <= now]
    row = msgspec.structs.replace(row, at_s=(*lately, now)[-MISHANDLED_OF_SITE:])
    if len(row.at_s) == MISHANDLED_OF_SITE and now >= row.until_s:
        times = row.times + 1
        lasts_s = min(SHUT_OUT_S * 2.0 ** min(times - 1, 30), SHUT_OUT_MOST_S)
        # It begins to count anew when it is heard again.
        row = SiteFaults((now,), now + lasts_s, times)
    others = list(before)[-(SITES_WATCHED - 1) :]
    gone = [other for other in rows if other not in others and other != site]
    return (*(Row(TABLE, other, None) for other in gone), Row(TABLE, site, encode(row)))
