"""Sites that are shut out, because several of their hosts, each by itself, said what could not be handled.

A host that does so is shut out by its key (shut_out.py), and what it signs is not taken (node/poison.py). Its
site can certify another in a moment, so each new key would cost everybody here another restart. The site as a
whole is not believed for a while then: none of its presences is, and so nothing of its hosts. As that follows
from a restart, this peer knows nobody of it any more. Its own site is never shut out: whose host this is.
"""

import msgspec

from protocol.peering.addresses import Rows
from protocol.terms.effects import Row
from protocol.terms.ids import KeyId
from protocol.terms.limits import QUARANTINE_FORGIVEN_S, SHUT_OUT_MOST_S, SHUT_OUT_S
from protocol.terms.site_limits import MISHANDLED_OF_SITE, MISHANDLED_WITHIN_S, SITES_WATCHED
from protocol.wire.codec import Malformed, decode, encode

TABLE = "shut-site"


class SiteFaults(msgspec.Struct, frozen=True):
    """What one site's hosts did, by whose name the row is kept. Times are Unix seconds."""

    hosts: tuple[tuple[KeyId, float], ...]
    """The last few of them, and when this peer could not handle what each said last, ascending."""
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
        last_s = max((_last_s(row), row.until_s))
        if now - QUARANTINE_FORGIVEN_S < last_s <= now + SHUT_OUT_MOST_S:
            found[site] = row
    return dict(sorted(found.items(), key=lambda item: (_last_s(item[1]), item[0])))


def shut(store: Rows, now: float) -> dict[str, float]:
    """Until when each site that is shut out now is not believed. `store` has all rows, by table."""
    faults = faults_of(store.get(TABLE, {}), now)
    return {site: row.until_s for site, row in faults.items() if now < row.until_s}


def counting(rows: dict[str, bytes], site: str, host: KeyId, now: float) -> tuple[Row, ...]:
    """The rows that count one more fault of a site's host, and that forget who is forgiven.

    One host counts once, however often it does so: that is the host's own matter (shut_out.py).
    """
    before = faults_of(rows, now)
    row = before.pop(site, SiteFaults(()))
    since_s = now - MISHANDLED_WITHIN_S
    others = tuple(h for h in row.hosts if h[0] != host and since_s < h[1] <= now)
    row = msgspec.structs.replace(row, hosts=(*others, (host, now))[-MISHANDLED_OF_SITE:])
    if len(row.hosts) == MISHANDLED_OF_SITE and now >= row.until_s:
        times = row.times + 1
        lasts_s = min(SHUT_OUT_S * 2.0 ** min(times - 1, 30), SHUT_OUT_MOST_S)
        # It begins to count anew when it is heard again.
        row = SiteFaults(((host, now),), now + lasts_s, times)
    stay = list(before)[-(SITES_WATCHED - 1) :]
    gone = [other for other in rows if other not in stay and other != site]
    return (*(Row(TABLE, other, None) for other in gone), Row(TABLE, site, encode(row)))


def _last_s(row: SiteFaults) -> float:
    return max((at_s for _, at_s in row.hosts), default=0.0)
