"""A limit on everything the peer machine keeps or sends, each with its reason. Wire sizes: wire/limits.py."""

import msgspec

# Membership (HyParView; overlay.md has the measurements behind 6, 3 and 30)
ACTIVE_VIEW = 6
ACTIVE_REMOTE = 3
"""Neighbours at other sites: 3 of 6 cut cross-site traffic by 12; 2 split the overlay in 1 of 12 seeds."""
FULL_MESH_BELOW = 12
"""Up to here everybody watches everybody: simpler, and as cheap as the views."""
PING_EVERY_S = 1.0
SILENCE_S = 3.0
"""Silence after which a neighbour is suspected; as long as three lost pings."""
CONFIRM_S = 1.0
"""How long a suspect shared by two observers has to refute."""
LONELY_S = 5.0
"""How long a suspect of one observer has to refute."""
SUSPICION_TTL_S = 86400.0
"""As long as a presence: who joins, or comes back from a split, must learn who is believed dead."""
REDIAL_EVERY_S = 2.0
HEAL_EVERY_S = 60.0
"""A random unconnected or dead peer is asked to be a neighbour this often, whoever has to make room: so splits
heal however long they lasted, and two halves that are each complete find together."""
NEEDY_BELOW = 3
"""With fewer neighbours than this a peer's request is urgent, and whoever is full makes room."""
CERTIFICATE_WARN_S = 14 * 86400.0
"""A person is told so long before this peer's certificate ends (or a quarter of its time, if that is less)."""
CERTIFICATE_NAG_S = 86400.0
"""And again this often."""
HELLO_WITHIN_S = 5.0
"""A connection that has not shown its certificates by then is closed."""
IDLE_LINK_S = 30.0
"""A connection made for one errand is closed after this much silence."""
QUEUED_PER_PEER = 256
"""Messages waiting for a connection; beyond it the oldest is dropped and counted."""

# Broadcast and directory
COMPARE_EVERY_S = 5.0
"""Directory digests are compared with one neighbour this often."""
COMPARE_BUCKETS = 64
GRAFT_AFTER_S = 0.4
"""An announced record that has not come by then is asked for (Plumtree's timer)."""
ANNOUNCE_AFTER_S = 0.1
"""Announcements to one neighbour are gathered this long: one small frame instead of many."""
ANNOUNCED = 4096
"""Announcements awaited at once."""
RECORDS = 65536
RECORDS_PER_OWNER = 4096
RECORDS_PER_FRAME = 64
TOMBSTONE_S = 3600.0
"""How long at least an expired record is remembered, so that an old copy cannot come back."""

# Adverts and notices
ADVERT_EVERY_S = 30.0
ADVERT_AT_MOST_EVERY_S = 1.0
ADVERT_TTL_S = 3600.0
PRESENCE_TTL_S = 86400.0
PRESENCE_EVERY_S = 21600.0
NOTICE_AT_MOST_EVERY_S = 0.25

NEWS_SLOTS = 64
"""Lines of one host that are kept."""
NEWS_TTL_S = 3600.0
"""Who was away for longer has missed it."""

# Negotiation
QUOTE_WITHIN_S = 1.0
"""Deadline for quotes; three round trips across a continent."""
QUOTED_HOSTS = 512
HOLD_S = 8.0
HOLD_REPLY_WITHIN_S = 2.0
ROUNDS = 4
"""Refills of refused holds before everything is let go."""
REQUEST_S = 60.0
"""How long a request tries again before the person is told no."""
BACKOFF_S = 0.5
BUILD_S = 600.0
"""How long a request waits for what was agreed to be up; the grid goes on being built after that."""
STEWARDS = 3
STEWARDS_MOST = 7
"""Beyond that a register is slow and no safer."""
REGISTER_REPLY_WITHIN_S = 1.0
REGISTER_TRIES = 12
VOIDED = 256
"""Voted-down grids a register remembers; each only until its order has expired."""
DECIDED_EVERY_S = 1.0
"""A decided record is told again to hosts that have not acknowledged it this often."""
AUDIT_EVERY_S = 60.0
"""A carrying host reads its grid's register this often, in case an announcement never came."""
ACT_WITHIN_S = 10.0
REQUESTS_KEPT = 256
STORY_LINES = 200
HOLDS_PER_HOST = 1024

# What one peer may say (node/standing.py): far above what an honest one says in its busiest moment, so that no
# honest burst ever trips them; low enough that one member's flood costs a few percent of a core.


class Allowance(msgspec.Struct, frozen=True):
    """Of one peer for one family of messages: so many at once, so many a second, each at most so large."""

    burst: int
    per_s: float
    frame_bytes: int


ALLOWANCES = {
    # One a connection. Two that dial each other may meet twice, and a flapping link once every back-off (0.1 to
    # 15 s); a presence with its chain has about 1 KiB, and a record's payload 64 KiB at most.
    "hello": Allowance(60, 2.0, 80 << 10),
    # Pings of both ways, 2 a second, and walks: of 256 daemons that start at once through one peer, that one
    # forwards every join to every neighbour (256), and each of those may pass back a few of its own.
    "membership": Allowance(4096, 200.0, 128 << 10),
    # What a neighbour learns it pushes record by record: when 10,000 peers heal from a split in two halves,
    # half of three records each, 15,000, before the tree knows that others were faster. After that, a record a
    # peer a few times a minute, and adverts at most once a second of the peers whose room changes.
    "broadcast": Allowance(20000, 2000.0, 1 << 20),
    # A comparison every 5 s and one for each new connection, an answer to each, and grafts at most as often as
    # announcements are gathered (10 a second). Each may be answered with many records, hence so few.
    "comparison": Allowance(512, 50.0, 1 << 20),
    # A requester's rounds with its stewards, two messages each; a steward of 1,000 grids audited in one minute.
    "register": Allowance(4096, 500.0, 1 << 20),
    # Quote, hold, release and decided of each request at once: 1,000 requests a peer remembers and runs.
    "negotiation": Allowance(4096, 500.0, 1 << 20),
    # Pieces of images: 4,000 of 256 KiB are 8 Gbit/s. What was not asked for is dropped by the fetcher.
    "bulk": Allowance(8192, 4000.0, 1 << 20),
    # Any other family.
    "": Allowance(2048, 500.0, 1 << 20),
}
"""By family: the room that owns a message, `hello`, `comparison` (what asks for many records), `bulk`."""

PATIENCE = 20
"""Faults within PATIENCE_WINDOW_S that end a connection. An honest peer commits none; a broken build, a few."""
PATIENCE_WINDOW_S = 60.0
QUARANTINE_S = 30.0
"""The first one: long enough to end a flood, short enough to mend a broken build meanwhile."""
QUARANTINE_MOST_S = 3600.0
"""A peer that never learns costs a few messages an hour."""
QUARANTINE_FORGIVEN_S = 6 * 3600.0
"""After so long without another the next one is short again."""
PEERS_WATCHED = 4096
"""Twice as many as share one level of the overlay; about 1 KiB each."""
REASONS_COUNTED = 256
"""Different reasons of faults; all there are, with room."""

# Leases
SLACK_S = 30.0
"""Between a host's hold and its learning of the commit. A host that learns later gives so much less lease."""
CLEAR_S = 30.0
"""A host keeps room free so long behind a lease, for what must be stopped or saved."""
RESERVE_AHEAD_S = 90 * 86400.0
"""How far ahead a reservation is promised."""
LATER_STEPS = 24
"""Changes of free room a quote or an advert tells; what comes after them is told as the least of it."""
LAPSE_EARLY_S = 5.0
"""A grid whose time to be kept is over is taken down by its hosts; their clocks may differ by so much."""
STARTS_TRIED = 48
"""Starts a deadline is tried at; each is a choice among all hosts."""
