"""The kinds of records there are, and what each may cost everybody: size, life, number, and bytes in all.

Everybody keeps everybody's records, so what one host or one site may say is bounded, each kind by itself. A
kind that is not here is not kept. There is no bound on all sites together: the federation's key signs them.
"""

import msgspec

from protocol.terms.limits import (
    ADVERT_TTL_S,
    NEWS_SLOTS,
    NEWS_TTL_S,
    PRESENCE_TTL_S,
    SUMMARY_TTL_S,
    SUSPICION_TTL_S,
)

RECORD_COST_BYTES = 512
"""What a record counts beside its payload: its signature, its key, and what is kept to find it."""

_K, _M, _DAY_S = 1 << 10, 1 << 20, 86400.0


class KindLimit(msgspec.Struct, frozen=True):
    """What is kept of one kind of record."""

    size_bytes: int
    """The longest payload."""
    life_s: float
    """The longest time to live."""
    number: int
    """How many of one owner, by name. One: it has no name."""
    owner_bytes: int
    """What all of one owner may take."""
    site_bytes: int
    """What all of one site's hosts may take together."""


KINDS: dict[str, KindLimit] = {
    # Two certificates (500 bytes each), an address, a few relays: 1.2 kB. So 4,500 hosts of one site are known,
    # twice as many as share one level of the overlay.
    "presence": KindLimit(4 * _K, PRESENCE_TTL_S, 1, 8 * _K, 8 * _M),
    # 1.5 kB, and 200 bytes for each image. 300 images fit; of a site with 4,000 hosts each may have 10.
    "advert": KindLimit(64 * _K, ADVERT_TTL_S, 1, 65 * _K, 16 * _M),
    # A peer has a dozen neighbours. If half of a site of 2,000 dies at once, each other tells of two.
    "suspicion": KindLimit(1 * _K, SUSPICION_TTL_S, 256, 256 * _K, 4 * _M),
    # 2 kB each, 20 kB of a grid of 1,024 workspaces. A host holds at most 1,024 grids, and tells for ten
    # minutes of those that ended. They live as long as the longest lease that is promised the furthest ahead,
    # and its state: 487 days.
    "grid": KindLimit(64 * _K, 500 * _DAY_S, 2048, 6 * _M, 32 * _M),
    # A line of 1,024 characters, four bytes each at most.
    "news": KindLimit(5 * _K, NEWS_TTL_S, NEWS_SLOTS, 360 * _K, 2 * _M),
    # 1.5 kB. About one in a minute is made at a site, and lives for ten.
    "site": KindLimit(8 * _K, SUMMARY_TTL_S, 1, 9 * _K, 256 * _K),
    # Two statements of 200 bytes, and the certificates of who signed them. Nobody meets many liars, and each is
    # told of by those that met it.
    "equivocation": KindLimit(4 * _K, 30 * _DAY_S, 64, 288 * _K, 2 * _M),
    # 1.5 kB with the site's certificate, and lives as long as the longest certificate: ten years. Its owner is
    # a site or the federation. A site can take back twice as many certificates as it may have hosts.
    "revocation": KindLimit(8 * _K, 3660 * _DAY_S, 8192, 16 * _M, 16 * _M),
    # 500 bytes each. Its owner is a VO and no host, so all VOs share the last bound, and none takes from what
    # sites and the federation revoke.
    "vo-revocation": KindLimit(4 * _K, 3660 * _DAY_S, 1024, 1 * _M, 3 * _M),
    # 300 bytes for each VO that it names, 128 at most, and the site's certificate. Its owner is a site and no
    # host, so all sites share the last bound: 500 of the largest.
    "policy": KindLimit(32 * _K, 3660 * _DAY_S, 1, 33 * _K, 16 * _M),
}

NEWS_BURST, NEWS_PER_S = 128.0, 0.1
NEWS_SITE_BURST, NEWS_SITE_PER_S = 256.0, 1.0
"""Lines of one host, and of one site's hosts, that are told to people elsewhere, at once and in a second after
that. People write them; a log that is full of them hides what they need."""
