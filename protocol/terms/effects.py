"""What a machine asks of the world. Effects are values; the shell (or the simulator) carries them out in order.

A `Persist` is on disk before anything behind it in the same list happens: a host never says "held for
you" before that would survive a power cut. If the write fails, what is behind it does not happen, and
its `otherwise`, if it has one, is handled next.
"""

from collections.abc import Iterable

import msgspec

from protocol.terms.ids import GridId, KeyId, PeerId
from protocol.terms.sealed import RelayedPair, SealedPeer, TunnelProbe


class Deadline(msgspec.Struct, frozen=True, order=True, gc=False):
    """When a machine wants to be woken, in Unix seconds, and why. Only traces read the why."""

    at_s: float
    why: str


def earliest(*deadlines: Deadline | None) -> Deadline | None:
    """The first of some deadlines; None if there is none.

    It is called a dozen times a step, and a plain loop is quickest.
    """
    first = None
    for deadline in deadlines:
        if deadline is not None and (first is None or deadline.at_s < first.at_s):
            first = deadline
    return first


def soonest(times_s: Iterable[float], why: str) -> Deadline | None:
    """A deadline at the first of some moments; None if there is none."""
    at_s = min(times_s, default=None)
    return None if at_s is None else Deadline(at_s, why)


class Row(msgspec.Struct, frozen=True):
    """One row of the peer's own store; `value` None deletes it."""

    table: str
    key: str
    value: bytes | None


class Send(msgspec.Struct, frozen=True):
    """Give `message` to `peer`, which is dialled if need be. If that fails it is dropped and counted."""

    peer: PeerId
    message: msgspec.Struct
    cause: str = ""
    version: int = 1
    """The frame's: what was agreed with that peer."""


class Dial(msgspec.Struct, frozen=True):
    """Keep a connection to `peer` at `address` (HOST:PORT) until a HangUp."""

    peer: PeerId
    address: str


class Knock(msgspec.Struct, frozen=True):
    """See whether `peer` itself can be dialled at `address`; nothing is said, and no connection is kept."""

    peer: PeerId
    address: str


class HangUp(msgspec.Struct, frozen=True):
    """Give up the connection to `peer`, whichever side made it."""

    peer: PeerId
    why: str
    parting: bool = False
    """What was sent before still gets out."""


class Quarantine(msgspec.Struct, frozen=True):
    """Refuse the connections of these peers, and of no others, from now on."""

    peers: tuple[PeerId, ...]


class Untidied(msgspec.Struct, frozen=True):
    """The `otherwise` of a write that only tidies up: a row that is left behind does no harm."""


class Persist(msgspec.Struct, frozen=True):
    """Write rows atomically and durably before going on.

    Without `otherwise` a failure ends the process: memory is then ahead of the disk, and only a start
    from the disk makes them equal again.
    """

    rows: tuple[Row, ...]
    otherwise: msgspec.Struct | None = None


class Note(msgspec.Struct, frozen=True):
    """Something worth telling. It is logged, and kept for `overlayctl events`."""

    kind: str
    subject: str
    detail: str = ""
    cause: str = ""


class Realise(msgspec.Struct, frozen=True):
    """This host's part of a grid changed: compare wanted with observed, and mend the difference."""

    grid: str
    cause: str = ""


class HandOver(msgspec.Struct, frozen=True):
    """Bulk traffic from `peer` (image chunks, consoles) that the shell serves by itself."""

    peer: PeerId
    message: msgspec.Struct
    cause: str = ""


class Sealed(msgspec.Struct, frozen=True):
    """What the host's forwarder is to know of others: the whole table, in the place of the one before."""

    instance: str
    """The forwarder that the keys were made for. They are told to no other."""
    peers: tuple[SealedPeer, ...]
    """Every host that shares a sealed network with this one, also those that there are no keys with yet; and
    those that pass on for this one, or that it passes on for."""
    pairs: tuple[RelayedPair, ...] = ()
    """Whom this host is a relay for."""
    relay_bytes_per_s: float = 0.0
    """What it lends for that, for all of them together."""
    lends: bool = False
    """Whether a forwarder is needed here though there may be no sealed network: it is asked to be a relay."""


class Probing(msgspec.Struct, frozen=True):
    """The host's forwarder is to send these probes. What comes back is told by `ProbesAnswered`."""

    instance: str
    """The forwarder that is meant. Another one has other keys."""
    probes: tuple[TunnelProbe, ...]


class AttachedCard(msgspec.Struct, frozen=True):
    """This host's own card on a network of a grid that it carries nothing of."""

    grid: GridId
    network: str
    vni: int
    address: str
    cidr: str
    mtu: int
    """The largest packet that it may send, in bytes."""
    members: tuple[tuple[str, PeerId], ...]
    """(address, host) of who is on the network."""


class Attach(msgspec.Struct, frozen=True):
    """This host is to have exactly these cards on networks that it is attached to."""

    cards: tuple[AttachedCard, ...]


class Audit(msgspec.Struct, frozen=True, omit_defaults=True):
    """This peer decided about a person's order: a line of its audit log (policy/audit.py).

    Who it is of is what the order proves; of one that is not believed it is what that claims.
    """

    what: str
    """For what: order (to this peer), hold, change, act, lease, record, attach, console, connect, commit."""
    allowed: bool
    why: str = ""
    """What forbade it; of what was allowed, a remark."""
    action: str = ""
    grid: str = ""
    """As the order says it: a name or an id."""
    workspace: str = ""
    order: str = ""
    """Digest of its payload, 64 hexadecimal digits."""
    believed: bool = False
    """Whether the order proves who gave it."""
    owner: KeyId = KeyId("")
    """Whose the grid is, or is to be."""
    whose: str = ""
    """What the owner is called: a site, or `vo:` and a VO."""
    member: str = ""
    """What who acts for a VO is called by who granted."""
    line: tuple[KeyId, ...] = ()
    """The keys of the chain of grants behind the owner's, the last of which acts."""
    via: PeerId = PeerId("")
    """The peer that showed it."""
    via_site: str = ""
    left_out: int = 0
    """How many decisions about what peers of that site showed were not written before this one."""


Effect = (
    Send
    | Dial
    | Knock
    | HangUp
    | Quarantine
    | Persist
    | Note
    | Realise
    | HandOver
    | Sealed
    | Probing
    | Attach
    | Audit
)
