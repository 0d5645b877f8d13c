"""What may be seen of a peer from outside: plain values, each saying how old it is.

A `PeerView` is all that the shell and its faces get of a node, besides the driver's three doors. Parts of a
node are reached in this file and the snapshot_*.py beside it, and nowhere else. A view keeps nothing: each
answer is read when it is asked for, on the loop that drives the node, and reading changes nothing.
"""

import msgspec

from protocol.capacity.advert import HostFacts
from protocol.capacity.quantum import Quantum
from protocol.contract.audited import audited
from protocol.hosting.keepsake import keepsake_of
from protocol.hosting.part import Part, part_of
from protocol.image.commit import CommitTerms
from protocol.node import (
    snapshot_grids,
    snapshot_paths,
    snapshot_peers,
    snapshot_standing,
    snapshot_story,
    snapshot_streams,
    snapshot_usage,
)
from protocol.node import status as peer_status
from protocol.node.node import Node
from protocol.node.rows import (
    GridFiles,
    GridRow,
    PeerRow,
    SelfRow,
    SiteRow,
    SpentRow,
    StoryRow,
    StreamWay,
    TimetableRow,
    UnknownRow,
    WorkspaceRow,
)
from protocol.node.standing import Standing
from protocol.node.status_rows import StatusRow
from protocol.policy.policy_record import check_policy
from protocol.policy.receipts import LeaseNow
from protocol.policy.site_policy import PolicyRow, SitePolicy
from protocol.requesting.proposal import Proposal
from protocol.requesting.request import RequestView
from protocol.requesting.visiting import VisitRow
from protocol.terms.effects import Audit
from protocol.terms.ids import Digest, GridId, KeyId, PeerId, RequestId
from protocol.terms.paths import PathTold
from protocol.terms.problem import Problem
from protocol.trust.order import SignedOrder
from protocol.trust.record import SignedRecord, read_record
from protocol.trust.revocation import Revocation
from protocol.trust.signing import Reason, Untrusted


class PeerView:
    """One peer, to be read. `now` is the peer's clock, Unix seconds; ages and what is left count from it."""

    __slots__ = ("_node",)

    def __init__(self, node: Node) -> None:
        self._node = node

    # -- the peer itself

    @property
    def me(self) -> PeerId:
        """The id of the peer."""
        return self._node.me

    @property
    def name(self) -> str:
        """What people call the peer."""
        return self._node.identity.name

    @property
    def site(self) -> str:
        """The site of the peer."""
        return self._node.identity.site

    @property
    def judged(self) -> PeerId | None:
        """Who said what the peer is told now, or was last, also if it came through a relay."""
        return self._node.quarantines.judged

    def site_of(self, peer: KeyId) -> str:
        """The site of a peer that was met; empty if it was not."""
        return self._node.overlay.members.site(peer)

    def follows_clock(self, by_s: float, steady_s: float) -> str:
        """Why another life should begin by the machine's clock, which was set `by_s` seconds and stayed so for
        `steady_s`; empty if there is no reason."""
        return self._node.membership.follows(by_s, steady_s)

    def this_peer(self) -> SelfRow:
        """The row of the peer itself."""
        return snapshot_peers.this_peer(self._node)

    def status(self, now: float) -> StatusRow:
        """How the peer is: its certificate, whom it hears, what it offers, and what is wrong."""
        return peer_status.status(self._node, now)

    def problems(self, now: float) -> list[Problem]:
        """Everything that is known to be wrong at the peer, what matters most first."""
        return peer_status.problems(self._node, now)

    # -- who is there

    def peers(self, now: float) -> list[PeerRow]:
        """Every known peer, this one among them, by site and name."""
        return snapshot_peers.peers(self._node, now)

    def sites(self, now: float) -> list[SiteRow]:
        """Every site, by name. If there are too many peers to know all, other sites are as summaries say."""
        return snapshot_peers.sites(self._node, now)

    def timetables(self, now: float) -> list[TimetableRow]:
        """The timetable of every host that has told it, this one among them, by site and name."""
        return snapshot_peers.timetables(self._node, now)

    def sources(self, digest: Digest) -> list[PeerId]:
        """Live peers that advertise an image, those of this site first, then the nearest."""
        return snapshot_peers.sources(self._node, digest)

    def underlays(self) -> list[str]:
        """Where other hosts take the traffic of grids' networks, as they told: addresses, in order."""
        return snapshot_peers.underlays(self._node)

    def image_users(self, digest: Digest) -> list[str]:
        """The workspaces on this host that are made of an image, `GRID/WORKSPACE`."""
        return snapshot_grids.image_users(self._node, digest)

    def revocation(self, signed: SignedRecord) -> tuple[Revocation, bool]:
        """What a revocation says, and whether this peer has heard of it before. Raises Untrusted."""
        certificates = self._node.certificates
        said = certificates.given(signed)
        known = (said.issuer, said.serial) in certificates.revocations
        return said, known

    def policy(self, signed: SignedRecord) -> SitePolicy:
        """What a site's policy says that a person brings. Raises Untrusted; also if a newer one is known."""
        identity = self._node.identity
        said = check_policy(signed, identity.federation, identity.verifier)
        known = self._node.overlay.policies.of(read_record(signed).owner)
        if known is not None and known != said and known.number >= said.number:
            why = f"policy {known.number} of site {said.site} is known here; this needs a greater number"
            raise Untrusted(Reason.MALFORMED, why)
        return said

    def policies(self) -> list[PolicyRow]:
        """The newest policy of each site, by the site's name."""
        known = self._node.overlay.policies.known()
        return [PolicyRow(key, msgspec.structs.replace(said, chain=())) for key, said in known]

    def spent(self, key: KeyId, now: float) -> list[SpentRow]:
        """What hosts tell that they have by orders of a key, and of those below it."""
        return snapshot_usage.spent(self._node, key, now)

    # -- grids

    def grids(self, now: float) -> list[GridRow]:
        """Every grid that a host tells of, those that are up first."""
        return snapshot_grids.grids(self._node, now)

    def checking(self, about: str, now: float) -> bool:
        """Whether something told of grids of that name or id is being checked, or can be; of any, if empty."""
        return snapshot_grids.checking(self._node, about, now)

    def find_grids(self, name: str, site: str = "") -> list[GridId]:
        """The grids with that name or id, of that site if one is named.

        Those that are up, one for each owner; if none is, the newest of those that were. None if no host tells
        of one.
        """
        return snapshot_grids.find_grids(self._node, name, site)

    def standing(self, grid: GridId) -> Standing | None:
        """What a grid is now, as this peer was shown it last; None if it was not, or knows of a later record.

        `GridsAsked` has it look.
        """
        return snapshot_standing.standing(self._node, grid)

    def carriers(self, grid: GridId) -> tuple[tuple[str, str], ...]:
        """(network, what carries it between hosts) of a grid whose newest decision this peer was shown."""
        return snapshot_standing.carriers(self._node, grid)

    def workspaces(self, grid: GridId, now: float) -> list[WorkspaceRow]:
        """The workspaces of a grid, in the record's order; none if no host tells of it."""
        return snapshot_grids.workspaces(self._node, grid, now)

    def story(self, grid: GridId) -> list[StoryRow]:
        """What happened to a grid, as its hosts tell it, oldest first. Of this host all that is kept."""
        return snapshot_story.story(self._node, grid)

    # -- what was asked of this peer

    def request(self, request: RequestId) -> RequestView | None:
        """A request that is remembered; None if it is not."""
        return self._node.requester.requests.view(request)

    def requests(self) -> list[RequestView]:
        """Every request that is remembered, oldest first."""
        return self._node.requester.requests.views()

    def quote(self, quote: RequestId) -> Proposal | None:
        """A quote that can be taken up; None if it cannot."""
        return self._node.requester.quotes.get(quote)

    def quotes(self) -> list[Proposal]:
        """Every quote that can be taken up, oldest first."""
        return self._node.requester.quotes.all()

    # -- what this host carries

    @property
    def facts(self) -> HostFacts:
        """What the host was found to be, by the last Probed."""
        return self._node.host.facts

    @property
    def free(self) -> Quantum:
        """What the host has promised to nobody."""
        return self._node.host.ledger.free

    def carried(self) -> list[GridId]:
        """Every grid that this host carries part of."""
        return [row.record.id for row in self._node.host.leases.rows()]

    def part_of(self, grid: GridId) -> Part | None:
        """What this host is to make of a grid; None if it carries nothing of it (any more)."""
        node = self._node
        part = part_of(node.host.leases, node.notices, grid, node.host.ledger.now_s)
        takes = tuple(node.host.tunnels.takes.items())
        return part and msgspec.structs.replace(part, out=self._out(part), takes=takes)

    def leases_now(self) -> list[LeaseNow]:
        """Every lease of this host that reserves anything, for who counts it."""
        return snapshot_usage.leases(self._node)

    @property
    def revoked(self) -> bool:
        """Whether the peer's own certificate was revoked."""
        return self._node.certificates.revoked is not None

    def _out(self, part: Part) -> tuple[PeerId, ...]:
        """The other hosts of a grid with which nothing is exchanged any more."""
        others = [host for host in part.record.hosts if host.peer != self.me]
        is_out = self._node.overlay.is_out
        return tuple(h.peer for h in others if self.revoked or is_out(h.peer, h.site))

    def keepsake(self, grid: GridId) -> bytes:
        """What the machines of a carried grid are given to keep; nothing if this host carries none of it."""
        row = self._node.host.leases.row(grid)
        return keepsake_of(row) if row is not None else b""

    # -- files that go with grids

    def files(self) -> list[GridFiles]:
        """The grids whose files this host must have: it carries part of them, or is their steward."""
        return self._node.files.needed()

    def files_of(self, grid: GridId) -> GridFiles | None:
        """The files of a grid; None if it has none, or this peer has nothing to do with it."""
        return self._node.files.of_grid(grid)

    def readers(self, key: str, digest: str) -> tuple[PeerId, ...]:
        """The peers that this one may give a file to that it keeps by `key`; nobody if no grid names it."""
        return self._node.files.readers(key, digest)

    def file_keys(self) -> set[str]:
        """All by which files are to be kept here now."""
        return self._node.files.keys()

    def given_files(self) -> list[GridFiles]:
        """The grids whose files came to this peer with an order, and which others carry or keep now."""
        return self._node.files.given()

    def visits(self) -> list[VisitRow]:
        """The networks that this host is attached to, or is to be."""
        return list(self._node.tunnel_partners.visits.rows())

    def unknown(self, now: float) -> list[UnknownRow]:
        """What was found on this host and is unknown to it, with what came of asking its stewards."""
        return snapshot_grids.unknown(self._node, now)

    def console(self, order: SignedOrder, via: PeerId, now: float) -> tuple[GridId, str]:
        """The grid and the workspace whose console an order opens here, if that peer shows it.

        Raises Untrusted or NoConsole.
        """
        return snapshot_grids.console(self._node, order, via, now)

    def audited(
        self, what: str, order: SignedOrder, via: PeerId, now: float, forbids: str
    ) -> Audit:
        """That `via` showed an order for that here, for the audit log; allowed if nothing `forbids` it."""
        shown_by = via, self._node.directory.site(via)
        return audited(self._node.authority, what, order, shown_by, now, forbids)

    def paths(self, grid: GridId) -> tuple[PathTold, ...] | None:
        """How this host reaches the others of a grid, by network; None if it does not carry it."""
        return snapshot_paths.paths(self._node, grid)

    def is_gone(self, peer: PeerId) -> bool:
        """Whether that peer is believed dead, or has left."""
        return snapshot_peers.health_of(self._node, peer) in snapshot_streams.GONE

    def stream_way(
        self, order: SignedOrder, via: PeerId, now: float, kept: StreamWay | None = None
    ) -> StreamWay:
        """Where an order to connect leads here, if that peer shows it. Raises Untrusted or NoStream.

        With `kept`, what it answered before: whether a stream that is open may stay.
        """
        return snapshot_streams.way(self._node, order, via, now, kept)

    def commit(
        self, order: SignedOrder, via: PeerId, now: float
    ) -> tuple[GridId, str, CommitTerms]:
        """The grid and the workspace that an order makes an image of here, if that peer shows it.

        Raises Untrusted or NoCommit.
        """
        return snapshot_grids.commit(self._node, order, via, now)
