"""What all hosts of one site may have of something at one peer, each with its reason.

A member has one host's key, or the keys of as many hosts as its site likes to certify. So what is bounded by
host is bounded by site as well. What records may take is in kinds.py.
"""

CLAIMS_OF_SITE = 16
"""Claims on a host by the peers of one site: a quarter of all. Its own owner has one; the others are for owners
elsewhere, who mostly ask at peers of their own."""

HALF_PATHS_OF_SITE = 16
"""Paths through relays that one site's hosts asked for and have not used: a quarter of all. Each takes a second
at most to be used, so 16 a second come up even if all are honest and slow."""

PATHS_OF_SITE = 256
"""Paths of one site's hosts to this peer that they opened: a quarter of all. A peer has a dozen neighbours, and
talks beside those with who places, carries or keeps its grids."""

RELAYED_QUEUE_BYTES_OF_SITE = 4 << 20
"""What may wait to be passed on for one site's hosts: twice what one host has, and a quarter of all. Sites are
served in turn, so one that fills this waits for itself."""

CALLS_OF_SITE = 64
"""Messages of one site's hosts that may wait until their destination is dialled: a quarter of all."""

MISHANDLED_OF_SITE = 3
"""Hosts of one site that each say something that this peer fails on, within an hour, before their site is shut
out. One may run into a fault of ours, and another that runs the same build into the same."""

MISHANDLED_WITHIN_S = 3600.0
SITES_WATCHED = 256
"""Sites of which such faults are remembered; beyond it those that failed longest ago are forgotten."""
