"""What this peer tells everybody of itself: its advert, and a notice for each grid it carries.

Changes are gathered: an advert goes out at most once a second and a notice a few times a second, and only
when something changed. Besides, the advert is refreshed slowly.
"""

import msgspec

from protocol.capacity.advert import KIND as ADVERT
from protocol.contract.notices import NOTICE, Notice
from protocol.contract.told import KnownGrid, known_of
from protocol.grid.decision import Proof
from protocol.grid.exposed import ports_of_workspaces
from protocol.grid.lifecycle import Phase
from protocol.grid.six import cards6, ranges6
from protocol.hosting.host import Host
from protocol.hosting.lease import Lease
from protocol.terms.coordinate import NOWHERE, distance_s
from protocol.terms.effects import Deadline, earliest
from protocol.terms.ids import GridId, digest_of
from protocol.terms.limits import (
    ADDRESSES_TOLD,
    ADVERT_AT_MOST_EVERY_S,
    ADVERT_EVERY_S,
    ADVERT_TTL_S,
    MOVED_AT_MOST_EVERY_S,
    MOVED_S,
    NOTICE_AT_MOST_EVERY_S,
)
from protocol.wire.codec import encode

_LAST_NOTICE_TTL_S = 600.0
_NOTICE_GRACE_S = 86400.0


class Publication(msgspec.Struct, frozen=True):
    """A record to publish."""

    kind: str
    name: str
    body: bytes
    ttl_s: float
    notice: Notice | None = None
    """The body, if it is a notice, before encoding: this peer heeds its own notices as well."""
    known: KnownGrid | None = None
    """What this host knows to be decided of that grid."""


class Publishing:
    """What this host is to tell everybody, and when."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._due: dict[GridId, None] = {}
        self._decisions: dict[GridId, tuple[Proof | None, bytes]] = {}
        self._notice_s = 0.0
        self._advert_s = 0.0
        self._advert_sent_s = 0.0
        self._said_here = NOWHERE

    def due(self, grid: GridId) -> None:
        """What this host says of that grid changed, so a notice is due."""
        self._due[grid] = None

    def room_changed(self) -> None:
        """What is free here changed, so an advert is due."""
        self._advert_s = min(self._advert_s, self._advert_sent_s + ADVERT_AT_MOST_EVERY_S)

    def moved(self, now: float) -> bool:
        """Whether this host has moved far in the network from where its advert says. Then an advert is due."""
        if now < self._advert_sent_s + MOVED_AT_MOST_EVERY_S:
            return False
        here = self._host.here()
        if distance_s(here, self._said_here) <= MOVED_S + self._said_here.height_s + here.height_s:
            return False
        self.room_changed()
        return True

    def pop_due(self, now: float) -> list[Publication]:
        """What is to be published now; it is not due any more."""
        due: list[Publication] = []
        if self._host.known and now >= self._advert_s:
            self._advert_sent_s, self._advert_s = now, now + ADVERT_EVERY_S
            advert = self._host.advert(now)
            self._said_here = advert.here
            due.append(Publication(ADVERT, "", encode(advert), ADVERT_TTL_S))
        if self._due and now >= self._notice_s:
            self._notice_s = now + NOTICE_AT_MOST_EVERY_S
            grids, self._due = list(self._due), {}
            for grid in grids:
                row = self._host.leases.last(grid)
                if row is not None:
                    due.append(self._notice(row, now))
        return due

    def next_deadline(self) -> Deadline | None:
        """When the first of it is due; None if nothing is."""
        notice = Deadline(self._notice_s, "notice") if self._due else None
        advert = Deadline(self._advert_s, "advert") if self._host.known else None
        return earliest(advert, notice)

    def _notice(self, row: Lease, now: float) -> Publication:
        record, leases = row.record, self._host.leases
        ordered = leases.ordered(row)
        here = {wanted.workspace for wanted in row.wanted}
        cards = [card for card in reversed(leases.cards(row)) if card.workspace in here]
        addresses = [(card.workspace, card.address) for card in cards]
        with_six = cards6(cards, ranges6(ordered.spec.networks, record.id))
        if len(addresses) > ADDRESSES_TOLD:
            addresses = list(dict(addresses).items())
        elif len(six := [(c.workspace, a) for c, a in with_six]) + len(addresses) <= ADDRESSES_TOLD:
            addresses = six + addresses
        known = known_of(record, ordered.spec, self._decision(row), row.proof, own=True)
        notice = msgspec.structs.replace(
            known.facts,
            addresses=tuple(addresses),
            mine=leases.statuses(record.id),
            made_s=row.made_s,
            starts_s=row.starts_s,
            ends_s=row.ends_s,
            kept_until_s=row.kept_until_s,
            hindered=leases.preemption.hindered(record.id),
            mtus=self._host.tunnels.mtus(row),
            halted=row.halted is not None,
            story=self._host.chronicle.newest(record.id),
            volumes=leases.volumes(row),
            logins=self._logins(row),
            behind=leases.not_yet_changed(row),
            lacks=row.lacks,
            exposes=ports_of_workspaces(row.exposes, here)[:ADDRESSES_TOLD],
            exposed_at=self._host.facts.ports.address if row.exposes else "",
        )
        over = leases.row(record.id) is None
        if over:
            leases.forget(record.id)
            self._decisions.pop(record.id, None)
            self._host.chronicle.forget(record.id)
            assert all(status.phase is Phase.GONE for status in notice.mine), notice.mine
        ttl_s = _LAST_NOTICE_TTL_S if over else max(0.0, row.kept_until_s - now) + _NOTICE_GRACE_S
        return Publication(NOTICE, record.id, encode(notice), ttl_s, notice, known)

    def _decision(self, row: Lease) -> bytes:
        """By which decision a grid is carried here: its digest, which is made once for each."""
        grid, proof = row.record.id, row.proof
        kept = self._decisions.get(grid)
        if kept is None or kept[0] is not proof:
            certificate = row.certificate
            whole = certificate.value if certificate is not None else b""
            kept = self._decisions[grid] = proof, bytes.fromhex(digest_of(whole)) if whole else b""
        return kept[1]

    def _logins(self, row: Lease) -> tuple[tuple[str, str], ...]:
        """Who logs in to workspaces of a grid here, as far as their images say it."""
        users = {image.digest: image.default_user for image in self._host.images}
        members = self._host.leases.members(row)
        logins = []
        for wanted in row.wanted:
            member = members.get(wanted.workspace)
            image = wanted.image if wanted.image.name or member is None else member.image
            if user := users.get(image.digest, ""):
                logins.append((wanted.workspace, user))
        return tuple(logins)
