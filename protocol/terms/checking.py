"""Limits on what is checked of hosts' notices because somebody asked, each with its reason."""

GRIDS_KNOWN = 4096
"""Grids of which a peer remembers what it saw decided, 1 kB each, or 10 kB of a large one."""
CONFIRMS_AT_ONCE = 64
"""Grids about which stewards are asked at once because somebody asked what there is: 200 small messages."""
CONFIRMS_QUEUED = 1024
CLAIMS_AT_ONCE = 8
"""What is told of one grid and checked at once: so many sites may lie of it before its own has to wait."""
CONFIRM_AGAIN_S = 60.0
"""What nobody could show is not asked about again for so long."""
CONFIRM_WATCHED_S = 600.0
"""A grid that somebody asked about is followed for so long: later changes are checked when they are told."""
FOUND_WITHIN_S = 5.0
"""So long an order waits until it is known which grid it is about."""
