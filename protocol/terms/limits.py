"""A limit on everything the peer machine keeps or sends, each with its reason. Wire sizes: wire/limits.py."""

import msgspec

# Membership (HyParView)
ACTIVE_VIEW = 6
ACTIVE_REMOTE = 3
"""Neighbours at other sites: 3 of 6 cut cross-site traffic by 12; 2 split the overlay in 1 of 12 seeds."""
FULL_MESH_BELOW = 12
"""Up to here everybody watches everybody: simpler, and as cheap as the views."""
PASSIVE_VIEW = 30
"""Contacts to fall back on: five times the active view, so that losing half of all peers leaves enough."""
PASSIVE_SAVED_EVERY_S = 30.0
ADDRESSES = 4096
"""Peers whose address is kept on disk: twice as many as all know of each other."""
ADDRESSES_SAVED_AFTER_S = 3.0
JOIN_HOPS = 4
"""A newcomer's walk: long enough to end anywhere (HyParView's ARWL is 6 for 10,000; the directory helps)."""
JOIN_PASSIVE_AT = 2
"""Hops left at which a walk leaves the newcomer in a passive view on its way (HyParView's PRWL)."""
JOINS_AT_ONCE = 8
JOINS_PER_S = 4.0
"""Newcomers that one peer takes as neighbours itself. Others are passed on, so that 256 that start at once do
not throw each other out in turns."""
SETTLE_S = 1.0
"""How long a newcomer lets walks find it neighbours before it asks by itself."""
SHUFFLE_EVERY_S = 240.0
"""Four kilobytes of messages each, and a connection: more often, they would be a third of all idle traffic."""
SHUFFLE_HOPS = 3
SHUFFLED = 8
"""Contacts in one shuffle, the sender among them: 100 bytes each."""
WALKS = 256
"""Shuffles under way through this peer whose way back it remembers."""
WALK_S = 10.0
PING_SOON_S = 3.0
"""Between pings until a peer knows where it is in the network."""
PING_EVERY_S = 30.0
"""For round-trip times and a last look. The transport's heartbeats say first that a neighbour is gone."""
SILENCE_S = 100.0
"""A neighbour that is silent for so long is suspected though its transport answers: three pings were lost."""
UNREACHED_S = 15.0
"""A neighbour that cannot be reached from here for so long is let go, even if others vouch for it."""
CONFIRM_S = 1.0
"""How long a suspect of two observers has to refute."""
LONELY_S = 5.0
"""How long a suspect of one observer has to refute."""
OBSERVERS_ENOUGH = 2
"""More observers of one death say nothing new. They keep quiet, so that half of all peers dying is no flood."""
WRONG_MOST = 16
WRONG_WINDOW_S = 60.0
DISCREDITED_S = 120.0
"""An observer with so many suspicions in a minute that were refuted or taken back is not believed for the
third: a peer has seven neighbours, so one that accuses more is broken or lies. The other neighbours of who dies
tell of it."""
OBSERVERS_MOST = 8
"""Observers of one suspect that are told apart; it has seven neighbours."""
REFUTE_EVERY_S, REFUTE_LIARS_EVERY_S = 0.4, 2.0
"""How often at most a peer refutes suspicions, each time to everybody: in less than half of CONFIRM_S, so that
no two observers have it dead; and of LONELY_S, if its observer is wrong all the time."""
LATE_S = 0.5
"""A peer that handles a deadline this late counts itself as strained (Lifeguard's local health)."""
STRAIN_MOST = 8
STRAIN_EASES_S = 5.0
AWAY_S = 2.5
"""A peer later than this was stopped, not slow. Others suspect it by now, so it says that it is back."""
BACK_S = 5.0
"""A peer that was stopped accuses nobody for so long. Others have noticed what died meanwhile."""
SUSPICION_TTL_S = 86400.0
"""As long as a presence: a peer that joins, or comes back from a split, must learn who is believed dead."""
REDIAL_EVERY_S = 2.0
ASK_MOST_S = 64.0
"""A peer that has some neighbours and is refused more asks ever more seldom, down to this."""
JOINS_TRIED = 3
"""Addresses that a peer without any connection tries at once. The next try takes others."""
HEAL_EVERY_S = 60.0
HEAL_APART_S = 2.5
HEAL_LEAST_S = 5.0
"""Peers believed gone are tried again. All peers together try about one every HEAL_APART_S, and each tries at
most every HEAL_EVERY_S. So splits heal soon, however long they lasted and however few peers are left."""
MEET_EVERY_S = 300.0
"""How often a peer meets a random live peer that is no neighbour, and compares directories with it. Otherwise
two halves that are each complete and believe nobody dead would never find together."""
PROBES_EACH, PROBES_MOST = 8.0, 8
"""A death makes about so many peers in all meet another peer of the same site at once: more than one may have
died, and only neighbours notice. One peer owes at most PROBES_MOST such meetings."""
GUESTS = 1024
"""Peers of other sites that are known for a while, when there are too many peers for everybody to know all."""
LEVELS_ABOVE = 2000
"""Up to so many peers everybody knows everybody. At 10,000, refreshed each minute, adverts alone would be
70 kB/s and 5 % of a core at each. Above the limit detail stays within its site and summaries go across."""
SUMMARY_EVERY_S = 60.0
SUMMARIES_EACH = 1.0
"""Summaries of a site in a period, on average; one period in three has none. Each costs every peer about
1.5 kB: 200 bytes a second for 8 sites."""
SUMMARY_TTL_S = 600.0
SUMMARY_CONTACTS = 6
SUMMARY_ALIVE_MOST = 8192
"""A summary that tells of more counts as one of so many: one site's presences have no more room (kinds.py)."""
DETAIL_HOSTS = 48
"""How many hosts of its site a peer tells a requester of another site: the roomiest, and some at random."""
DETAIL_WITHIN_S = 0.5
DETAIL_HEARD_S = 5.0
NEEDY_BELOW = 3
"""A peer with fewer neighbours than this asks urgently: a peer that is full makes room for it."""
CERTIFICATE_WARN_S = 14 * 86400.0
"""How long before this peer's certificate ends a person is told (a quarter of its time, if that is less)."""
CERTIFICATE_NAG_S = 86400.0
"""How often the person is told again."""
JOIN_TOLD_EVERY_S, JOIN_NAG_S = 30.0, 1800.0
"""What comes of joining is told to the log at most so often if it changes, and so often if it does not."""
TRIED_OTHERS = 8
"""Addresses, besides those that `join` names, of which it is remembered what came of trying them."""
DOUBLE_LASTS_S, DOUBLE_NAG_S = 120.0, 1800.0
"""How long a peer counts as two processes after it was last seen to be, and how often people are told again."""
DOUBLES, LIVES_KEPT = 1024, 3
"""Peers of which it is remembered that they were several processes, and how many processes of each."""
TWIN_SIGNS, TWINS_WATCHED = 3, 8
TWIN_ANSWERS_S, TWIN_LASTS_S = 20.0, 120.0
"""Two processes with one key make themselves newer than each other so often, and are told apart for so long."""
EXPELLED_KEPT = 4096
"""Revoked peers that are remembered by their keys, since a revocation does not always say whose it is."""
REFUSED_TOLD = 64
"""Refusals of peers that the log hears of in JOIN_NAG_S. Others are counted only."""
UNWELCOME_CLOCK_S = 60.0
"""Clocks further apart than this are named when a Hello was refused."""
HELLO_WITHIN_S = 5.0
"""A connection whose peer has not shown its certificates by then is closed."""
IDLE_LINK_S = 30.0
"""A connection made for one errand is closed after this much silence."""
DIALS_BURST, DIALS_PER_S = 32.0, 1.0
"""How often one host is dialled at once, and in a second after that, whoever is said to be there: a machine may
have dozens of daemons behind one address, and a port scan has thousands of ports."""
NETWORK_DIALS_BURST, NETWORK_DIALS_PER_S = 512.0, 16.0
"""The same of an IPv6 network of 64 bits, as of sixteen hosts: one host may have all its addresses."""
NEWCOMERS_BURST, NEWCOMERS_PER_S = 64.0, 4.0
"""How many newcomers are dialled on one peer's word: a share of 256 that start at once, then as many as one
takes itself."""
DIALLED_HOSTS = 4096
QUEUED_PER_PEER = 256
"""Messages to one peer that wait for a connection. Beyond it the oldest is dropped and counted."""

# Broadcast and directory
COMPARE_EVERY_S = 20.0
"""How often roots of directories are compared with one neighbour; 200 bytes each time."""
COMPARE_SOON_S = 3.0
"""The same after a new neighbour, or a comparison that found something: a cut-off exchange goes on soon."""
SCOPES = 256
"""Scopes compared at once: sites, and everybody's."""
COMPARE_BUCKETS = 64
GRAFT_AFTER_S = 0.06
"""An announced record that has not come by then is asked for (Plumtree's timer). This is short because the
announcement came late already: the announcer has had the record for longer than the branch should take."""
ANNOUNCE_AFTER_S = (0.05, 0.15)
"""Announcements are gathered for a time between these: one small frame instead of many. The tree is mostly
there first."""
PUSH_APART_S = 0.02
"""Between two frames of news to one neighbour. A single record is not held up; of a thousand, many share a
frame."""
ANNOUNCED = 4096
"""Announcements awaited at once."""
RECORDS_PER_FRAME = 64
TOMBSTONE_S = 3600.0
"""The least time an expired record is remembered, so that an old copy cannot come back."""
TOMBSTONES_PER_SITE = 16384
"""Expired records of one site's hosts that are remembered, 300 bytes each: of 2,000 hosts each may end eight
grids an hour. What records may cost while they live: kinds.py."""

# Adverts and notices
ADVERT_EVERY_S = 1200.0
"""An advert that did not change is said again so often, three times in its life. It costs each peer 1.5 kB on
average: 160 bytes a second at 128 peers. Changes are said at once, and comparisons find what was lost."""
MOVED_S = 0.02
MOVED_AT_MOST_EVERY_S = 600.0
"""A host that has moved so far in the network from where its advert says publishes another. On machines without
a free core round trips vary by 5 ms: with that, once a minute, 100 peers sent each other 4 kB/s."""
ADVERT_AT_MOST_EVERY_S = 1.0
ADVERT_TTL_S = 3600.0
PRESENCE_TTL_S = 86400.0
PRESENCE_EVERY_S = 21600.0
NOTICE_AT_MOST_EVERY_S = 0.25

ADDRESSES_TOLD = 512
"""So many addresses, and ports, a host tells of one grid; of more addresses the first of each workspace."""

NEWS_SLOTS = 64
"""How many lines of news of one host are kept."""
NEWS_TTL_S = 3600.0
"""A peer that was away for longer has missed it."""

# Negotiation
QUOTE_WITHIN_S = 1.0
"""How long a requester waits for quotes: three round trips across a continent."""
ASKED_AT_LEAST = 8
"""Up to so many hosts all are asked for a quote. Of more, so many, and half as many again as are needed."""
ASKED_MORE = 128
"""How many further hosts are asked at most when those are not enough."""
HOLD_S = 8.0
ORDER_LATE_S = HOLD_S + 60.0
"""How much later than its time an order may come to a steward: hosts were asked in time, and then the
stewards."""
HOLD_REPLY_WITHIN_S = 2.0
ROUNDS = 4
"""Refills of refused holds before everything is let go."""
REQUEST_S = 60.0
"""How long a request tries again before the person is told no."""
BACKOFF_S = 0.5
CLAIM_AFTER_S = 2.0
"""A request that has been refused for so long claims room. Shorter shortages pass by trying again."""
CLAIM_S = 10.0
"""How long a host keeps claimed room without a renewal: time for two."""
CLAIM_RENEW_S = 4.0
"""How often a request renews its claims."""
CLAIM_TRY_S = 1.0
"""A request for which enough room is kept tries at the soonest so long after its last try."""
CLAIM_MOST_S = 600.0
"""How long one order may claim, and then may not: room that stays empty for it is lost to others."""
CLAIM_AGE_S = 600.0
"""An order counts at most so much older than the moment a host first heard of it."""
CLAIMS_PER_HOST = 64
BUILD_S = 600.0
"""How long a request waits for the next step of an agreed grid. The grid goes on being built after that."""
READY_UNSAID_S = 60.0
"""So long a guest that has said nothing is reachable before it counts as ready."""
READY_LATE_S = 900.0
"""The same for a guest that is likely to say so."""
READY_HEARD_S = 60.0
"""A request waits so much longer for a guest than its host does: for the news to come."""
STEWARDS = 3
STEWARDS_MOST = 7
"""Beyond that a register is slow and no safer."""
SEALS_MOST = 16
"""How often stewards of one order are replaced. Each time adds 600 bytes to what is said of its register."""
STEWARD_GONE_S = 600.0
"""How long a steward is not heard before another takes its place. A host that restarts is back before that."""
SEAL_LOOK_EVERY_S = 60.0
SEALS_AT_ONCE = 8
"""Registers that one steward seals at each look: a host that dies may be a steward of thousands."""
REGISTER_REPLY_WITHIN_S = 1.0
REGISTER_TRIES = 8
STEWARD_TRIES_S = 4.0
"""How long a steward tries to have a majority for one step: a few rounds with another that is silent."""
STEWARD_WITHIN_S = 5.0
STEPS_WAITING, STEPS_OF_ONE = 32, 4
"""Steps that wait for one register at a steward, in all and of one peer: anybody may ask for one."""
ROUND_MOST = 1 << 48
ROUND_LEAP = 1 << 16
"""By how much a steward may raise the round of another at once. It knows by how much it must, so it is told."""
EQUIVOCATORS_PER_SITE = 256
"""Stores of one site's hosts that are proven to lie; beyond that the first of them are forgotten."""
WITNESSED_REGISTERS, WITNESSED_EACH = 1024, 6
"""Registers whose stewards' signatures are remembered, and how many of each steward: 2 kB a steward."""
WITNESSED_STEWARDS = 2 * STEWARDS_MOST
"""Of how many stewards of a register, with those of before. Who makes up seals can name others each time."""
ATTEMPT_MOST = (1 << 31) - 1
"""Attempts of one order. One that waits a month makes a few thousand."""
REGISTERS_PER_OWNER = 4096
"""Orders of one site's admin of which a peer is a steward: as many as such a site has grids, several times."""
NAME_KEPT_S = 20.0
"""How long a guard of a name remembers who asks for it, unless it is asked again: twice a hold."""
NAME_WITHIN_S = 1.0
NAMES_GUARDED = 8192
"""Names that a guard remembers at once: 400 orders a second."""
VOIDED = 256
"""Voted-down extensions a register remembers, each only until its order has expired."""
DECIDED_EVERY_S = 1.0
"""How often a decided record is told again to hosts that have not acknowledged it."""
AUDIT_EVERY_S = 60.0
"""How often a carrying host reads its grid's register, in case an announcement never came."""
HALTED_EVERY_S = 15.0
"""How often a host that stopped a grid at its owner's order proposes the end to stewards it could not reach."""
ACT_WITHIN_S = 10.0
SILENT_WITHIN_S = 2.0
"""How long hosts that are not heard are waited for: they may be believed dead wrongly, and answer after all."""
REQUESTS_KEPT = 256
STORY_LINES = 200
REQUESTS_ON_DISK, STORY_ON_DISK = 64, 24
"""Orders whose answers outlive a restart, and the lines of the story of each: at most 10 KiB each."""
STORY_KEPT, STORY_CHARACTERS = 12, 160
"""How many lines a host keeps of each grid it carries, and how long one is: 2 KiB of disk each."""
STORY_TOLD = 6
"""How many of them are in its notice, which every peer hears: a few hundred bytes, when something happened."""
STORY_AGAIN_S = 60.0
"""What repeats itself is a new line at most so often."""
HOLDS_PER_HOST = 1024
FOUNDLINGS = 1024
"""Grids of which a host has found something that it does not remember: as many as it could carry."""
KEEPSAKE_BYTES = 64 * 1024
"""What a machine keeps of its lease. A record of 448 workspaces on 56 hosts fits."""
FOUNDLING_ASK_MOST_S = 60.0
"""How long at most a host waits before it asks the stewards of what it found once more."""

BLIND_S = 2.0
"""How long at most a peer that just started lets people wait until it has heard of the hosts there are. It
hears of grids and room with the first comparison of directories, after a few round trips."""
PROPOSAL_S = 600.0
"""How long a quote can be taken up: time for a person to read it, or for a program to compare several."""
PLAN_HOLD_LEAST_S, PLAN_HOLD_MOST_S = 10.0, 600.0
"""How long `plan --hold` may hold: longer than its rounds of holds take, but not so long that a person who only
looks keeps out one who needs the room."""
PROPOSALS_KEPT = 64
"""Quotes at one peer. Beyond it the oldest without holds is forgotten."""

ATTACHED_KEPT = 1024
"""Grids at one peer whose files it was given: as many as it may have on its disk. Beyond it the oldest is
forgotten; its carriers and stewards have the files."""
ATTACHED_UNHEARD_S = 3600.0
"""How long files are kept of a grid of which nobody tells: longer than any split that people wait for."""

USED_ORDERS = 4096
"""Orders of one owner that a peer remembers as carried out while they are fresh (trust/used.py): seven a second
for ten minutes, or 136 best-effort grids a day for the 30 days that their orders are fresh. 700 KiB each."""
SIGNATURES_REMEMBERED = 4096
"""Good signatures of orders and their chains: four times the workspaces a host carries, 400 KiB."""
ORDERS_READ_BYTES = 16 << 20
"""Grids that stay parsed after they were read from orders: all that a host carries, and those being placed on
it. A thousand small ones take 2 MiB."""

# What one peer may say (peering/quarantine.py): far above what an honest peer says in its busiest moment, so
# that no honest burst ever trips a limit, and low enough that one member's flood costs a few percent of a core.


class Allowance(msgspec.Struct, frozen=True):
    """For one peer and one family of messages: so many at once, so many a second, each at most so large."""

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
    # A neighbour pushes what it learns record by record. When 10,000 peers heal from a split in two halves that
    # is half of three records each, 15,000, before the tree knows that others were faster. After that it is a
    # record of each peer a few times a minute, and adverts at most once a second of peers whose room changes.
    "broadcast": Allowance(20000, 2000.0, 1 << 20),
    # A comparison every 5 s and one for each new connection, an answer to each, and grafts at most as often as
    # announcements are gathered (10 a second). Each may be answered with many records, hence so few.
    "comparison": Allowance(512, 50.0, 1 << 20),
    # A requester's rounds with its stewards, two messages each; 1,000 grids of one steward audited in a minute.
    "register": Allowance(4096, 500.0, 1 << 20),
    # Quote, hold, release and decided of as many requests as a peer remembers (256), all at once. After that
    # 75 requests a second of one requester; a site's whole day has a few thousand.
    "negotiation": Allowance(1024, 300.0, 1 << 20),
    # One exchange of keys in two minutes has four; a day of restarts, and all of it said again, a few hundred.
    "tunnel-keys": Allowance(256, 4.0, 4 << 10),
    # Pieces of images: 4,000 of 256 KiB are 8 Gbit/s. What was not asked for is dropped by the fetcher.
    "bulk": Allowance(8192, 4000.0, 1 << 20),
    # What a relay hands over from all peers that talk through it with this one, and what a neighbour wants
    # passed on. The room `relay` has limits of its own, far below (RELAYED_PER_S).
    "relay": Allowance(8192, 4000.0, 1 << 20),
    # Any other family.
    "": Allowance(2048, 500.0, 1 << 20),
}
"""By family: the room that owns a message, `hello`, `comparison` (what asks for many records), `bulk`."""

PATIENCE = 20
"""Faults within PATIENCE_WINDOW_S that end a connection. An honest peer commits none; a broken build, a few."""
PATIENCE_WINDOW_S = 60.0
QUARANTINE_S = 30.0
"""The first quarantine: long enough to end a flood, short enough to wait for when a build is mended."""
QUARANTINE_MOST_S = 3600.0
"""The longest quarantine: a peer that never learns costs a few messages an hour."""
QUARANTINE_FORGIVEN_S = 6 * 3600.0
"""After so long without one the next quarantine is short again."""
SHUT_OUT_S, SHUT_OUT_MOST_S = 600.0, 6 * 3600.0
"""For how long a peer is shut out whose message could not be handled, so that this one had to begin anew: that
costs everybody here a second or two. Then twice as long each time, up to the second."""
SHUT_OUT_PEERS = 256
"""How many of those are remembered; beyond it those that are free again first are forgotten."""
PEERS_WATCHED = 4096
"""Twice as many as share one level of the overlay; about 1 KiB each."""
REASONS_COUNTED = 256
"""Different reasons for faults: all there are, and room for more."""

# Networks of grids
MTU_LEAST, MTU_MOST = 576, 9000
"""The largest packet a guest may send, in bytes: IPv4's smallest useful MTU, and jumbo frames."""
MTU_USUAL = 1450
"""What a host carries that does not say: Ethernet's 1,500 less the 50 that VXLAN takes."""

# Leases
CLOCK_BOUND_S = 1.0
"""A host whose clock is further from its neighbours' takes no reservation. NTP keeps to a hundredth of it."""
CLOCK_APART_S = 5.0
"""A host whose clock is further from most of its neighbours' ends no lease by it, and takes nothing new."""
CLOCK_SAID_MOST_S = 1e10
"""A peer may say any time at all. What is further away than three hundred years counts as just that."""
CLOCK_AGAIN_S = 300.0
"""How long a comparison with a neighbour's clock counts. Who was not compared for so long is asked again."""
CLOCK_ASKED_S = 10.0
"""Between two questions for one neighbour's clock."""
CLOCK_AWAY_S = 60.0
"""A peer whose process stood still for so long compares its clock anew before anything ends by it."""
CLOCK_ALONE_S = 60.0
"""How long a machine's clock must stay as it was set before a peer that knows no other goes by it."""
CLOCK_LASTS_S = 600.0
"""The same for a peer whose neighbours agree with the time it counted until then."""
FOUND_LEASE_S = 86400.0
"""How long a lease goes on at least that is taken up by what its machine kept: an extension may be lost."""
FOUND_OVER_S = 600.0
"""How long a host that knows no other peer leaves a lease that it finds over when it starts. Many machines
start with a wrong clock, and NTP mends it within a minute or two."""
SLACK_S = 30.0
"""Between a host's hold and the moment it learns of the commit. If it learns later, its lease is shorter by
that."""
CLEAR_S = 30.0
"""How long a host keeps room free behind a lease, for what must be stopped or saved."""
RESERVE_AHEAD_S = 90 * 86400.0
"""How far ahead a reservation is promised."""
LATER_STEPS = 24
"""Changes of free room that a quote or an advert tells. What comes after them is told as the least of it."""
LAPSE_EARLY_S = 5.0
"""Hosts take down a grid whose time to be kept is over. Their clocks may differ by so much."""
QUEUE_S = 30 * 86400.0
"""How long at most a best-effort order is valid, and its request waits."""
QUEUED_MOST = 64
"""Requests that wait at one peer. Each costs a round of quotes now and then."""
QUEUE_EVERY_S = 60.0
"""How often a waiting request tries again, even if no host told of room, and claims elsewhere what it lacks."""
QUEUE_AGAIN_S = 5.0
"""The soonest a waiting request tries again after its last try."""
CARDS_KEPT = 1 << 16
"""Addresses of workspaces that are kept once they were counted out: of all that a host carries. 16 MiB."""
PAST_MOST = 32
"""Changes of a grid that its record tells of. They travel with each decision: 100 bytes each."""
PAST_CHARACTERS = 120
RECORDS_REMEMBERED = 64
"""Grids of which a peer keeps the record it was shown last, for who wants to change one: 10 kB each, 400 at
most."""
CHANGES_MOST = 1200
"""Orders kept in a grid's record: enough to take its workspaces out one by one, and to change its lease."""
USEFUL_S = 120.0
"""Best-effort work is started or restored where it can run at least so long."""
YIELD_EARLY_S = 10.0
"""Saving begins so much earlier than it takes, so that others of the same cluster hear of it in time."""
HEARD_S = 5.0
"""How long after a start until other hosts' notices of a grid are in."""
STARTS_TRIED = 48
"""How many starts are tried for a deadline. Each is a choice among all hosts."""

# Relay: paths of two peers through a third
DIRECT_WITHIN_S, PARTLY_WITHIN_S = 3.0, 0.3
"""How long a dial has before a path through a relay is sought beside it. The first is long, so that many peers
that start at once on a slow host do not all seek relays. The second, a few round trips, is for a peer that says
that some cannot dial it."""
SEEK_EVERY_S = 2.0
UNDIALLED_S = 120.0
"""A peer that could not be dialled is sought through a relay at once for so long, and dialled all the same."""
UNDIALLED = 4096
PATHS = 1024
"""Paths this peer is an end of: as many as the transport accepts connections."""
HALF_PATHS = 64
"""Paths that others asked for and have not used. Beyond it the oldest is forgotten."""
OPEN_TRY_S = 0.6
"""How long one relay has to bring an answer before the next is tried."""
OPEN_WITHIN_S = 5.0
BEAT_EVERY_S = 1.0
"""A path in use says this often that it works."""
ACKNOWLEDGED_WITHIN_S = 2.0
"""If something is not acknowledged by then the relay is bad, and another is taken."""
MISSED_MOST = 8
"""Words of one relay that may go missing before another is taken."""
PATH_DEAD_S = 7.0
"""Silence after which a path is over: time for three relays to be tried."""
RETIRED_S = 2.0
"""How long this peer listens on a path after a direct connection has taken over."""
SHUNNED_S = 30.0
"""For how long a relay that failed a path is tried last."""
BETTER_EVERY_S = 5.0
"""How often a path by two relays looks for a single one."""
KNOCK_FIRST_S, KNOCK_MOST_S = 2.0, 30.0
"""A peer reached through a relay is tried directly after the first; then twice as late, up to the second."""
RELAYED_PER_S, RELAYED_BURST = 400.0, 800.0
"""Messages a second this peer passes on for one neighbour."""
RELAYED_BYTES_PER_S = 2 << 20
"""Bytes a second for one neighbour: 16 Mbit/s, enough for an image of 500 MiB in four minutes."""
RELAYED_BYTES_PER_S_ALL = 8 << 20
"""Bytes a second for all: what relaying may take of a host's link, 64 Mbit/s."""
RELAYED_QUEUE_BYTES = 2 << 20
"""What may wait for its turn for one neighbour: a second's worth."""
RELAYED_QUEUE_BYTES_ALL = 16 << 20
RELAYED_TTL_MS = 5000
CALLS = 256
"""Messages that may wait until their destination is dialled."""
DIAL_BACK_EVERY_S = 10.0
"""How often at most a peer is dialled back because it asks."""
DIAL_BACKS = 64
VERDICTS = 32
VERDICTS_WANTED = 4
"""Peers at other sites that are asked whether they can dial this one."""
VERDICT_S = 900.0
ASK_AGAIN_S, ASK_AGAIN_NAT_S = 300.0, 30.0
"""How often they are asked again: by a peer that was reached, and by one that was not."""
REACH_AT_MOST_EVERY_S = 2.0
"""How often at most a presence is published for a change of its reach or relays."""
